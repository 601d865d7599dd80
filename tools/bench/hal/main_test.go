package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestExitCodes(t *testing.T) {
	for name, test := range map[string]struct {
		args           []string
		want           int
		stdout, stderr string
	}{
		"help":         {[]string{"--help"}, 0, "docs/benchmarks.md", ""},
		"no run":       {[]string{"--runs=0"}, 2, "", "--runs: found 0, expected 1 or more (see --help)"},
		"no time":      {[]string{"--duration=10ms"}, 2, "", "--duration: found 10ms, expected 1s or more (see --help)"},
		"unknown flag": {[]string{"--fast"}, 2, "", "unknown flag --fast (see --help)"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			got := run(t.Context(), test.args, &stdout, &stderr)
			if got != test.want || !strings.Contains(stdout.String(), test.stdout) || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("exit code %d, stdout %q, stderr %q; want %d, %q, %q", got, stdout.String(), stderr.String(), test.want, test.stdout, test.stderr)
			}
		})
	}
}

func microsecondsOf(from, to int) (took []time.Duration) {
	for i := from; i <= to; i++ {
		took = append(took, time.Duration(i)*time.Microsecond)
	}
	return took
}

func example() *report {
	none, some := 0.0, 1.25
	return &report{
		header: []string{"2 CPUs"},
		rows: []row{
			// Of two runs the samples count together, and the worse number of allocations.
			{operation: "a", tool: "krabby", samples: []sample{{took: microsecondsOf(501, 1000), allocations: &some}, {took: microsecondsOf(1, 500), allocations: &none}}},
			{operation: "a", tool: "peer", samples: []sample{{took: []time.Duration{5 * time.Millisecond, 10 * time.Millisecond, 10 * time.Millisecond}, lost: 2}}},
			{operation: "b", tool: "krabby", samples: []sample{{took: microsecondsOf(1, 100)}}},
			{operation: "b", tool: "peer", note: "cannot run here: no Python"},
		},
	}
}

func TestTextShowsPercentilesThatCanBeToldAndRatiosToTheFirstTool(t *testing.T) {
	var out strings.Builder
	if err := example().text(&out); err != nil {
		t.Fatal(err)
	}
	want := `2 CPUs
operation  tool    messages  p50            p99      p99.9    max           allocations
a          krabby  1000      500 µs         990 µs   999 µs   1 ms          1.25
           peer    3         10 ms (20x)    -        -        10 ms (10x)   -
b          krabby  100       50 µs          99 µs    -        100 µs        -
           peer    0         -              -        -        -             -
a, peer: 2 messages never arrived
b, peer: cannot run here: no Python
`
	got := strings.Join(strings.Fields(out.String()), " ")
	if got != strings.Join(strings.Fields(want), " ") {
		t.Errorf("text:\n%s\nwant, but for spaces:\n%s", out.String(), want)
	}
}

func TestJSONLeavesOutWhatIsNotKnown(t *testing.T) {
	var out bytes.Buffer
	if err := example().json(&out); err != nil {
		t.Fatal(err)
	}
	var got struct {
		About   []string
		Results []map[string]any
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.About) != 1 || len(got.Results) != 4 {
		t.Fatalf("%d lines about the machine and %d results, want 1 and 4", len(got.About), len(got.Results))
	}
	peer := got.Results[1]
	if _, known := peer["p99_us"]; known || peer["lost"] != 2.0 || peer["messages"] != 3.0 || peer["allocations"] != nil {
		t.Errorf("the peer's result = %v, want 3 messages, 2 lost, no 99th percentile and no allocations", peer)
	}
	if absent := got.Results[3]; absent["p50_us"] != nil || absent["note"] != "cannot run here: no Python" {
		t.Errorf("the result without samples = %v, want its note alone", absent)
	}
}

func TestMicroseconds(t *testing.T) {
	for us, want := range map[float64]string{0.5: "0.5 µs", 14.03: "14 µs", 999.4: "999 µs", 999.9: "1 ms", 9600: "9.6 ms", 1.2345e5: "123 ms"} {
		if got := microseconds(us); got != want {
			t.Errorf("microseconds(%v) = %q, want %q", us, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	got, version, err := parse([]byte(`{"version": "Python 3", "lost": 1, "samples_ns": []}
{"version": "Python 3", "lost": 2, "samples_ns": [5, 7]}
`))
	if err != nil || version != "Python 3" || got.lost != 3 || len(got.took) != 2 || got.took[1] != 7 {
		t.Errorf("parse = %+v, %q, %v, want both processes together", got, version, err)
	}
	for name, test := range map[string]struct{ out, want string }{
		"nothing":      {"", "expected samples"},
		"no samples":   {`{"version": "Python 3", "lost": 9, "samples_ns": []}`, "expected samples"},
		"not JSON":     {"Segmentation fault", "expected lines of JSON"},
		"half a line":  {`{"version": "Pyth`, "expected lines of JSON"},
		"another type": {`{"samples_ns": [1.5]}`, "expected lines of JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := parse([]byte(test.out)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("err = %v, want %q in it", err, test.want)
			}
		})
	}
}

// Every measure of ours, for a second: each has samples that can be true, and inproc none needs the heap in steady state.
func TestOurs(t *testing.T) {
	for _, transport := range []string{inproc, tcp} {
		for _, m := range []measureName{observation, age, command} {
			t.Run(string(m)+" "+transport, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				got, err := measureOurs(ctx, m, transport, variant{}, time.Second)
				if err != nil {
					t.Fatal(err)
				}
				for _, took := range got.took {
					if took <= 0 || took > time.Second {
						t.Errorf("a message took %v", took)
					}
				}
				// Timers and the collector take some now and then.
				r := row{samples: []sample{got}}
				result := r.result()
				if a := result.Allocations; transport == inproc && m != age {
					if a == nil {
						t.Error("allocations were not counted")
					} else if *a > 0.5 {
						t.Errorf("%v allocations a message, want about 0", *a)
					}
				}
				t.Logf("%d messages, %d lost, p50 %s", result.Messages, result.Lost, result.P50.text())
			})
		}
	}
}
