// Command hal measures how fast observations and commands cross the hardware abstraction layer, beside version 1 of its
// wire format as pyzmq makes it plain.
//
//	./tools/bazel run //tools/bench:hal
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
	Runs     int           `help:"How often each measure is taken; tools take turns." default:"3"`
	Duration time.Duration `help:"How long each takes." default:"3s"`
	JSON     bool          `help:"Write JSON instead of a table."`
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

func main() { hal().Main() }

func hal() program.Program {
	return program.Program{
		Name:        "hal",
		Description: "Measures observations of 480x640 and commands through the hardware abstraction layer, beside pyzmq with version 1 of the wire format. docs/benchmarks.md says what each number is.",
		Flags:       &cli{},
	}
}

func (c *cli) Run(ctx context.Context, console *program.Console) (err error) {
	s := &suite{runs: c.Runs, duration: c.Duration, progress: console.Progress}
	scratch, err := os.MkdirTemp("", "krabby-bench-hal-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if s.peer, err = newPeer(scratch); err != nil {
		s.progress("the peer cannot run here: %v", err)
		s.peerFails = err
	}
	report, err := s.measure(ctx)
	if err != nil {
		return err
	}
	return report.Table().Write(console.Out, c.JSON)
}
