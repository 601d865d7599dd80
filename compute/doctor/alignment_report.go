package doctor

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"krabby.dev/krabby/compute/policy"
)

// alignment returns the alignment of an arrangement, with its findings.
func (a *aligner) alignment(natural, best arrangement) *alignment {
	at := make([]int, len(a.elements))
	for i := range at {
		at[i] = i
	}
	own, found := a.placed(natural), a.placed(best)
	for term := range own {
		for age := range own[term] {
			for j, element := range own[term][age] {
				at[element] = found[term][age][j]
			}
		}
	}
	out := &alignment{at: at}
	if !slices.Equal(best.terms, natural.terms) {
		out.findings = append(out.findings, a.termOrder(natural, best))
	}
	if best.history != natural.history {
		out.findings = append(out.findings, Finding{Explanation: Explanation{
			Kind: HistoryOrder, Summary: describeHistory(natural.history, best.history), Fix: historyFix(natural.history),
		}})
	}
	return out
}

// termOrder returns the finding for terms in another order.
func (a *aligner) termOrder(natural, best arrangement) Finding {
	places := func(terms []int) []int {
		out, offset := make([]int, len(terms)), 0
		for _, i := range terms {
			out[i] = offset
			offset += a.terms[i].width
		}
		return out
	}
	unit := ""
	if h := a.policy.Observation.History; h != nil && h.Push == policy.PushBefore {
		unit = ", counted in one step"
	}
	from, to := places(natural.terms), places(best.terms)
	var words, names []string
	for _, i := range best.terms {
		if from[i] != to[i] {
			words = append(words, fmt.Sprintf("%s is at %d (expected %d)", a.terms[i].name, to[i], from[i]))
		}
	}
	for _, i := range natural.terms {
		names = append(names, a.terms[i].name)
	}
	return Finding{Explanation: Explanation{
		Kind:    TermOrder,
		Summary: "terms stand in another order: " + strings.Join(words, ", ") + unit,
		Fix:     "write the terms in the policy's order: " + strings.Join(names, ", "),
	}}
}

// describeHistory says how a history differs from the policy's.
func describeHistory(natural, found historyArrangement) string {
	var words []string
	if found.layout != natural.layout {
		together := map[string]string{policy.ByStep: "each step's terms", policy.ByTerm: "each term's steps", byValue: "each value's steps"}
		words = append(words, fmt.Sprintf("%s together, not %s", together[found.layout], together[natural.layout]))
	}
	if found.order != natural.order {
		order := map[string]string{policy.OldestFirst: "the oldest step first", policy.NewestFirst: "the newest step first"}
		words = append(words, order[found.order])
	}
	return "the recorded history has " + strings.Join(words, ", and ")
}

// historyFix says how the policy's history is ordered.
func historyFix(h historyArrangement) string {
	together := map[string]string{policy.ByStep: "step by step", policy.ByTerm: "term by term"}
	order := map[string]string{policy.OldestFirst: "the oldest step first", policy.NewestFirst: "the newest step first"}
	return fmt.Sprintf("write the history %s, %s", together[h.layout], order[h.order])
}

// permuted returns the observations with the values in the places of the policy's layout.
func (x *alignment) permuted(values []float32, columns int) []float32 {
	out := make([]float32, len(values))
	for from := 0; from < len(values); from += columns {
		for i, at := range x.at {
			out[from+i] = values[from+at]
		}
	}
	return out
}

// restored returns columns of the policy's layout in the places of the recorded observation.
func (x *alignment) restored(c columns) columns {
	out := make(columns, len(c))
	for i, at := range x.at {
		out[at] = c[i]
	}
	return out
}

// measure completes the findings with the residuals without and with the alignment.
func (x *alignment) measure(before, after *evidence) {
	var names []string
	n, was, is := 0.0, 0.0, 0.0
	for i, g := range before.groups {
		if !before.before[i].exact && after.before[i].meanSquare < before.before[i].meanSquare {
			names = append(names, g.name)
			n, was, is = n+1, was+before.before[i].meanSquare, is+after.before[i].meanSquare
		}
	}
	for i := range x.findings {
		f := &x.findings[i]
		f.Quantities = append([]string{}, names...)
		f.ResidualBefore, f.ResidualAfter = math.Sqrt(was/max(n, 1)), math.Sqrt(is/max(n, 1))
	}
}
