package doctor

import "fmt"

// NotFilledIn means that a quantity, or the history, is 0.
const NotFilledIn Kind = "not_filled_in"

// zeros supposes that a quantity is 0 in the recorded observation.
func zeros(e *evidence, g group) []correction {
	f, ok := e.fitFactors(g)
	if !ok || f.conversion != toZero {
		return nil
	}
	return []correction{{
		kind: NotFilledIn, variant: g.name, complexity: noParameters,
		summary: fmt.Sprintf("the recorded observation has zeros for %s", g.name),
		fix:     fmt.Sprintf("write %s into the observation, in %s", g.name, e.elements[g.elements[0]].Term.Unit),
		change:  e.mapped(g, func(_ int, value float64) float64 { return f.whole * value }),
	}}
}
