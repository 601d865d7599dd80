package parkour

import (
	"fmt"

	"krabby.dev/krabby/compute/policy"
)

// Slots says what each value of the observation of p is.
func Slots(p *policy.Policy) []policy.Slot {
	var slots []policy.Slot
	add := func(q policy.Quantity, scale float64, unit string, names ...string) {
		for _, name := range names {
			slots = append(slots, policy.Slot{Name: string(q) + " " + name, Quantity: q, Unit: unit, Scale: scale})
		}
	}
	numbered := func(what string, n int) []string {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf("%s %d", what, i)
		}
		return names
	}
	names := p.JointNames()
	add(policy.AngularVelocity, angularVelocityScale, "rad/s", "x", "y", "z")
	add(policy.RollPitch, 1, "rad", "roll", "pitch")
	add(policy.Constant, 1, "1", "5")
	add(policy.Elsewhere, 1, "rad", "angle to the goal", "angle to the next goal")
	add(policy.Constant, 1, "1", "8", "9")
	add(policy.Command, 1, "m/s", "forward")
	add(policy.Elsewhere, 1, "1", "terrain", "flat")
	add(policy.JointPosition, 1, "rad", names...)
	add(policy.JointVelocity, velocityScale, "rad/s", names...)
	add(policy.LastAction, 1, "1", names...)
	add(policy.Contact, 1, "1", "FL", "FR", "RL", "RR")
	add(policy.Elsewhere, 1, "m", numbered("scan", ScanSize)...)
	add(policy.Elsewhere, 1, "1", numbered("privileged state", ExplicitSize)...)
	add(policy.Elsewhere, 1, "1", numbered("privileged parameter", LatentSize)...)
	for back := HistorySteps; back > 0; back-- {
		for i, s := range slots[:PropSize] {
			s.Name = fmt.Sprintf("%s, %d back", s.Name, back)
			s.StepsBack, s.Of = back, i
			if i == yawAt || i == yawAt+1 {
				s.Of = -1
			}
			slots = append(slots, s)
		}
	}
	return slots
}
