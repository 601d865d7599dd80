// Command inference measures the duration of a step of a policy against onnxruntime in C and in Python, and the jitter of a control
// loop against other loops.
//
//	./tools/bazel run //tools/bench:inference
//
// Exit codes: 0 on success, 1 on failure, 2 if the command line is invalid.
package main

import (
	"context"
	"errors"
	"os"
	"time"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/tools/bench/latency"
)

type flags struct {
	latency.Flags
	Burn bool `help:"Keep a CPU busy until the standard input ends." hidden:""`
}

func main() { program().Main() }

func program() cli.Program {
	return cli.Program{
		Name:        "inference",
		Description: "Measures a step of the policies for the Go1 and for parkour against onnxruntime in C and in Python, and the jitter of control loops. docs/benchmarks.md explains each number.",
		Flags:       &flags{},
		Vars:        latency.Vars(time.Minute, "Duration of each loop at each rate, idle and under load. A run of a step takes a twentieth of it."),
	}
}

// Run measures and prints the report.
func (c *flags) Run(ctx context.Context, console *cli.Console) (err error) {
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
	if s.files, err = findFiles(scratch); err != nil {
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
