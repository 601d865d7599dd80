// Package synthetic is a backend without hardware or physics: smooth, plausible sensor data for any robot. It serves demonstrations,
// tests and images that run without a robot.
//
// The data is a function of the number of Reads and of the commands written between them; it depends on no clock and no random number.
// The package must not import transport, servers, clients or inference.
package synthetic

import (
	"context"
	"math"
	"time"

	"krabby.dev/krabby/hal/backend"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

const (
	// Joints approach their target with this time constant, and oscillate around it.
	lagS     = 0.05
	swayRad  = 0.02
	swayHz   = 0.7
	gaitHz   = 2.0
	gravity  = 9.81 // m/s²
	rollRad  = 0.06
	rollHz   = 0.5
	pitchRad = 0.04
	pitchHz  = 0.3
	// The mean forward speed of the base, and the amplitude of its velocity in all directions.
	forwardMps = 0.3
	driftMps   = 0.05
	driftHz    = 0.4
)

// Backend is a robot without hardware or physics; it implements backend.Backend.
type Backend struct {
	backend.Stateless

	robot   *robot.Robot
	periodS float64
	tick    uint64

	lagged []float64 // Joint positions without sway, in rad.
	target []float64 // In rad.
	kp, kd []float64

	feedForward []float64 // In N·m; 0 if a command has none.
}

// New returns a backend for r, at rest in its default pose. Each Read advances its time by period.
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

// Deactivate damps the joints: they stay where they are.
func (b *Backend) Deactivate(context.Context) error {
	clear(b.kp)
	clear(b.feedForward)
	return nil
}

// Read advances the time by one period and fills the sensor fields of o. It never fails.
func (b *Backend) Read(_ context.Context, o *message.Observation) error {
	b.tick++
	t := float64(b.tick) * b.periodS
	o.Resize(len(b.robot.Joints), len(b.robot.Feet))
	b.joints(o, t)
	base(o, t)
	for i := range o.Contacts {
		// A trot: diagonal feet touch the ground together. Feet are ordered in pairs, right and left, from the front.
		diagonal := float64((i/2 + i%2) % 2)
		o.Contacts[i] = math.Sin(2*math.Pi*gaitHz*t+math.Pi*diagonal) >= 0
	}
	return nil
}

// joints moves each joint towards its target, unless its gain is 0, and adds an oscillation with a phase per joint.
func (b *Backend) joints(o *message.Observation, t float64) {
	gain := 1 - math.Exp(-b.periodS/lagS)
	for i, joint := range b.robot.Joints {
		step := gain * (b.target[i] - b.lagged[i])
		if b.kp[i] == 0 {
			step = 0 // Damped: no drive.
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

// base oscillates the base in roll and pitch, moves it, and computes the values of an IMU and a state estimator.
func base(o *message.Observation, t float64) {
	roll, rollRate := wave(rollRad, rollHz, 0, t)
	pitch, pitchRate := wave(pitchRad, pitchHz, 1, t)
	sr, cr := math.Sincos(roll / 2)
	sp, cp := math.Sincos(pitch / 2)
	o.IMU.Orientation = [4]float64{cr * cp, sr * cp, cr * sp, -sr * sp} // Pitch, then roll about the rotated x axis.

	// The rates of roll about x and of pitch about the y axis before the roll, in the base frame.
	sinRoll, cosRoll := math.Sincos(roll)
	sinPitch, cosPitch := math.Sincos(pitch)
	w := [3]float64{rollRate, pitchRate * cosRoll, -pitchRate * sinRoll}
	o.IMU.AngularVelocityRadPerSec = w

	vx, ax := wave(driftMps, driftHz, 0, t)
	vy, ay := wave(driftMps, driftHz, 2, t)
	vz, az := wave(driftMps, driftHz, 4, t)
	v := [3]float64{forwardMps + vx, vy, vz}
	o.BaseVelocityKnown, o.BaseVelocityMps = true, v

	// Specific force: the acceleration in the rotating frame, minus gravity.
	o.IMU.LinearAccelerationMps2 = [3]float64{
		ax + w[1]*v[2] - w[2]*v[1] - gravity*sinPitch,
		ay + w[2]*v[0] - w[0]*v[2] + gravity*sinRoll*cosPitch,
		az + w[0]*v[1] - w[1]*v[0] + gravity*cosRoll*cosPitch,
	}
}

// Factory makes synthetic robots. It has no flags.
type Factory struct{}

// Name returns "synthetic".
func (*Factory) Name() string { return "synthetic" }

// New returns a *Backend.
func (*Factory) New(c backend.Config) (backend.Backend, error) { return New(c.Robot, c.Period), nil }

// wave returns a sinusoid and its rate of change at t seconds.
func wave(amplitude, hz, phase, t float64) (value, rate float64) {
	w := 2 * math.Pi * hz
	s, c := math.Sincos(w*t + phase)
	return amplitude * s, amplitude * w * c
}

// Write sets the command that the joints follow. It never fails.
func (b *Backend) Write(_ context.Context, c *message.JointCommand) error {
	copy(b.target, c.TargetRad)
	copy(b.kp, c.Kp)
	copy(b.kd, c.Kd)
	clear(b.feedForward)
	copy(b.feedForward, c.FeedForwardNm)
	return nil
}
