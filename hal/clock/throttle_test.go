package clock

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestThrottle_oncePerPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := Throttle{Period: time.Second}
		var said []int
		for i := range 350 { // 3.5 s at 100 Hz, of which the last second is quiet.
			events := 0
			if i < 250 {
				events = 1 + i%2
			}
			if n := throttle.Add(events); n > 0 {
				said = append(said, n)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if want := []int{1, 150, 150, 74}; !slices.Equal(said, want) {
			t.Errorf("said %v, want %v: 375 events in all", said, want)
		}
	})
}

func TestThrottle_Flush(t *testing.T) {
	throttle := Throttle{Period: time.Hour}
	if n := throttle.Flush(); n != 0 {
		t.Errorf("%d held at first, want none", n)
	}
	if n := throttle.Add(2); n != 2 {
		t.Errorf("%d let through at first, want 2", n)
	}
	if n := throttle.Add(3); n != 0 {
		t.Errorf("%d let through within the period, want none", n)
	}
	if first, second := throttle.Flush(), throttle.Flush(); first != 3 || second != 0 {
		t.Errorf("%d and %d given back, want 3 and then none", first, second)
	}
}

func TestThrottle_zeroPeriod(t *testing.T) {
	var throttle Throttle
	for range 3 {
		if n := throttle.Add(1); n != 1 {
			t.Errorf("%d let through, want 1", n)
		}
	}
}
