package main

import (
	"bytes"
	"context"
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
			got := hal().Run(t.Context(), test.args, &stdout, &stderr)
			if got != test.want || !strings.Contains(stdout.String(), test.stdout) || !strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("exit code %d, stdout %q, stderr %q; want %d, %q, %q", got, stdout.String(), stderr.String(), test.want, test.stdout, test.stderr)
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
				for _, took := range got.Took {
					if took <= 0 || took > time.Second {
						t.Errorf("a message took %v", took)
					}
				}
				// Timers and the collector take some now and then.
				if a := got.Allocations; transport == inproc && m != age {
					if a == nil {
						t.Error("allocations were not counted")
					} else if *a > 0.5 {
						t.Errorf("%v allocations a message, want about 0", *a)
					}
				}
				t.Logf("%d messages, %d lost", len(got.Took), got.Lost)
			})
		}
	}
}
