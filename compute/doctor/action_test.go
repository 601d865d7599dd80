package doctor_test

import (
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/doctor"
	"krabby.dev/krabby/compute/rollout"
)

// linearModel is a model with a linear function of the joystick observation as its output.
type linearModel struct{ input, output []float32 }

func (m *linearModel) Input() []float32  { return m.input }
func (m *linearModel) Output() []float32 { return m.output }
func (m *linearModel) Run() error {
	for i := range m.output {
		m.output[i] = m.input[i+9] - 2*m.input[i+21]
	}
	return nil
}

// changedActions changes every recorded action.
func changedActions(change func(joint int, v float64) float64) func(*rollout.Rollout) {
	return func(r *rollout.Rollout) {
		for i, v := range r.Action.Values {
			r.Action.Values[i] = float32(change(i%12, float64(v)))
		}
	}
}

func TestExamine_actions(t *testing.T) {
	p := joystickPolicy()
	for name, test := range map[string]struct {
		change      func(r *rollout.Rollout)
		agrees      bool
		explanation string
	}{
		"equal":       {func(*rollout.Rollout) {}, true, ""},
		"early":       {func(r *rollout.Rollout) { r.Action.Values = slices.Concat(r.Action.Values[12:], r.Action.Row(0)) }, false, "the observations of the next step"},
		"scaled":      {changedActions(func(_ int, v float64) float64 { return 0.5 * v }), false, "are already scaled"},
		"targets":     {changedActions(func(i int, v float64) float64 { return p.DefaultPoseRad[i] + 0.5*v }), false, "are joint targets"},
		"clipped":     {changedActions(func(_ int, v float64) float64 { return min(max(v, -1), 1) }), false, "are clipped to ±1"},
		"unexplained": {changedActions(func(_ int, v float64) float64 { return v * v }), false, ""},
	} {
		model := &linearModel{make([]float32, 48), make([]float32, 12)}
		r := record(t, p, motion{sway: 1})
		for t := range r.Steps() {
			copy(model.input, r.Observation.Row(t))
			_ = model.Run()
			copy(r.Action.Row(t), model.output)
		}
		r.EpisodeStart = nil
		test.change(r)
		a := examine(t, p, r, doctor.Options{Model: model}).Action
		if a == nil || a.Agrees != test.agrees || !strings.Contains(a.Explanation, test.explanation) || (a.Explanation == "") != (test.explanation == "") {
			t.Errorf("%s: action = %+v, want agrees %v and the explanation %q", name, a, test.agrees, test.explanation)
		}
	}
}
