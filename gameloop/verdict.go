// Package gameloop judges a policy by what it does with a stream of observations. It must never be part of what runs on a
// robot.
package gameloop

import (
	"errors"
	"fmt"
	"math"

	"krabby.dev/krabby/compute/inprocess"
	"krabby.dev/krabby/compute/runner"
)

// rateTolerance is how far the measured rate may be from the requested one, as a part of it.
const rateTolerance = 0.1

// appliedPart is the part of the actions that must have reached the robot: of a command for each tick of the server, if
// the policy is the faster one.
const appliedPart = 0.9

// Verdict returns nil for a run that was as it should be: the policy ran at the requested rate +-10 %, every fresh
// observation led to exactly one action, the actions were finite, not all zero and followed the observations, and the
// server applied them and never stopped the robot. The error has a complaint for everything that was not.
func Verdict(r *inprocess.Report) error {
	var complaints []error
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Errorf(format, args...)) }

	if math.Abs(r.RateHz-r.RateRequestedHz) > rateTolerance*r.RateRequestedHz {
		complain("rate: found %.2f Hz, expected %g Hz +-10 %%;", r.RateHz, r.RateRequestedHz)
	}
	if r.Actions == 0 {
		complain("actions: found none, expected one for each observation;")
		return errors.Join(complaints...)
	}
	if stale := r.NoAction[runner.Stale]; r.ObservationsRead != r.Actions+stale {
		complain("actions: found %d for %d observations of which %d were stale, expected one for each of the others;",
			r.Actions, r.ObservationsRead, stale)
	}
	if !r.Action.Finite {
		complain("actions: found one that is not finite;")
	}
	if r.Action.Min == 0 && r.Action.Max == 0 {
		complain("actions: found nothing but zero;")
	}
	// Two observations in a row may be too alike to tell apart in one action, but not one in ten.
	if 10*r.Action.Distinct < 9*r.Actions {
		complain("actions: found %d distinct of %d, expected them to follow the observations;", r.Action.Distinct, r.Actions)
	}
	if s := r.Server; float64(s.Applied) < appliedPart*float64(min(r.Actions, s.Ticks)) {
		complain("server: found %d commands applied of %d in %d ticks, expected 90 %%; refused: %v;", s.Applied, r.Actions, s.Ticks, s.Refused)
	}
	if trips := r.Server.Safety.Trips; len(trips) > 0 {
		complain("server: found the robot stopped, by %v, expected it to run;", trips)
	}
	return errors.Join(complaints...)
}
