package doctor

import (
	"math"
	"slices"
	"testing"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/rollout"
)

// swappedTerms returns the evidence of an observation of two terms and their history of one step, with the terms swapped in the
// current step and, if inHistory, in the history.
func swappedTerms(inHistory bool) *evidence {
	const steps = 50
	terms := []policy.ObservationTerm{
		{Quantity: policy.JointPosition, Unit: "rad", Scale: 1, Components: []string{"hip", "knee"}},
		{Quantity: policy.JointVelocity, Unit: "rad/s", Scale: 1, Components: []string{"hip", "knee"}},
		{Quantity: policy.JointPosition, Unit: "rad", Scale: 1, Components: []string{"hip", "knee"}, AgeSteps: 1, Source: 0},
		{Quantity: policy.JointVelocity, Unit: "rad/s", Scale: 1, Components: []string{"hip", "knee"}, AgeSteps: 1, Source: 1},
	}
	b := &rebuilder{
		elements: policy.Elements(terms), unknown: map[policy.Quantity]string{},
		rollout: &rollout.Rollout{Observation: rollout.NewArray(steps, 8)},
	}
	rebuilt := rollout.NewArray(steps, 8)
	for t := range steps {
		b.episodeStart = append(b.episodeStart, 0)
		for i := range 4 {
			row := rebuilt.Row(t)
			row[i] = float32(math.Sin(float64(t*(i+1)) / 3))
			row[i+4] = rebuilt.Row(max(t-1, 0))[i]
		}
		row := b.rollout.Observation.Row(t)
		copy(row, rebuilt.Row(t))
		swap(row[:4])
		if inHistory {
			swap(row[4:])
		}
	}
	return newComparison(b, columnsOf(rebuilt), DefaultNoise).newEvidence(columnsOf(rebuilt))
}

// swap swaps the first two values with the last two.
func swap[T any](values []T) {
	values[0], values[1], values[2], values[3] = values[2], values[3], values[0], values[1]
}

// swapCorrection swaps the terms of the current step and, if inHistory, in the history.
func (e *evidence) swapCorrection(inHistory bool) correction {
	return correction{kind: "term_order", change: func() changes {
		out := changes{}
		for first := 0; first == 0 || inHistory && first == 4; first += 4 {
			swapped := slices.Clone(e.rebuilt[first : first+4])
			swap(swapped)
			for i, values := range swapped {
				out[first+i] = held(values)
			}
		}
		return out
	}}
}

func TestSearch_wholeObservation(t *testing.T) {
	e := swappedTerms(true)
	trial := e.try(e.swapCorrection(true))
	if trial == nil {
		t.Fatal("the correction was dismissed")
	}
	if got, want := e.explanation(trial).Quantities, []string{"joint position", "joint velocity", "history"}; !slices.Equal(got, want) {
		t.Errorf("explains %q, want %q", got, want)
	}
	for _, s := range e.newEvidence(e.apply(trial)).before {
		if !s.exact {
			t.Errorf("score after the correction = %+v, want it exact", s)
		}
	}
}

func TestSearch_historyFollowsCurrentStep(t *testing.T) {
	for name, inHistory := range map[string]bool{"fault in the history": true, "history without the fault": false} {
		e := swappedTerms(inHistory)
		trial := e.try(e.swapCorrection(false))
		if trial == nil {
			t.Fatalf("%s: the correction was dismissed", name)
		}
		for i, s := range e.newEvidence(e.apply(trial)).before {
			if !s.exact {
				t.Errorf("%s: score of %s after the correction = %+v, want it exact", name, e.groups[i].name, s)
			}
		}
	}
}

func TestSearch_partOfQuantity(t *testing.T) {
	e := swappedTerms(false)
	one := correction{kind: "one", change: func() changes { return changes{0: held(e.recorded[0])} }}
	if trial := e.try(one); trial != nil {
		t.Errorf("a correction of one of two elements explains %v, want it dismissed", trial.explained)
	}
	both := correction{kind: "both", change: func() changes { return changes{0: held(e.recorded[0]), 1: held(e.recorded[1])} }}
	if trial := e.try(both); trial == nil || !slices.Equal(trial.explained, []bool{true, false, false}) {
		t.Errorf("a correction of both elements = %+v, want it to explain the first quantity", trial)
	}
}

func TestRank(t *testing.T) {
	with := func(kind Kind, complexity complexity, gain, left float64) *trial {
		return &trial{correction: correction{kind: kind, complexity: complexity}, gain: gain, scores: []score{{meanSquare: left}}}
	}
	trials := []*trial{
		with("best", oneParameter, 3, 0.10), with("worse", noParameters, 1, 0.2), with("simplest", noParameters, 2, 0.105),
		with("simplest", noParameters, 2, 0.105), with("complex", parameterPerElement, 3, 0.1),
	}
	var kinds []Kind
	for _, t := range rank(trials) {
		kinds = append(kinds, t.kind)
	}
	if want := []Kind{"simplest", "best", "complex"}; !slices.Equal(kinds, want) {
		t.Errorf("rank = %q, want %q", kinds, want)
	}
}
