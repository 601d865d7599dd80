package observation_test

import (
	"errors"
	"slices"
	"testing"

	"krabby.dev/krabby/compute/observation"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/message"
)

// walked returns a policy that sees two joints' velocities, a velocity command forward and left, and a history of three steps.
// Step n has the velocities 10n and 10n+1, and the command 10n+2 and 10n+3.
func walked(h policy.History) *policy.Policy {
	p := go1(
		policy.Term{Term: policy.TermJointVel, Joints: []string{"FR_hip_joint", "FR_thigh_joint"}},
		policy.Term{Term: policy.TermVelocityCommand, Axes: []string{policy.AxisVx, policy.AxisVy}},
	)
	h.Steps = 3
	p.Observation.History = &h
	p.Observation.Size = p.ObservationLayout().Size
	return p
}

// step builds the observation of step n.
func step(t *testing.T, b *observation.Builder, o *message.Observation, n int) []float32 {
	t.Helper()
	o.VelocityRadPerSec[0], o.VelocityRadPerSec[1] = float64(10*n), float64(10*n+1)
	got := make([]float32, b.Size())
	if err := b.Build(got, o, message.NavigationCommand{VxMps: float64(10*n + 2), VyMps: float64(10*n + 3)}, actions); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestBuild_history(t *testing.T) {
	never := new(int)
	two := new(2)
	for name, test := range map[string]struct {
		history     policy.History
		change      func(terms []policy.Term)
		first, last []float32 // The observations of steps 1 and 4.
	}{
		"by step": {
			policy.History{Layout: policy.ByStep, Order: policy.OldestFirst, Start: policy.StartRepeat, Push: policy.PushBefore}, nil,
			[]float32{10, 11, 12, 13, 10, 11, 12, 13, 10, 11, 12, 13},
			[]float32{20, 21, 22, 23, 30, 31, 32, 33, 40, 41, 42, 43},
		},
		"by step, newest first, zeros": {
			policy.History{Layout: policy.ByStep, Order: policy.NewestFirst, Start: policy.StartZeros, Push: policy.PushBefore}, nil,
			[]float32{10, 11, 12, 13, 0, 0, 0, 0, 0, 0, 0, 0},
			[]float32{40, 41, 42, 43, 30, 31, 32, 33, 20, 21, 22, 23},
		},
		"by term": {
			policy.History{Layout: policy.ByTerm, Order: policy.OldestFirst, Start: policy.StartZeros, Push: policy.PushBefore}, nil,
			[]float32{0, 0, 0, 0, 10, 11, 0, 0, 0, 0, 12, 13},
			[]float32{20, 21, 30, 31, 40, 41, 22, 23, 32, 33, 42, 43},
		},
		"by term, newest first": {
			policy.History{Layout: policy.ByTerm, Order: policy.NewestFirst, Start: policy.StartRepeat, Push: policy.PushBefore}, nil,
			[]float32{10, 11, 10, 11, 10, 11, 12, 13, 12, 13, 12, 13},
			[]float32{40, 41, 30, 31, 20, 21, 42, 43, 32, 33, 22, 23},
		},
		"by step, pushed after use": {
			policy.History{Layout: policy.ByStep, Order: policy.OldestFirst, Start: policy.StartRepeat, Push: policy.PushAfter}, nil,
			[]float32{10, 11, 12, 13, 10, 11, 12, 13, 10, 11, 12, 13, 10, 11, 12, 13},
			[]float32{40, 41, 42, 43, 10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33},
		},
		"by term, newest first, zeros, pushed after use": {
			policy.History{Layout: policy.ByTerm, Order: policy.NewestFirst, Start: policy.StartZeros, Push: policy.PushAfter}, nil,
			[]float32{10, 11, 12, 13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
			[]float32{40, 41, 42, 43, 30, 31, 20, 21, 10, 11, 32, 33, 22, 23, 12, 13},
		},
		"one term in no history": {
			policy.History{Layout: policy.ByStep, Order: policy.OldestFirst, Start: policy.StartRepeat, Push: policy.PushBefore},
			func(terms []policy.Term) { terms[1].HistorySteps = never },
			[]float32{10, 11, 10, 11, 10, 11, 12, 13},
			[]float32{20, 21, 30, 31, 40, 41, 42, 43},
		},
		"terms of different lengths": {
			policy.History{Layout: policy.ByTerm, Order: policy.OldestFirst, Start: policy.StartRepeat, Push: policy.PushBefore},
			func(terms []policy.Term) { terms[1].HistorySteps = two },
			[]float32{10, 11, 10, 11, 10, 11, 12, 13, 12, 13},
			[]float32{20, 21, 30, 31, 40, 41, 32, 33, 42, 43},
		},
		"one term zero in the history": {
			policy.History{Layout: policy.ByStep, Order: policy.OldestFirst, Start: policy.StartRepeat, Push: policy.PushAfter},
			func(terms []policy.Term) { terms[0].ZeroInHistory = true },
			[]float32{10, 11, 12, 13, 0, 0, 12, 13, 0, 0, 12, 13, 0, 0, 12, 13},
			[]float32{40, 41, 42, 43, 0, 0, 12, 13, 0, 0, 22, 23, 0, 0, 32, 33},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := walked(test.history)
			if test.change != nil {
				test.change(p.Observation.Terms)
			}
			b, o := newBuilder(t, p), sensors()
			if got := step(t, b, o, 1); !slices.Equal(got, test.first) {
				t.Errorf("first step = %v, want %v", got, test.first)
			}
			step(t, b, o, 2)
			step(t, b, o, 3)
			if got := step(t, b, o, 4); !slices.Equal(got, test.last) {
				t.Errorf("fourth step = %v, want %v", got, test.last)
			}
			o.SessionID++
			if got := step(t, b, o, 1); !slices.Equal(got, test.first) {
				t.Errorf("first step of the next session = %v, want %v", got, test.first)
			}
		})
	}
}

func TestBuild_failedStepNotInHistory(t *testing.T) {
	p := walked(policy.History{Layout: policy.ByStep, Order: policy.NewestFirst, Start: policy.StartRepeat, Push: policy.PushBefore})
	p.Observation.Terms[0] = policy.Term{Term: policy.TermSlot, Name: "goal", Size: 2}
	p.Observation.Provider = "maze"
	provider := &constantProvider{value: 1}
	b, o := newBuilder(t, p, observation.WithProvider(provider)), sensors()
	step(t, b, o, 1)
	provider.value, provider.err = 2, errors.New("lost")
	if err := b.Build(make([]float32, b.Size()), o, command, actions); err == nil {
		t.Fatal("the step succeeded, want the error of the provider")
	}
	provider.value, provider.err = 3, nil
	if got, want := step(t, b, o, 3), []float32{3, 0, 32, 33, 1, 0, 12, 13, 1, 0, 12, 13}; !slices.Equal(got, want) {
		t.Errorf("observation after a failed step = %v, want %v", got, want)
	}
	if provider.resets != 1 {
		t.Errorf("%d resets of the provider, want 1: a failed step starts no session", provider.resets)
	}
}

func TestBuild_noAllocations(t *testing.T) {
	for name, p := range map[string]*policy.Policy{
		"without history": go1(policy.Term{Term: policy.TermBaseLinVel}, policy.Term{Term: policy.TermProjectedGravity}, policy.Term{Term: policy.TermJointPosRel}),
		"by step":         walked(policy.History{Layout: policy.ByStep, Order: policy.OldestFirst, Start: policy.StartRepeat, Push: policy.PushBefore}),
		"by term":         walked(policy.History{Layout: policy.ByTerm, Order: policy.NewestFirst, Start: policy.StartZeros, Push: policy.PushAfter}),
	} {
		b, o := newBuilder(t, p), sensors()
		dst := make([]float32, b.Size())
		if n := testing.AllocsPerRun(100, func() {
			if err := b.Build(dst, o, command, actions); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations a step, want 0", name, n)
		}
	}
}
