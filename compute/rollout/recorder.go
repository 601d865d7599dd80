package rollout

import (
	"fmt"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// MaxRecordedBytes is the largest memory of a Recorder; Write needs as much again. It is enough for 105 minutes of a policy with
// an observation of 48 values at 50 Hz, and for 13 minutes with one of 753 values.
const MaxRecordedBytes = 128 << 20

// chunkSteps is the number of steps that a Recorder allocates at a time. Growing one slice would copy it within the loop.
const chunkSteps = 512

// Recorder collects the steps of a control loop. Only the goroutine of the loop may use it until the loop ends.
type Recorder struct {
	robot     *robot.Robot
	inputs    int
	actions   int
	maxSteps  int
	chunks    []chunk
	steps     int
	dropped   int
	sessionID uint64
	timeNs    int64 // Of the last step.
	offsetNs  int64 // Added to the times of this session, so that they continue those of the previous one.
	velocity  bool  // The base velocity was known in every step.
}

// chunk holds the values of some steps.
type chunk struct {
	timeNs []int64
	starts []bool
	rows   []float32
}

// NewRecorder returns a recorder for a policy on r, with the number of its inputs and actions.
func NewRecorder(r *robot.Robot, inputs, actions int) *Recorder {
	rec := &Recorder{robot: r, inputs: inputs, actions: actions, velocity: true}
	rec.maxSteps = MaxRecordedBytes / (4*rec.width() + 9)
	return rec
}

// width returns the number of values per step.
func (r *Recorder) width() int {
	return 2*len(r.robot.Joints) + 4 + 3 + 3 + 3 + len(r.robot.Feet) + 3 + r.inputs + r.actions
}

// Step adds a step: the policy's input was built from o and command, and action is its output. Step copies all values. It drops
// the step if the recorder is full.
func (r *Recorder) Step(o *message.Observation, command message.NavigationCommand, input, action []float32) {
	if r.steps == r.maxSteps {
		r.dropped++
		return
	}
	if r.steps%chunkSteps == 0 {
		room := min(chunkSteps, r.maxSteps-r.steps)
		r.chunks = append(r.chunks, chunk{make([]int64, 0, room), make([]bool, 0, room), make([]float32, 0, room*r.width())})
	}
	c := &r.chunks[len(r.chunks)-1]
	started := r.steps == 0 || o.SessionID != r.sessionID
	if started && r.steps > 0 && o.MonotonicNs <= r.timeNs {
		r.offsetNs = r.timeNs + 1 - o.MonotonicNs
	}
	r.sessionID, r.timeNs = o.SessionID, o.MonotonicNs+r.offsetNs
	c.timeNs = append(c.timeNs, r.timeNs)
	c.starts = append(c.starts, started)
	r.velocity = r.velocity && o.BaseVelocityKnown
	for _, values := range [][]float64{
		o.PositionRad, o.VelocityRadPerSec, o.IMU.Orientation[:], o.IMU.AngularVelocityRadPerSec[:], o.IMU.LinearAccelerationMps2[:],
	} {
		for _, v := range values {
			c.rows = append(c.rows, float32(v))
		}
	}
	for _, v := range o.BaseVelocityMps {
		c.rows = append(c.rows, float32(v))
	}
	for _, touches := range o.Contacts {
		v := float32(0)
		if touches {
			v = 1
		}
		c.rows = append(c.rows, v)
	}
	c.rows = append(c.rows, float32(command.VxMps), float32(command.VyMps), float32(command.YawRateRadPerSec))
	c.rows = append(c.rows, input...)
	c.rows = append(c.rows, action...)
	r.steps++
}

// Steps returns the numbers of recorded and of dropped steps.
func (r *Recorder) Steps() (recorded, dropped int) { return r.steps, r.dropped }

// Write writes the recorded steps to a file, as [Rollout.Write] does.
func (r *Recorder) Write(path string) error {
	if r.steps == 0 {
		return fmt.Errorf("rollout: writing %s: no steps recorded", path)
	}
	return r.Rollout().Write(path)
}

// Rollout returns the recorded steps, at least one. It leaves out the base velocity if it was unknown in a step.
func (r *Recorder) Rollout() *Rollout {
	out := &Rollout{JointNames: r.robot.JointNames(), FootNames: r.robot.Feet}
	joints := len(r.robot.Joints)
	parts := []struct {
		array   *Array
		columns int
	}{
		{&out.PositionRad, joints}, {&out.VelocityRadPerSec, joints}, {&out.Orientation, 4}, {&out.AngularVelocityRadPerSec, 3},
		{&out.LinearAccelerationMps2, 3}, {&out.BaseVelocityMps, 3}, {&out.Contacts, len(r.robot.Feet)}, {&out.Command, 3},
		{&out.Observation, r.inputs}, {&out.Action, r.actions},
	}
	for _, p := range parts {
		*p.array = Array{p.columns, make([]float32, 0, r.steps*p.columns)}
	}
	for _, c := range r.chunks {
		for i, ns := range c.timeNs {
			out.TimeS = append(out.TimeS, float64(ns-r.chunks[0].timeNs[0])/1e9)
			row := c.rows[i*r.width():]
			for _, p := range parts {
				p.array.Values = append(p.array.Values, row[:p.columns]...)
				row = row[p.columns:]
			}
		}
		out.EpisodeStart = append(out.EpisodeStart, c.starts...)
	}
	if !r.velocity {
		out.BaseVelocityMps = Array{}
	}
	return out
}
