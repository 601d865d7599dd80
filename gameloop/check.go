// Package gameloop checks the report of a policy that ran against a simulated robot. It must not run on a robot.
package gameloop

import (
	"errors"
	"fmt"
	"math"

	"krabby.dev/krabby/compute/runner"
	"krabby.dev/krabby/internal/bringup"
)

const (
	// rateTolerance is the allowed deviation of the measured rate, as a fraction of the requested rate.
	rateTolerance = 0.1
	// appliedFraction is the fraction of the actions that the server must apply. If the policy is faster than the server, it applies
	// one command per step.
	appliedFraction = 0.9
)

// Check returns nil if the run meets all of these: the policy ran at the requested rate +-10 %; every fresh observation led to
// exactly one action; the actions were finite, not all zero, and followed the observations; the server applied them and never
// stopped the robot. The error lists every violation.
func Check(r *bringup.Report) error {
	var violations []error
	fail := func(format string, args ...any) { violations = append(violations, fmt.Errorf(format, args...)) }

	if math.Abs(r.RateHz-r.RateRequestedHz) > rateTolerance*r.RateRequestedHz {
		fail("rate: found %.2f Hz, expected %g Hz +-10 %%;", r.RateHz, r.RateRequestedHz)
	}
	if r.Actions == 0 {
		fail("actions: found none, expected one per observation;")
		return errors.Join(violations...)
	}
	if stale := r.Skipped[runner.Stale]; r.ObservationsRead != r.Actions+stale {
		fail("actions: found %d for %d observations, %d of them stale; expected one per fresh observation;",
			r.Actions, r.ObservationsRead, stale)
	}
	if !r.Action.Finite {
		fail("actions: found NaN or infinity;")
	}
	if r.Action.Min == 0 && r.Action.Max == 0 {
		fail("actions: found only zeros;")
	}
	// Two successive observations can lead to equal actions, but not one in ten.
	if 10*r.Action.Distinct < 9*r.Actions {
		fail("actions: found %d distinct of %d, expected actions that follow the observations;", r.Action.Distinct, r.Actions)
	}
	if s := r.Server; float64(s.Applied) < appliedFraction*float64(min(r.Actions, s.Steps)) {
		fail("server: found %d commands applied of %d in %d steps, expected 90 %%; rejected: %v;", s.Applied, r.Actions, s.Steps, s.Rejected)
	}
	if trips := r.Server.Safety.Trips; len(trips) > 0 {
		fail("server: found the robot stopped by %v, expected it to run;", trips)
	}
	return errors.Join(violations...)
}
