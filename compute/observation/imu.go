package observation

import (
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/message"
)

// imu converts what the robot's inertial unit measures to what the training's would have measured. Nil changes nothing.
type imu struct {
	positionM  [3]float64
	quaternion [4]float64 // w, x, y, z.
	rotation   [9]float64 // From the training's frame to the robot's, row by row.
}

func newIMU(u *policy.IMU) *imu {
	if u == nil || len(u.Orientation) == 0 && len(u.PositionM) == 0 {
		return nil
	}
	q := [4]float64{1, 0, 0, 0}
	copy(q[:], u.Orientation)
	if len(u.Orientation) > 0 && u.QuaternionOrder == policy.XYZW {
		q = [4]float64{q[3], q[0], q[1], q[2]}
	}
	w, x, y, z := q[0], q[1], q[2], q[3]
	c := &imu{quaternion: q, rotation: [9]float64{
		1 - 2*(y*y+z*z), 2 * (x*y - w*z), 2 * (x*z + w*y),
		2 * (x*y + w*z), 1 - 2*(x*x+z*z), 2 * (y*z - w*x),
		2 * (x*z - w*y), 2 * (y*z + w*x), 1 - 2*(x*x+y*y),
	}}
	copy(c.positionM[:], u.PositionM)
	return c
}

// turn converts a vector in the robot's frame to the training's.
func (u *imu) turn(v [3]float64) [3]float64 {
	if u == nil {
		return v
	}
	r := &u.rotation // Transposed.
	return [3]float64{
		r[0]*v[0] + r[3]*v[1] + r[6]*v[2],
		r[1]*v[0] + r[4]*v[1] + r[7]*v[2],
		r[2]*v[0] + r[5]*v[1] + r[8]*v[2],
	}
}

// velocity returns the velocity of the training's unit, in its frame.
func (u *imu) velocity(o *message.Observation) [3]float64 {
	if u == nil {
		return o.BaseVelocityMps
	}
	v, w, p := o.BaseVelocityMps, o.IMU.AngularVelocityRadPerSec, u.positionM
	return u.turn([3]float64{
		v[0] + w[1]*p[2] - w[2]*p[1],
		v[1] + w[2]*p[0] - w[0]*p[2],
		v[2] + w[0]*p[1] - w[1]*p[0],
	})
}

// orientation returns the orientation (w, x, y, z) of the training's unit.
func (u *imu) orientation(q [4]float64) [4]float64 {
	if u == nil {
		return q
	}
	a, b := q, u.quaternion
	return [4]float64{
		a[0]*b[0] - a[1]*b[1] - a[2]*b[2] - a[3]*b[3],
		a[0]*b[1] + a[1]*b[0] + a[2]*b[3] - a[3]*b[2],
		a[0]*b[2] - a[1]*b[3] + a[2]*b[0] + a[3]*b[1],
		a[0]*b[3] + a[1]*b[2] - a[2]*b[1] + a[3]*b[0],
	}
}
