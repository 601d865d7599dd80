package main

import (
	"context"
	"testing"
	"time"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/internal/cli/clitest"
)

func TestExitCodes(t *testing.T) {
	clitest.Check(t, program, map[string]clitest.Case{
		"help":         {Args: []string{"--help"}, Code: cli.ExitOK, Stdout: "docs/benchmarks.md"},
		"no runs":      {Args: []string{"--runs=0"}, Code: cli.ExitUsage, Stderr: "--runs: found 0, expected 1 or more (see --help)"},
		"no duration":  {Args: []string{"--duration=10ms"}, Code: cli.ExitUsage, Stderr: "--duration: found 10ms, expected 1s or more (see --help)"},
		"unknown flag": {Args: []string{"--fast"}, Code: cli.ExitUsage, Stderr: "unknown flag --fast (see --help)"},
	})
}

// TestMeasureKrabby runs each measure for a second: samples are plausible, and inproc allocates nothing in steady state.
func TestMeasureKrabby(t *testing.T) {
	for _, transport := range []string{inproc, tcp} {
		for _, m := range []measureName{observation, age, command} {
			t.Run(string(m)+" "+transport, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				got, err := measureKrabby(ctx, m, transport, variant{}, time.Second)
				if err != nil {
					t.Fatal(err)
				}
				for _, took := range got.Took {
					if took <= 0 || took > time.Second {
						t.Errorf("a message took %v", took)
					}
				}
				// Timers and the garbage collector allocate occasionally.
				if a := got.Allocations; transport == inproc && m != age {
					if a == nil {
						t.Error("allocations were not counted")
					} else if *a > 0.5 {
						t.Errorf("%v allocations per message, want about 0", *a)
					}
				}
				t.Logf("%d messages, %d lost", len(got.Took), got.Lost)
			})
		}
	}
}
