package main

import (
	"context"
	"fmt"

	"krabby.dev/krabby/tools/bench/measure"
)

// baseline is a checkout of another commit.
type baseline struct {
	*checkout
	commit string // Its hash.
}

// name returns the name of the baseline in the report.
func (b *baseline) name() string { return krabbyName + " at " + b.commit[:min(len(b.commit), 7)] }

// openBaseline copies a commit of the workspace's repository to dir and builds the image there. The caller closes it.
func openBaseline(ctx context.Context, workspace, commit, dir string, progress func(string, ...any)) (*baseline, error) {
	progress("copying commit %s to %s", commit, dir)
	if err := copyCommit(ctx, workspace, commit, dir); err != nil {
		return nil, fmt.Errorf("copying commit %s: %w", commit, err)
	}
	c, err := openCheckout(ctx, dir, progress)
	if err != nil {
		return nil, err
	}
	return &baseline{c, commit}, nil
}

// bothSides measures an operation at the baseline and in the checkout, in turns. The ratio is to the baseline.
func (s *suite) bothSides(operation string, runs int, run func(*checkout) (outcome, error)) error {
	side := func(name string, c *checkout) tool {
		return tool{name, func(int) ([]outcome, error) {
			o, err := run(c)
			return []outcome{o}, err
		}}
	}
	return s.compareRuns(runs, []tool{
		side(s.baseline.name(), s.baseline.checkout),
		side(krabbyName+", this checkout", s.checkout),
	}, operation)
}

// againstBaseline measures builds and tests at the baseline and in the checkout.
func (s *suite) againstBaseline(ctx context.Context) error {
	if s.baseline == nil {
		return nil
	}
	sides := []*checkout{s.baseline.checkout, s.checkout}
	for _, c := range sides {
		if err := c.restore(); err != nil {
			return err
		}
		if _, err := c.build(ctx, target); err != nil {
			return err
		}
	}
	build := func(c *checkout) (outcome, error) {
		cost, err := c.build(ctx, target)
		return result(cost), err
	}
	if err := s.bothSides("no-op build", s.runs, build); err != nil {
		return err
	}
	edit := func(c *checkout) (outcome, error) {
		cost, err := c.editAndBuild(ctx, target)
		return result(cost), err
	}
	if err := s.bothSides("one changed line of Go", s.runs, edit); err != nil {
		return err
	}
	if s.tests {
		if err := s.testBothSides(ctx, sides); err != nil {
			return err
		}
	}
	if s.coldRuns > 0 {
		return s.bothSides("cold build", s.coldRuns, func(c *checkout) (outcome, error) {
			cost, err := c.coldBuild(ctx)
			return result(cost), err
		})
	}
	return nil
}

// testBothSides measures all tests after a change in one leaf package. A first test run, which does not count, runs all tests.
func (s *suite) testBothSides(ctx context.Context, sides []*checkout) error {
	for _, c := range sides {
		if err := c.restore(); err != nil {
			return err
		}
		s.progress("running all tests in %s (many minutes the first time)", c.dir)
		if _, err := c.bazel(ctx, "test", "//..."); err != nil {
			return err
		}
	}
	return s.bothSides("tests after a change in one leaf package", s.runs, func(c *checkout) (outcome, error) {
		cost, tests, err := c.editAndTest(ctx)
		o := result(cost)
		o.Tests = &tests
		return o, err
	})
}

// result converts a cost.
func result(cost measure.Cost) outcome {
	return outcome{Time: cost.Time, Read: &cost.Read, Written: &cost.Written}
}
