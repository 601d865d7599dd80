package doctor

import (
	"fmt"
	"math"
	"strings"

	"krabby.dev/krabby/compute/policy"
)

// Offset means that a constant is added to elements of a quantity.
const Offset Kind = "offset"

// offset supposes that a constant is added to each element of a quantity, other than the default pose.
func offset(e *evidence, g group) []correction {
	offsets := make([]float64, len(g.elements))
	pose := e.poseOf(g)
	largest, isPose := 0.0, g.quantity == policy.JointPosition
	var words []string
	for i, element := range g.elements {
		offsets[i] = e.meanResidual(element)
		largest = max(largest, math.Abs(offsets[i]))
		if math.Abs(offsets[i]) > equal {
			words = append(words, fmt.Sprintf("%s %+.3g", e.elements[element].Component, offsets[i]))
		}
		isPose = isPose && math.Abs(math.Abs(offsets[i])-math.Abs(pose[i])) <= e.noise*e.spread[element]
	}
	if largest <= equal || isPose {
		return nil
	}
	fix := "find the constant that is added or subtracted on one side only"
	if g.quantity == policy.JointPosition {
		fix = "compare the default poses: the manifest's default_pose_rad may differ from that of training"
	}
	return []correction{{
		kind: Offset, variant: g.name, complexity: unspecificParameters,
		summary: fmt.Sprintf("the recorded %s has a constant offset: %s", g.name, strings.Join(words, ", ")),
		fix:     fix,
		change:  e.mapped(g, func(i int, value float64) float64 { return value + offsets[i] }),
	}}
}

// meanResidual returns the mean of recorded - rebuilt of an element, 0 if it is unknown in all steps.
func (e *evidence) meanResidual(element int) float64 {
	n, sum := 0.0, 0.0
	for t, v := range e.recorded[element] {
		if d := float64(v) - float64(e.rebuilt[element][t]); !math.IsNaN(d) {
			n, sum = n+1, sum+d
		}
	}
	if n == 0 {
		return 0
	}
	return sum / n
}
