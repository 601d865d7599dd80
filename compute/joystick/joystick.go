// Package joystick builds the observations of the Go1 joystick policy of MuJoCo Playground: kind "go1_joystick", version 1.
//
//	index  values  meaning
//	    0       3  base linear velocity, base frame (m/s)
//	    3       3  angular velocity, base frame (rad/s)
//	    6       3  projected gravity: unit vector, base frame; (0, 0, -1) upright
//	    9      12  joint positions minus the policy's default pose (rad)
//	   21      12  joint velocities (rad/s)
//	   33      12  last action, as the policy output it
//	   45       3  command: forward, left (m/s), yaw rate (rad/s)
//
// Values over joints are in the policy's order. Values are neither scaled nor clipped: the policy was trained on these
// units.
//
// It must never import inference engines, transport, servers or clients.
package joystick

import (
	"errors"
	"fmt"
	"math"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/layout"
	"krabby.dev/krabby/hal/message"
)

const (
	// Kind is the kind of this observation in a manifest.
	Kind = "go1_joystick"
	// Version is the version of this observation in a manifest.
	Version = 1
	// Size is the number of values of an observation.
	Size = 9 + 3*joints + 3

	joints = 12
)

// Limits returns the largest command that the policy supports, in either direction.
func Limits() message.NavigationCommand {
	return message.NavigationCommand{VxMps: 1.5, VyMps: 0.8, YawRateRadPerSec: 6.28}
}

// CheckCommand returns a *message.FieldError if a value of c is not finite or outside Limits.
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

// Builder builds the observations of one policy. It has no state and is safe for concurrent use.
type Builder struct{ layout layout.Layout }

// New returns a builder for p. The error is a *policy.Error if the manifest of p has another observation.
func New(p *policy.Policy) (*Builder, error) {
	l, err := layout.New(p, policy.Observation{Kind: Kind, Version: Version, Size: Size}, joints)
	if err != nil {
		return nil, err
	}
	return &Builder{l}, nil
}

// Build writes an observation to dst, which has Size values. lastAction is the last output of the policy, in its order. Build
// fails if a slice has the wrong length or if o has no base velocity: zeros in its place would mislead the policy. It does
// not check values. Build does not allocate unless it fails.
func (b *Builder) Build(dst []float32, o *message.Observation, command message.NavigationCommand, lastAction []float32) error {
	if err := b.layout.CheckLengths(dst, o, lastAction); err != nil {
		return fmt.Errorf("joystick: %w", err)
	}
	if !o.BaseVelocityKnown {
		return errors.New("joystick: base velocity not found in the observation: use a robot or simulator that measures it")
	}
	gravity := ProjectedGravity(o.IMU.Orientation)
	for i := range 3 {
		dst[i] = float32(o.BaseVelocityMps[i])
		dst[3+i] = float32(o.IMU.AngularVelocityRadPerSec[i])
		dst[6+i] = float32(gravity[i])
	}
	for i, joint := range b.layout.Joints {
		dst[9+i] = float32(o.PositionRad[joint] - b.layout.DefaultPoseRad[i])
		dst[9+joints+i] = float32(o.VelocityRadPerSec[joint])
		dst[9+2*joints+i] = lastAction[i]
	}
	dst[9+3*joints] = float32(command.VxMps)
	dst[9+3*joints+1] = float32(command.VyMps)
	dst[9+3*joints+2] = float32(command.YawRateRadPerSec)
	return nil
}

// Reset does nothing: a Builder has no state. It implements runner.Builder.
func (b *Builder) Reset() {}

// ProjectedGravity returns the unit vector in the direction of gravity, in the frame of a base with the orientation q
// (w, x, y, z). q may have any norm but 0.
func ProjectedGravity(q [4]float64) [3]float64 {
	w, x, y, z := q[0], q[1], q[2], q[3]
	// The third row of the rotation matrix is the world's z axis in the base frame. Gravity points the other way.
	n := -1 / (w*w + x*x + y*y + z*z)
	return [3]float64{
		n * 2 * (x*z - w*y),
		n * 2 * (y*z + w*x),
		n * (w*w - x*x - y*y + z*z),
	}
}
