package safety

import (
	"fmt"
	"math"
	"time"

	"krabby.dev/krabby/hal/robot"
)

// DefaultMaxCommandAge is the default of Config.MaxCommandAge. The period of a server's loop must be shorter.
const DefaultMaxCommandAge = 100 * time.Millisecond

// Config is the configuration of a gate. Start from [Defaults]: the zero value of a field is not its default.
type Config struct {
	// SessionID is the session of the observations. Commands of other sessions are rejected.
	SessionID uint64

	// MaxCommandAge is the maximum age of a command, when it is offered and while it is in force.
	MaxCommandAge time.Duration
	// MaxObservationAge is the maximum age of the observation that a command answers, and of the last observation when a
	// command is accepted.
	MaxObservationAge time.Duration
	// DampAfter is how long the last output is held after a command expired, before the joints are damped.
	DampAfter time.Duration

	// StopObservationAge is the age of the last observation above which the robot is stopped.
	StopObservationAge time.Duration
	// StopMarginRad is how far outside its range a joint may be measured before the robot is stopped, in rad.
	StopMarginRad float64
	// MaxWriteFailures is the number of consecutive failed writes above which the robot is stopped.
	MaxWriteFailures int

	// SlewFraction is the slew limit of the targets as a fraction of each joint's velocity limit, more than 0 and at most 1.
	SlewFraction float64
	// MaxStep bounds the time for which one tick moves a target, if the tick before was longer ago.
	MaxStep time.Duration

	// MaxKp and MaxKd are upper bounds of the gains of commands, in N·m/rad and N·m·s/rad, one value per joint.
	MaxKp, MaxKd []float64
	// DampKd is the derivative gain of damped joints, in N·m·s/rad, one value per joint.
	DampKd []float64
}

// Defaults returns the default configuration for r. docs/hal.md lists the values.
func Defaults(r *robot.Robot) Config {
	const maxGain = 2 // In multiples of the robot's default gains.
	c := Config{
		MaxCommandAge:      DefaultMaxCommandAge,
		MaxObservationAge:  200 * time.Millisecond,
		DampAfter:          500 * time.Millisecond,
		StopObservationAge: 500 * time.Millisecond,
		StopMarginRad:      0.2,
		MaxWriteFailures:   5,
		SlewFraction:       1,
		MaxStep:            20 * time.Millisecond,
		DampKd:             append([]float64(nil), r.Kd...),
	}
	for _, kp := range r.Kp {
		c.MaxKp = append(c.MaxKp, maxGain*kp)
	}
	for _, kd := range r.Kd {
		c.MaxKd = append(c.MaxKd, maxGain*kd)
	}
	return c
}

// DefaultsFor returns the default configuration for r with the gains of a policy, one value per joint: no command may have
// greater ones.
func DefaultsFor(r *robot.Robot, kp, kd []float64) Config {
	c := Defaults(r)
	c.MaxKp, c.MaxKd = kp, kd
	return c
}

// validate returns an error that names the first invalid field.
func (c *Config) validate(r *robot.Robot) error {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"MaxCommandAge", c.MaxCommandAge},
		{"MaxObservationAge", c.MaxObservationAge},
		{"DampAfter", c.DampAfter},
		{"StopObservationAge", c.StopObservationAge},
		{"MaxStep", c.MaxStep},
	} {
		if d.value <= 0 {
			return fmt.Errorf("safety: %s: found %v, expected more than 0", d.name, d.value)
		}
	}
	if c.StopObservationAge < c.MaxObservationAge {
		return fmt.Errorf("safety: StopObservationAge: found %v, expected at least MaxObservationAge, %v",
			c.StopObservationAge, c.MaxObservationAge)
	}
	if !(c.StopMarginRad >= 0 && c.StopMarginRad <= math.MaxFloat64) {
		return fmt.Errorf("safety: StopMarginRad: found %v, expected 0 or more", c.StopMarginRad)
	}
	if c.MaxWriteFailures < 0 {
		return fmt.Errorf("safety: MaxWriteFailures: found %d, expected 0 or more", c.MaxWriteFailures)
	}
	if !(c.SlewFraction > 0 && c.SlewFraction <= 1) {
		return fmt.Errorf("safety: SlewFraction: found %v, expected more than 0 and at most 1", c.SlewFraction)
	}
	if err := c.validateGains(r); err != nil {
		return err
	}
	return validateRobot(r)
}

func (c *Config) validateGains(r *robot.Robot) error {
	for _, gains := range []struct {
		name   string
		values []float64
		lowest float64
	}{{"MaxKp", c.MaxKp, 0}, {"MaxKd", c.MaxKd, 0}, {"DampKd", c.DampKd, math.SmallestNonzeroFloat64}} {
		if len(gains.values) != len(r.Joints) {
			return fmt.Errorf("safety: %s: found %d values, expected %d", gains.name, len(gains.values), len(r.Joints))
		}
		for i, v := range gains.values {
			if !(v >= gains.lowest && v <= math.MaxFloat64) {
				return fmt.Errorf("safety: %s[%d]: found %v, expected %s and finite", gains.name, i, v, leastText(gains.lowest))
			}
		}
	}
	return nil
}

func leastText(lowest float64) string {
	if lowest > 0 {
		return "more than 0"
	}
	return "0 or more"
}

// validateRobot returns an error that names the first joint with invalid limits.
func validateRobot(r *robot.Robot) error {
	if len(r.DefaultPoseRad) != len(r.Joints) {
		return fmt.Errorf("safety: robot %s: found a default pose of %d values, expected %d", r.Name, len(r.DefaultPoseRad), len(r.Joints))
	}
	for i, j := range r.Joints {
		if !isFinite(j.LowerRad) || !isFinite(j.UpperRad) || !j.Contains(r.DefaultPoseRad[i]) {
			return fmt.Errorf("safety: robot %s: joint %s: found a range of %v to %v rad, expected a finite one around the default pose, %v rad",
				r.Name, j.Name, j.LowerRad, j.UpperRad, r.DefaultPoseRad[i])
		}
		if !isFinite(j.VelocityLimitRadPerSec) || j.VelocityLimitRadPerSec <= 0 {
			return fmt.Errorf("safety: robot %s: joint %s: found a velocity limit of %v rad/s, expected more than 0 and finite",
				r.Name, j.Name, j.VelocityLimitRadPerSec)
		}
		if !isFinite(j.EffortLimitNm) || j.EffortLimitNm <= 0 {
			return fmt.Errorf("safety: robot %s: joint %s: found an effort limit of %v N·m, expected more than 0 and finite",
				r.Name, j.Name, j.EffortLimitNm)
		}
	}
	return nil
}
