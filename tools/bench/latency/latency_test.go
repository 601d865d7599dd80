package latency

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func microsecondsOf(from, to int) (took []time.Duration) {
	for i := from; i <= to; i++ {
		took = append(took, time.Duration(i)*time.Microsecond)
	}
	return took
}

func example() *Report {
	none, some := 0.0, 1.25
	return &Report{
		Header: []string{"2 CPUs"}, Count: "messages", Lost: "lost",
		Rows: []Row{
			// Times of the two runs are merged; the larger number of allocations counts.
			{Operation: "a", Tool: "krabby", Samples: []Sample{{Took: microsecondsOf(501, 1000), Allocations: &some}, {Took: microsecondsOf(1, 500), Allocations: &none}}},
			{Operation: "a", Tool: "peer", Samples: []Sample{{Took: []time.Duration{5 * time.Millisecond, 10 * time.Millisecond, 10 * time.Millisecond}, Lost: 2}}, Note: "twice"},
			{Operation: "b", Tool: "krabby", Samples: []Sample{{Took: microsecondsOf(1, 100), Lost: 1}}},
			{Operation: "b", Tool: "peer", Note: "cannot run here: no Python"},
		},
	}
}

func TestReport_text(t *testing.T) {
	var out strings.Builder
	if err := example().Table().Write(&out, false); err != nil {
		t.Fatal(err)
	}
	want := `2 CPUs
operation  tool    messages  lost  p50          p99     p99.9   max          allocations
a          krabby  1000      0     500 µs       990 µs  999 µs  1 ms         1.25
           peer    3         2     10 ms (20x)  -       -       10 ms (10x)  -
b          krabby  100       1     50 µs        99 µs   -       100 µs       -
           peer    0         0     -            -       -       -            -
a, peer: twice
b, peer: cannot run here: no Python
`
	if out.String() != want {
		t.Errorf("found:\n%s\nexpected:\n%s", out.String(), want)
	}
}

func TestReport_textWithoutLost(t *testing.T) {
	r := &Report{Count: "messages", Lost: "lost", Rows: []Row{{Operation: "a", Tool: "krabby", Samples: []Sample{{Took: microsecondsOf(1, 1)}}}}}
	var out strings.Builder
	if err := r.Table().Write(&out, false); err != nil {
		t.Fatal(err)
	}
	want := `operation  tool    messages  p50   p99  p99.9  max   allocations
a          krabby  1         1 µs  -    -      1 µs  -
`
	if out.String() != want {
		t.Errorf("found:\n%s\nexpected:\n%s", out.String(), want)
	}
}

func TestReport_json(t *testing.T) {
	var out bytes.Buffer
	if err := example().Table().Write(&out, true); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Results []struct {
			Note     string
			Measures map[string]struct{ Value, Ratio float64 }
		}
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	ours, peer, absent := got.Results[0].Measures, got.Results[1].Measures, got.Results[3]
	for key, want := range map[string]float64{"messages": 1000, "lost": 0, "p50_us": 500, "p99_us": 990, "p99_9_us": 999, "max_us": 1000, "allocations": 1.25} {
		// The histogram keeps three significant digits.
		if found := ours[key]; math.Abs(found.Value-want) > want/1000 || found.Ratio != 0 {
			t.Errorf("%s of ours: found %+v, expected %v and no ratio", key, found, want)
		}
	}
	if len(peer) != 4 || peer["messages"].Value != 3 || peer["lost"].Value != 2 || math.Abs(peer["p50_us"].Ratio-20) > 0.05 || math.Abs(peer["max_us"].Ratio-10) > 0.05 {
		t.Errorf("the peer's: found %+v, expected 3 messages, 2 lost, and median and maximum of 20 and 10 times ours", peer)
	}
	if len(absent.Measures) != 2 || absent.Note != "cannot run here: no Python" {
		t.Errorf("found %+v, expected a note and no times", absent)
	}
}

func TestMicroseconds(t *testing.T) {
	for us, want := range map[float64]string{0.5: "0.5 µs", 14.03: "14 µs", 999.4: "999 µs", 999.9: "1 ms", 9600: "9.6 ms", 1.2345e5: "123 ms"} {
		if got := microseconds(us); got != want {
			t.Errorf("microseconds(%v) = %q, want %q", us, got, want)
		}
	}
}

func TestCompare_alternates(t *testing.T) {
	var steps []string
	next := time.Duration(0)
	measure := func(context.Context) (Sample, error) {
		next++
		return Sample{Took: []time.Duration{next}}, nil
	}
	var r Report
	tools := []Tool{{Name: "a", Measure: measure}, {Name: "b", Fails: errors.New("no Python\nin the root")}, {Name: "c", Measure: measure}}
	if err := r.Compare(t.Context(), "step", 2, tools, func(step string) { steps = append(steps, step) }); err != nil {
		t.Fatal(err)
	}
	want := []string{"step, a, run 1 of 2", "step, c, run 1 of 2", "step, a, run 2 of 2", "step, c, run 2 of 2"}
	if !slices.Equal(steps, want) {
		t.Errorf("progress %q, expected %q", steps, want)
	}
	rows := "[{step a [{[1ns] 0 <nil>} {[3ns] 0 <nil>}] } {step b [] cannot run here: no Python} {step c [{[2ns] 0 <nil>} {[4ns] 0 <nil>}] }]"
	if found := fmt.Sprint(r.Rows); found != rows {
		t.Errorf("found %s, expected %s", found, rows)
	}
}

func TestCompare_failure(t *testing.T) {
	var r Report
	fails := Tool{Name: "a", Measure: func(context.Context) (Sample, error) { return Sample{}, errors.New("no route") }}
	never := Tool{Name: "b", Measure: func(context.Context) (Sample, error) { t.Error("the next tool ran"); return Sample{}, nil }}
	err := r.Compare(t.Context(), "step", 1, []Tool{fails, never}, func(string) {})
	if err == nil || err.Error() != "step, a: no route" || len(r.Rows) != 0 {
		t.Errorf("found %v and %d rows, expected \"step, a: no route\" and none", err, len(r.Rows))
	}
}
