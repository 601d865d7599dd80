package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"time"

	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/tools/bench/latency"
)

// ratesHz are the measured rates.
var ratesHz = []int{50, 100, 500, 1000}

// loops measures the lateness of wake-ups, on an idle machine and with a busy process per CPU.
func (s *suite) loops(ctx context.Context, r *latency.Report) error {
	if err := s.loopsUnder(ctx, r, "idle"); err != nil {
		return err
	}
	processes := runtime.NumCPU()
	stop, err := burners(processes)
	if err != nil {
		return err
	}
	return errors.Join(s.loopsUnder(ctx, r, fmt.Sprintf("%d busy processes", processes)), stop())
}

func (s *suite) loopsUnder(ctx context.Context, r *latency.Report, load string) error {
	for _, hz := range ratesHz {
		period := time.Second / time.Duration(hz)
		tools := []latency.Tool{
			{Name: krabbyName, Measure: func(ctx context.Context) (latency.Sample, error) { return paced(ctx, period, s.loop) }},
			{Name: "Go, time.Ticker", Measure: func(ctx context.Context) (latency.Sample, error) { return ticked(ctx, period, s.loop) }},
			{Name: "Python, time.sleep", Fails: s.pythonFails, Measure: func(ctx context.Context) (latency.Sample, error) {
				result, err := s.python.Measure(ctx, s.loop, "loop", fmt.Sprint(s.loop.Seconds()), fmt.Sprint(period.Nanoseconds()))
				return result.Sample, err
			}},
		}
		progress := func(step string) { s.progress("%s, for %v", step, s.loop) }
		if err := r.Compare(ctx, fmt.Sprintf("jitter at %d Hz, %s", hz, load), 1, tools, progress); err != nil {
			return err
		}
	}
	return nil
}

// paced is the loop of the server and the runner.
func paced(ctx context.Context, period, duration time.Duration) (latency.Sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan latency.Sample)
	go func() {
		var w *wakeUps
		clock.RunLoop(ctx, clock.NewPacer(period), slog.New(slog.DiscardHandler), func(int) {
			if w == nil {
				w = newWakeUps(period, duration) // At the first deadline.
			} else if w.add() {
				cancel(errDone)
			}
		})
		if w == nil {
			w = newWakeUps(period, duration)
		}
		ended <- w.result()
	}()
	s := <-ended
	if err := context.Cause(ctx); err != errDone {
		return latency.Sample{}, err
	}
	return s, nil
}

var errDone = errors.New("the duration is over")

// ticked is a loop with a time.Ticker.
func ticked(ctx context.Context, period, duration time.Duration) (latency.Sample, error) {
	w := newWakeUps(period, duration)
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return latency.Sample{}, ctx.Err()
		case <-ticker.C:
		}
		if w.add() {
			return w.result(), nil
		}
	}
}

// wakeUps measures the lateness of the wake-ups of a loop.
type wakeUps struct {
	began       time.Time
	duration    time.Duration
	grid        grid
	sample      latency.Sample
	allocations func(int) *float64
}

func newWakeUps(period, duration time.Duration) *wakeUps {
	return &wakeUps{
		duration:    duration,
		grid:        grid{period: period, due: 1},
		sample:      latency.Sample{Took: make([]time.Duration, 0, int(duration/period)+1)},
		allocations: countAllocations(),
		began:       time.Now(),
	}
}

// add records a wake-up now and reports whether the duration is over.
func (w *wakeUps) add() (done bool) {
	elapsed := time.Since(w.began)
	if late, missed, ok := w.grid.woke(elapsed); ok {
		w.sample.Took, w.sample.Lost = append(w.sample.Took, late), w.sample.Lost+missed
	}
	return elapsed >= w.duration
}

func (w *wakeUps) result() latency.Sample {
	w.sample.Allocations = w.allocations(len(w.sample.Took))
	return w.sample
}

// grid has the deadlines of a loop, one period apart.
type grid struct {
	period time.Duration
	due    int64 // The next deadline; the start is deadline 0.
}

// woke returns the lateness of a wake-up and the number of deadlines missed since. It is not ok before the deadline: the loop then catches
// up with a deadline that already counts as missed.
func (g *grid) woke(elapsed time.Duration) (late time.Duration, missed int, ok bool) {
	late = elapsed - time.Duration(g.due)*g.period
	if late < 0 {
		return 0, 0, false
	}
	missed = int(late / g.period)
	g.due += int64(missed) + 1
	return late, missed, true
}

// burners starts processes that each keep a CPU busy, and returns a function that ends them.
func burners(processes int) (stop func() error, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var ends []func() error
	stop = func() error {
		var errs []error
		for _, end := range ends {
			errs = append(errs, end())
		}
		return errors.Join(errs...)
	}
	for range processes {
		command := exec.Command(program, "--burn")
		// It ends with its input, and so with this process.
		input, err := command.StdinPipe()
		if err == nil {
			err = command.Start()
		}
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		ends = append(ends, func() error { return errors.Join(input.Close(), command.Wait()) })
	}
	return stop, nil
}

// burn keeps a CPU busy until the input ends.
func burn(input io.Reader) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, input) // An error ends it too.
	}()
	for {
		select {
		case <-ended:
			return
		default:
		}
	}
}
