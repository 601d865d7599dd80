package doctor

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"krabby.dev/krabby/compute/policy"
)

const (
	// JointOrder means that the joints are in another order with a name.
	JointOrder Kind = "joint_order"
	// LegsSwapped means that the legs are in another order.
	LegsSwapped Kind = "legs_swapped"
)

// jointOrderScope is where the joints may be in another order.
type jointOrderScope struct {
	quantities []policy.Quantity
	// inLog is true for joint arrays of the log. The two differ for positions: in the log the default pose is subtracted from the
	// wrong joint.
	inLog bool
}

// jointOrderScopes lists all scopes, those that are more likely first.
var jointOrderScopes = []jointOrderScope{
	{[]policy.Quantity{policy.JointPosition, policy.JointVelocity, policy.LastAction}, false},
	{[]policy.Quantity{policy.JointPosition, policy.JointVelocity}, true},
	{[]policy.Quantity{policy.JointPosition, policy.JointVelocity}, false},
	{[]policy.Quantity{policy.JointPosition, policy.JointVelocity, policy.LastAction}, true},
	{[]policy.Quantity{policy.JointPosition}, false},
	{[]policy.Quantity{policy.JointPosition}, true},
	{[]policy.Quantity{policy.JointVelocity}, false},
	{[]policy.Quantity{policy.LastAction}, false},
}

// jointOrder supposes that the joints are in another order with a name, in the observation or in the log.
func jointOrder(e *evidence) ([]correction, error) {
	var all []correction
	for _, o := range e.jointOrders() {
		for _, scope := range jointOrderScopes {
			if e.differs(scope.quantities...) {
				all = append(all, e.reordered(o, scope))
			}
		}
	}
	return all, nil
}

// reordered returns the correction that puts the joints of a scope in the order o.
func (e *evidence) reordered(o order, scope jointOrderScope) correction {
	names := e.policy.JointNames()
	moved := 0 // The first joint in another place.
	for o.source[moved] == moved {
		moved++
	}
	var words []string
	for _, q := range scope.quantities {
		words = append(words, string(q))
	}
	quantities := strings.Join(words, ", ")
	x := correction{
		kind: o.kind, variant: o.label, complexity: noParameters,
		summary: fmt.Sprintf("the recorded observation has the joints of %s in another order (%s): its value for %s is the rollout's value for %s",
			quantities, o.label, names[moved], names[o.source[moved]]),
		fix: "map joints by name to the policy's joint_order",
		change: func() changes {
			out := changes{}
			for _, q := range scope.quantities {
				if g := e.group(q); g != nil {
					e.reorder(out, *g, o, scope.inLog, 1)
				}
			}
			return out
		},
	}
	if scope.inLog {
		x.summary = fmt.Sprintf("the joint arrays of the rollout are not in the order of joint_names (%s) for %s: the column named %s holds %s",
			o.label, quantities, names[o.source[moved]], names[moved])
		x.fix = "correct joint_names or the log; if the observation is wrong instead, map joints by name before subtracting the default pose"
	}
	return x
}

// reorder adds to out the values of g with the joints in the order o, multiplied by a factor; in the log the default pose is
// subtracted afterwards. It leaves out joints whose source the group does not have.
func (e *evidence) reorder(out changes, g group, o order, inLog bool, factor float64) {
	names, pose := e.policy.JointNames(), e.poseOf(g)
	at := map[string]int{} // In the group, by joint.
	for i, element := range g.elements {
		at[e.elements[element].Component] = i
	}
	for i, element := range g.elements {
		joint := slices.Index(names, e.elements[element].Component)
		if joint < 0 {
			continue
		}
		from, ok := at[names[o.source[joint]]]
		if !ok {
			continue
		}
		offset := 0.0
		if inLog && g.quantity == policy.JointPosition {
			offset = pose[from] - pose[i]
		}
		rebuilt := e.rebuilt[g.elements[from]]
		out[element] = func(t int) float32 { return float32(factor*float64(rebuilt[t]) + offset) }
	}
}

// poseOf returns the default pose of the elements of a group of joints, in the observation's scale; 0 of other elements.
func (c *comparison) poseOf(g group) []float64 {
	names, pose := c.policy.JointNames(), make([]float64, len(g.elements))
	for i, element := range g.elements {
		e := c.elements[element]
		if joint := slices.Index(names, e.Component); joint >= 0 {
			pose[i] = c.policy.DefaultPoseRad[joint] * e.Term.Scale
		}
	}
	return pose
}

// scaledJointOrder supposes that the joints of one quantity are in another order, and its values in another unit or scale.
func scaledJointOrder(e *evidence) ([]correction, error) {
	var all []correction
	for _, g := range e.quantities() {
		if !isPerJoint(g.quantity) || !e.differs(g.quantity) {
			continue
		}
		for _, o := range e.jointOrders() {
			if second := e.scaleOf(g, o); second != nil {
				x := e.reordered(o, jointOrderScope{[]policy.Quantity{g.quantity}, false})
				x.complexity, x.second, x.variant = oneParameter, second, x.variant+", scaled"
				factor := second.factor
				x.change = func() changes {
					out := changes{}
					e.reorder(out, g, o, false, factor)
					return out
				}
				all = append(all, x)
			}
		}
	}
	return all, nil
}

// scaleOf returns what a factor says about a group whose joints are in the order o, nil if there is none.
func (e *evidence) scaleOf(g group, o order) *second {
	reordered := changes{}
	e.reorder(reordered, g, o, false, 1)
	product, square := 0.0, 0.0
	for element, value := range reordered {
		for _, t := range e.sample {
			x, y := float64(e.recorded[element][t]), float64(value(t))
			if !math.IsNaN(x) && !math.IsNaN(y) {
				product, square = product+x*y, square+y*y
			}
		}
	}
	if square == 0 {
		return nil
	}
	f, nominal := product/square, e.elements[g.elements[0]].Term.Scale
	s := &second{factor: f, kind: Scaled, summary: fmt.Sprintf("the recorded observation scales %s by %.4g", g.name, f), fix: fmt.Sprintf("divide by %.4g", f)}
	switch {
	case f < 1e-3 || math.Abs(f-1) < 0.05:
		return nil
	case isAbout(f, degreesPerRad) && isAngular(g.quantity):
		s.factor, s.kind = degreesPerRad, Degrees
		s.summary, s.fix = fmt.Sprintf("the recorded observation has %s in degrees", g.name), "multiply by π/180"
	case nominal != 1 && isAbout(f, 1/nominal):
		s.factor, s.kind = 1/nominal, Unscaled
		s.summary, s.fix = fmt.Sprintf("the recorded observation does not scale %s", g.name), fmt.Sprintf("multiply by %v", nominal)
	}
	return s
}
