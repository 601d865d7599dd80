package safety

import (
	"fmt"
	"math"
	"time"

	"krabby.dev/krabby/hal/robot"
)

// DefaultMaxCommandAge is how old a command may be where nothing else is configured. A server whose period is longer
// can apply none.
const DefaultMaxCommandAge = 100 * time.Millisecond

// Config is what a gate holds a robot to. Start from [Defaults]: a zero is a zero, not a default.
type Config struct {
	// SessionID is that of the observations; a command of another session is refused.
	SessionID uint64

	// MaxCommandAge is how old a command may be, both when it is offered and while it is in force.
	MaxCommandAge time.Duration
	// MaxObservationAge is how old the observation may be that a command answers, and how long ago the robot may last
	// have been read where a command is to be accepted.
	MaxObservationAge time.Duration
	// DampAfter is how long an expired command's last output is held before the joints are damped.
	DampAfter time.Duration

	// StopObservationAge is how long ago the robot may last have been read; more stops it.
	StopObservationAge time.Duration
	// StopMarginRad is how far outside its range a joint may be measured, in rad; more stops the robot.
	StopMarginRad float64
	// MaxWriteFailures is how many writes in a row may fail; one more stops the robot.
	MaxWriteFailures int

	// SlewFraction is the part of each joint's velocity limit with which the target may move, more than 0 and at most 1.
	SlewFraction float64
	// MaxStep is the longest time for which one tick may move a target, however long ago the tick before was.
	MaxStep time.Duration

	// MaxKp and MaxKd bound the gains from above, in N·m/rad and N·m·s/rad, one value a joint.
	MaxKp, MaxKd []float64
	// DampKd is the gain with which joints are damped, in N·m·s/rad, one value a joint.
	DampKd []float64
}

// Defaults returns the configuration for r of which docs/hal.md says the numbers.
func Defaults(r *robot.Robot) Config {
	const maxGain = 2 // Times the robot's own gains.
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

// validate returns an error that names the first field that makes no sense.
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
	for _, gains := range []struct {
		name   string
		values []float64
	}{{"MaxKp", c.MaxKp}, {"MaxKd", c.MaxKd}, {"DampKd", c.DampKd}} {
		if len(gains.values) != len(r.Joints) {
			return fmt.Errorf("safety: %s: found %d values, expected %d", gains.name, len(gains.values), len(r.Joints))
		}
		for i, v := range gains.values {
			if !(v > 0 && v <= math.MaxFloat64) {
				return fmt.Errorf("safety: %s[%d]: found %v, expected more than 0 and finite", gains.name, i, v)
			}
		}
	}
	for i, kd := range c.DampKd {
		if kd > c.MaxKd[i] {
			return fmt.Errorf("safety: DampKd[%d]: found %v, expected at most MaxKd, %v", i, kd, c.MaxKd[i])
		}
	}
	return validateRobot(r)
}

// validateRobot returns an error that names the first joint whose limits cannot be kept.
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
