package joystick

import "krabby.dev/krabby/compute/policy"

// Slots says what each value of the observation of p is.
func Slots(p *policy.Policy) []policy.Slot {
	var slots []policy.Slot
	add := func(q policy.Quantity, unit string, names ...string) {
		for _, name := range names {
			slots = append(slots, policy.Slot{Name: string(q) + " " + name, Quantity: q, Unit: unit, Scale: 1})
		}
	}
	names := p.JointNames()
	add(policy.BaseVelocity, "m/s", "x", "y", "z")
	add(policy.AngularVelocity, "rad/s", "x", "y", "z")
	add(policy.Gravity, "1", "x", "y", "z")
	add(policy.JointPosition, "rad", names...)
	add(policy.JointVelocity, "rad/s", names...)
	add(policy.LastAction, "1", names...)
	add(policy.Command, "m/s", "forward", "left")
	add(policy.Command, "rad/s", "yaw rate")
	return slots
}
