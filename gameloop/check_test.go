package gameloop_test

import (
	"strings"
	"testing"

	"krabby.dev/krabby/compute/runner"
	"krabby.dev/krabby/gameloop"
	"krabby.dev/krabby/hal/server"
	"krabby.dev/krabby/internal/bringup"
)

// good is the report of a run without violations.
func good() *bringup.Report {
	return &bringup.Report{
		RateRequestedHz: 50,
		Stats: runner.Stats{
			RateHz:           49.5,
			Steps:            100,
			ObservationsRead: 99,
			Actions:          98,
			Skipped:          map[runner.SkipReason]uint64{runner.NoObservation: 1, runner.Stale: 1},
			Action:           runner.ActionSummary{Finite: true, Min: -0.5, Max: 0.9, Distinct: 98},
		},
		Server: server.Stats{Steps: 200, Applied: 97, Rejected: map[string]uint64{"stale": 1}},
	}
}

func TestCheck_goodRun(t *testing.T) {
	if err := gameloop.Check(good()); err != nil {
		t.Error(err)
	}
}

func TestCheck_policyFasterThanServer(t *testing.T) {
	r := good()
	r.Server.Steps, r.Server.Applied = 40, 38 // The newest of several commands at each step.
	if err := gameloop.Check(r); err != nil {
		t.Error(err)
	}
}

func TestCheck_violations(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*bringup.Report)
		want  string
	}{
		{"too slow", func(r *bringup.Report) { r.RateHz = 44 }, "rate: found 44.00 Hz, expected 50 Hz"},
		{"too fast", func(r *bringup.Report) { r.RateHz = 56 }, "rate: found 56.00 Hz"},
		{"no action", func(r *bringup.Report) { r.Actions = 0 }, "actions: found none"},
		{"an observation without action", func(r *bringup.Report) { r.Actions = 90 }, "found 90 for 99 observations"},
		{"not finite", func(r *bringup.Report) { r.Action.Finite = false }, "found NaN or infinity"},
		{"all zero", func(r *bringup.Report) { r.Action.Min, r.Action.Max = 0, 0 }, "found only zeros"},
		{"all rejected", func(r *bringup.Report) {
			r.Server.Applied, r.Server.Rejected = 0, map[string]uint64{"stale": 98}
		}, "server: found 0 commands applied of 98 in 200 steps, expected 90 %; rejected: map[stale:98]"},
		{"some rejected", func(r *bringup.Report) { r.Server.Applied = 88 }, "server: found 88 commands applied of 98"},
		{"stopped", func(r *bringup.Report) { r.Server.Safety.Trips = map[string]uint64{"joint_outside": 1} }, "stopped by map[joint_outside:1]"},
		{"frozen", func(r *bringup.Report) { r.Action.Distinct = 1 }, "found 1 distinct of 98"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := good()
			tt.spoil(r)
			if err := gameloop.Check(r); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Check = %v, want %q in it", err, tt.want)
			}
		})
	}
}
