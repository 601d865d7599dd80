// Package doctor diagnoses observation mismatches: a policy that walks in simulation and shakes on the robot most often gets
// another observation than in training. It needs the policy and a recorded rollout. It runs a model only if the caller
// provides one.
//
// [Examine] rebuilds the observation of every step from the recorded sensors, with the builders that run on the robot, and
// compares it with the recorded observation, element by element. Where the two differ it tests hypotheses, each one a mistake
// that is known to happen. It reports the one that explains most of the difference, corrects the rebuilt observation
// accordingly, and searches what is left, round by round. The file hypothesis.go states what a hypothesis is and how findings
// are ranked.
//
// Two values are equal if they differ by at most 1e-4 in each step. Values are of order 1 (rad, rad/s, m/s), float32 rounds
// them to 1e-6 after the little arithmetic there is, and 1e-4 rad is finer than encoders. Values recorded as float16 may differ
// by eight times their rounding more.
//
// A residual of a sensor's value is noise if no hypothesis explains it and its RMS is below [Options.Noise] of the value's
// spread. The spread is the standard deviation of the recorded value, but at least what is usual for a robot that moves,
// because the sensors of a standing robot have noise too.
//
// It must not import inference engines, transport, servers or clients.
package doctor

import (
	"fmt"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/rollout"
)

const (
	// DefaultNoise is the default of Options.Noise.
	DefaultNoise = 0.05
	// DefaultSteps is the default of Options.Steps: a minute at 50 Hz.
	DefaultSteps = 3000
	// MinSteps is the smallest number of steps that Examine compares.
	MinSteps = 25
)

// Options configures Examine.
type Options struct {
	// Skip is the number of steps to leave out at the start.
	Skip int
	// Steps is the largest number of steps to compare, at least MinSteps; 0 is DefaultSteps.
	Steps int
	// Noise is the largest RMS of noise, as a fraction of the value's spread; a negative value is DefaultNoise.
	Noise float64
	// Model runs on the recorded observations, to compare its output with the recorded actions; nil skips the actions.
	Model Model
}

// Examine compares the observations of r with those that the builder of p makes from the same sensors. It returns an error
// if r has too few steps or does not belong to p.
func Examine(p *policy.Policy, r *rollout.Rollout, opts Options) (*Report, error) {
	if opts.Noise < 0 {
		opts.Noise = DefaultNoise
	}
	if opts.Steps == 0 {
		opts.Steps = DefaultSteps
	}
	if opts.Skip < 0 || opts.Skip+MinSteps > r.Steps() {
		return nil, fmt.Errorf("found %d steps, %d of them skipped, expected %d or more to compare", r.Steps(), opts.Skip, MinSteps)
	}
	r = r.Slice(opts.Skip, min(r.Steps(), opts.Skip+max(opts.Steps, MinSteps)))
	b, err := newRebuilder(p, r)
	if err != nil {
		return nil, err
	}
	rebuilt, err := b.rebuild(nil)
	if err != nil {
		return nil, err
	}
	c := newComparison(b, columnsOf(rebuilt), opts.Noise)
	findings, corrected, err := c.search(columnsOf(rebuilt))
	if err != nil {
		return nil, err
	}
	report := c.report(columnsOf(rebuilt), corrected, findings)
	report.Skipped = opts.Skip
	if opts.Model != nil {
		if report.Action, err = compareActions(opts.Model, p, r, rebuilt); err != nil {
			return nil, err
		}
		if !report.Action.Agrees {
			report.Verdict = Differs
		}
	}
	return report, nil
}
