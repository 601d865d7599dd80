package doctor

import (
	"fmt"
	"math"
	"slices"

	"krabby.dev/krabby/compute/observation"
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
	startsWithZeros           bool                       // The history is 0 at the start of an episode.
	keepsAction               bool                       // The last action is not 0 at the start of a later episode.
	missingSteps              bool                       // Steps are missing between those of the rollout.
	// episodeStart is by step: the step in which its episode began, -1 if that was before the rollout.
	episodeStart []int
}

// newRebuilder returns an error if r does not belong to p.
func newRebuilder(p *policy.Policy, r *rollout.Rollout) (*rebuilder, error) {
	b := &rebuilder{policy: p, rollout: r, rateHz: medianRateHz(r.TimeS), unknown: map[policy.Quantity]string{}}
	b.elements = policy.Elements(p.ObservationTerms())
	if slices.ContainsFunc(b.elements, func(e policy.ObservationElement) bool { return e.Term.Quantity == policy.External }) {
		b.unknown[policy.External] = "not built from the joints or the inertial unit; taken from the recording"
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
	b.startsWithZeros = p.Observation.History != nil && p.Observation.History.Start == policy.StartZeros
	start := -1
	for t := range r.Steps() {
		if r.StartsEpisode(t) {
			start = t
		}
		b.episodeStart = append(b.episodeStart, start)
	}
	if b.missingSteps = b.rateHz < p.ControlRateHz/1.5; b.missingSteps {
		b.unknown[policy.LastAction], b.unknown[policy.GaitPhase] = missingStepsReason, missingStepsReason
	}
	b.keepsAction = b.findsKeptAction()
	return b, b.findColumns()
}

// findsKeptAction reports whether the first steps of later episodes have the last action of the episode before. Most training
// loops reset it, some do not; both are right.
func (b *rebuilder) findsKeptAction() bool {
	r, names := b.rollout, b.policy.JointNames()
	kept := false
	for t := 1; t < r.Steps(); t++ {
		if !r.StartsEpisode(t) {
			continue
		}
		for i, e := range b.elements {
			joint := slices.Index(names, e.Component)
			if e.Term.Quantity != policy.LastAction || e.Term.AgeSteps > 0 || joint < 0 {
				continue
			}
			found, last := float64(r.Observation.Row(t)[i]), e.Term.Scale*float64(r.Action.Row(t - 1)[joint])
			if math.Abs(found-last) > equal+8*r.Rounding*math.Abs(last) {
				return false
			}
			kept = kept || math.Abs(last) > equal
		}
	}
	return kept
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
	played := newPlayback(b.policy)
	builder, err := observation.New(b.policy, observation.WithProvider(played))
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
		if t > 0 && (start != t || b.keepsAction) {
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
			beforeRollout && t == age && q == policy.LastAction,
			beforeRollout && q == policy.GaitPhase:
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

// playback provides the recorded values of slots. rebuild replaces those of the current step anyway; the history holds them too.
type playback struct {
	recorded []float32 // The recorded observation of the current step.
	slots    []slot
}

// slot is a slot in a frame, and where the observation has its current values.
type slot struct{ frame, observation, size int }

func newPlayback(p *policy.Policy) *playback {
	played, l := &playback{}, p.ObservationLayout()
	at := map[int]int{} // The place of the current values of each term.
	for _, c := range l.Current {
		at[c.Term] = c.At
	}
	for _, block := range l.History {
		for step := range block.Steps {
			place := block.At + step*block.Width
			for _, term := range block.Terms {
				if block.AgeSteps(p.Observation.History, step) == 0 {
					at[term] = place
				}
				place += l.Terms[term].Size
			}
		}
	}
	for i, span := range l.Terms {
		if p.Observation.Terms[i].Term == policy.TermSlot {
			played.slots = append(played.slots, slot{span.At, at[i], span.Size})
		}
	}
	return played
}

// Provide implements observation.Provider.
func (p *playback) Provide(frame []float32, _ *message.Observation, _ message.NavigationCommand) error {
	for _, s := range p.slots {
		copy(frame[s.frame:s.frame+s.size], p.recorded[s.observation:])
	}
	return nil
}

// Reset implements observation.Provider.
func (p *playback) Reset() {}
