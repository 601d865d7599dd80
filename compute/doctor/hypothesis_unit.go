package doctor

import (
	"fmt"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/message"
)

// Degrees means degrees for radians, in the observation or in the log.
const Degrees Kind = "degrees"

// unit supposes degrees for radians, in the observation or in the log.
func unit(e *evidence, g group) []correction {
	f, ok := e.fitFactors(g)
	if !ok {
		return nil
	}
	x := correction{
		kind: Degrees, variant: g.name, complexity: noParameters,
		change: e.mapped(g, func(_ int, value float64) float64 { return f.whole * value }),
	}
	var all []correction
	switch f.conversion {
	case toDegrees:
		x.summary = fmt.Sprintf("the recorded observation has %s in degrees", g.name)
		x.fix = "multiply by π/180"
		all = append(all, x)
	case fromDegrees:
		x.summary = fmt.Sprintf("the rollout has %s in degrees, the recorded observation in radians", g.name)
		x.fix = "log radians: multiply by π/180"
		all = append(all, x)
	}
	if g.quantity == policy.JointPosition {
		pose := e.poseOf(g)
		all = append(all, correction{
			kind: Degrees, variant: "before the default pose", complexity: noParameters,
			summary: "the recorded observation has joint positions in degrees, minus the default pose in radians",
			fix:     "multiply the positions by π/180 before subtracting the default pose",
			change:  e.mapped(g, func(i int, value float64) float64 { return degreesPerRad*(value+pose[i]) - pose[i] }),
		})
	}
	return all
}

// sensorUnit supposes joint positions in degrees in the log. The observation is rebuilt, because it may be clipped.
func sensorUnit(e *evidence) ([]correction, error) {
	return e.fromSensors(correction{
		kind: Degrees, variant: "log", complexity: noParameters,
		summary: "the rollout has joint positions in degrees, the recorded observation was built from radians",
		fix:     "log radians: multiply by π/180",
	}, func(o *message.Observation) {
		for i := range o.PositionRad {
			o.PositionRad[i] /= degreesPerRad
		}
	}, policy.JointPosition)
}
