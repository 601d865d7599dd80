// Package clock tells the time by which ages are measured, paces loops at absolute deadlines, and keeps what happens at
// every tick from flooding a log.
//
// It must never import anything of this module.
package clock

import (
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Clock reads the machine's monotonic clock. Readings of different processes on one machine can be compared; those
// of different machines cannot. The zero value is not usable; see [New].
type Clock struct {
	start   time.Time
	startNs int64
}

// New returns a clock that agrees with CLOCK_MONOTONIC.
func New() *Clock {
	// Go's own monotonic reading cannot be had as a number, so one system call ties the two together; from then on a
	// reading costs no system call. Being preempted around it would set the clock wrong for good, so the tightest of
	// some attempts counts.
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
	// It cannot fail on Linux; if it did, ages within this process would still be right.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

// NowNs returns the monotonic time, in ns.
func (c *Clock) NowNs() int64 { return c.startNs + int64(time.Since(c.start)) }

// Source tells the monotonic time, in ns; *Clock and *Simulated do.
type Source interface{ NowNs() int64 }

// Simulated is a clock that stands until it is moved: the time of a simulation that waits for nobody. The zero value
// shows 0. It may be read from any goroutine.
type Simulated struct{ ns atomic.Int64 }

// NowNs returns the time, in ns.
func (s *Simulated) NowNs() int64 { return s.ns.Load() }

// Advance moves the clock on. d must not be negative: a monotonic clock does not go back.
func (s *Simulated) Advance(d time.Duration) {
	if d < 0 {
		panic("clock: a simulated clock must not go back, found " + d.String())
	}
	s.ns.Add(int64(d))
}
