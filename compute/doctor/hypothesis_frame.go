package doctor

import (
	"math"

	"krabby.dev/krabby/compute/observation"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/message"
)

// Frame means that a vector is in another frame.
const Frame Kind = "frame"

// frame supposes that gravity, the angular velocity or the base velocity is in another frame: in the world frame, or in a
// level frame with the base's heading.
func frame(e *evidence) ([]correction, error) {
	all, err := e.fromSensors(correction{
		kind: Frame, variant: "gravity", complexity: noParameters,
		summary: "the recorded observation has gravity in the world frame, where it is constant",
		fix:     "rotate it into the base frame",
	}, func(o *message.Observation) { o.IMU.Orientation = [4]float64{1, 0, 0, 0} }, policy.Gravity)
	if err != nil {
		return nil, err
	}
	for _, vector := range []struct {
		quantity policy.Quantity
		of       func(*message.Observation) *[3]float64
	}{
		{policy.AngularVelocity, func(o *message.Observation) *[3]float64 { return &o.IMU.AngularVelocityRadPerSec }},
		{policy.BaseVelocity, func(o *message.Observation) *[3]float64 { return &o.BaseVelocityMps }},
	} {
		name := string(vector.quantity)
		for _, h := range []struct {
			variant, summary, fix string
			turn                  func(q [4]float64, v [3]float64) [3]float64
		}{
			{
				" world", "the recorded observation has " + name + " in the world frame", "rotate it into the base frame",
				func(q [4]float64, v [3]float64) [3]float64 { return rotate(q, v, false) },
			},
			{
				" log", "the rollout has " + name + " in the world frame, the recorded observation in the base frame", "log it in the base frame",
				func(q [4]float64, v [3]float64) [3]float64 { return rotate(q, v, true) },
			},
			{
				" level", "the recorded observation has " + name + " in a level frame with the base's heading", "rotate it into the base frame, including roll and pitch",
				func(q [4]float64, v [3]float64) [3]float64 { return rotate(heading(q), rotate(q, v, false), true) },
			},
		} {
			x := correction{kind: Frame, variant: name + h.variant, complexity: noParameters, summary: h.summary, fix: h.fix}
			corrections, err := e.fromSensors(x, func(o *message.Observation) {
				v := vector.of(o)
				*v = h.turn(o.IMU.Orientation, *v)
			}, vector.quantity)
			if err != nil {
				return nil, err
			}
			all = append(all, corrections...)
		}
	}
	return all, nil
}

// rotate rotates v from the base frame to the world frame by q (w, x, y, z), or back.
func rotate(q [4]float64, v [3]float64, back bool) [3]float64 {
	w, x, y, z := q[0], q[1], q[2], q[3]
	if back {
		x, y, z = -x, -y, -z
	}
	n := w*w + x*x + y*y + z*z
	// v + 2w (u x v) + 2 u x (u x v), for a unit quaternion.
	c := [3]float64{y*v[2] - z*v[1], z*v[0] - x*v[2], x*v[1] - y*v[0]}
	d := [3]float64{y*c[2] - z*c[1], z*c[0] - x*c[2], x*c[1] - y*c[0]}
	for i := range v {
		v[i] += 2 * (w*c[i] + d[i]) / n
	}
	return v
}

// heading returns the yaw of an orientation, without roll and pitch.
func heading(q [4]float64) [4]float64 {
	_, _, yaw := observation.RollPitchYaw(q)
	return [4]float64{math.Cos(yaw / 2), 0, 0, math.Sin(yaw / 2)}
}
