// Command inference measures how long one step of a policy takes, beside onnxruntime in C and in Python, and how late the ticks
// of a control loop are, beside other loops.
//
//	./tools/bazel run //tools/bench:inference
//
// It exits with 2 when it was called wrongly and with 1 when the work failed.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"krabby.dev/krabby/tools/program"
)

type cli struct {
	Duration time.Duration `help:"How long each loop ticks, at each rate, idle and under load. A run of a step takes a twentieth of it." default:"1m"`
	Runs     int           `help:"How often each step is measured; tools take turns." default:"3"`
	JSON     bool          `help:"Write JSON instead of a table."`
	Burn     bool          `help:"Keep a CPU busy until the standard input ends." hidden:""`
}

// Validate refuses what cannot be measured.
func (c *cli) Validate() error {
	if c.Runs < 1 {
		return fmt.Errorf("--runs: found %d, expected 1 or more", c.Runs)
	}
	if c.Duration < time.Second {
		return fmt.Errorf("--duration: found %v, expected 1s or more", c.Duration)
	}
	return nil
}

func main() { inference().Main() }

func inference() program.Program {
	return program.Program{
		Name:        "inference",
		Description: "Measures one step of the policies for the Go1 and for parkour, beside onnxruntime in C and in Python, and how late the ticks of a control loop are. docs/benchmarks.md says what each number is.",
		Flags:       &cli{},
	}
}

func (c *cli) Run(ctx context.Context, console *program.Console) (err error) {
	if c.Burn {
		burn(os.Stdin)
		return nil
	}
	s := &suite{runs: c.Runs, step: c.Duration / 20, loop: c.Duration, progress: console.Progress}
	scratch, err := os.MkdirTemp("", "krabby-bench-inference-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if s.files, err = find(scratch); err != nil {
		return err
	}
	if s.python, err = newPython(ctx, scratch, s.files); err != nil {
		s.progress("Python cannot run here: %v", err)
		s.pythonFails = err
	}
	report, err := s.measure(ctx)
	if err != nil {
		return err
	}
	return report.Table().Write(console.Out, c.JSON)
}
