package endpoint_test

import (
	"testing"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/cmd/endpoint"
	"krabby.dev/krabby/hal/cmd/endpoint/endpointtest"
	"krabby.dev/krabby/hal/message"
)

func TestASlowReaderGetsTheNewestObservation(t *testing.T) {
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
		for range 3 {
			if err := link.Latest(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			const most = 200 * time.Millisecond // Some of it is for a busy machine.
			if age := time.Since(time.Unix(0, o.WallNs)); age > most {
				t.Errorf("v1 %v: the observation is %v old, want at most %v", f.V1, age, most)
			}
			time.Sleep(500 * time.Millisecond)
		}
	}
}
