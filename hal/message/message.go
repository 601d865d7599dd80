// Package message defines the messages between a robot's hardware abstraction layer and its controller: observations, joint
// commands, navigation commands, control requests and control replies.
//
// Units are SI. Frames follow REP-103: x forward, y left, z up, right-handed rotations. Slices over joints have the length and
// order of the robot's Joints; slices over feet those of its Feet.
//
// The package has types and their validation only. It must never import transport, clocks or inference.
package message

import "krabby.dev/krabby/hal/robot"

// Observation is one reading of all sensors of a robot.
type Observation struct {
	// Sequence counts the observations of a session, from 1.
	Sequence uint64
	// SessionID identifies one run of the HAL server. Commands return it.
	SessionID uint64
	// MonotonicNs is when the sensors were read, in ns of the server's monotonic clock. Ages are relative to it.
	MonotonicNs int64
	// WallNs is the same time in ns since the Unix epoch. It is for logs only.
	WallNs int64

	// PositionRad, VelocityRadPerSec and EffortNm are the state of the joints, one value per joint.
	PositionRad, VelocityRadPerSec, EffortNm []float64
	// IMU is the state of the inertial measurement unit.
	IMU IMU
	// BaseVelocityKnown reports whether BaseVelocityMps is valid. Only simulators and state estimators provide it.
	BaseVelocityKnown bool
	// BaseVelocityMps is the linear velocity of the base in its own frame (x, y, z), in m/s; 0 if it is not known.
	BaseVelocityMps [3]float64
	// Contacts reports which feet touch the ground, one value per foot.
	Contacts []bool

	// RGB1 and RGB2 are the images of the color cameras. Depth is the distance along the camera's axis, in m, and Confidence the
	// confidence in it, from 0 to 1. Each image is optional and has its own stamp.
	RGB1, RGB2        ColorImage
	Depth, Confidence ScalarImage
}

// IMU is the state of an inertial measurement unit. Its axes are those of the base.
type IMU struct {
	// Orientation is the unit quaternion (w, x, y, z) that rotates a vector from the base frame to the world frame.
	Orientation [4]float64
	// AngularVelocityRadPerSec is in the base frame (x, y, z), in rad/s.
	AngularVelocityRadPerSec [3]float64
	// LinearAccelerationMps2 is the specific force in the base frame (x, y, z), in m/s²: +9.81 on z at rest.
	LinearAccelerationMps2 [3]float64
}

// NewObservation returns an observation for r: upright and at rest in the default pose, without base velocity and images.
func NewObservation(r *robot.Robot) *Observation {
	o := &Observation{}
	o.Resize(len(r.Joints), len(r.Feet))
	copy(o.PositionRad, r.DefaultPoseRad)
	o.IMU.Orientation[0] = 1
	return o
}

// Resize sets the lengths of the slices, and reuses their memory if it suffices. Their contents are unspecified. Images do not
// change.
func (o *Observation) Resize(joints, feet int) {
	o.PositionRad = resize(o.PositionRad, joints)
	o.VelocityRadPerSec = resize(o.VelocityRadPerSec, joints)
	o.EffortNm = resize(o.EffortNm, joints)
	o.Contacts = resize(o.Contacts, feet)
}

// CopyFrom makes o a deep copy of from. It reuses the memory that o owns, and does not write to borrowed images. A copy of o
// to itself replaces borrowed images by copies.
func (o *Observation) CopyFrom(from *Observation) {
	old := *o
	*o = *from
	o.PositionRad = append(old.PositionRad[:0], from.PositionRad...)
	o.VelocityRadPerSec = append(old.VelocityRadPerSec[:0], from.VelocityRadPerSec...)
	o.EffortNm = append(old.EffortNm[:0], from.EffortNm...)
	o.Contacts = append(old.Contacts[:0], from.Contacts...)
	o.RGB1, o.RGB2, o.Depth, o.Confidence = old.RGB1, old.RGB2, old.Depth, old.Confidence
	o.RGB1.CopyFrom(&from.RGB1)
	o.RGB2.CopyFrom(&from.RGB2)
	o.Depth.CopyFrom(&from.Depth)
	o.Confidence.CopyFrom(&from.Confidence)
}

// JointCommand requests joint positions. Each actuator runs a PD loop around its target.
type JointCommand struct {
	// Sequence counts the commands of a client, from 1.
	Sequence uint64
	// SessionID is the session of the observations that the client acts on.
	SessionID uint64
	// ObservationSequence is the sequence of the observation that this command answers.
	ObservationSequence uint64
	// MonotonicNs is when the command was made, in ns of the server's monotonic clock.
	MonotonicNs int64
	// ExpiresNs is when the command expires, in ns of the same clock.
	ExpiresNs int64

	// TargetRad is the target position, one value per joint.
	TargetRad []float64
	// Kp and Kd are the gains, in N·m/rad and N·m·s/rad, one value per joint.
	Kp, Kd []float64
	// FeedForwardNm is added to the effort of the PD loop, in N·m: one value per joint, or empty.
	FeedForwardNm []float64
}

// NewJointCommand returns a command for r with its default pose and gains, without a feed-forward effort.
func NewJointCommand(r *robot.Robot) *JointCommand {
	return &JointCommand{
		TargetRad: append([]float64(nil), r.DefaultPoseRad...),
		Kp:        append([]float64(nil), r.Kp...),
		Kd:        append([]float64(nil), r.Kd...),
	}
}

// Resize sets the lengths of the targets and gains, and reuses their memory if it suffices. Their contents are unspecified. It
// removes the feed-forward effort.
func (c *JointCommand) Resize(joints int) {
	c.FeedForwardNm = c.FeedForwardNm[:0]
	c.TargetRad = resize(c.TargetRad, joints)
	c.Kp = resize(c.Kp, joints)
	c.Kd = resize(c.Kd, joints)
}

// ResizeFeedForward sets the length of the feed-forward effort, and reuses its memory if it suffices. Its contents are
// unspecified.
func (c *JointCommand) ResizeFeedForward(joints int) {
	c.FeedForwardNm = resize(c.FeedForwardNm, joints)
}

// CopyFrom makes c a deep copy of from. It reuses the memory of c.
func (c *JointCommand) CopyFrom(from *JointCommand) {
	target, kp, kd, feedForward := c.TargetRad, c.Kp, c.Kd, c.FeedForwardNm
	*c = *from
	c.TargetRad = append(target[:0], from.TargetRad...)
	c.Kp = append(kp[:0], from.Kp...)
	c.Kd = append(kd[:0], from.Kd...)
	c.FeedForwardNm = append(feedForward[:0], from.FeedForwardNm...)
}

// NavigationCommand requests a velocity of the base, in its own frame. The first four fields are only needed on the wire.
type NavigationCommand struct {
	// Sequence counts the commands of a navigator, from 1.
	Sequence uint64
	// SessionID is the session of the observations that the navigator acts on.
	SessionID uint64
	// MonotonicNs is when the command was made, in ns of the server's monotonic clock.
	MonotonicNs int64
	// ExpiresNs is when the command expires, in ns of the same clock. An expired command requests standing still.
	ExpiresNs int64

	// VxMps and VyMps are the linear velocities forward and left, in m/s.
	VxMps, VyMps float64
	// YawRateRadPerSec is the angular velocity about z, in rad/s.
	YawRateRadPerSec float64
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
