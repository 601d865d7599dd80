package clock

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// pollInterval is the longest sleep between two checks of the context.
const pollInterval = 10 * time.Millisecond

// Pacer wakes a loop at absolute deadlines, one period apart. Late wake-ups and the duration of the loop's body do not accumulate: the
// rate does not drift. It belongs to one goroutine.
//
// It sleeps in the kernel with the goroutine's thread, because Go's timers wake an idle program up to a millisecond late: they wait in
// epoll_wait, which counts whole milliseconds. The first Wait sets the timer slack of the thread to 1 ns instead of Linux's 50 µs. Lock
// the goroutine to its thread (runtime.LockOSThread) to keep this setting and those of package realtime; RunLoop does.
type Pacer struct {
	period time.Duration
	next   time.Time // Zero until the first Wait.
	sleep  func(until time.Time)
}

// PacerOption configures a Pacer.
type PacerOption func(*Pacer)

// WithSleep replaces the function that sleeps until a time, at most 10 ms ahead. Tests use it with the virtual time of
// testing/synctest, and to simulate late wake-ups.
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

// Wait blocks until the next deadline and returns the number of deadlines missed since the last call: one if the loop's body ran past
// its own deadline, and one for each further deadline that passed. The loop does not catch up: it continues with the latest deadline
// that has passed, and then on the original grid. The error is ctx's, at most 10 ms after ctx is done. Wait does not allocate.
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
		p.sleep(now.Add(min(p.next.Sub(now), pollInterval)))
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		now = time.Now()
	}
	// Whole periods may have passed, in the body or during the wait.
	late := now.Sub(p.next) / p.period
	p.next = p.next.Add((late + 1) * p.period)
	return missed + int(late), nil
}

// sleeper sleeps in the kernel.
type sleeper struct {
	clock *Clock
	tuned bool // The timer slack of the thread has been set.
}

func (s *sleeper) sleep(until time.Time) {
	if !s.tuned {
		s.tuned = true
		// After an error the pacer is late by the default slack, 50 µs.
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	}
	ts := unix.NsecToTimespec(s.clock.startNs + int64(until.Sub(s.clock.start)))
	// A signal ends the sleep early, including those of the Go runtime. Wait then reads the clock and sleeps again.
	err := unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil)
	if err != nil && err != unix.EINTR {
		time.Sleep(time.Until(until)) // In a sandbox without the call: late, but not a busy loop.
	}
}
