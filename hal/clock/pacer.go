package clock

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// slice is the longest sleep after which a pacer looks whether it is to go on.
const slice = 10 * time.Millisecond

// Pacer wakes a loop at fixed deadlines, one period apart. Because deadlines are absolute, neither late wake-ups nor
// the time that the loop's body takes add up: the rate does not drift. It belongs to one goroutine.
//
// It sleeps in the kernel, with the goroutine's thread: Go's own timers wake an idle program up to a millisecond late,
// because they wait in epoll_wait, which counts whole milliseconds. The first Wait asks for a timer slack of 1 ns
// instead of Linux's 50 µs, which is a matter of the thread: a goroutine that wants all of the precision calls
// runtime.LockOSThread before, as it must for anything else that package realtime can give a thread.
type Pacer struct {
	period time.Duration
	next   time.Time // Zero until the first Wait.
	sleep  func(until time.Time)
}

// PacerOption configures a Pacer.
type PacerOption func(*Pacer)

// WithSleep sets how the pacer sleeps until a time, at most 10 ms ahead. It is for tests in a bubble of testing/synctest,
// whose time the kernel does not know, and for those that want to be woken late.
func WithSleep(sleep func(until time.Time)) PacerOption { return func(p *Pacer) { p.sleep = sleep } }

// NewPacer returns a pacer whose first deadline is the first call of Wait. The period must be positive.
func NewPacer(period time.Duration, opts ...PacerOption) *Pacer {
	if period <= 0 {
		panic("clock: a pacer's period must be positive, found " + period.String())
	}
	p := &Pacer{period: period, sleep: (&sleeper{clock: New()}).sleep}
	for _, opt := range opts {
		opt(p)
	}
	return p
}

// Wait blocks until the next deadline and returns how many deadlines were missed since the last call: one where the
// loop's body ran beyond its own deadline, and one for each further deadline that passed meanwhile. Missed ticks are
// not made up for: the loop goes on with the latest deadline that has passed, and then on the old grid. The error is
// ctx's, at most 10 ms after ctx is done. Wait does not allocate.
func (p *Pacer) Wait(ctx context.Context) (missed int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	now := time.Now()
	if p.next.IsZero() {
		p.next = now.Add(p.period)
		return 0, nil
	}
	if now.After(p.next) {
		missed = 1
	}
	for now.Before(p.next) {
		p.sleep(now.Add(min(p.next.Sub(now), slice)))
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		now = time.Now()
	}
	// Whole periods may have passed, in the body or because the machine slept through the wait.
	late := now.Sub(p.next) / p.period
	p.next = p.next.Add((late + 1) * p.period)
	return missed + int(late), nil
}

// sleeper sleeps in the kernel.
type sleeper struct {
	clock *Clock
	tuned bool // The thread's timer slack was set.
}

func (s *sleeper) sleep(until time.Time) {
	if !s.tuned {
		s.tuned = true
		// Where it is refused, the pacer is late by the slack, 50 µs.
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	}
	ts := unix.NsecToTimespec(s.clock.startNs + int64(until.Sub(s.clock.start)))
	// A signal ends the sleep early, Go's own among them. The pacer then looks at the clock and sleeps on.
	err := unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil)
	if err != nil && err != unix.EINTR {
		time.Sleep(time.Until(until)) // A sandbox without the call: late, but no busy loop.
	}
}
