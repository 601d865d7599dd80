// Package synthetic is a backend without hardware or physics: smooth, plausible sensor data for any robot, always the
// same for the same commands. It is for demonstrations, tests and images that run without a robot.
//
// Everything is a function of how often Read was called and of the commands written between the calls, never of a
// clock or of chance. It must never import transport, servers, clients or inference.
package synthetic

import (
	"context"
	"math"
	"time"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

const (
	// Joints approach their target with this time constant, and sway around it.
	lagS     = 0.05
	swayRad  = 0.02
	swayHz   = 0.7
	gaitHz   = 2.0
	gravity  = 9.81 // m/s²
	rollRad  = 0.06
	rollHz   = 0.5
	pitchRad = 0.04
	pitchHz  = 0.3
	// The base moves forward at about this speed, and a little to all sides.
	forwardMps = 0.3
	driftMps   = 0.05
	driftHz    = 0.4
)

// Backend implements server.Backend.
type Backend struct {
	robot   *robot.Robot
	periodS float64
	tick    uint64

	lagged []float64 // Joint positions without sway, in rad.
	target []float64 // In rad.
	kp, kd []float64

	feedForward []float64 // In N·m; 0 where a command has none.
}

// New returns a backend for r, at rest in its default pose, for which a time of period passes with each Read.
func New(r *robot.Robot, period time.Duration) *Backend {
	return &Backend{
		robot:   r,
		periodS: period.Seconds(),
		lagged:  append([]float64(nil), r.DefaultPoseRad...),
		target:  append([]float64(nil), r.DefaultPoseRad...),
		kp:      append([]float64(nil), r.Kp...),
		kd:      append([]float64(nil), r.Kd...),

		feedForward: make([]float64, len(r.Joints)),
	}
}

// Read lets one period pass and fills the sensor fields of o. It never fails.
func (b *Backend) Read(_ context.Context, o *message.Observation) error {
	b.tick++
	t := float64(b.tick) * b.periodS
	o.Resize(len(b.robot.Joints), len(b.robot.Feet))
	b.joints(o, t)
	base(o, t)
	for i := range o.Contacts {
		// A trot: the feet of a diagonal touch the ground together. Feet come in pairs, right and left, from the front.
		diagonal := float64((i/2 + i%2) % 2)
		o.Contacts[i] = math.Sin(2*math.Pi*gaitHz*t+math.Pi*diagonal) >= 0
	}
	return nil
}

// joints moves each joint towards its target, unless its gain is 0, and lets it sway, each in a phase of its own.
func (b *Backend) joints(o *message.Observation, t float64) {
	gain := 1 - math.Exp(-b.periodS/lagS)
	for i, joint := range b.robot.Joints {
		step := gain * (b.target[i] - b.lagged[i])
		if b.kp[i] == 0 {
			step = 0 // Damped: nothing drives it anywhere.
		}
		b.lagged[i] += step
		phase := 2 * math.Pi * float64(i) / float64(len(b.robot.Joints))
		sway, swayRate := wave(swayRad, swayHz, phase, t)
		o.PositionRad[i] = b.lagged[i] + sway
		o.VelocityRadPerSec[i] = step/b.periodS + swayRate
		effort := b.kp[i]*(b.target[i]-o.PositionRad[i]) - b.kd[i]*o.VelocityRadPerSec[i] + b.feedForward[i]
		o.EffortNm[i] = min(max(effort, -joint.EffortLimitNm), joint.EffortLimitNm)
	}
}

// base rocks the base by roll and pitch and moves it, and fills in what an IMU and an estimator would say.
func base(o *message.Observation, t float64) {
	roll, rollRate := wave(rollRad, rollHz, 0, t)
	pitch, pitchRate := wave(pitchRad, pitchHz, 1, t)
	sr, cr := math.Sincos(roll / 2)
	sp, cp := math.Sincos(pitch / 2)
	o.IMU.Orientation = [4]float64{cr * cp, sr * cp, cr * sp, -sr * sp} // First pitch, then roll about the new x.

	// Rates of roll about x and of pitch about the y axis before the roll, seen from the base.
	sinRoll, cosRoll := math.Sincos(roll)
	sinPitch, cosPitch := math.Sincos(pitch)
	w := [3]float64{rollRate, pitchRate * cosRoll, -pitchRate * sinRoll}
	o.IMU.AngularVelocityRadPerSec = w

	vx, ax := wave(driftMps, driftHz, 0, t)
	vy, ay := wave(driftMps, driftHz, 2, t)
	vz, az := wave(driftMps, driftHz, 4, t)
	v := [3]float64{forwardMps + vx, vy, vz}
	o.BaseVelocityKnown, o.BaseVelocityMps = true, v

	// Specific force: the change of velocity in the turning frame, and what holds the base up.
	o.IMU.LinearAccelerationMps2 = [3]float64{
		ax + w[1]*v[2] - w[2]*v[1] - gravity*sinPitch,
		ay + w[2]*v[0] - w[0]*v[2] + gravity*sinRoll*cosPitch,
		az + w[0]*v[1] - w[1]*v[0] + gravity*cosRoll*cosPitch,
	}
}

// wave returns a sinusoid and its rate of change at t seconds.
func wave(amplitude, hz, phase, t float64) (value, rate float64) {
	w := 2 * math.Pi * hz
	s, c := math.Sincos(w*t + phase)
	return amplitude * s, amplitude * w * c
}

// Write makes c the command that the joints follow. It never fails.
func (b *Backend) Write(_ context.Context, c *message.JointCommand) error {
	copy(b.target, c.TargetRad)
	copy(b.kp, c.Kp)
	copy(b.kd, c.Kd)
	clear(b.feedForward)
	copy(b.feedForward, c.FeedForwardNm)
	return nil
}
