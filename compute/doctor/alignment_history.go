package doctor

import (
	"fmt"
	"math"
	"slices"

	"krabby.dev/krabby/compute/policy"
)

// placed returns the place of each value in an arrangement.
func (a *aligner) placed(g arrangement) placement {
	key := fmt.Sprint(g)
	if p, ok := a.places[key]; ok {
		return p
	}
	p := a.place(g.terms, g.history)
	if g.historyTerms != nil {
		for i, ages := range a.place(g.historyTerms, g.history) {
			copy(p[i][1:], ages[1:])
		}
	}
	a.places[key] = p
	return p
}

// place returns the place of each value with the terms in an order. It lays out a policy that has them so.
func (a *aligner) place(terms []int, h historyArrangement) placement {
	p := *a.policy
	p.Observation.Terms = nil
	for _, i := range terms {
		p.Observation.Terms = append(p.Observation.Terms, a.policy.Observation.Terms[i])
	}
	if p.Observation.History != nil {
		history := *p.Observation.History
		if history.Layout, history.Order = h.layout, h.order; h.layout == byValue {
			history.Layout = policy.ByTerm
		}
		p.Observation.History = &history
	}
	l := p.ObservationLayout()
	out := make(placement, len(terms))
	add := func(term, age, at, width, step int) {
		for len(out[term]) <= age {
			out[term] = append(out[term], nil)
		}
		for j := range width {
			out[term][age] = append(out[term][age], at+j*step)
		}
	}
	for _, c := range l.Current {
		add(terms[c.Term], 0, c.At, l.Terms[c.Term].Size, 1)
	}
	for _, block := range l.History {
		for step := range block.Steps {
			age := block.AgeSteps(p.Observation.History, step)
			if h.layout == byValue {
				add(terms[block.Terms[0]], age, block.At+step, block.Width, block.Steps)
				continue
			}
			at := block.At + step*block.Width
			for _, term := range block.Terms {
				add(terms[term], age, at, l.Terms[term].Size, 1)
				at += l.Terms[term].Size
			}
		}
	}
	return out
}

// bestHistory returns g with the order of a history that stands apart from the current step.
func (a *aligner) bestHistory(g, natural arrangement) arrangement {
	if a.policy.Observation.History == nil {
		return g
	}
	own := g
	if !slices.Equal(g.terms, natural.terms) { // The history may have the policy's order nevertheless.
		own.historyTerms = natural.terms
	}
	best, least := g, math.Inf(1)
	first := 0.0
	for i, h := range a.historyArrangements() {
		for _, candidate := range []arrangement{g, own} {
			candidate.history = h
			v := a.inconsistency(a.placed(candidate))
			if i == 0 {
				first = max(first, v)
			}
			if v < least-1e-3 {
				best, least = candidate, v
			}
		}
	}
	if !best.history.natural && (first < 4*matchedCost || least > 0.25*first) {
		best.history = natural.history
	}
	return best
}

// bestOfStacked returns the arrangement of an observation whose history stands in the place of the terms.
func (a *aligner) bestOfStacked(natural arrangement) arrangement {
	o := &a.policy.Observation
	uniform, frame := len(a.terms) <= maxAlignedTerms, 0
	for i := range o.Terms {
		uniform = uniform && (o.Terms[i].HistorySteps == nil || *o.Terms[i].HistorySteps == o.History.Steps)
		frame += a.terms[i].width
	}
	steps := o.History.Steps
	type candidate struct {
		arrangement
		inconsistency, cost float64
	}
	var all []candidate
	for _, h := range a.historyArrangements() {
		g := arrangement{terms: natural.terms, history: h}
		newest := 0
		if h.order == policy.OldestFirst {
			newest = steps - 1
		}
		places := func(term, offset int) []int {
			width := a.terms[term].width
			switch h.layout {
			case policy.ByStep:
				return consecutive(newest*frame+offset, width)
			case policy.ByTerm:
				return consecutive(steps*offset+newest*width, width)
			}
			out := make([]int, width)
			for j := range out {
				out[j] = steps*(offset+j) + newest
			}
			return out
		}
		total := func(terms []int) float64 {
			sum, offset := 0.0, 0
			for _, i := range terms {
				if !a.terms[i].external {
					sum += a.cost(i, places(i, offset)) * float64(a.terms[i].width)
				}
				offset += a.terms[i].width
			}
			return sum / float64(frame)
		}
		if uniform && total(g.terms) > matchedCost/2 {
			if terms, _ := a.cheapest(places); a.isBetter(natural.terms, terms, places) {
				g.terms = terms
			}
		}
		c := candidate{arrangement: g, inconsistency: a.inconsistency(a.placed(g))}
		if uniform {
			c.cost = total(g.terms)
		}
		all = append(all, c)
	}
	best := all[0]
	for _, c := range all[1:] {
		// Another order of the history has to be consistent, and to fit better.
		if c.inconsistency <= best.inconsistency+1e-3 && c.inconsistency+c.cost < 0.5*(best.inconsistency+best.cost) &&
			best.inconsistency+best.cost > 2*matchedCost {
			best = c
		}
	}
	return best.arrangement
}
