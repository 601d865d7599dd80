package doctor

import (
	"fmt"
	"math"
	"slices"

	"krabby.dev/krabby/compute/joystick"
	"krabby.dev/krabby/compute/parkour"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/rollout"
	"krabby.dev/krabby/hal/message"
)

// missingStepsReason is why the last action and the history are not compared where steps are missing.
const missingStepsReason = "the rollout skips steps"

// unknownValue marks values that cannot be known.
var unknownValue = float32(math.NaN())

// rebuilder rebuilds the observations of a rollout from its sensors.
type rebuilder struct {
	policy   *policy.Policy
	rollout  *rollout.Rollout
	rateHz   float64 // The median rate of the rollout's steps.
	elements []policy.ObservationElement
	// jointColumns are the columns of the robot's joints in the rollout's joint arrays, footColumns those of its feet in contacts.
	jointColumns, footColumns []int
	unknown                   map[policy.Quantity]string // Why quantities cannot be compared.
	missingSteps              bool                       // Steps are missing between those of the rollout.
	// episodeStart is by step: the step in which its episode began, -1 if that was before the rollout.
	episodeStart []int
}

// newRebuilder returns an error if r does not belong to p.
func newRebuilder(p *policy.Policy, r *rollout.Rollout) (*rebuilder, error) {
	b := &rebuilder{policy: p, rollout: r, rateHz: medianRateHz(r.TimeS), unknown: map[policy.Quantity]string{}}
	switch p.Observation.Kind {
	case joystick.Kind:
		b.elements = policy.Elements(joystick.ObservationTerms(p))
	case parkour.Kind:
		b.elements = policy.Elements(parkour.ObservationTerms(p))
		b.unknown[policy.External] = "not built from the joints or the inertial unit; taken from the recording"
	default:
		return nil, &policy.Error{
			File: p.Dir, Field: "observation.kind", Found: fmt.Sprintf("%q", p.Observation.Kind),
			Expected: fmt.Sprintf("%q or %q", joystick.Kind, parkour.Kind),
		}
	}
	for _, array := range []struct {
		name            string
		found, expected int
	}{
		{"observation", r.Observation.Columns, len(b.elements)},
		{"action", r.Action.Columns, len(p.DefaultPoseRad)},
	} {
		if array.found != array.expected {
			return nil, fmt.Errorf("%s: found %d values per step, expected %d for the policy %s", array.name, array.found, array.expected, p.Name)
		}
	}
	start := -1
	for t := range r.Steps() {
		if r.StartsEpisode(t) {
			start = t
		}
		b.episodeStart = append(b.episodeStart, start)
	}
	if b.missingSteps = b.rateHz < p.ControlRateHz/1.5; b.missingSteps {
		b.unknown[policy.LastAction] = missingStepsReason
	}
	return b, b.findColumns()
}

// findColumns finds the robot's joints and feet in the arrays of the rollout, by name.
func (b *rebuilder) findColumns() error {
	r, robot := b.rollout, b.policy.Robot
	for _, name := range robot.JointNames() {
		at := slices.Index(r.JointNames, name)
		if at < 0 {
			return fmt.Errorf("joint_names: joint %q of %s not found in %q", name, robot.Name, r.JointNames)
		}
		b.jointColumns = append(b.jointColumns, at)
	}
	if !r.BaseVelocityMps.Present() {
		b.unknown[policy.BaseVelocity] = "the rollout has no base_velocity_m_per_s"
	}
	if !r.Contacts.Present() {
		b.unknown[policy.Contact] = "the rollout has no contacts"
		return nil
	}
	names := r.FootNames
	if len(names) == 0 {
		names = robot.Feet
	}
	for _, name := range robot.Feet {
		at := slices.Index(names, name)
		if at < 0 || at >= r.Contacts.Columns {
			return fmt.Errorf("contacts: foot %q of %s not found in %d columns of the feet %q", name, robot.Name, r.Contacts.Columns, names)
		}
		b.footColumns = append(b.footColumns, at)
	}
	return nil
}

// medianRateHz returns the median rate of the steps.
func medianRateHz(timeS []float64) float64 {
	var periods []float64
	for i := range timeS[1:] {
		periods = append(periods, timeS[i+1]-timeS[i])
	}
	slices.Sort(periods)
	return 1 / periods[len(periods)/2]
}

// rebuild builds the observations of all steps from the sensors, which change may modify; nil leaves them as they are. Values
// that follow neither from the sensors nor from the steps before are NaN; external values are as recorded.
func (b *rebuilder) rebuild(change func(*message.Observation)) (rollout.Array, error) {
	r := b.rollout
	played := &playback{}
	builder, err := played.newBuilder(b.policy)
	if err != nil {
		return rollout.Array{}, err
	}
	out := rollout.NewArray(r.Steps(), len(b.elements))
	o := message.NewObservation(b.policy.Robot)
	o.BaseVelocityKnown = true
	lastAction := make([]float32, r.Action.Columns)
	for t := range r.Steps() {
		start := b.episodeStart[t]
		if t == 0 || start == t {
			o.SessionID++
		}
		b.readSensors(o, t)
		if change != nil {
			change(o)
		}
		clear(lastAction)
		if t > 0 && start != t {
			copy(lastAction, r.Action.Row(t-1))
		}
		played.recorded = r.Observation.Row(t)
		c := r.Command.Row(t)
		command := message.NavigationCommand{VxMps: float64(c[0]), VyMps: float64(c[1]), YawRateRadPerSec: float64(c[2])}
		if err := builder.Build(out.Row(t), o, command, lastAction); err != nil {
			return rollout.Array{}, fmt.Errorf("step %d of the rollout: %w", t, err)
		}
		b.markUnknown(out.Row(t), t)
	}
	return out, nil
}

// markUnknown replaces the values of step t that cannot be known by NaN, and external values by those recorded.
func (b *rebuilder) markUnknown(row []float32, t int) {
	beforeRollout := b.episodeStart[t] < 0
	for i, e := range b.elements {
		q, age := e.Term.Quantity, e.Term.AgeSteps
		_, unknown := b.unknown[q]
		switch {
		case q == policy.External && age == 0:
			row[i] = b.rollout.Observation.Row(t)[i]
		case unknown && q != policy.External,
			b.missingSteps && age > 0,
			beforeRollout && t < age,
			beforeRollout && t == age && q == policy.LastAction:
			row[i] = unknownValue
		}
	}
}

// readSensors writes the sensor values of step t into o.
func (b *rebuilder) readSensors(o *message.Observation, t int) {
	r := b.rollout
	position, velocity := r.PositionRad.Row(t), r.VelocityRadPerSec.Row(t)
	for i, at := range b.jointColumns {
		o.PositionRad[i], o.VelocityRadPerSec[i] = float64(position[at]), float64(velocity[at])
	}
	for i, v := range r.Orientation.Row(t) {
		o.IMU.Orientation[i] = float64(v)
	}
	for i, v := range r.AngularVelocityRadPerSec.Row(t) {
		o.IMU.AngularVelocityRadPerSec[i] = float64(v)
	}
	if r.BaseVelocityMps.Present() {
		for i, v := range r.BaseVelocityMps.Row(t) {
			o.BaseVelocityMps[i] = float64(v)
		}
	}
	for i, at := range b.footColumns {
		o.Contacts[i] = r.Contacts.Row(t)[at] != 0
	}
}

// builder builds observations; those of joystick and parkour do.
type builder interface {
	Build(dst []float32, o *message.Observation, command message.NavigationCommand, lastAction []float32) error
}

// playback stands in for everything that a builder needs besides the sensors. It provides zeros: rebuild replaces the external
// values by the recorded ones.
type playback struct {
	recorded []float32 // The recorded observation of the current step.
	prop     []float32
	explicit []float32
}

// newBuilder returns the builder of the policy's kind of observation.
func (m *playback) newBuilder(p *policy.Policy) (builder, error) {
	if p.Observation.Kind == joystick.Kind {
		return joystick.New(p)
	}
	m.prop, m.explicit = make([]float32, parkour.ProprioceptionSize), make([]float32, parkour.PrivilegedStateSize)
	// Everything that a student sees in its image is external, so without the image the observation is that of a teacher.
	blind := *p
	blind.Graphs = map[string]policy.Graph{policy.PolicyGraph: p.Graphs[policy.PolicyGraph]}
	return parkour.New(&blind, map[string]parkour.Model{parkour.EstimatorGraph: m}, parkour.WithScanner(m), parkour.WithGuidance(m.guide))
}

// Scan leaves the scan 0.
func (m *playback) Scan([]float32, *message.Observation) error { return nil }

// InputOf returns the input of the estimator.
func (m *playback) InputOf(string) []float32 { return m.prop }

// OutputOf returns the output of the estimator, which stays 0.
func (m *playback) OutputOf(string) []float32 { return m.explicit }

// Run does nothing.
func (m *playback) Run() error { return nil }

// Reset does nothing.
func (m *playback) Reset() {}

// guide returns the recorded type of ground. The builder puts it into the history, which is compared.
func (m *playback) guide(*message.Observation, message.NavigationCommand) parkour.Guidance {
	return parkour.Guidance{Flat: m.recorded[parkour.FlatIndex] > 0.5}
}
