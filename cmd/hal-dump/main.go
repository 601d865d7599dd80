// Command hal-dump shows the observations that a robot's hardware abstraction layer publishes over TCP: one, a stream, or statistics.
// For images it shows sizes and extremes. It does not move the robot.
//
// Exit codes: 0 on success; 1 on failure, for example if no observation arrives; 2 if the command line is invalid. An error is one line on
// standard error.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"krabby.dev/krabby/cmd/internal/endpoint"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/internal/cli"
)

// flags is the command line.
type flags struct {
	Endpoint   endpoint.Flags `embed:""`
	Stream     bool           `xor:"output" help:"Show every observation, one per line."`
	Statistics bool           `xor:"output" help:"Show rate, ages, gaps and rejected messages of the stream."`
	Duration   time.Duration  `help:"How long to watch; 0 runs until a signal. The default with --statistics is 10s."`
	JSON       bool           `name:"json" help:"Print JSON instead of text, one object per line."`
}

// defaultDuration is the duration of statistics.
const defaultDuration = 10 * time.Second

// Validate checks the values of flags.
func (f *flags) Validate() error {
	if f.Duration < 0 {
		return fmt.Errorf("--duration: found %v, expected 0s or more", f.Duration)
	}
	if f.Duration != 0 && !f.Stream && !f.Statistics {
		return errors.New("--duration: requires --stream or --statistics")
	}
	return f.Endpoint.Check("", "")
}

func main() { program().Main() }

func program() cli.Program {
	return cli.Program{
		Name:        "hal-dump",
		Description: "Shows the observations that a robot publishes: one, a stream, or statistics.",
		Flags:       &flags{},
		Deprecated:  endpoint.Deprecated,
	}
}

// Run prints the selected output until it is complete or ctx is done.
func (f *flags) Run(ctx context.Context, console *cli.Console) error {
	if f.Statistics && f.Duration == 0 {
		f.Duration = defaultDuration
	}
	return f.Endpoint.WithLink(ctx, "", errInterrupted, func(link *endpoint.Link) error { return dump(ctx, f, link, console.Out) })
}

// printable can be printed as text or JSON.
type printable interface{ text(io.Writer) error }

// dump prints the selected output until it is complete or ctx is done.
func dump(ctx context.Context, f *flags, link *endpoint.Link, stdout io.Writer) error {
	w := &watcher{flags: f, link: link, observation: message.NewObservation(f.Endpoint.Model())}
	show := func(s printable) error {
		if f.JSON {
			return json.NewEncoder(stdout).Encode(s)
		}
		return s.text(stdout)
	}
	switch {
	case f.Stream:
		return w.watch(ctx, func() error {
			s := w.summary()
			if f.JSON {
				return show(s)
			}
			return s.line(stdout)
		})
	case f.Statistics:
		m := newMeter(!f.Endpoint.V1)
		if err := w.watch(ctx, func() error {
			age, by := ageOf(w.observation, w.now())
			m.add(w.observation, time.Now(), age, by)
			return nil
		}); err != nil {
			return err
		}
		return show(m.result(time.Since(m.first), link.Rejected()))
	}
	if err := link.Latest(ctx, w.observation); err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		return err
	}
	return show(w.summary())
}

var errInterrupted = errors.New("interrupted before an observation arrived")

// watcher reads observations.
type watcher struct {
	flags       *flags
	link        *endpoint.Link
	observation *message.Observation
}

func (w *watcher) now() moment {
	m := moment{wallNs: time.Now().UnixNano()}
	m.monotonicNs, m.bound, m.synchronised = w.link.Now()
	return m
}

func (w *watcher) summary() *summary {
	return summarise(w.flags.Endpoint.Model(), w.observation, w.now())
}

// watch calls each for every observation until the duration is over or ctx is done. It returns an error if no observation arrived.
func (w *watcher) watch(ctx context.Context, each func() error) error {
	// The duration starts with the first observation, after connecting.
	watching := ctx
	for n := 0; ; n++ {
		if err := w.link.Latest(watching, w.observation); err != nil {
			switch {
			case watching.Err() != nil && n > 0:
				return nil
			case watching.Err() != nil:
				return errInterrupted
			}
			return err
		}
		if n == 0 && w.flags.Duration > 0 {
			var cancel context.CancelFunc
			watching, cancel = context.WithTimeout(ctx, w.flags.Duration)
			defer cancel()
		}
		if err := each(); err != nil {
			return err
		}
	}
}
