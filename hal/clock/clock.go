// Package clock measures ages by the monotonic clock, runs loops at absolute deadlines, and throttles log lines of events that can
// occur in every step.
//
// It must not import any other package of this repository.
package clock

import (
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Clock reads the machine's monotonic clock. Readings of different processes on one machine are comparable, those of different
// machines are not. Use [New]; the zero value is invalid.
type Clock struct {
	start   time.Time
	startNs int64
}

// New returns a clock that agrees with CLOCK_MONOTONIC.
func New() *Clock {
	// Go's monotonic reading is not available as a number. One system call relates the two clocks; later readings need none. A
	// preemption around the call would cause a permanent offset, so the attempt with the shortest duration counts.
	var c Clock
	tightest := time.Duration(math.MaxInt64)
	for range 16 {
		before := time.Now()
		ns := monotonicNs()
		if took := time.Since(before); took < tightest {
			tightest = took
			c = Clock{start: before.Add(took / 2), startNs: ns}
		}
	}
	return &c
}

func monotonicNs() int64 {
	var ts unix.Timespec
	// It does not fail on Linux. After an error, ages within this process would still be correct.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

// NowNs returns the monotonic time, in ns.
func (c *Clock) NowNs() int64 { return c.startNs + int64(time.Since(c.start)) }

// Source is a monotonic clock in ns; *Clock and *Simulated implement it.
type Source interface{ NowNs() int64 }

// Simulated is a clock that only Advance moves, for simulations. The zero value shows 0. It may be read from any goroutine.
type Simulated struct{ ns atomic.Int64 }

// NowNs returns the time, in ns.
func (s *Simulated) NowNs() int64 { return s.ns.Load() }

// Advance moves the clock forward by d. It panics if d is negative.
func (s *Simulated) Advance(d time.Duration) {
	if d < 0 {
		panic("clock: a simulated clock must not go back, found " + d.String())
	}
	s.ns.Add(int64(d))
}
