package clock

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestClocksAgree(t *testing.T) {
	a, b := New(), New()
	first, second, third := a.NowNs(), b.NowNs(), a.NowNs()
	if first <= 0 || third < first {
		t.Errorf("readings of one clock: %d, %d; want them to grow", first, third)
	}
	// The server's gate relies on it: see its tolerance for commands of the future.
	const slack = int64(time.Millisecond)
	if second < first-slack || second > third+slack {
		t.Errorf("a reading of %d between those of another clock, %d and %d", second, first, third)
	}
}

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
				p := NewPacer(10 * ms)
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

func TestPacerStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Millisecond)
		defer cancel()
		start := time.Now()
		p := NewPacer(time.Hour)
		if _, err := p.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait = %v, want the context's error", err)
		}
		if got := time.Since(start); got != 15*time.Millisecond {
			t.Errorf("Wait returned after %v, want 15ms", got)
		}
	})
}

func TestThrottleLetsOneEventAPeriodThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := Throttle{Period: time.Second}
		allowed := 0
		for range 250 { // 2.5 s at 100 Hz.
			if throttle.Allow() {
				allowed++
			}
			time.Sleep(10 * time.Millisecond)
		}
		if allowed != 3 {
			t.Errorf("%d events let through in 2.5 s, want 3", allowed)
		}
	})
}

func TestASimulatedClockMovesOnlyWhenItIsMoved(t *testing.T) {
	var c Simulated
	if got := c.NowNs(); got != 0 {
		t.Errorf("a new clock shows %d ns, want 0", got)
	}
	c.Advance(3 * time.Millisecond)
	c.Advance(0)
	c.Advance(2 * time.Millisecond)
	if got := c.NowNs(); got != 5_000_000 {
		t.Errorf("it shows %d ns, want 5000000", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("it went back, want a panic")
		}
	}()
	c.Advance(-1)
}
