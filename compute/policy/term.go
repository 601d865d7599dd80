package policy

import (
	"cmp"
	"fmt"
	"slices"
)

// Quantity names what an observation term holds.
type Quantity string

// The quantities of observation terms.
const (
	BaseVelocity    Quantity = "base velocity"
	AngularVelocity Quantity = "angular velocity"
	Gravity         Quantity = "gravity"
	Orientation     Quantity = "orientation"
	RollPitch       Quantity = "roll and pitch"
	// JointPosition is relative to the policy's default pose.
	JointPosition Quantity = "joint position"
	// AbsoluteJointPosition is relative to the joint's own 0.
	AbsoluteJointPosition Quantity = "absolute joint position"
	JointVelocity         Quantity = "joint velocity"
	LastAction            Quantity = "last action"
	Command               Quantity = "command"
	Contact               Quantity = "contact"
	GaitPhase             Quantity = "gait phase"
	// Constant never changes.
	Constant Quantity = "constant"
	// External comes from a map, a camera or another model instead of the robot's joints and inertial unit.
	External Quantity = "external"
)

// ObservationTerm is a part of an observation vector: consecutive elements of one quantity, with one unit and one scale.
type ObservationTerm struct {
	Quantity Quantity
	// Unit is the unit of the elements before they are multiplied by Scale.
	Unit  string
	Scale float64
	// Components names the elements in order, for example axes, joints or feet.
	Components []string
	// AgeSteps is 0 for a term of the current step. A term of the history repeats the elements that the term with the index
	// Source had AgeSteps steps ago, or is 0 where Source is negative.
	AgeSteps int
	Source   int
}

// ObservationElement is one scalar of an observation vector: one component of a term.
type ObservationElement struct {
	Term      *ObservationTerm
	Component string
	// Source is the index of the element whose value of Term.AgeSteps steps ago this element has, or -1 where it is always 0.
	// An element of the current step is its own source.
	Source int
}

// Name returns a name that is unique in the observation, for example "joint position FL_hip_joint, 2 steps ago".
func (e ObservationElement) Name() string {
	name := string(e.Term.Quantity) + " " + e.Component
	switch e.Term.AgeSteps {
	case 0:
		return name
	case 1:
		return name + ", 1 step ago"
	}
	return fmt.Sprintf("%s, %d steps ago", name, e.Term.AgeSteps)
}

// Elements returns the elements of an observation that consists of terms. They refer to terms.
func Elements(terms []ObservationTerm) []ObservationElement {
	first := make([]int, len(terms)) // The index of the first element of each term.
	size := 0
	for i, term := range terms {
		first[i] = size
		size += len(term.Components)
	}
	elements := make([]ObservationElement, 0, size)
	for i := range terms {
		term, source := &terms[i], i
		if term.AgeSteps > 0 {
			source = term.Source
		}
		for j, component := range term.Components {
			e := ObservationElement{Term: term, Component: component, Source: -1}
			if source >= 0 {
				e.Source = first[source] + j
			}
			elements = append(elements, e)
		}
	}
	return elements
}

// ObservationTerms returns the parts of p's observation, in the order of the vector. A term whose elements differ in unit or
// scale is more than one part.
func (p *Policy) ObservationTerms() []ObservationTerm {
	o, l := &p.Observation, p.ObservationLayout()
	parts := make([][]ObservationTerm, len(o.Terms))
	for i := range o.Terms {
		parts[i] = p.partsOf(&o.Terms[i])
	}
	var pieces []piece
	for _, c := range l.Current {
		pieces = append(pieces, piece{c.At, c.Term, 0})
	}
	for _, block := range l.History {
		for step := range block.Steps {
			at := block.At + step*block.Width
			for _, term := range block.Terms {
				pieces = append(pieces, piece{at, term, block.AgeSteps(o.History, step)})
				at += l.Terms[term].Size
			}
		}
	}
	slices.SortFunc(pieces, func(a, b piece) int { return cmp.Compare(a.at, b.at) })

	current := make([]int, len(o.Terms)) // The index of the first part of each term that is of the current step.
	var all []ObservationTerm
	for _, piece := range pieces {
		if piece.ageSteps == 0 {
			current[piece.term] = len(all)
		}
		all = append(all, parts[piece.term]...)
	}
	at := 0
	for _, piece := range pieces {
		for i := range parts[piece.term] {
			all[at].AgeSteps, all[at].Source = piece.ageSteps, 0
			switch {
			case piece.ageSteps > 0 && o.Terms[piece.term].ZeroInHistory:
				all[at].Source = -1
			case piece.ageSteps > 0:
				all[at].Source = current[piece.term] + i
			}
			at++
		}
	}
	return all
}

// piece is a term of a step at a place of the observation.
type piece struct{ at, term, ageSteps int }

// partsOf returns the parts of a term of the current step.
func (p *Policy) partsOf(t *Term) []ObservationTerm {
	kind := termTypes[t.Term]
	var parts []ObservationTerm
	for i, component := range p.components(t) {
		unit, scale := kind.unit, 1.0
		if len(t.Scale) > 0 {
			scale = t.Scale.At(i)
		}
		if t.Term == TermVelocityCommand {
			unit = "m/s"
			if component == AxisYawRate {
				unit = "rad/s"
			}
			component = commandNames[component]
		}
		if n := len(parts); n > 0 && parts[n-1].Unit == unit && parts[n-1].Scale == scale {
			parts[n-1].Components = append(parts[n-1].Components, component)
			continue
		}
		parts = append(parts, ObservationTerm{Quantity: kind.quantity, Unit: unit, Scale: scale, Components: []string{component}})
	}
	return parts
}

// commandNames are the names of the parts of a command for people.
var commandNames = map[string]string{AxisVx: "forward", AxisVy: "left", AxisYawRate: "yaw rate"}
