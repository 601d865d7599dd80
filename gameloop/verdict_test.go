package gameloop_test

import (
	"strings"
	"testing"

	"krabby.dev/krabby/compute/inprocess"
	"krabby.dev/krabby/compute/runner"
	"krabby.dev/krabby/gameloop"
	"krabby.dev/krabby/hal/server"
)

// good is the report of a run with nothing to complain about.
func good() *inprocess.Report {
	return &inprocess.Report{
		RateRequestedHz: 50,
		Stats: runner.Stats{
			RateHz:           49.5,
			Ticks:            100,
			ObservationsRead: 99,
			Actions:          98,
			NoAction:         map[runner.Cause]uint64{runner.NoObservation: 1, runner.Stale: 1},
			Action:           runner.ActionSummary{Finite: true, Min: -0.5, Max: 0.9, Distinct: 98},
		},
		Server: server.Stats{Ticks: 200, Applied: 97, Refused: map[string]uint64{"stale": 1}},
	}
}

func TestAGoodRunPasses(t *testing.T) {
	if err := gameloop.Verdict(good()); err != nil {
		t.Error(err)
	}
}

func TestAPolicyFasterThanTheRobotPasses(t *testing.T) {
	r := good()
	r.Server.Ticks, r.Server.Applied = 40, 38 // The newest of some commands at each tick.
	if err := gameloop.Verdict(r); err != nil {
		t.Error(err)
	}
}

func TestABadRunFails(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*inprocess.Report)
		want  string
	}{
		{"too slow", func(r *inprocess.Report) { r.RateHz = 44 }, "rate: found 44.00 Hz, expected 50 Hz"},
		{"too fast", func(r *inprocess.Report) { r.RateHz = 56 }, "rate: found 56.00 Hz"},
		{"no action", func(r *inprocess.Report) { r.Actions = 0 }, "actions: found none"},
		{"an observation without action", func(r *inprocess.Report) { r.Actions = 90 }, "found 90 for 99 observations"},
		{"not finite", func(r *inprocess.Report) { r.Action.Finite = false }, "not finite"},
		{"all zero", func(r *inprocess.Report) { r.Action.Min, r.Action.Max = 0, 0 }, "nothing but zero"},
		{"all refused", func(r *inprocess.Report) {
			r.Server.Applied, r.Server.Refused = 0, map[string]uint64{"stale": 98}
		}, "server: found 0 commands applied of 98 in 200 ticks, expected 90 %; refused: map[stale:98]"},
		{"some refused", func(r *inprocess.Report) { r.Server.Applied = 88 }, "server: found 88 commands applied of 98"},
		{"stopped", func(r *inprocess.Report) { r.Server.Safety.Trips = map[string]uint64{"joint_outside": 1} }, "stopped, by map[joint_outside:1]"},
		{"frozen", func(r *inprocess.Report) { r.Action.Distinct = 1 }, "found 1 distinct of 98"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := good()
			tt.spoil(r)
			if err := gameloop.Verdict(r); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("verdict = %v, want %q in it", err, tt.want)
			}
		})
	}
}
