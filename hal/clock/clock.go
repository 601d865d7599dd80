// Package clock tells the time by which ages are measured and paces loops at absolute deadlines.
//
// It must never import anything of this module.
package clock

import (
	"context"
	"math"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
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
	const clockMonotonic = 1
	var ts syscall.Timespec
	// It cannot fail on Linux; if it did, ages within this process would still be right.
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&ts)), 0)
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

// Pacer wakes a loop at fixed deadlines, one period apart. Because deadlines are absolute, neither late wake-ups nor
// the time that the loop's body takes add up: the rate does not drift. It belongs to one goroutine.
type Pacer struct {
	period time.Duration
	next   time.Time // Zero until the first Wait.
	timer  *time.Timer
}

// NewPacer returns a pacer whose first deadline is the first call of Wait. The period must be positive.
func NewPacer(period time.Duration) *Pacer {
	if period <= 0 {
		panic("clock: a pacer's period must be positive, found " + period.String())
	}
	timer := time.NewTimer(0)
	timer.Stop()
	return &Pacer{period: period, timer: timer}
}

// Wait blocks until the next deadline and returns how many deadlines were missed since the last call: one where the
// loop's body ran beyond its own deadline, and one for each further deadline that passed meanwhile. Missed ticks are
// not made up for: the loop goes on with the latest deadline that has passed, and then on the old grid. The error is
// ctx's.
func (p *Pacer) Wait(ctx context.Context) (missed int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if p.next.IsZero() {
		p.next = time.Now().Add(p.period)
		return 0, nil
	}
	if wait := time.Until(p.next); wait >= 0 {
		p.timer.Reset(wait)
		select {
		case <-ctx.Done():
			p.timer.Stop()
			return 0, ctx.Err()
		case <-p.timer.C:
		}
	} else {
		missed = 1
	}
	// Whole periods may have passed, in the body or because the machine slept through the wait.
	if late := time.Since(p.next) / p.period; late > 0 {
		missed = int(late) + missed
		p.next = p.next.Add(late * p.period)
	}
	p.next = p.next.Add(p.period)
	return missed, nil
}

// Throttle lets an event through at most once a period, so that what happens at every tick does not flood a log. The
// zero value lets everything through. It belongs to one goroutine.
type Throttle struct {
	// Period is the least time between two events that are let through.
	Period time.Duration
	last   time.Time
}

// Allow says whether the event of now is let through.
func (t *Throttle) Allow() bool {
	now := time.Now()
	if !t.last.IsZero() && now.Sub(t.last) < t.Period {
		return false
	}
	t.last = now
	return true
}
