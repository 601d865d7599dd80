package importer

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"krabby.dev/krabby/hal/mujoco"
	"krabby.dev/krabby/hal/robot"
)

// number is a value with its source. A value of NaN is not known; then source says why.
type number struct {
	value  float64
	source string
}

func unknown(why string) number { return number{math.NaN(), why} }

// field is a number of each joint: its name in a robot's file, the flag that sets it, and what the model says.
type field struct {
	name, flag string
	values     *Values
	model      func(i int) (number, error)
}

// fill fills in the numbers of all joints. The error names all numbers that are not known.
func (m *importing) fill() error {
	r := m.result.Robot
	r.Joints = make([]robot.Joint, len(m.names))
	for i, name := range m.names {
		r.Joints[i].Name = name
	}
	r.DefaultPoseRad, r.Kp, r.Kd = make([]float64, len(m.names)), make([]float64, len(m.names)), make([]float64, len(m.names))
	for _, f := range []struct {
		field
		to func(i int) *float64
	}{
		{field{"lower_rad", "--lower", &m.o.Lower, m.bound(0)}, func(i int) *float64 { return &r.Joints[i].LowerRad }},
		{field{"upper_rad", "--upper", &m.o.Upper, m.bound(1)}, func(i int) *float64 { return &r.Joints[i].UpperRad }},
		{field{"velocity_limit_rad_per_sec", "--velocity", &m.o.Velocity, m.velocity}, func(i int) *float64 { return &r.Joints[i].VelocityLimitRadPerSec }},
		{field{"effort_limit_nm", "--effort", &m.o.Effort, m.effort}, func(i int) *float64 { return &r.Joints[i].EffortLimitNm }},
		{field{"default_rad", "--pose", &m.o.Pose, m.pose}, func(i int) *float64 { return &r.DefaultPoseRad[i] }},
		{field{"kp", "--kp", &m.o.Kp, m.kp}, func(i int) *float64 { return &r.Kp[i] }},
		{field{"kd", "--kd", &m.o.Kd, m.kd}, func(i int) *float64 { return &r.Kd[i] }},
	} {
		if err := m.fillField(f.field, f.to); err != nil {
			return err
		}
	}
	if len(m.missing) > 0 {
		return errors.New(strings.Join(m.missing, "; "))
	}
	m.noteDamping()
	return nil
}

// fillField fills in one number of all joints and records sources and what is missing.
func (m *importing) fillField(f field, to func(i int) *float64) error {
	known, missing := newTally(), newTally()
	for i, name := range m.names {
		given, err := f.values.of(name)
		if err != nil {
			return fmt.Errorf("%s: %w", f.flag, err)
		}
		n := number{source: f.flag}
		if given != nil {
			n.value = *given
		} else if n, err = f.model(i); err != nil {
			return m.wrong(fmt.Sprintf("joint %q", name), "%v", err)
		}
		if math.IsNaN(n.value) {
			missing.add(n.source, name)
			continue
		}
		known.add(n.source, name)
		*to(i) = n.value
	}
	if len(missing.sources) > 0 {
		m.missing = append(m.missing, fmt.Sprintf("%s: missing: %s has no %s for %s", f.flag, m.o.Model, f.name, missing.text(0)))
		return nil
	}
	m.result.Sources = append(m.result.Sources, Fact{f.name, known.text(len(m.names))})
	return nil
}

// tally lists joints by source.
type tally struct {
	sources []string
	joints  map[string][]string
}

func newTally() *tally { return &tally{joints: map[string][]string{}} }

func (t *tally) add(source, joint string) {
	if t.joints[source] == nil {
		t.sources = append(t.sources, source)
	}
	t.joints[source] = append(t.joints[source], joint)
}

// text lists the sources, each with its joints unless these are all of n.
func (t *tally) text(n int) string {
	var parts []string
	for _, source := range t.sources {
		joints := t.joints[source]
		if len(joints) == n {
			return source
		}
		names := strings.Join(joints[:min(3, len(joints))], ", ")
		if more := len(joints) - 3; more > 0 {
			names += fmt.Sprintf(" and %d more", more)
		}
		parts = append(parts, fmt.Sprintf("%s (%s)", names, source))
	}
	return strings.Join(parts, ", ")
}

// bound returns the lower or the upper end of the model's range.
func (m *importing) bound(side int) func(i int) (number, error) {
	return func(i int) (number, error) {
		if j := m.Joints[i]; j.Limited {
			return number{j.Range[side], "the model's range"}, nil
		}
		return unknown("no range"), nil
	}
}

// velocity returns the limit of the URDF: MuJoCo has none.
func (m *importing) velocity(i int) (number, error) {
	if m.o.URDF == nil {
		return unknown("MJCF has no limits of velocity; give --velocity, or --urdf"), nil
	}
	if u := m.o.URDF.Joint(m.names[i]); u != nil && u.VelocityLimitRadPerSec != nil {
		return number{*u.VelocityLimitRadPerSec, "limits of " + m.o.URDF.File}, nil
	}
	return unknown("not found in " + m.o.URDF.File), nil
}

// effort returns the smallest of the limits that model and URDF state.
func (m *importing) effort(i int) (number, error) {
	smallest := unknown("no limit of effort")
	j, a := m.Joints[i], m.actuators[i]
	add := func(v float64, source string) {
		if !(v >= smallest.value) { // Also for NaN.
			smallest = number{v, source}
		}
	}
	for _, r := range []struct {
		stated bool
		of     func() ([2]float64, float64)
		source string
	}{
		{j.EffortLimited, func() ([2]float64, float64) { return j.EffortRange, 1 }, "the joint's range of effort"},
		{a != nil && a.ForceLimited, func() ([2]float64, float64) { return a.ForceRange, a.Gear }, "the actuator's range of force"},
		{a != nil && a.Motor && a.ControlLimited, func() ([2]float64, float64) { return a.ControlRange, a.Gain * a.Gear }, "the motor's range of control"},
	} {
		if !r.stated {
			continue
		}
		limit, err := symmetric(r.of())
		if err != nil {
			return number{}, err
		}
		add(limit, r.source)
	}
	if m.o.URDF != nil {
		if u := m.o.URDF.Joint(m.names[i]); u != nil && u.EffortLimitNm != nil {
			source := "limits of " + m.o.URDF.File
			if *u.EffortLimitNm < smallest.value {
				source += ", smaller than the model's"
			}
			add(*u.EffortLimitNm, source)
		}
	}
	return smallest, nil
}

// pose returns the position in the keyframe.
func (m *importing) pose(i int) (number, error) {
	if m.key == nil {
		return unknown("no keyframe"), nil
	}
	return number{m.key.Position[i], fmt.Sprintf("keyframe %q", m.key.Name)}, nil
}

// servo returns the actuator of a joint if it is a position servo, or else why it says nothing about gains.
func (m *importing) servo(i int) (*mujoco.DescribedActuator, number) {
	switch a := m.actuators[i]; {
	case a == nil:
		return nil, unknown("no actuator")
	case a.Position:
		return a, number{}
	case a.Motor:
		return nil, unknown("a torque motor says nothing about gains")
	}
	return nil, unknown("not a position servo with constant gains")
}

func (m *importing) kp(i int) (number, error) {
	a, why := m.servo(i)
	if a == nil {
		return why, nil
	}
	return number{a.Kp * a.Gear * a.Gear, "position servo"}, nil
}

// kd returns the servo's derivative gain with the damping of the joint, which is in place of kd in models for training: MuJoCo adds both.
func (m *importing) kd(i int) (number, error) {
	a, why := m.servo(i)
	if a == nil {
		return why, nil
	}
	servo, damping := (a.Kd+a.Damping)*a.Gear*a.Gear, m.Joints[i].Damping
	switch {
	case servo+damping == 0:
		return unknown("a position servo without damping"), nil
	case damping == 0:
		return number{servo, "position servo"}, nil
	case servo == 0:
		return number{damping, "damping of the joint, in place of the servo's"}, nil
	}
	return number{servo + damping, "position servo and damping of the joint"}, nil
}

// noteDamping notes damping that is not part of the gains.
func (m *importing) noteDamping() {
	damped := newTally()
	for i, a := range m.actuators {
		if d := m.Joints[i].Damping; d != 0 && (a == nil || !a.Position) {
			damped.add(fmt.Sprintf("%v N·m·s/rad", d), m.names[i])
		}
	}
	if len(damped.sources) > 0 {
		m.note("damping in the model is not a gain and is left out: %s", damped.text(len(m.names)))
	}
}
