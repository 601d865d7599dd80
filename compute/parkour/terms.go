package parkour

import (
	"fmt"
	"slices"

	"krabby.dev/krabby/compute/policy"
)

// ObservationTerms returns the terms of the observation of p, in order.
func ObservationTerms(p *policy.Policy) []policy.ObservationTerm {
	joints := p.JointNames()
	const goals = 3 // The index of the angles to the goals, which are 0 in the history.
	proprioception := []policy.ObservationTerm{
		{Quantity: policy.AngularVelocity, Unit: "rad/s", Scale: angularVelocityScale, Components: []string{"x", "y", "z"}},
		{Quantity: policy.RollPitch, Unit: "rad", Scale: 1, Components: []string{"roll", "pitch"}},
		{Quantity: policy.Constant, Unit: "1", Scale: 1, Components: []string{"5"}},
		goals: {Quantity: policy.External, Unit: "rad", Scale: 1, Components: []string{"angle to the goal", "angle to the next goal"}},
		{Quantity: policy.Constant, Unit: "1", Scale: 1, Components: []string{"8", "9"}},
		{Quantity: policy.Command, Unit: "m/s", Scale: 1, Components: []string{"forward"}},
		{Quantity: policy.External, Unit: "1", Scale: 1, Components: []string{"terrain", "flat"}},
		{Quantity: policy.JointPosition, Unit: "rad", Scale: 1, Components: joints},
		{Quantity: policy.JointVelocity, Unit: "rad/s", Scale: velocityScale, Components: joints},
		{Quantity: policy.LastAction, Unit: "1", Scale: 1, Components: joints},
		{Quantity: policy.Contact, Unit: "1", Scale: 1, Components: []string{"FL", "FR", "RL", "RR"}},
	}
	terms := slices.Concat(proprioception, []policy.ObservationTerm{
		{Quantity: policy.External, Unit: "m", Scale: 1, Components: numbered("scan", ScanSize)},
		{Quantity: policy.External, Unit: "1", Scale: 1, Components: numbered("privileged state", PrivilegedStateSize)},
		{Quantity: policy.External, Unit: "1", Scale: 1, Components: numbered("privileged parameter", PrivilegedParameterSize)},
	})
	for age := HistorySteps; age > 0; age-- {
		for i, term := range proprioception {
			term.AgeSteps, term.Source = age, i
			if i == goals {
				term.Source = -1
			}
			terms = append(terms, term)
		}
	}
	return terms
}

// numbered returns n names: what 0, what 1 and so on.
func numbered(what string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s %d", what, i)
	}
	return names
}
