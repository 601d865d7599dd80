package doctor

import (
	"math"
	"math/bits"
	"slices"

	"krabby.dev/krabby/compute/policy"
)

// TermOrder means that the terms stand in another order than the policy's.
const TermOrder Kind = "term_order"

const (
	// maxAlignedTerms is the largest number of terms of which all orders are compared.
	maxAlignedTerms = 16
	// alignedSteps is the number of steps on which orders are compared.
	alignedSteps = 256
	// matchedCost is the cost up to which a term counts as found in its place.
	matchedCost = 0.05
)

// alignment is where the values of the policy's layout stand in the recorded observation.
type alignment struct {
	findings []Finding
	// at is by element of the policy's layout: its place in the recorded observation.
	at []int
}

// arrangement is a layout of an observation: the order of the terms, and that of the history.
type arrangement struct {
	terms   []int // The policy's terms, in the order of the observation.
	history historyArrangement
	// historyTerms are the terms in the order of a history that stands apart; nil where that is the order of terms.
	historyTerms []int
}

// historyArrangement is the order of a history.
type historyArrangement struct {
	layout  string // policy.ByStep, policy.ByTerm or byValue.
	order   string // policy.OldestFirst or policy.NewestFirst.
	natural bool   // It is the policy's own.
}

// byValue is the layout of a history that has all steps of a value together.
const byValue = "value"

// aligner finds the arrangement of the recorded observation.
type aligner struct {
	*comparison
	rebuilt  columns
	terms    []alignedTerm
	rows     []int
	variance []float64 // Of the recorded values in rows, by place.
	moments  map[[2]int]moments
	orders   []order
	places   map[string]placement // By arrangement.
}

// alignedTerm is a term of the policy.
type alignedTerm struct {
	name     string
	quantity policy.Quantity
	width    int
	current  []int // The elements of the current step.
	external bool  // The values are not rebuilt.
}

// placement has the place of each value in an observation: by term, age in steps, component.
type placement [][][]int

// align finds out whether the recorded observation has the terms, or the history, in another order. It does so before
// anything is said about a quantity: each rebuilt term is looked for at every place where the order of terms could put it, as
// it is, in other units or in another order of joints. It returns nil if the order is the policy's, or is not known to be
// another.
func (c *comparison) align(rebuilt columns) *alignment {
	if c.missingSteps {
		return nil
	}
	a := &aligner{comparison: c, rebuilt: rebuilt, moments: map[[2]int]moments{}, places: map[string]placement{}, orders: c.jointOrders()}
	a.rows = spread(c.rollout.Steps(), alignedSteps)
	for place := range c.recorded {
		a.variance = append(a.variance, a.varianceOf(place))
	}
	a.addTerms()
	natural := a.natural()
	best := natural
	if history := c.policy.Observation.History; history != nil && history.Push == policy.PushBefore {
		best = a.bestOfStacked(natural)
	} else {
		best.terms = a.bestOrder(natural)
		best = a.bestHistory(best, natural)
	}
	if slices.Equal(best.terms, natural.terms) && best.history == natural.history {
		return nil
	}
	return a.alignment(natural, best)
}

// spread returns up to n steps, at irregular distances, so that none of them are in step with a period.
func spread(steps, n int) []int {
	stride := max(1, steps/n)
	var rows []int
	for at := 0; at < steps; at += stride {
		rows = append(rows, min(at+(len(rows)*7)%stride, steps-1))
	}
	return rows
}

func (a *aligner) varianceOf(place int) float64 {
	n, sum, squares := 0.0, 0.0, 0.0
	for _, t := range a.rows {
		v := float64(a.recorded[place][t])
		n, sum, squares = n+1, sum+v, squares+v*v
	}
	return max(squares/n-sum*sum/n/n, 0)
}

// addTerms adds the terms of the policy.
func (a *aligner) addTerms() {
	o := &a.policy.Observation
	current := a.placed(a.natural())
	for i := range o.Terms {
		elements := current[i][0]
		e := a.elements[elements[0]]
		t := alignedTerm{name: string(e.Term.Quantity), quantity: e.Term.Quantity, width: len(elements), current: elements}
		_, unknown := a.unknown[t.quantity]
		t.external = unknown
		if o.Terms[i].Name != "" {
			t.name = o.Terms[i].Name
		}
		a.terms = append(a.terms, t)
	}
	for i := range a.terms {
		for j := range i {
			if a.terms[i].name == a.terms[j].name {
				a.terms[i].name += " " + a.elements[a.terms[i].current[0]].Component
			}
		}
	}
}

// natural returns the policy's own arrangement.
func (a *aligner) natural() arrangement {
	n := arrangement{history: historyArrangement{natural: true}}
	for i := range a.policy.Observation.Terms {
		n.terms = append(n.terms, i)
	}
	if h := a.policy.Observation.History; h != nil {
		n.history.layout, n.history.order = h.Layout, h.Order
	}
	return n
}

// historyArrangements returns all orders of a history, the policy's first.
func (a *aligner) historyArrangements() []historyArrangement {
	h := a.policy.Observation.History
	if h == nil || h.Steps < 2 && h.Push == policy.PushBefore {
		return []historyArrangement{a.natural().history}
	}
	all := []historyArrangement{{h.Layout, h.Order, true}}
	for _, layout := range []string{policy.ByStep, policy.ByTerm, byValue} {
		for _, order := range []string{policy.OldestFirst, policy.NewestFirst} {
			if layout != h.Layout || order != h.Order {
				all = append(all, historyArrangement{layout, order, false})
			}
		}
	}
	return all
}

// bestOrder returns the order of the terms of the current step that fits best, the natural one if no other is known to be right.
func (a *aligner) bestOrder(natural arrangement) []int {
	places := a.placed(natural)
	at := make([]int, len(a.terms)) // The place of each term in the frame.
	frame, poor := 0, false
	for i, t := range a.terms {
		at[i] = frame
		frame += t.width
		poor = poor || !t.external && a.cost(i, places[i][0]) > matchedCost
	}
	if !poor || len(a.terms) > maxAlignedTerms {
		return natural.terms
	}
	at0 := func(term, offset int) []int { return consecutive(offset, a.terms[term].width) }
	terms, _ := a.cheapest(at0)
	if !a.isBetter(natural.terms, terms, at0) {
		return natural.terms
	}
	return terms
}

func consecutive(from, n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = from + i
	}
	return all
}

// cheapest returns the order of terms with the lowest cost. places returns where the values of a term stand if the terms before
// it have a number of values together.
func (a *aligner) cheapest(places func(term, offset int) []int) ([]int, float64) {
	n := len(a.terms)
	costs, last := make([]float64, 1<<n), make([]int8, 1<<n)
	known := map[[2]int]float64{}
	natural, frame := make([]int, n), 0
	for i, t := range a.terms {
		natural[i] = frame
		frame += t.width
	}
	cost := func(term, offset int) float64 {
		if a.terms[term].external {
			if offset == natural[term] {
				return 0
			}
			return 0.05 // It fits everywhere.
		}
		key := [2]int{term, offset}
		v, ok := known[key]
		if !ok {
			v = a.cost(term, places(term, offset)) * float64(a.terms[term].width)
			known[key] = v
		}
		return v
	}
	for set := 1; set < 1<<n; set++ {
		costs[set] = math.Inf(1)
		for term := range n {
			before := set &^ (1 << term)
			if before == set {
				continue
			}
			offset := 0
			for i, t := range a.terms {
				if before&(1<<i) != 0 {
					offset += t.width
				}
			}
			// Terms that stand before this one though they belong behind it: of orders that fit as well, that with the fewest is taken.
			inversions := bits.OnesCount(uint(before >> (term + 1)))
			if v := costs[before] + cost(term, offset) + 1e-3*float64(inversions); v < costs[set] {
				costs[set], last[set] = v, int8(term)
			}
		}
	}
	order := make([]int, n)
	for set, i := 1<<n-1, n-1; i >= 0; i-- {
		order[i] = int(last[set])
		set &^= 1 << order[i]
	}
	return order, costs[1<<n-1]
}

// isBetter reports whether the terms that an order moves fit in their new places, and did not in their old ones.
func (a *aligner) isBetter(natural, terms []int, places func(term, offset int) []int) bool {
	old, offset := map[int]int{}, 0
	for _, i := range natural {
		old[i] = offset
		offset += a.terms[i].width
	}
	before, after, found, moved := 0.0, 0.0, 0, 0
	offset = 0
	for _, i := range terms {
		from := old[i]
		if t := a.terms[i]; from != offset && !t.external {
			width := float64(t.width)
			was, is := a.cost(i, places(i, from)), a.cost(i, places(i, offset))
			before, after, moved = before+width*was, after+width*is, moved+1
			if is <= matchedCost && was > 4*matchedCost {
				found++
			}
		}
		offset += a.terms[i].width
	}
	// With a second mistake in one of them, the others still have to fit.
	return found > 0 && 2*found >= moved && after <= 0.6*before
}
