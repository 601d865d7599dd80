package doctor

import (
	"fmt"
	"math"
	"slices"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/rollout"
)

// actionTolerance is the largest difference between actions that counts as equal: another machine or another build of the
// runtime may make it.
const actionTolerance = 1e-3

// effectSteps is the largest number of steps in which the effect on the joint targets is computed.
const effectSteps = 1000

// Model computes an action from an observation; *onnx.Session is one.
type Model interface {
	Input() []float32
	Output() []float32
	Run() error
}

// Action compares the recorded actions with the policy's output.
type Action struct {
	// Agrees is true if the policy's output for each recorded observation is the recorded action, apart from rounding.
	Agrees bool `json:"agrees"`
	// MaxAbs and RMS are of the recorded action - the policy's output, in the action's own scale.
	MaxAbs float64 `json:"max_abs"`
	RMS    float64 `json:"rms"`
	// Explanation says what the recorded actions are instead; empty if that is unknown.
	Explanation string `json:"explanation,omitempty"`
	// EffectRMSRad and EffectMaxRad are how much the joint targets differ if the policy gets the rebuilt observation instead
	// of the recorded one, in up to 1000 steps.
	EffectRMSRad float64 `json:"effect_rms_rad"`
	EffectMaxRad float64 `json:"effect_max_rad"`
}

// compareActions runs the model on the recorded observations, and on those rebuilt ones of which all values are known.
func compareActions(model Model, p *policy.Policy, r *rollout.Rollout, rebuilt rollout.Array) (*Action, error) {
	if n := len(model.Input()); n != r.Observation.Columns {
		return nil, fmt.Errorf("doctor: model input of %d values: expected %d", n, r.Observation.Columns)
	}
	outputs := rollout.NewArray(r.Steps(), r.Action.Columns)
	var difference, effect residual
	every := 1 + (r.Steps()-1)/effectSteps
	for t := range r.Steps() {
		output := outputs.Row(t)
		copy(model.Input(), r.Observation.Row(t))
		if err := model.Run(); err != nil {
			return nil, fmt.Errorf("doctor: step %d: %w", t, err)
		}
		copy(output, model.Output())
		for i, v := range output {
			difference.add(float64(r.Action.Row(t)[i]) - float64(v))
		}
		if t%every != 0 || slices.ContainsFunc(rebuilt.Row(t), func(v float32) bool { return math.IsNaN(float64(v)) }) {
			continue
		}
		if slices.Equal(rebuilt.Row(t), r.Observation.Row(t)) {
			for range output {
				effect.add(0)
			}
			continue
		}
		copy(model.Input(), rebuilt.Row(t))
		if err := model.Run(); err != nil {
			return nil, fmt.Errorf("doctor: step %d: %w", t, err)
		}
		for i, v := range model.Output() {
			effect.add(p.Action.Scale.At(i) * (float64(output[i]) - float64(v)))
		}
	}
	a := &Action{
		Agrees: difference.max <= actionTolerance, MaxAbs: difference.max, RMS: difference.rms(),
		EffectRMSRad: effect.rms(), EffectMaxRad: effect.max,
	}
	if !a.Agrees {
		a.Explanation = explainActions(p, r, outputs)
	}
	return a, nil
}

// explainActions says what the recorded actions are instead of the policy's outputs, empty if that is unknown.
func explainActions(p *policy.Policy, r *rollout.Rollout, outputs rollout.Array) string {
	largest := 0.0
	for _, v := range r.Action.Values {
		largest = max(largest, math.Abs(float64(v)))
	}
	offsets := p.ActionOffsetsRad()
	unchanged := func(_ int, v float64) float64 { return v }
	for _, h := range []struct {
		text   string
		steps  int // By which the action is ahead of the observation.
		change func(joint int, v float64) float64
	}{
		{"the recorded actions belong to the observations of the previous step", -1, unchanged},
		{"the recorded actions belong to the observations of the next step", 1, unchanged},
		{"the recorded actions are already scaled", 0, func(i int, v float64) float64 { return p.Action.Scale.At(i) * v }},
		{
			"the recorded actions are joint targets: scaled, with the default pose added", 0,
			func(i int, v float64) float64 { return offsets[i] + p.Action.Scale.At(i)*v },
		},
		{
			fmt.Sprintf("the recorded actions are clipped to ±%.4g", largest), 0,
			func(_ int, v float64) float64 { return min(max(v, -largest), largest) },
		},
	} {
		agrees := true
		for t := range r.Steps() {
			from := t + h.steps
			if from < 0 || from >= r.Steps() {
				continue
			}
			for i, v := range outputs.Row(from) {
				agrees = agrees && math.Abs(float64(r.Action.Row(t)[i])-h.change(i, float64(v))) <= actionTolerance
			}
		}
		if agrees {
			return h.text
		}
	}
	return ""
}
