// Command hal measures the latency of observations and commands through the hardware abstraction layer against pyzmq with version 1 of
// the wire format.
//
//	./tools/bazel run //tools/bench:hal
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
}

func main() { program().Main() }

func program() cli.Program {
	return cli.Program{
		Name:        "hal",
		Description: "Measures observations of 480x640 and commands through the hardware abstraction layer, against pyzmq with version 1 of the wire format. docs/benchmarks.md explains each number.",
		Flags:       &flags{},
		Vars:        latency.Vars(3*time.Second, "Duration of each run."),
	}
}

// Run measures and prints the report.
func (c *flags) Run(ctx context.Context, console *cli.Console) (err error) {
	s := &suite{runs: c.Runs, duration: c.Duration, progress: console.Progress}
	scratch, err := os.MkdirTemp("", "krabby-bench-hal-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if s.peer, err = newPeer(scratch); err != nil {
		s.progress("pyzmq cannot run here: %v", err)
		s.peerFails = err
	}
	report, err := s.measure(ctx)
	if err != nil {
		return err
	}
	return report.Table().Write(console.Out, c.JSON)
}
