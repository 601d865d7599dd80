package doctor

import (
	"fmt"
	"math"
	"slices"

	"krabby.dev/krabby/compute/policy"
)

// tried is a candidate and what it leaves of each block.
type tried struct {
	candidate
	explained []bool // The blocks that it explains.
	scores    []score
	gain      float64 // By how much all blocks together are less bad.
}

// scoreOf scores a block of the current step.
func (e *examination) scoreOf(c columns, b block) score {
	return e.score(func(slot int) (d difference) {
		for t, v := range c[slot] {
			d.add(e.recorded.at(t, slot) - float64(v))
		}
		return d
	}, b.slots)
}

// explain finds the hypothesis that explains most of what differs between what was recorded and rebuilt, and returns it
// with what it makes of rebuilt. Without one the finding is nil. What is left of the history waits for the current step.
func (e *examination) explain(rebuilt *table) (*Finding, *table, error) {
	v := e.view(rebuilt)
	before := make([]score, len(e.blocks))
	suspicious := false
	for i, b := range e.blocks {
		before[i] = e.scoreOf(v.rebuilt, b)
		suspicious = suspicious || !before[i].exact
	}
	if suspicious {
		candidates, err := v.candidates()
		if err != nil {
			return nil, nil, err
		}
		if chosen, others := e.choose(candidates, before); chosen != nil {
			better := rebuilt.clone()
			for slot, values := range chosen.change() {
				for t, value := range values {
					better.values[t*better.columns+slot] = value
				}
			}
			e.follow(better, rebuilt, chosen.kind != Delay && chosen.kind != WrongRate)
			return e.finding(chosen, others, before), better, nil
		}
	}
	finding, better := e.explainHistory(rebuilt)
	return finding, better, nil
}

// choose returns the candidate that explains most, and those that explain it as well.
func (e *examination) choose(candidates []candidate, before []score) (chosen *tried, others []*tried) {
	var fitting []*tried
	var best *tried
	for _, c := range candidates {
		t := e.try(c, before)
		if t == nil {
			continue
		}
		fitting = append(fitting, t)
		if best == nil || t.gain > best.gain {
			best = t
		}
	}
	if best == nil {
		return nil, nil
	}
	fitting = slices.DeleteFunc(fitting, func(t *tried) bool { return !t.asGoodAs(best) })
	slices.SortStableFunc(fitting, func(a, b *tried) int { return a.rank - b.rank })
	said := map[string]bool{}
	for _, t := range fitting {
		if key := string(t.kind) + "/" + t.label; !said[key] {
			said[key] = true
			others = append(others, t)
		}
	}
	return others[0], others[1:]
}

// try scores a candidate; nil where it does not explain half of the blocks that it changes and that want an explanation,
// or makes one worse. Where a block differs by more than noise, those that differ by less want none.
func (e *examination) try(c candidate, before []score) *tried {
	t := &tried{candidate: c, explained: make([]bool, len(e.blocks)), scores: slices.Clone(before)}
	values := c.change()
	wanted, explained := 0, 0
	urgent := slices.ContainsFunc(before, func(s score) bool { return !s.fits })
	for i, b := range e.blocks {
		if _, ok := values[b.slots[0]]; !ok {
			continue
		}
		t.scores[i] = e.scoreOf(values, b)
		t.gain += before[i].bad - t.scores[i].bad
		if before[i].exact && !t.scores[i].exact || !before[i].exact && t.scores[i].unit > before[i].unit*sameRatio {
			return nil
		}
		if before[i].exact || urgent && before[i].fits {
			continue
		}
		wanted++
		after := t.scores[i].unit
		if c.rank >= many { // One bad value must not hide among good ones.
			after = t.scores[i].worst
		}
		if t.scores[i].exact || after <= explains && t.scores[i].unit <= explains*before[i].unit {
			explained++
			t.explained[i] = true
		}
	}
	if explained == 0 || 2*explained < wanted {
		return nil
	}
	return t
}

// asGoodAs says whether t leaves no more of any block than other does, but for chance.
func (t *tried) asGoodAs(other *tried) bool {
	for i := range t.scores {
		if !t.scores[i].exact && t.scores[i].unit > sameRatio*other.scores[i].unit {
			return false
		}
	}
	return true
}

func (e *examination) finding(chosen *tried, others []*tried, before []score) *Finding {
	explanation := func(t *tried) Explanation {
		x := Explanation{Kind: t.kind, Quantities: []string{}, Says: t.says, Fix: t.fix}
		n, was, is := 0.0, 0.0, 0.0
		for i, b := range e.blocks {
			if t.explained[i] {
				x.Quantities = append(x.Quantities, string(b.quantity))
				n, was, is = n+1, was+before[i].unit, is+t.scores[i].unit
			}
		}
		x.Before, x.After = math.Sqrt(was/n), math.Sqrt(is/n)
		return x
	}
	f := &Finding{Explanation: explanation(chosen), Ambiguous: len(others) > 0}
	for _, other := range others {
		f.Alternatives = append(f.Alternatives, explanation(other))
	}
	return f
}

// history returns the slots of steps before this one.
func (e *examination) history() []int {
	var slots []int
	if e.gaps {
		return nil
	}
	for i := e.current; i < len(e.slots); i++ {
		if e.lacks[e.slots[i].Quantity] == "" || e.slots[i].Quantity == policy.Elsewhere {
			slots = append(slots, i)
		}
	}
	return slots
}

// remember writes the history that follows from the values of the current steps, where the value that ought to be so many
// steps back is another number of them back.
// What the first steps of an episode find is then known only if the steps are those of the rollout.
func (e *examination) remember(t *table, aligned bool, stepsBack func(int) int) {
	for _, i := range e.history() {
		s := e.slots[i]
		for row := range t.rows {
			value := 0.0
			if s.Of >= 0 {
				begin, from := e.begins[row], row-stepsBack(s.StepsBack)
				switch {
				case !aligned && row < max(begin, 0)+2*s.StepsBack+2:
					value = unknown
				case begin >= 0:
					value = t.at(max(from, begin), s.Of) // The first step finds copies of itself.
				case from < 0:
					value = unknown
				default:
					value = t.at(from, s.Of)
				}
			}
			t.set(row, i, value)
		}
	}
}

// follow gives a table whose current values were changed the history that follows, unless the history that is there fits
// better: not everything that goes wrong gets into it.
func (e *examination) follow(t, before *table, aligned bool) {
	slots := e.history()
	if len(slots) == 0 {
		return
	}
	was := e.scoreTable(before, slots)
	e.remember(t, aligned, func(back int) int { return back })
	if e.scoreTable(t, slots).unit > was.unit {
		for row := range t.rows {
			copy(t.row(row)[e.current:], before.row(row)[e.current:])
		}
	}
}

func (e *examination) scoreTable(t *table, slots []int) score {
	return e.score(func(slot int) difference { return e.compare(t, slot) }, slots)
}

// explainHistory finds what explains a history that does not follow from the current steps.
func (e *examination) explainHistory(rebuilt *table) (*Finding, *table) {
	slots := e.history()
	if len(slots) == 0 {
		return nil, nil
	}
	before := e.scoreTable(rebuilt, slots)
	if before.exact {
		return nil, nil
	}
	steps := e.slots[e.current].StepsBack
	type hypothesis struct {
		kind      Kind
		says, fix string
		change    func(*table)
	}
	at := func(stepsBack func(int) int) func(*table) {
		return func(t *table) { e.remember(t, true, stepsBack) }
	}
	list := []hypothesis{
		{HistoryOrder, "the recorded history has the newest step first", "write the oldest step first", at(func(back int) int { return steps + 1 - back })},
		{HistoryTiming, "the recorded history has the current step in it already", "push a step into the history after the policy has used it", at(func(back int) int { return back - 1 })},
		{HistoryTiming, "the recorded history lacks the step before: it is one step late", "push each step into the history right after the policy has used it", at(func(back int) int { return back + 1 })},
		{NotFilledIn, "the recorded observation has 0 for the history", "fill in the history", func(t *table) {
			for row := range t.rows {
				clear(t.row(row)[e.current:])
			}
		}},
	}
	for _, spacing := range []int{2, 3, 4, 5} {
		list = append(list, hypothesis{WrongRate, fmt.Sprintf("the steps of the recorded history are %d steps of the policy apart", spacing),
			fmt.Sprintf("push each step into the history, at %v Hz", e.policy.ControlRateHz), at(func(back int) int { return back * spacing })})
	}
	var finding *Finding
	var better *table
	least := before.unit * explains
	for _, h := range list {
		t := rebuilt.clone()
		h.change(t)
		after := e.scoreTable(t, slots)
		x := Explanation{h.kind, []string{history}, h.says, h.fix, math.Sqrt(before.unit), math.Sqrt(after.unit)}
		switch {
		case !(after.unit <= least) && !(finding != nil && after.exact):
		case finding == nil || after.unit*sameRatio < least && !(after.exact && finding.After*finding.After <= least && e.scoreTable(better, slots).exact):
			finding, better, least = &Finding{Explanation: x}, t, after.unit*sameRatio
		default:
			finding.Ambiguous = true
			finding.Alternatives = append(finding.Alternatives, x)
		}
	}
	return finding, better
}

// wrongRate is what the times say, whatever the values do.
func (e *examination) wrongRate(rateHz float64) *Finding {
	ratio := rateHz / e.policy.ControlRateHz
	if math.Abs(ratio-1) <= rateTolerance {
		return nil
	}
	return &Finding{Explanation: Explanation{
		Kind: WrongRate, Quantities: []string{"time"},
		Says:   fmt.Sprintf("the rollout has %.4g steps a second, the policy was trained for %v", rateHz, e.policy.ControlRateHz),
		Fix:    "log each step of the policy, once; run the policy at the rate that it was trained for",
		Before: math.Abs(ratio - 1), After: math.Abs(ratio - 1),
	}}
}
