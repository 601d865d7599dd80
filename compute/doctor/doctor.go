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
	report, aligned, err := diagnose(b, rebuilt, opts.Noise)
	if err != nil {
		return nil, err
	}
	report.Skipped = opts.Skip
	if opts.Model != nil {
		if report.Action, err = compareActions(opts.Model, p, r, aligned); err != nil {
			return nil, err
		}
		if !report.Action.Agrees {
			report.Verdict = Differs
		}
	}
	return report, nil
}

// diagnose searches the differences between the recorded observations and those that b rebuilt. It also returns the rebuilt
// observations with the slots where the recorded observation has them.
func diagnose(b *rebuilder, rebuilt rollout.Array, noise float64) (*Report, rollout.Array, error) {
	own := columnsOf(rebuilt)
	c := newComparison(b, own, noise)
	findings := []Finding{}
	if finding := c.wrongRate(); finding != nil {
		findings = append(findings, *finding)
	}
	before := c.newEvidence(own)
	if !before.differsAtAll() {
		findings = append(findings, c.wrongGains()...)
		return c.report(own, own, nil, findings), rebuilt, nil
	}
	// The recorded values in the order of the policy's layout, and what is rebuilt from them.
	inOrder, aligned := c, own
	alignment := c.align(own)
	if alignment != nil {
		r := *b.rollout
		r.Observation.Values = alignment.permuted(r.Observation.Values, r.Observation.Columns)
		moved := *b
		moved.rollout = &r
		again, err := moved.rebuild(nil)
		if err != nil {
			return nil, rollout.Array{}, err
		}
		rebuilt, aligned = again, columnsOf(again)
		inOrder = newComparison(&moved, aligned, noise)
		alignment.measure(before, inOrder.newEvidence(aligned))
		findings = append(findings, alignment.findings...)
	}
	found, corrected, err := inOrder.search(aligned)
	if err != nil {
		return nil, rollout.Array{}, err
	}
	findings = append(append(findings, found...), c.wrongGains()...)
	after := func(i int) afterwards { return inOrder.afterwards(corrected, i) }
	if alignment != nil {
		return c.report(own, alignment.restored(corrected), after, findings), rebuilt, nil
	}
	return c.report(own, corrected, after, findings), rebuilt, nil
}
