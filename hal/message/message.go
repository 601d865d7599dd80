// Package message defines what travels between a robot's hardware abstraction layer and its controller: observations,
// joint commands and navigation commands.
//
// Units are SI and frames follow REP-103 (x forward, y left, z up; rotations by the right hand). Slices over joints
// have the length and order of the robot's Joints, slices over feet that of its Feet.
//
// It holds types and their validation only. It must never import transport, clocks or inference.
package message

import "krabby.dev/krabby/hal/robot"

// Observation is one reading of all of a robot's sensors.
type Observation struct {
	// Sequence counts the observations of a session, from 1.
	Sequence uint64
	// SessionID names one life of the HAL server; commands carry it back.
	SessionID uint64
	// MonotonicNs is when the sensors were read, in ns of the server's monotonic clock. Ages come from it.
	MonotonicNs int64
	// WallNs is the same moment in ns since the Unix epoch, for logs only.
	WallNs int64

	// PositionRad, VelocityRadPerSec and EffortNm are the joints' state, one value a joint.
	PositionRad, VelocityRadPerSec, EffortNm []float64
	// IMU is the inertial measurement unit.
	IMU IMU
	// BaseVelocityKnown says whether BaseVelocityMps means anything: only simulators and estimators know it.
	BaseVelocityKnown bool
	// BaseVelocityMps is the linear velocity of the base in its own frame (x, y, z), in m/s; 0 where it is not known.
	BaseVelocityMps [3]float64
	// Contacts says which feet touch the ground, one value a foot.
	Contacts []bool

	// RGB1 and RGB2 are the images of the color cameras, Depth the distance along the camera's axis, in m, and Confidence
	// how far to trust it, from 0 to 1. Each is there or not by itself, with a stamp of its own.
	RGB1, RGB2        ColorImage
	Depth, Confidence ScalarImage
}

// IMU is the state of an inertial measurement unit whose axes are the base's.
type IMU struct {
	// Orientation is the unit quaternion (w, x, y, z) that turns a vector in the base frame into the world frame.
	Orientation [4]float64
	// AngularVelocityRadPerSec is in the base frame (x, y, z), in rad/s.
	AngularVelocityRadPerSec [3]float64
	// LinearAccelerationMps2 is the specific force in the base frame (x, y, z), in m/s²: +9.81 on z at rest.
	LinearAccelerationMps2 [3]float64
}

// Resize makes the observation's slices fit a robot of so many joints and feet, and keeps their memory where it
// suffices. The contents are unspecified afterwards. Images stay as they are.
func (o *Observation) Resize(joints, feet int) {
	o.PositionRad = resize(o.PositionRad, joints)
	o.VelocityRadPerSec = resize(o.VelocityRadPerSec, joints)
	o.EffortNm = resize(o.EffortNm, joints)
	o.Contacts = resize(o.Contacts, feet)
}

// CopyFrom makes o a deep copy of from, reusing the memory of o. What o had borrowed is not written to. A copy from
// itself makes all that it has borrowed its own.
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

// NewObservation returns an observation sized for r, upright and at rest in its default pose, of unknown base velocity
// and without images.
func NewObservation(r *robot.Robot) *Observation {
	o := &Observation{}
	o.Resize(len(r.Joints), len(r.Feet))
	copy(o.PositionRad, r.DefaultPoseRad)
	o.IMU.Orientation[0] = 1
	return o
}

// JointCommand asks for joint positions. Each actuator closes a PD loop around them.
type JointCommand struct {
	// Sequence counts the commands of a client, from 1.
	Sequence uint64
	// SessionID is that of the observations that the client acts on.
	SessionID uint64
	// ObservationSequence is the sequence of the observation that this command answers.
	ObservationSequence uint64
	// MonotonicNs is when the command was made, in ns of the server's monotonic clock.
	MonotonicNs int64
	// ExpiresNs is when the command loses its force, in ns of the same clock.
	ExpiresNs int64

	// TargetRad is the position asked for, one value a joint.
	TargetRad []float64
	// Kp and Kd are the gains, in N·m/rad and N·m·s/rad, one value a joint.
	Kp, Kd []float64
	// FeedForwardNm is an effort that the actuator adds to that of its PD loop, in N·m: one value a joint, or none at all.
	FeedForwardNm []float64
}

// Resize makes the command's slices fit so many joints, and keeps their memory where it suffices. The contents are
// unspecified afterwards. There is no feed-forward effort then.
func (c *JointCommand) Resize(joints int) {
	c.FeedForwardNm = c.FeedForwardNm[:0]
	c.TargetRad = resize(c.TargetRad, joints)
	c.Kp = resize(c.Kp, joints)
	c.Kd = resize(c.Kd, joints)
}

// ResizeFeedForward gives the command a feed-forward effort of so many joints, and keeps its memory where it suffices.
// The contents are unspecified afterwards.
func (c *JointCommand) ResizeFeedForward(joints int) {
	c.FeedForwardNm = resize(c.FeedForwardNm, joints)
}

// CopyFrom makes c a deep copy of from, reusing the memory of c.
func (c *JointCommand) CopyFrom(from *JointCommand) {
	target, kp, kd, feedForward := c.TargetRad, c.Kp, c.Kd, c.FeedForwardNm
	*c = *from
	c.TargetRad = append(target[:0], from.TargetRad...)
	c.Kp = append(kp[:0], from.Kp...)
	c.Kd = append(kd[:0], from.Kd...)
	c.FeedForwardNm = append(feedForward[:0], from.FeedForwardNm...)
}

// NewJointCommand returns a command for r with its default pose and gains, without feed-forward.
func NewJointCommand(r *robot.Robot) *JointCommand {
	return &JointCommand{
		TargetRad: append([]float64(nil), r.DefaultPoseRad...),
		Kp:        append([]float64(nil), r.Kp...),
		Kd:        append([]float64(nil), r.Kd...),
	}
}

// NavigationCommand asks for a velocity of the base, in its own frame. One that never travels needs no stamps.
type NavigationCommand struct {
	// Sequence counts the commands of a navigator, from 1.
	Sequence uint64
	// SessionID is that of the observations that the navigator acts on.
	SessionID uint64
	// MonotonicNs is when the command was made, in ns of the server's monotonic clock.
	MonotonicNs int64
	// ExpiresNs is when the command loses its force, in ns of the same clock; the base is then asked to stand.
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
