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
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
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

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	exit := -1
	c := &cli{}
	parser, err := kong.New(c,
		kong.Name("hal"),
		kong.Description("Measures observations of 480x640 and commands through the hardware abstraction layer, beside pyzmq with version 1 of the wire format. docs/benchmarks.md says what each number is."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
	)
	if err != nil {
		fmt.Fprintf(stderr, "hal: %v\n", err)
		return 1
	}
	_, err = parser.Parse(args)
	if exit >= 0 { // --help has spoken.
		return exit
	}
	if err != nil {
		fmt.Fprintf(stderr, "hal: %v (see --help)\n", err)
		return 2
	}
	if err := c.measure(ctx, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "hal: %v\n", err)
		return 1
	}
	return 0
}

func (c *cli) measure(ctx context.Context, stdout, stderr io.Writer) (err error) {
	s := &suite{
		runs:     c.Runs,
		duration: c.Duration,
		progress: func(format string, args ...any) { fmt.Fprintf(stderr, "hal: %s\n", fmt.Sprintf(format, args...)) },
	}
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
	if c.JSON {
		return report.json(stdout)
	}
	return report.text(stdout)
}
