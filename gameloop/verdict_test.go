package gameloop_test

import (
	"strings"
	"testing"

	"krabby.dev/krabby/compute/inprocess"
	"krabby.dev/krabby/compute/runner"
	"krabby.dev/krabby/gameloop"
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
	}
}

func TestAGoodRunPasses(t *testing.T) {
	if err := gameloop.Verdict(good()); err != nil {
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
