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
	"fmt"
	"os"
	"path/filepath"
	"time"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/tools/bench/latency"
)

type flags struct {
	latency.Flags
	Only      []string `help:"Measure only these parts: ${enum}." enum:"observations,steps,whole-step,doctor,loops" placeholder:"PART,..."`
	Baseline  string   `help:"Also measure policy-doctor of this commit of the repository, in turns with the checkout's. The report has the ratio to it." placeholder:"COMMIT"`
	Workspace string   `help:"The repository, for --baseline." env:"BUILD_WORKSPACE_DIRECTORY" placeholder:"DIR"`

	Burn bool `help:"Keep a CPU busy until the standard input ends." hidden:""`
}

func main() { program().Main() }

func program() cli.Program {
	return cli.Program{
		Name:        "inference",
		Description: "Measures a step of the policies for the Go1, the G1 and parkour against onnxruntime in C and in Python, policy-doctor against an earlier commit, and the jitter of control loops. docs/benchmarks.md explains each number.",
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
	s := &suite{runs: c.Runs, step: c.Duration / 20, loop: c.Duration, progress: console.Progress, parts: c.Only}
	scratch, err := os.MkdirTemp("", "krabby-bench-inference-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	s.scratch = scratch
	if c.Baseline != "" {
		if s.baseline, s.baselineDoctor, err = c.openBaseline(ctx, console.Progress); err != nil {
			return err
		}
	}
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

// openBaseline builds policy-doctor of the commit of --baseline, in a checkout in the launcher's cache that later runs use again.
func (c *flags) openBaseline(ctx context.Context, progress func(string, ...any)) (commit, program string, err error) {
	if c.Workspace == "" {
		return "", "", cli.Usagef("--baseline: requires --workspace, or bazel run")
	}
	cache := os.Getenv("KRABBY_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", "", fmt.Errorf("finding a directory for the checkout: %w: set KRABBY_CACHE", err)
		}
		cache = filepath.Join(user, "krabby")
	}
	program, err = openBaseline(ctx, c.Workspace, c.Baseline, filepath.Join(cache, "bench", "inference"), progress)
	return c.Baseline, program, err
}
