package doctor

import (
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/message"
)

const (
	// QuaternionOrder means that the orientation has w last instead of first, or first instead of last.
	QuaternionOrder Kind = "quaternion_order"
	// QuaternionInverse means that the orientation is the rotation from world to base.
	QuaternionInverse Kind = "quaternion_inverse"
)

// quaternion supposes that the orientation has w last, or is inverted, or both, in the log or for the observation.
func quaternion(e *evidence) ([]correction, error) {
	const (
		wxyzToXYZW = "the recorded observation reads the orientation as x, y, z, w, but it is w, x, y, z"
		logIsXYZW  = "the orientation of the rollout is x, y, z, w, not w, x, y, z"
		inverse    = ", and it is inverted: it rotates vectors from the world frame to the base frame"
		fixLog     = "write orientation_wxyz with w first"
		fixUse     = "pass the orientation as w, x, y, z"
		fixInverse = ", and the rotation from base to world"
	)
	wLast := func(q [4]float64) [4]float64 { return [4]float64{q[3], q[0], q[1], q[2]} }
	wFirst := func(q [4]float64) [4]float64 { return [4]float64{q[1], q[2], q[3], q[0]} }
	conjugate := func(q [4]float64) [4]float64 { return [4]float64{q[0], -q[1], -q[2], -q[3]} }
	var all []correction
	for _, h := range []struct {
		kind                  Kind
		variant, summary, fix string
		change                func([4]float64) [4]float64
	}{
		{QuaternionOrder, "log", logIsXYZW, fixLog, wLast},
		{QuaternionOrder, "observation", wxyzToXYZW, fixUse, wFirst},
		{
			QuaternionInverse, "",
			"the orientation is inverted in the rollout or in the recorded observation: it rotates vectors from the world frame to the base frame",
			"use the rotation from base to world", conjugate,
		},
		{QuaternionOrder, "log, inverse", logIsXYZW + inverse, fixLog + fixInverse, func(q [4]float64) [4]float64 { return conjugate(wLast(q)) }},
		{QuaternionOrder, "observation, inverse", wxyzToXYZW + inverse, fixUse + fixInverse, func(q [4]float64) [4]float64 { return conjugate(wFirst(q)) }},
	} {
		x := correction{kind: h.kind, variant: h.variant, complexity: noParameters, summary: h.summary, fix: h.fix}
		corrections, err := e.fromSensors(x, func(o *message.Observation) { o.IMU.Orientation = h.change(o.IMU.Orientation) }, policy.Gravity, policy.RollPitch, policy.Orientation)
		if err != nil {
			return nil, err
		}
		all = append(all, corrections...)
	}
	return all, nil
}
