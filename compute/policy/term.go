package policy

import "fmt"

// Quantity names what an observation term holds.
type Quantity string

// The quantities of observation terms.
const (
	BaseVelocity    Quantity = "base velocity"
	AngularVelocity Quantity = "angular velocity"
	Gravity         Quantity = "gravity"
	RollPitch       Quantity = "roll and pitch"
	// JointPosition is relative to the policy's default pose.
	JointPosition Quantity = "joint position"
	JointVelocity Quantity = "joint velocity"
	LastAction    Quantity = "last action"
	Command       Quantity = "command"
	Contact       Quantity = "contact"
	// Constant is always 0.
	Constant Quantity = "constant"
	// External comes from a map, a camera or another model instead of the robot's joints and inertial unit.
	External Quantity = "external"
)

// ObservationTerm is one term of an observation vector: consecutive elements of one quantity, with one unit and one scale.
// The package that builds a kind of observation lists its terms in the order of the vector.
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
