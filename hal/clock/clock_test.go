package clock

import (
	"testing"
	"time"
)

func TestClock_agreesWithOtherClocks(t *testing.T) {
	a, b := New(), New()
	first, second, third := a.NowNs(), b.NowNs(), a.NowNs()
	if first <= 0 || third < first {
		t.Errorf("readings of one clock: %d, %d; want them to grow", first, third)
	}
	// The safety gate's tolerance for commands from the future relies on this bound.
	const slack = int64(time.Millisecond)
	if second < first-slack || second > third+slack {
		t.Errorf("a reading of %d between those of another clock, %d and %d", second, first, third)
	}
}

func TestSimulated_Advance(t *testing.T) {
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
