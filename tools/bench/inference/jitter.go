package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"

	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/tools/bench/latency"
)

// ratesHz are those that loops are measured at.
var ratesHz = []int{50, 100, 500, 1000}

// loops measures how late loops wake up, idle and then while each CPU has a process that wants all of it.
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
		progress := func(at string) { s.progress("%s, for %v", at, s.loop) }
		if err := r.Compare(ctx, fmt.Sprintf("jitter at %d Hz, %s", hz, load), 1, tools, progress); err != nil {
			return err
		}
	}
	return nil
}

// paced is a loop as compute/runner has it.
func paced(ctx context.Context, period, duration time.Duration) (s latency.Sample, err error) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // The thread ends with the goroutine.
		pacer := clock.NewPacer(period)
		wait := func() error { _, err := pacer.Wait(ctx); return err }
		began := time.Now()
		if err = wait(); err == nil {
			s, err = wakeUps(began, period, duration, wait)
		}
	}()
	<-ended
	return s, err
}

// ticked is a loop as people write it.
func ticked(ctx context.Context, period, duration time.Duration) (latency.Sample, error) {
	began := time.Now()
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	return wakeUps(began, period, duration, func() error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			return nil
		}
	})
}

// wakeUps measures how late a wait for each next deadline ends.
func wakeUps(began time.Time, period, duration time.Duration, wait func() error) (latency.Sample, error) {
	s := latency.Sample{Took: make([]time.Duration, 0, int(duration/period)+1)}
	grid := grid{period: period, due: 1}
	allocations := count()
	for elapsed := time.Duration(0); elapsed < duration; {
		if err := wait(); err != nil {
			return latency.Sample{}, err
		}
		elapsed = time.Since(began)
		late, missed, ok := grid.woke(elapsed)
		if !ok {
			continue
		}
		s.Took, s.Lost = append(s.Took, late), s.Lost+missed
	}
	s.Allocations = allocations(len(s.Took))
	return s, nil
}

// grid knows when a loop of deadlines one period apart should have woken.
type grid struct {
	period time.Duration
	due    int64 // The deadline that is waited for: the start is 0.
}

// woke says how late the wake-up for the deadline was, and how many more passed meanwhile. It is not ok before the deadline:
// a loop that was late made up for one that counts as missed already.
func (g *grid) woke(elapsed time.Duration) (late time.Duration, missed int, ok bool) {
	late = elapsed - time.Duration(g.due)*g.period
	if late < 0 {
		return 0, 0, false
	}
	missed = int(late / g.period)
	g.due += int64(missed) + 1
	return late, missed, true
}

// burners starts processes that keep a CPU busy each, and returns how to end them.
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
		// It ends with its input, so with this process however that ends.
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
		_, _ = io.Copy(io.Discard, input) // An error ends it as well.
	}()
	for {
		select {
		case <-ended:
			return
		default:
		}
	}
}
