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

// table has a row a step and a column a slot. NaN is what nobody can know: it is not compared.
type table struct {
	rows, columns int
	values        []float32
}

func newTable(rows, columns int) *table {
	return &table{rows, columns, make([]float32, rows*columns)}
}

func (t *table) row(i int) []float32 { return t.values[i*t.columns : (i+1)*t.columns] }

func (t *table) at(row, column int) float64 { return float64(t.values[row*t.columns+column]) }

func (t *table) set(row, column int, v float64) { t.values[row*t.columns+column] = float32(v) }

func (t *table) clone() *table { return &table{t.rows, t.columns, slices.Clone(t.values)} }

var unknown = math.NaN()

// builder builds observations; those of the joystick and of parkour do.
type builder interface {
	Build(dst []float32, o *message.Observation, command message.NavigationCommand, lastAction []float32) error
}

// rebuilder builds the observations of a rollout anew, with the builder of the policy's kind.
type rebuilder struct {
	policy  *policy.Policy
	slots   []policy.Slot
	current int // Slots of this step: the first ones, as histories come after.
	rollout *rollout.Rollout
	columns []int                      // Where the robot's joints are in the rollout's joint arrays.
	feet    []int                      // Where the robot's feet are among the rollout's contacts.
	lacks   map[policy.Quantity]string // What cannot be compared, and why.
	gaps    bool                       // Steps are missing between those of the rollout.
	begins  []int                      // Of each step: that in which its episode began, -1 where that was before the rollout.
}

// newRebuilder returns an error where the rollout cannot be of this policy.
func newRebuilder(p *policy.Policy, r *rollout.Rollout) (*rebuilder, error) {
	b := &rebuilder{policy: p, rollout: r, lacks: map[policy.Quantity]string{}}
	switch p.Observation.Kind {
	case joystick.Kind:
		b.slots = joystick.Slots(p)
	case parkour.Kind:
		b.slots = parkour.Slots(p)
		b.lacks[policy.Elsewhere] = "it comes from neither the joints nor the inertial unit, and is taken from the recording"
	default:
		return nil, &policy.Error{File: p.Dir, Field: "observation.kind", Found: fmt.Sprintf("%q", p.Observation.Kind), Expected: fmt.Sprintf("%q or %q", joystick.Kind, parkour.Kind)}
	}
	b.current = slices.IndexFunc(b.slots, func(s policy.Slot) bool { return s.StepsBack > 0 })
	if b.current < 0 {
		b.current = len(b.slots)
	}
	if r.Observation.Columns != len(b.slots) {
		return nil, fmt.Errorf("observation: found %d values in each step of the rollout, expected %d, those of the policy %s", r.Observation.Columns, len(b.slots), p.Name)
	}
	if want := len(p.DefaultPoseRad); r.Action.Columns != want {
		return nil, fmt.Errorf("action: found %d values in each step of the rollout, expected %d, those of the policy %s", r.Action.Columns, want, p.Name)
	}
	begin := -1
	for t := range r.Steps() {
		if r.Starts(t) {
			begin = t
		}
		b.begins = append(b.begins, begin)
	}
	for _, name := range p.Robot.JointNames() {
		at := slices.Index(r.JointNames, name)
		if at < 0 {
			return nil, fmt.Errorf("joint_names: found %q, expected %q among them, a joint of %s", r.JointNames, name, p.Robot.Name)
		}
		b.columns = append(b.columns, at)
	}
	if !r.BaseVelocityMps.Present() {
		b.lacks[policy.BaseVelocity] = "the rollout has no base_velocity_m_per_s"
	}
	if !r.Contacts.Present() {
		b.lacks[policy.Contact] = "the rollout has no contacts"
		return b, nil
	}
	names := r.FootNames
	if len(names) == 0 {
		names = p.Robot.Feet
	}
	for _, name := range p.Robot.Feet {
		at := slices.Index(names, name)
		if at < 0 || at >= r.Contacts.Columns {
			return nil, fmt.Errorf("contacts: found %d columns, of %q, expected one of the foot %q of %s", r.Contacts.Columns, names, name, p.Robot.Name)
		}
		b.feet = append(b.feet, at)
	}
	return b, nil
}

// build builds all observations, of sensors that change may change. What the sensors and the steps before do not tell is
// NaN; what comes from elsewhere is as it was recorded.
func (b *rebuilder) build(change func(*message.Observation)) (*table, error) {
	r, p := b.rollout, b.policy
	made := &maker{}
	builds, err := made.builder(p)
	if err != nil {
		return nil, err
	}
	out := newTable(r.Steps(), len(b.slots))
	o := message.NewObservation(p.Robot)
	o.BaseVelocityKnown = true
	lastAction := make([]float32, r.Action.Columns)
	for t := range r.Steps() {
		begin := b.begins[t]
		if t == 0 || begin == t {
			o.SessionID++
		}
		b.fill(o, t)
		if change != nil {
			change(o)
		}
		clear(lastAction)
		if t > 0 && begin != t {
			copy(lastAction, r.Action.Row(t-1))
		}
		recorded, row := r.Observation.Row(t), out.row(t)
		made.recorded = recorded
		c := r.Command.Row(t)
		command := message.NavigationCommand{VxMps: float64(c[0]), VyMps: float64(c[1]), YawRateRadPerSec: float64(c[2])}
		if err := builds.Build(row, o, command, lastAction); err != nil {
			return nil, fmt.Errorf("step %d of the rollout: %w", t, err)
		}
		for i, s := range b.slots {
			of := t - s.StepsBack // The step that the value is of.
			_, lacks := b.lacks[s.Quantity]
			switch {
			case s.Quantity == policy.Elsewhere && s.StepsBack == 0:
				row[i] = recorded[i]
			case lacks && s.Quantity != policy.Elsewhere,
				b.gaps && s.StepsBack > 0,
				begin < 0 && of < 0,
				begin < 0 && of == 0 && s.Quantity == policy.LastAction:
				row[i] = float32(unknown)
			}
		}
	}
	return out, nil
}

// fill writes the sensors of step t into o.
func (b *rebuilder) fill(o *message.Observation, t int) {
	r := b.rollout
	position, velocity := r.PositionRad.Row(t), r.VelocityRadPerSec.Row(t)
	for i, at := range b.columns {
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
	for i, at := range b.feet {
		o.Contacts[i] = r.Contacts.Row(t)[at] != 0
	}
}

// maker makes a builder and plays what that asks for beside the sensors, from the recording.
type maker struct {
	recorded []float32
	prop     []float32
	explicit []float32
}

func (m *maker) builder(p *policy.Policy) (builder, error) {
	if p.Observation.Kind == joystick.Kind {
		return joystick.New(p)
	}
	m.prop, m.explicit = make([]float32, parkour.PropSize), make([]float32, parkour.ExplicitSize)
	// Of a student all that its eyes see is from elsewhere: without them it is built as a teacher is.
	blind := *p
	blind.Graphs = map[string]policy.Graph{policy.PolicyGraph: p.Graphs[policy.PolicyGraph]}
	return parkour.New(&blind, map[string]parkour.Graph{parkour.EstimatorGraph: m}, parkour.WithScanner(m), parkour.WithGuide(m.guide))
}

// Scan, InputOf, OutputOf, Run and Reset leave 0: what comes from elsewhere is copied when all else is built.
func (m *maker) Scan([]float32, *message.Observation) error { return nil }
func (m *maker) InputOf(string) []float32                   { return m.prop }
func (m *maker) OutputOf(string) []float32                  { return m.explicit }
func (m *maker) Run() error                                 { return nil }
func (m *maker) Reset()                                     {}

// guide says what was recorded of the ground: in the history it is the policy's own memory, which is compared.
func (m *maker) guide(*message.Observation, message.NavigationCommand) parkour.Guidance {
	return parkour.Guidance{Flat: m.recorded[parkour.FlatAt] > 0.5}
}

// rotate turns v from the base frame to the world frame, by q (w, x, y, z), or back.
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

// heading is what is left of an orientation once roll and pitch are taken away.
func heading(q [4]float64) [4]float64 {
	_, _, yaw := parkour.RollPitchYaw(q)
	return [4]float64{math.Cos(yaw / 2), 0, 0, math.Sin(yaw / 2)}
}
