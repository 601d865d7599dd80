package walk

import (
	"errors"
	"fmt"
	"math"
)

const (
	// part is how far the mean of a commanded velocity may be from the command, as a part of it.
	part = 0.15
	// strayMps and strayRadPerSec are how far it may be in any case; so for what is commanded to be 0.
	strayMps       = 0.15
	strayRadPerSec = 0.15
	// lowest and highest are bounds of the base's height above the ground, as parts of that at the start.
	lowest, highest = 0.65, 1.35
	// maxTiltRad is the most that the base may lean.
	maxTiltRad = 0.5
)

// Verdict returns nil for a walk as it was commanded: the mean velocities over the whole of it, from standing, are within
// 15 % of the command or, where that is less, within 0.15 m/s and 0.15 rad/s; the base stayed upright and at its height;
// and the server applied the actions and never held, damped or stopped the robot. In lock step all actions count, in real
// time nine of ten. The error has a complaint for
// everything that was not.
func Verdict(r *Record) error {
	var complaints []error
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Errorf(format, args...)) }

	s := r.Summary()
	for _, v := range []struct {
		name, unit             string
		found, expected, stray float64
	}{
		{"forward velocity", "m/s", s.MeanVxMps, r.Command.VxMps, strayMps},
		{"velocity to the left", "m/s", s.MeanVyMps, r.Command.VyMps, strayMps},
		{"yaw rate", "rad/s", s.MeanYawRateRadPerSec, r.Command.YawRateRadPerSec, strayRadPerSec},
	} {
		tolerance := v.stray
		if v.expected != 0 {
			tolerance = part * math.Abs(v.expected)
		}
		if !(math.Abs(v.found-v.expected) <= tolerance) {
			complain("%s: found %.3f %s in the mean, expected %.3f +-%.3f;", v.name, v.found, v.unit, v.expected, tolerance)
		}
	}
	if start := r.Samples[0].HeightM; !(s.MinHeightM >= lowest*start && s.MaxHeightM <= highest*start) {
		complain("height: found %.3f to %.3f m above the ground, expected %.3f to %.3f;", s.MinHeightM, s.MaxHeightM, lowest*start, highest*start)
	}
	if !(s.MaxTiltRad <= maxTiltRad) {
		complain("tilt: found %.2f rad, expected at most %.2f;", s.MaxTiltRad, maxTiltRad)
	}
	complaints = append(complaints, r.gate()...)
	return errors.Join(complaints...)
}

// gate complains about what kept actions from the robot.
func (r *Record) gate() (complaints []error) {
	hal := r.Server
	if trips := hal.Safety.Trips; len(trips) > 0 {
		complaints = append(complaints, fmt.Errorf("safety: found the robot stopped, by %v, expected it to run;", trips))
	}
	// The last action may come after the server's last turn.
	expected := max(r.Policy.Actions, 2) - 1
	if r.RealTime {
		expected = r.Policy.Actions * 9 / 10
	}
	if hal.Applied < expected {
		complaints = append(complaints, fmt.Errorf("server: found %d of %d actions applied, expected %d; refused: %v; no action: %v;",
			hal.Applied, r.Policy.Actions, expected, hal.Refused, r.Policy.NoAction))
	}
	if hal.Holds > 0 || hal.Damps > 0 {
		complaints = append(complaints, fmt.Errorf("server: found the robot held %d and damped %d times, expected never;", hal.Holds, hal.Damps))
	}
	return complaints
}
