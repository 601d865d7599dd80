package doctor

import (
	"fmt"
	"math"
)

// Clipped means that a quantity is clipped to a limit.
const Clipped Kind = "clipped"

// clipping supposes that a quantity is clipped at its largest recorded value.
func clipping(e *evidence, g group) []correction {
	limit, largest := 0.0, 0.0
	for _, element := range g.elements {
		for t, v := range e.recorded[element] {
			limit = max(limit, math.Abs(float64(v)))
			if rebuilt := math.Abs(float64(e.rebuilt[element][t])); rebuilt > largest { // False for NaN.
				largest = rebuilt
			}
		}
	}
	if limit <= equal || largest <= limit+equal {
		return nil
	}
	return []correction{{
		kind: Clipped, variant: g.name, complexity: oneParameter,
		summary: fmt.Sprintf("the recorded observation clips %s to ±%.4g", g.name, limit),
		fix:     "remove this limit: the policy's layout does not have it",
		change:  e.mapped(g, func(_ int, value float64) float64 { return min(max(value, -limit), limit) }),
	}}
}
