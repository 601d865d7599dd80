package doctor

import (
	"fmt"
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
	names, pose := e.policy.JointNames(), e.policy.DefaultPoseRad
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
				g := e.group(q)
				if g == nil {
					continue
				}
				for i, element := range g.elements {
					source := o.source[i]
					offset := 0.0
					if scope.inLog && q == policy.JointPosition {
						offset = pose[source] - pose[i]
					}
					values := make([]float32, len(e.rebuilt[element]))
					for t, v := range e.rebuilt[g.elements[source]] {
						values[t] = v + float32(offset)
					}
					out[element] = values
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
