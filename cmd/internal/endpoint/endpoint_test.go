package endpoint_test

import (
	"testing"
	"time"

	"krabby.dev/krabby/cmd/internal/endpoint"
	"krabby.dev/krabby/cmd/internal/endpoint/endpointtest"
	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/message"
)

// A reader that sleeps for 50 periods of the robot reads the newest observation. A queue would give one that is at least 0.5 s old, and
// older each time. On a busy machine some reads may find an old one.
func TestLinkLatest_slowReader(t *testing.T) {
	const (
		asleep     = 500 * time.Millisecond
		most       = 200 * time.Millisecond // With a margin for a busy machine.
		want, over = 3, 12                  // Reads.
	)
	r := endpointtest.Start(t, bus.Security{})
	for _, f := range []endpoint.Flags{{Observations: r.Observations}, {Observations: r.V1Observations, V1: true}} {
		f.Robot, f.Timeout = "go1", 5*time.Second
		if err := f.Check("", ""); err != nil {
			t.Fatal(err)
		}
		b, err := bus.NewContext()
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		link, err := f.Open(t.Context(), b, "")
		if err != nil {
			t.Fatal(err)
		}
		o := message.NewObservation(f.Model())
		if err := link.Latest(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		var ages []time.Duration
		for fresh := 0; fresh < want; {
			if len(ages) == over {
				t.Errorf("v1 %v: %d of %d observations were at most %v old, want %d; ages: %v", f.V1, fresh, over, most, want, ages)
				break
			}
			time.Sleep(asleep)
			if err := link.Latest(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			age := time.Since(time.Unix(0, o.WallNs))
			ages = append(ages, age)
			if age <= most {
				fresh++
			}
		}
		t.Logf("v1 %v: ages %v", f.V1, ages)
	}
}
