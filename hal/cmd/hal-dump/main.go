// Command hal-dump shows what a robot's hardware abstraction layer publishes over TCP: one observation, the stream of
// them, or statistics of it. Images are shown as their sizes and extremes. It only reads.
//
// The exit code is 0 when it showed what it was asked for, 2 where the command line is wrong, and 1 where it failed: above
// all where no observation arrived. Either error is one line on standard error.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/cmd/endpoint"
	"krabby.dev/krabby/hal/cmdline"
	"krabby.dev/krabby/hal/message"
)

// flags is the command line.
type flags struct {
	Endpoint   endpoint.Flags `embed:""`
	Stream     bool           `xor:"what" help:"Show every observation that arrives, one a line."`
	Statistics bool           `xor:"what" help:"Show rate, ages, gaps and refusals of the stream."`
	Duration   time.Duration  `help:"How long to watch, until a signal if 0; 10s with --statistics unless it is given."`
	JSON       bool           `name:"json" help:"Show JSON instead of text, one object a line."`
}

// defaultDuration is how long statistics take.
const defaultDuration = 10 * time.Second

// Validate checks what the types of the flags do not.
func (f *flags) Validate() error {
	if f.Duration < 0 {
		return fmt.Errorf("--duration: found %v, expected 0s or more", f.Duration)
	}
	if f.Duration != 0 && !f.Stream && !f.Statistics {
		return errors.New("--duration: found it alone, expected --stream or --statistics with it")
	}
	return f.Endpoint.Check("", "")
}

func main() { cmdline.Main(run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var f flags
	return endpoint.Run("hal-dump", "Shows what a robot publishes: one observation, or the stream of them.", &f, func() error {
		if f.Statistics && f.Duration == 0 {
			f.Duration = defaultDuration
		}
		return dump(ctx, &f, stdout)
	}, args, stdout, stderr)
}

// shown is something to show.
type shown interface{ text(io.Writer) error }

// dump does what the flags say until it is done or ctx is.
func dump(ctx context.Context, f *flags, stdout io.Writer) (err error) {
	b, err := bus.NewContext()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	opened, cancel := context.WithCancel(ctx)
	defer cancel()
	link, err := f.Endpoint.Open(opened, b, "")
	if err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		return err
	}
	w := &watcher{flags: f, link: link, observation: message.NewObservation(f.Endpoint.Model())}
	show := func(s shown) error {
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
		return show(m.result(time.Since(m.first), link.Refused()))
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

// watch calls each for every observation until the duration is over or ctx is done; that is no error once there was one.
func (w *watcher) watch(ctx context.Context, each func() error) error {
	// The duration begins with the first observation, so that connecting takes nothing of it.
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
