package joystick

import "krabby.dev/krabby/compute/policy"

// ObservationTerms returns the terms of the observation of p, in order.
func ObservationTerms(p *policy.Policy) []policy.ObservationTerm {
	axes, joints := []string{"x", "y", "z"}, p.JointNames()
	return []policy.ObservationTerm{
		{Quantity: policy.BaseVelocity, Unit: "m/s", Scale: 1, Components: axes},
		{Quantity: policy.AngularVelocity, Unit: "rad/s", Scale: 1, Components: axes},
		{Quantity: policy.Gravity, Unit: "1", Scale: 1, Components: axes},
		{Quantity: policy.JointPosition, Unit: "rad", Scale: 1, Components: joints},
		{Quantity: policy.JointVelocity, Unit: "rad/s", Scale: 1, Components: joints},
		{Quantity: policy.LastAction, Unit: "1", Scale: 1, Components: joints},
		{Quantity: policy.Command, Unit: "m/s", Scale: 1, Components: []string{"forward", "left"}},
		{Quantity: policy.Command, Unit: "rad/s", Scale: 1, Components: []string{"yaw rate"}},
	}
}
