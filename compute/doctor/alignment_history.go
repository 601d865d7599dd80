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
	s := stacked{aligner: a, uniform: len(a.terms) <= maxAlignedTerms}
	for i := range o.Terms {
		s.uniform = s.uniform && (o.Terms[i].HistorySteps == nil || *o.Terms[i].HistorySteps == o.History.Steps)
		s.frame += a.terms[i].width
	}
	var best stackedCandidate
	for i, h := range a.historyArrangements() {
		c := s.candidate(natural, h)
		// Another order of the history has to be consistent, and to fit better.
		if i == 0 || c.inconsistency <= best.inconsistency+1e-3 && c.total() < 0.5*best.total() && best.total() > 2*matchedCost {
			best = c
		}
	}
	return best.arrangement
}

// stacked is an observation whose history stands in the place of the terms.
type stacked struct {
	*aligner
	frame   int  // Values of one step.
	uniform bool // All terms have the same number of steps, so that their places follow from the order of terms.
}

// stackedCandidate is an arrangement with how badly it fits.
type stackedCandidate struct {
	arrangement
	inconsistency, cost float64
}

func (c *stackedCandidate) total() float64 { return c.inconsistency + c.cost }

// candidate returns the arrangement with an order of the history and the best order of terms.
func (s *stacked) candidate(natural arrangement, h historyArrangement) stackedCandidate {
	g := arrangement{terms: natural.terms, history: h}
	places := func(term, offset int) []int { return s.current(h, term, offset) }
	if s.uniform && s.costOf(g.terms, places) > matchedCost/2 {
		if terms, _ := s.cheapest(places); s.isBetter(natural.terms, terms, places) {
			g.terms = terms
		}
	}
	c := stackedCandidate{arrangement: g, inconsistency: s.inconsistency(s.placed(g))}
	if s.uniform {
		c.cost = s.costOf(g.terms, places)
	}
	return c
}

// current returns the places of a term's values of the current step, if the terms before it have offset values in a step.
func (s *stacked) current(h historyArrangement, term, offset int) []int {
	width, steps, newest := s.terms[term].width, s.policy.Observation.History.Steps, 0
	if h.order == policy.OldestFirst {
		newest = steps - 1
	}
	switch h.layout {
	case policy.ByStep:
		return consecutive(newest*s.frame+offset, width)
	case policy.ByTerm:
		return consecutive(steps*offset+newest*width, width)
	}
	out := make([]int, width)
	for j := range out {
		out[j] = steps*(offset+j) + newest
	}
	return out
}

// costOf returns the mean cost of the terms in an order.
func (s *stacked) costOf(terms []int, places func(term, offset int) []int) float64 {
	sum, offset := 0.0, 0
	for _, i := range terms {
		if !s.terms[i].external {
			sum += s.cost(i, places(i, offset)) * float64(s.terms[i].width)
		}
		offset += s.terms[i].width
	}
	return sum / float64(s.frame)
}
