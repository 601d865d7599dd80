package clock

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// punctual sleeps by Go's timers, which are exact in a bubble.
func punctual(until time.Time) { time.Sleep(time.Until(until)) }

func TestPacer(t *testing.T) {
	const ms = time.Millisecond
	type tick struct {
		at     time.Duration
		missed int
	}
	tests := []struct {
		name string
		work []time.Duration // How long the body of each tick takes.
		want []tick
	}{
		{
			name: "keeps the grid whatever the work",
			work: []time.Duration{0, 9 * ms, 3 * ms, 10 * ms, 0},
			want: []tick{{0, 0}, {10 * ms, 0}, {20 * ms, 0}, {30 * ms, 0}, {40 * ms, 0}},
		},
		{
			name: "an overrun is one miss and the grid returns",
			work: []time.Duration{13 * ms, 0, 0},
			want: []tick{{0, 0}, {13 * ms, 1}, {20 * ms, 0}},
		},
		{
			name: "skipped deadlines count and are not made up for",
			work: []time.Duration{35 * ms, 0, 0},
			want: []tick{{0, 0}, {35 * ms, 3}, {40 * ms, 0}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				p := NewPacer(10*ms, WithSleep(punctual))
				var got []tick
				for _, work := range tt.work {
					missed, err := p.Wait(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, tick{time.Since(start), missed})
					time.Sleep(work)
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("ticks = %v, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestPacer_contextDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Millisecond)
		defer cancel()
		start := time.Now()
		p := NewPacer(time.Hour, WithSleep(punctual))
		if _, err := p.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait = %v, want the context's error", err)
		}
		if got := time.Since(start); got != 20*time.Millisecond {
			t.Errorf("Wait returned after %v, want 20ms: the first slice that ends after 15ms", got)
		}
	})
}

// chance describes the random timing of a loop: the lateness of wake-ups and the duration of the body, as fractions of the period, and
// the probability that either takes up to a hundred times as long.
type chance struct {
	name       string
	late, body float64
	stalls     float64
}

func TestPacer_noDriftIn10Minutes(t *testing.T) {
	const run = 10 * time.Minute
	for _, rateHz := range []float64{50, 60, 500} {
		for _, c := range []chance{
			{"a loop that keeps up", 0.49, 0.49, 0},
			{"a loop that mostly keeps up", 0.6, 0.6, 0},
			{"a loop that is stalled at times", 0.3, 0.3, 0.001},
			{"a loop that cannot keep up", 1, 3, 0.001},
		} {
			t.Run(c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					period := time.Duration(float64(time.Second) / rateHz)
					r := rand.New(rand.NewPCG(uint64(rateHz), 1))
					some := func(part float64) time.Duration {
						if r.Float64() < c.stalls {
							part *= 100
						}
						return time.Duration(r.Float64() * part * float64(period))
					}
					start, ticks, allMissed, at := time.Now(), 0, 0, -1 // at is the deadline that the last tick was for, counted from 0.
					pacer := NewPacer(period, WithSleep(func(until time.Time) {
						want := start.Add(time.Duration(at+1) * period)
						if slice := time.Now().Add(10 * time.Millisecond); slice.Before(want) {
							want = slice
						}
						if !until.Equal(want) {
							t.Fatalf("after tick %d: sleeps until %v, want %v", ticks, until.Sub(start), want.Sub(start))
						}
						time.Sleep(time.Until(until) + some(c.late))
					}))
					for time.Since(start) < run {
						began := time.Since(start)
						missed, err := pacer.Wait(t.Context())
						if err != nil {
							t.Fatal(err)
						}
						// A step belongs to the latest passed deadline of the grid.
						now := int(time.Since(start) / period)
						want := now - (at + 1)
						if at >= 0 && began > time.Duration(at+1)*period {
							want++ // The body ran beyond its own deadline.
						}
						if now <= at || missed != want {
							t.Fatalf("tick %d: for deadline %d after %d, %d missed; want a later one, and %d missed", ticks, now, at, missed, want)
						}
						at = now
						ticks++
						allMissed += missed
						time.Sleep(some(c.body))
					}
					deadlines := rateHz * run.Seconds()
					if c.late+c.body < 1 && c.stalls == 0 && (allMissed != 0 || float64(ticks) < deadlines-1 || float64(ticks) > deadlines+1) {
						t.Errorf("%d ticks and %d missed, want %v +-1 and none", ticks, allMissed, deadlines)
					}
				})
			})
		}
	}
}

func TestPacer_sleepsInKernel(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(before), 0, 0, 0)

	const period, ticks = 25 * time.Millisecond, 8 // Longer than pollInterval.
	p := NewPacer(period)
	start := time.Now()
	waited := 0
	for range ticks {
		missed, err := p.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		waited += 1 + missed
		// The lateness depends on the machine; an early wake-up is an error.
		if got, want := time.Since(start), time.Duration(waited-1)*period; got < want && missed == 0 {
			t.Errorf("woken after %v, want at least %v", got, want)
		}
	}
	if slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err != nil || slack != 1 {
		t.Errorf("timer slack of the thread: %d ns, %v; want 1", slack, err)
	}
}

func TestPacer_contextDoneInKernelSleep(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := NewPacer(time.Hour)
	if _, err := p.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := p.Wait(ctx)
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Wait = %v, want the context's error", err)
	}
}

func TestPacer_doesNotAllocate(t *testing.T) {
	p := NewPacer(time.Millisecond)
	if n := testing.AllocsPerRun(20, func() {
		if _, err := p.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a wait, want 0", n)
	}
}
