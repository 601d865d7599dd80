package peer

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMeasure_processes(t *testing.T) {
	got, err := Measure(t.Context(), exec.Command("printf", `{"version": "Python 3", "lost": 1, "samples_ns": []}
{"version": "Python 3", "lost": 2, "first": [0.5, -1], "samples_ns": [7, 9000]}
`), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if got.Version != "Python 3" || got.Lost != 3 || !slices.Equal(got.First, []float32{0.5, -1}) || !slices.Equal(got.Took, []time.Duration{7, 9 * time.Microsecond}) {
		t.Errorf("found %+v, expected 3 lost, and both samples", got)
	}
}

func TestMeasure_invalidOutput(t *testing.T) {
	for name, test := range map[string]struct{ out, want string }{
		"nothing":      {"", "expected samples"},
		"no samples":   {`{"version": "Python 3", "lost": 9, "samples_ns": []}`, "expected samples"},
		"a trace":      {"Traceback (most recent call last)", "expected lines of JSON"},
		"half a line":  {`{"version": "Pyth`, "expected lines of JSON"},
		"another type": {`{"samples_ns": [1.5]}`, "expected lines of JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Measure(t.Context(), exec.Command("printf", "%s", test.out), time.Second); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("err = %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestMeasure_failure(t *testing.T) {
	_, err := Measure(t.Context(), exec.Command("sh", "-c", "echo no library >&2; exit 3"), time.Second)
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no library") {
		t.Errorf("err = %v, want the exit status and the peer's output", err)
	}
}

func TestMeasure_contextDone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	// A child that survives keeps standard output open, and Measure does not return.
	command := exec.Command("sh", "-c", "sleep 3600 & echo started >&2; wait")
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := Measure(ctx, command, time.Second); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want the context's", err)
	}
}
