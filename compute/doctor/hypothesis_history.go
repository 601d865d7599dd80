package doctor

import (
	"fmt"
	"slices"
)

const (
	// HistoryOrder means that the history has the newest step first.
	HistoryOrder Kind = "history_order"
	// HistoryTiming means that the history is one step early or late.
	HistoryTiming Kind = "history_timing"
)

// historyLayout supposes that the history has its steps in another order, at another time or rate, or is not filled in.
func historyLayout(e *evidence) ([]correction, error) {
	at := slices.IndexFunc(e.groups, group.isHistory)
	if at < 0 {
		return nil, nil
	}
	g := e.groups[at]
	layout := func(age func(steps int) int) func() changes {
		return func() changes { return e.historyOf(e.rebuilt, false, age) }
	}
	oldest := 0
	for _, element := range g.elements {
		oldest = max(oldest, e.elements[element].Term.AgeSteps)
	}
	all := []correction{
		{
			kind: HistoryOrder, summary: "the recorded history has the newest step first",
			fix: "write the oldest step first", change: layout(func(steps int) int { return oldest + 1 - steps }),
		}, {
			kind: HistoryTiming, variant: "early", summary: "the recorded history already contains the current step",
			fix: "push a step into the history after the policy has used it", change: layout(func(steps int) int { return steps - 1 }),
		}, {
			kind: HistoryTiming, variant: "late", summary: "the recorded history is one step late: the previous step is missing",
			fix: "push each step into the history right after the policy has used it", change: layout(func(steps int) int { return steps + 1 }),
		}, {
			kind: NotFilledIn, variant: g.name, summary: "the recorded observation has zeros for the history",
			fix: "fill in the history", change: e.mapped(g, func(int, float64) float64 { return 0 }),
		},
	}
	for _, spacing := range []int{2, 3, 4, 5} {
		all = append(all, correction{
			kind: WrongRate, variant: fmt.Sprintf("%s %d", g.name, spacing),
			summary: fmt.Sprintf("the steps of the recorded history are %d policy steps apart", spacing),
			fix:     fmt.Sprintf("push every policy step into the history, at %v Hz", e.policy.ControlRateHz),
			change:  layout(func(steps int) int { return steps * spacing }),
		})
	}
	return all, nil
}

// historyOf returns the history that follows from the values of the current steps, if it holds values of age(n) steps ago
// where it should hold those of n steps ago. If the current values are shifted, those that the first steps of an episode repeat
// are unknown.
func (c *comparison) historyOf(current columns, shifted bool, age func(steps int) int) changes {
	out := changes{}
	for _, g := range c.groups {
		if !g.isHistory() {
			continue
		}
		for _, i := range g.elements {
			e := c.elements[i]
			if e.Source < 0 {
				out[i] = func(int) float32 { return 0 }
				continue
			}
			steps, source := age(e.Term.AgeSteps), current[e.Source]
			out[i] = func(t int) float32 {
				start, from := c.episodeStart[t], t-steps
				switch {
				case shifted && t < max(start, 0)+2*e.Term.AgeSteps+2,
					start < 0 && from < 0:
					return unknownValue
				case from >= max(start, 0):
					return source[from]
				case c.startsWithZeros:
					return 0
				}
				return source[start] // The first step of an episode fills the history with itself.
			}
		}
	}
	return out
}
