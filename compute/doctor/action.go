package doctor

import (
	"fmt"
	"math"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/rollout"
)

// Model computes an action; *onnx.Session is one.
type Model interface {
	Input() []float32
	Output() []float32
	Run() error
}

// Action is how the recorded actions compare with the policy's answers.
type Action struct {
	// Agrees says that the policy's answer to each recorded observation is the recorded action, but for rounding.
	Agrees bool `json:"agrees"`
	// MaxAbs and RMS are of recorded - answered, in the action's own scale.
	MaxAbs float64 `json:"max_abs"`
	RMS    float64 `json:"rms"`
	// Says is what the recorded actions are instead, where that is known.
	Says string `json:"says,omitempty"`
	// EffectRad is by how much the joints' targets change, RMS and at most, if the policy sees the rebuilt observation.
	EffectRMSRad float64 `json:"effect_rms_rad"`
	EffectMaxRad float64 `json:"effect_max_rad"`
}

// actionTolerance is the difference that another machine or build of the runtime may make.
const actionTolerance = 1e-3

// act runs the model on the recorded observations, and on the rebuilt ones where all of them is known.
func act(model Model, p *policy.Policy, r *rollout.Rollout, rebuilt *table) (*Action, error) {
	if n := len(model.Input()); n != r.Observation.Columns {
		return nil, fmt.Errorf("doctor: model input of %d values: expected %d", n, r.Observation.Columns)
	}
	n := r.Action.Columns
	answers := rollout.NewArray(r.Steps(), n)
	a := &Action{}
	var difference, effect difference
	for t := range r.Steps() {
		copy(model.Input(), r.Observation.Row(t))
		if err := model.Run(); err != nil {
			return nil, fmt.Errorf("doctor: step %d: %w", t, err)
		}
		copy(answers.Row(t), model.Output())
		for i, v := range answers.Row(t) {
			difference.add(float64(r.Action.Row(t)[i]) - float64(v))
		}
		copy(model.Input(), rebuilt.row(t))
		known := true
		for _, v := range model.Input() {
			known = known && v == v
		}
		if !known {
			continue
		}
		if err := model.Run(); err != nil {
			return nil, fmt.Errorf("doctor: step %d: %w", t, err)
		}
		for i, v := range model.Output() {
			effect.add(p.ActionScale * (float64(answers.Row(t)[i]) - float64(v)))
		}
	}
	a.MaxAbs, a.RMS = difference.max, difference.rms()
	a.EffectRMSRad, a.EffectMaxRad = effect.rms(), effect.max
	if a.Agrees = a.MaxAbs <= actionTolerance; !a.Agrees {
		a.Says = disagreement(p, r, answers)
	}
	return a, nil
}

// disagreement says what the recorded actions are, nothing where that is not known.
func disagreement(p *policy.Policy, r *rollout.Rollout, answers rollout.Array) string {
	largest := 0.0
	for _, v := range r.Action.Values {
		largest = max(largest, math.Abs(float64(v)))
	}
	for _, h := range []struct {
		says   string
		steps  int
		change func(joint int, v float64) float64
	}{
		{"the recorded actions answer the observations of the step before", -1, nil},
		{"the recorded actions answer the observations of the step after", 1, nil},
		{"the recorded actions are scaled already", 0, func(_ int, v float64) float64 { return p.ActionScale * v }},
		{"the recorded actions are joint targets: scaled, with the default pose added", 0, func(i int, v float64) float64 { return p.DefaultPoseRad[i] + p.ActionScale*v }},
		{fmt.Sprintf("the recorded actions are clipped to ±%.4g", largest), 0, func(_ int, v float64) float64 { return min(max(v, -largest), largest) }},
	} {
		agrees := true
		for t := range r.Steps() {
			from := t + h.steps
			if from < 0 || from >= r.Steps() {
				continue
			}
			for i, v := range answers.Row(from) {
				want := float64(v)
				if h.change != nil {
					want = h.change(i, want)
				}
				agrees = agrees && math.Abs(float64(r.Action.Row(t)[i])-want) <= actionTolerance
			}
		}
		if agrees {
			return h.says
		}
	}
	return ""
}
