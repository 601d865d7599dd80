// Package joystick builds the observation of the Unitree Go1 joystick policy of MuJoCo Playground, version 1:
//
//	index  values  meaning
//	    0       3  base linear velocity, base frame (m/s)
//	    3       3  angular velocity, base frame (rad/s)
//	    6       3  direction of gravity, base frame; (0, 0, -1) upright
//	    9      12  joint positions less the policy's default pose (rad), in the policy's order, as all of the joints
//	   21      12  joint velocities (rad/s)
//	   33      12  last action, as the policy gave it
//	   45       3  command: forward, left (m/s), yaw rate (rad/s)
//
// Nothing is scaled or clipped; the policy was trained on these units.
//
// It is pure arithmetic and must never import inference engines, transport, servers or clients.
package joystick

import (
	"errors"
	"fmt"
	"math"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

const (
	// Kind and Version are what a manifest calls this observation.
	Kind    = "go1_joystick"
	Version = 1
	// Size is the number of values.
	Size = 9 + 3*joints + 3

	joints = 12
)

// Limits are the largest commands that the policy was made for, of either sign.
func Limits() message.NavigationCommand {
	return message.NavigationCommand{VxMps: 1.5, VyMps: 0.8, YawRateRadPerSec: 6.28}
}

// CheckCommand returns a *message.FieldError for a command that is not finite or beyond Limits.
func CheckCommand(c message.NavigationCommand) error {
	if err := c.Validate(); err != nil {
		return err
	}
	limits := Limits()
	for _, f := range []struct {
		field        string
		value, limit float64
	}{
		{"vx_mps", c.VxMps, limits.VxMps},
		{"vy_mps", c.VyMps, limits.VyMps},
		{"yaw_rate_rad_per_sec", c.YawRateRadPerSec, limits.YawRateRadPerSec},
	} {
		if math.Abs(f.value) > f.limit {
			return &message.FieldError{Field: f.field, Found: fmt.Sprint(f.value), Expected: fmt.Sprintf("%v to %v", -f.limit, f.limit)}
		}
	}
	return nil
}

// Builder builds observations for one policy. It is safe for concurrent use.
type Builder struct {
	defaultPoseRad []float64
	joints         robot.Map // Where the policy's joints are among the robot's.
	robotJoints    int
}

// New returns a builder for p. The error is a *policy.Error where p wants another observation.
func New(p *policy.Policy) (*Builder, error) {
	if want := (policy.Observation{Kind: Kind, Version: Version, Size: Size}); p.Observation != want {
		return nil, &policy.Error{File: p.Dir, Field: "observation", Found: fmt.Sprintf("%+v", p.Observation), Expected: fmt.Sprintf("%+v", want)}
	}
	if len(p.DefaultPoseRad) != joints {
		return nil, &policy.Error{File: p.Dir, Field: "default_pose_rad", Found: fmt.Sprintf("%d values", len(p.DefaultPoseRad)), Expected: fmt.Sprint(joints)}
	}
	return &Builder{defaultPoseRad: p.DefaultPoseRad, joints: p.Joints(), robotJoints: len(p.Robot.Joints)}, nil
}

// Build writes the observation of Size values into dst. It does not allocate. The error names the slice that has the
// wrong length, or says that the base velocity is not known: the policy would take 0 for the truth. The values themselves
// are not judged.
func (b *Builder) Build(dst []float32, o *message.Observation, command message.NavigationCommand, lastAction []float32) error {
	switch {
	case len(dst) != Size:
		return fmt.Errorf("joystick: room for %d values, expected %d", len(dst), Size)
	case len(o.PositionRad) != b.robotJoints:
		return fmt.Errorf("joystick: %d joint positions, expected %d", len(o.PositionRad), b.robotJoints)
	case len(o.VelocityRadPerSec) != b.robotJoints:
		return fmt.Errorf("joystick: %d joint velocities, expected %d", len(o.VelocityRadPerSec), b.robotJoints)
	case len(lastAction) != joints:
		return fmt.Errorf("joystick: a last action of %d values, expected %d", len(lastAction), joints)
	case !o.BaseVelocityKnown:
		return errors.New("joystick: found no base velocity, expected a robot or simulator that knows it")
	}
	gravity := Gravity(o.IMU.Orientation)
	for i := range 3 {
		dst[i] = float32(o.BaseVelocityMps[i])
		dst[3+i] = float32(o.IMU.AngularVelocityRadPerSec[i])
		dst[6+i] = float32(gravity[i])
	}
	for i, at := range b.joints {
		dst[9+i] = float32(o.PositionRad[at] - b.defaultPoseRad[i])
		dst[9+joints+i] = float32(o.VelocityRadPerSec[at])
		dst[9+2*joints+i] = lastAction[i]
	}
	dst[9+3*joints] = float32(command.VxMps)
	dst[9+3*joints+1] = float32(command.VyMps)
	dst[9+3*joints+2] = float32(command.YawRateRadPerSec)
	return nil
}

// Gravity returns the unit vector that points down, seen from a base of orientation q (w, x, y, z). The quaternion need
// not be quite of unit length, but not 0.
func Gravity(q [4]float64) [3]float64 {
	w, x, y, z := q[0], q[1], q[2], q[3]
	// The third row of the rotation matrix is the world's z axis in the base frame; gravity is against it.
	n := -1 / (w*w + x*x + y*y + z*z)
	return [3]float64{
		n * 2 * (x*z - w*y),
		n * 2 * (y*z + w*x),
		n * (w*w - x*x - y*y + z*z),
	}
}
