package walk

import (
	"errors"
	"fmt"
	"math"
)

const (
	// relativeTolerance is the allowed deviation of a mean velocity, as a fraction of the command.
	relativeTolerance = 0.15
	// driftMps and driftRadPerSec are the allowed deviations from a command of 0.
	driftMps       = 0.15
	driftRadPerSec = 0.15
	// minHeight and maxHeight bound the base's height above the ground, as fractions of the height at the start.
	minHeight, maxHeight = 0.65, 1.35
	// maxTiltRad bounds the tilt of the base.
	maxTiltRad = 0.5
)

// Check returns nil if the robot walked as commanded: the mean velocities over the whole walk, from standing, are within 15 % of the
// command, or within 0.15 m/s and 0.15 rad/s of a command of 0; the base stayed upright and at its height; and the server applied
// the actions and never held, damped or stopped the robot. In lock step it must apply all actions, in real time nine of ten. The
// error lists every violation.
func Check(r *Record) error {
	var violations []error
	fail := func(format string, args ...any) { violations = append(violations, fmt.Errorf(format, args...)) }

	s := r.Summary()
	for _, v := range []struct {
		name, unit             string
		found, expected, drift float64
	}{
		{"forward velocity", "m/s", s.MeanVxMps, r.Command.VxMps, driftMps},
		{"velocity to the left", "m/s", s.MeanVyMps, r.Command.VyMps, driftMps},
		{"yaw rate", "rad/s", s.MeanYawRateRadPerSec, r.Command.YawRateRadPerSec, driftRadPerSec},
	} {
		tolerance := v.drift
		if v.expected != 0 {
			tolerance = relativeTolerance * math.Abs(v.expected)
		}
		if !(math.Abs(v.found-v.expected) <= tolerance) {
			fail("%s: found %.3f %s in the mean, expected %.3f +-%.3f;", v.name, v.found, v.unit, v.expected, tolerance)
		}
	}
	if start := r.Samples[0].HeightM; !(s.MinHeightM >= minHeight*start && s.MaxHeightM <= maxHeight*start) {
		fail("height: found %.3f to %.3f m above the ground, expected %.3f to %.3f;", s.MinHeightM, s.MaxHeightM, minHeight*start, maxHeight*start)
	}
	if !(s.MaxTiltRad <= maxTiltRad) {
		fail("tilt: found %.2f rad, expected at most %.2f;", s.MaxTiltRad, maxTiltRad)
	}
	violations = append(violations, r.gate()...)
	return errors.Join(violations...)
}

// gate returns the violations at the server and its safety gate.
func (r *Record) gate() (violations []error) {
	hal := r.Server
	if trips := hal.Safety.Trips; len(trips) > 0 {
		violations = append(violations, fmt.Errorf("safety: found the robot stopped by %v, expected it to run;", trips))
	}
	// The last action may follow the server's last step.
	expected := max(r.Policy.Actions, 2) - 1
	if r.RealTime {
		expected = r.Policy.Actions * 9 / 10
	}
	if hal.Applied < expected {
		violations = append(violations, fmt.Errorf("server: found %d of %d actions applied, expected %d; rejected: %v; skipped: %v;",
			hal.Applied, r.Policy.Actions, expected, hal.Rejected, r.Policy.Skipped))
	}
	if hal.Holds > 0 || hal.Damps > 0 {
		violations = append(violations, fmt.Errorf("server: found %d holds and %d damps, expected none;", hal.Holds, hal.Damps))
	}
	return violations
}
