package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Observation is the layout of an observation: terms one after the other, and their values of earlier steps.
type Observation struct {
	// Size is the number of values.
	Size int `json:"size"`
	// Terms are the values of one step, in order.
	Terms []Term `json:"terms"`
	// History has the values of several steps; nil has those of the current step only.
	History *History `json:"history,omitempty"`
	// Provider is the name of the package that provides the terms TermSlot; empty if there are none.
	Provider string `json:"provider,omitempty"`
}

// String returns a short description, for reports.
func (o *Observation) String() string {
	text := fmt.Sprintf("%d values of %d terms", o.Size, len(o.Terms))
	if o.History != nil {
		text += fmt.Sprintf(", history of %d steps", o.History.Steps)
	}
	if o.Provider != "" {
		text += ", provider " + o.Provider
	}
	return text
}

// The names of terms. docs/manifest.md defines their values.
const (
	TermBaseLinVel       = "base_lin_vel"
	TermBaseAngVel       = "base_ang_vel"
	TermProjectedGravity = "projected_gravity"
	TermBaseQuat         = "base_quat"
	TermRollPitch        = "roll_pitch"
	TermVelocityCommand  = "velocity_command"
	TermJointPos         = "joint_pos"
	TermJointPosRel      = "joint_pos_rel"
	TermJointVel         = "joint_vel"
	TermLastAction       = "last_action"
	TermFootContact      = "foot_contact"
	TermGaitPhase        = "gait_phase"
	TermHeightScan       = "height_scan"
	TermConstant         = "constant"
	TermSlot             = "slot"
)

// Term is one quantity of an observation. An element is clip(raw) * Scale + Offset.
type Term struct {
	// Term is one of the names above.
	Term string `json:"term"`
	// Name is the name of a slot.
	Name string `json:"name,omitempty"`
	// Joints are the joints of a term of joints, in order. Empty are those of JointOrder.
	Joints []string `json:"joints,omitempty"`
	// Feet are the feet of TermFootContact, in order. Empty are those of the robot.
	Feet []string `json:"feet,omitempty"`
	// Axes are the parts of TermVelocityCommand, in order: AxisVx, AxisVy, AxisYawRate. Empty are all three.
	Axes []string `json:"axes,omitempty"`
	// Size is the number of values of a constant, a slot or a height scan.
	Size int `json:"size,omitempty"`
	// Value is the value of a constant.
	Value Numbers `json:"value,omitempty"`
	// Deadband is the size of a command up to which it is 0.
	Deadband float64 `json:"deadband,omitempty"`
	// Gait is the phase of TermGaitPhase.
	Gait *Gait `json:"gait,omitempty"`
	// Ground is the ground of TermHeightScan.
	Ground *Ground `json:"ground,omitempty"`

	// Clip bounds the raw value. Empty bounds do not clip.
	Clip Bounds `json:"clip,omitempty"`
	// Scale multiplies the clipped value. Empty is 1.
	Scale Numbers `json:"scale,omitempty"`
	// Offset is added to the scaled value. Empty is 0.
	Offset Numbers `json:"offset,omitempty"`

	// HistorySteps is the number of steps of the term in the history. Nil is that of History; 0 keeps it out of the history.
	HistorySteps *int `json:"history_steps,omitempty"`
	// ZeroInHistory makes the term 0 in the history.
	ZeroInHistory bool `json:"zero_in_history,omitempty"`
}

// The parts of a velocity command.
const (
	AxisVx      = "vx"
	AxisVy      = "vy"
	AxisYawRate = "yaw_rate"
)

// The orders of TermGaitPhase.
const (
	CosSin = "cos_sin"
	SinCos = "sin_cos"
)

// Gait is a phase that advances with time: one angle for each leg or pair of legs. Its values are the cosines of all angles
// and then the sines, or the other way round.
type Gait struct {
	// PeriodS is the time of a cycle, in s.
	PeriodS float64 `json:"period_s"`
	// OffsetsRad are the angles at the start, in rad.
	OffsetsRad []float64 `json:"offsets_rad"`
	// Order is CosSin or SinCos.
	Order string `json:"order"`
	// Standing replaces the phase at small commands; nil never does.
	Standing *Standing `json:"standing,omitempty"`
}

// Standing is the phase that a policy sees where the Euclidean norm of the command is less than Below. The gait's own phase
// goes on meanwhile.
type Standing struct {
	// Below is a norm over m/s, m/s and rad/s.
	Below float64 `json:"below"`
	// PhasesRad are the angles, in rad.
	PhasesRad []float64 `json:"phases_rad"`
}

// Ground is the flat ground that a height scan assumes. A raw value is HeightM - OffsetM.
type Ground struct {
	// HeightM is the height of the base above the ground, in m.
	HeightM float64 `json:"height_m"`
	// OffsetM is subtracted, in m.
	OffsetM float64 `json:"offset_m"`
}

// The values of History.
const (
	ByStep      = "step"
	ByTerm      = "term"
	OldestFirst = "oldest_first"
	NewestFirst = "newest_first"
	StartRepeat = "repeat"
	StartZeros  = "zeros"
	PushBefore  = "before"
	PushAfter   = "after"
)

// History is the layout of the steps of an observation.
type History struct {
	// Steps is the number of steps, 1 or more.
	Steps int `json:"steps"`
	// Layout is ByStep, all terms of a step together, or ByTerm, all steps of a term together.
	Layout string `json:"layout"`
	// Order is OldestFirst or NewestFirst.
	Order string `json:"order"`
	// Start is what the earlier steps hold at the start: StartRepeat, the first step, or StartZeros.
	Start string `json:"start"`
	// Push is when a step enters the history. With PushBefore the newest step of the history is the current one, and the
	// history stands in the place of its terms; by step, in that of the first of them. With PushAfter the observation
	// begins with the terms of the current step, and the history of the steps before follows.
	Push string `json:"push"`
}

// termType is what all terms of one name have in common.
type termType struct {
	quantity Quantity
	unit     string
	// components are the names of the elements where the term does not choose them.
	components []string
	// fields are those of the term's JSON that have a meaning, beside those of all terms.
	fields []string
}

// axes are the components of a vector.
var axes = []string{"x", "y", "z"}

// termTypes has the known terms.
var termTypes = map[string]termType{
	TermBaseLinVel:       {BaseVelocity, "m/s", axes, nil},
	TermBaseAngVel:       {AngularVelocity, "rad/s", axes, nil},
	TermProjectedGravity: {Gravity, "1", axes, nil},
	TermBaseQuat:         {Orientation, "1", []string{"0", "1", "2", "3"}, nil},
	TermRollPitch:        {RollPitch, "rad", []string{"roll", "pitch"}, nil},
	TermVelocityCommand:  {Command, "", []string{AxisVx, AxisVy, AxisYawRate}, []string{"axes", "deadband"}},
	TermJointPos:         {AbsoluteJointPosition, "rad", nil, []string{"joints"}},
	TermJointPosRel:      {JointPosition, "rad", nil, []string{"joints"}},
	TermJointVel:         {JointVelocity, "rad/s", nil, []string{"joints"}},
	TermLastAction:       {LastAction, "1", nil, []string{"joints"}},
	TermFootContact:      {Contact, "1", nil, []string{"feet"}},
	TermGaitPhase:        {GaitPhase, "1", nil, []string{"gait"}},
	TermHeightScan:       {External, "m", nil, []string{"size", "ground"}},
	TermConstant:         {Constant, "1", nil, []string{"size", "value"}},
	TermSlot:             {External, "1", nil, []string{"size", "name"}},
}

// TermNames returns the names of the known terms, sorted.
func TermNames() []string { return slices.Sorted(maps.Keys(termTypes)) }

// components returns the names of the term's elements.
func (p *Policy) components(t *Term) []string {
	switch t.Term {
	case TermVelocityCommand:
		if len(t.Axes) > 0 {
			return t.Axes
		}
	case TermJointPos, TermJointPosRel, TermJointVel, TermLastAction:
		if len(t.Joints) > 0 {
			return t.Joints
		}
		return p.JointNames()
	case TermFootContact:
		if len(t.Feet) > 0 {
			return t.Feet
		}
		return p.Robot.Feet
	case TermGaitPhase:
		first, second, _ := strings.Cut(t.Gait.Order, "_")
		return append(numbered(first, len(t.Gait.OffsetsRad)), numbered(second, len(t.Gait.OffsetsRad))...)
	case TermHeightScan:
		return numbered("scan", t.Size)
	case TermConstant:
		return numbered("", max(t.Size, len(t.Value)))
	case TermSlot:
		return numbered(t.Name, t.Size)
	}
	return termTypes[t.Term].components
}

// numbered returns n names: "NAME 0", "NAME 1" and so on.
func numbered(name string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint(i)
		if name != "" {
			names[i] = name + " " + names[i]
		}
	}
	return names
}
