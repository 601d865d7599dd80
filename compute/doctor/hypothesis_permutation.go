package doctor

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"krabby.dev/krabby/compute/policy"
)

// Swapped means that the elements of a quantity are in an order without a name.
const Swapped Kind = "swapped"

// permutation supposes that the elements of a quantity are in an order without a name, and may have the opposite sign.
func permutation(e *evidence, g group) []correction {
	source, signs, ok := e.closest(g)
	if !ok || isIdentity(source) {
		return nil
	}
	named := func(o order) bool { return slices.Equal(o.source, source) }
	if isPerJoint(g.quantity) && !slices.Contains(signs, -1) && slices.ContainsFunc(e.jointOrders(), named) {
		return nil // The hypothesis jointOrder proposes it by its name.
	}
	var words []string
	for i, j := range source {
		if i != j {
			minus := ""
			if signs[i] < 0 {
				minus = "-"
			}
			words = append(words, fmt.Sprintf("%s is %s%s", e.elements[g.elements[i]].Component, minus, e.elements[g.elements[j]].Component))
		}
	}
	return []correction{{
		kind: Swapped, variant: g.name, complexity: parameterPerElement,
		summary: fmt.Sprintf("the recorded observation has the elements of %s in another order: %s", g.name, strings.Join(words, ", ")),
		fix:     "write them in the policy's order",
		change: func() changes {
			out := changes{}
			for i, element := range g.elements {
				from, sign := e.rebuilt[g.elements[source[i]]], float32(signs[i])
				out[element] = func(t int) float32 { return sign * from[t] }
			}
			return out
		},
	}}
}

// closest finds for each recorded element the rebuilt element of the group, with its sign, that is closest to it. ok is false
// if one is closest to two.
func (e *evidence) closest(g group) (source []int, signs []float64, ok bool) {
	for _, element := range g.elements {
		at, sign, least := 0, 0.0, math.Inf(1)
		for j, other := range g.elements {
			for _, s := range []float64{1, -1} {
				sum := 0.0
				for _, t := range e.sample {
					if d := float64(e.recorded[element][t]) - s*float64(e.rebuilt[other][t]); !math.IsNaN(d) {
						sum += d * d
					}
				}
				if sum < least {
					at, sign, least = j, s, sum
				}
			}
		}
		if slices.Contains(source, at) {
			return nil, nil, false
		}
		source, signs = append(source, at), append(signs, sign)
	}
	return source, signs, true
}

// isPerJoint reports whether a quantity has one element for each joint of the policy.
func isPerJoint(q policy.Quantity) bool {
	switch q {
	case policy.JointPosition, policy.JointVelocity, policy.LastAction:
		return true
	}
	return false
}
