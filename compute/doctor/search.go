package doctor

import (
	"cmp"
	"math"
	"slices"
)

const (
	// maxFindings is the largest number of rounds.
	maxFindings = 6
	// explainedResidual is how much of the squared residual, and of the variance, a correction may leave.
	explainedResidual = 0.25
	// sameResidual is the ratio of mean squares up to which two residuals count as the same.
	sameResidual = 1.1
)

// search explains the differences between the recorded and the rebuilt values. It returns the findings, those of each round,
// and the rebuilt values with the corrections of all of them.
func (c *comparison) search(rebuilt columns) ([]Finding, columns, error) {
	var findings []Finding
	for range maxFindings {
		found, corrected, err := c.round(rebuilt)
		if err != nil {
			return nil, nil, err
		}
		if found == nil {
			break
		}
		findings, rebuilt = append(findings, found...), corrected
	}
	return findings, rebuilt, nil
}

// round finds the correction that explains most of the difference, and applies it. Without one there are no findings; a
// correction of two mistakes has two.
func (c *comparison) round(rebuilt columns) ([]Finding, columns, error) {
	e := c.newEvidence(rebuilt)
	if !e.differsAtAll() {
		return nil, nil, nil
	}
	for _, list := range hypotheses() {
		var trials []*trial
		for _, h := range list {
			corrections, err := h.corrections(e)
			if err != nil {
				return nil, nil, err
			}
			for _, x := range corrections {
				if t := e.try(x); t != nil {
					trials = append(trials, t)
				}
			}
		}
		if len(trials) > 0 {
			fitting := rank(trials)
			findings := []Finding{*e.finding(fitting)}
			if s := fitting[0].second; s != nil {
				also := e.explanation(fitting[0])
				also.Kind, also.Summary, also.Fix = s.kind, s.summary, s.fix
				findings = append(findings, Finding{Explanation: also})
			}
			return findings, e.apply(fitting[0]), nil
		}
	}
	return nil, nil, nil
}

// trial is a correction and what it leaves of each group.
type trial struct {
	correction
	changes   changes
	explained []bool // By group.
	scores    []score
	gain      float64 // How much less is unexplained, over all groups.
}

// try tests a correction. It returns nil if the correction does not explain half of the groups that it changes and that need
// an explanation, or if it makes a group worse.
func (e *evidence) try(x correction) *trial {
	made := x.change()
	if !e.isPromising(x, made) {
		return nil
	}
	t := &trial{correction: x, changes: made, explained: make([]bool, len(e.groups)), scores: slices.Clone(e.before)}
	corrected := e.rebuilt.with(t.changes)
	needed, explained := 0, 0
	for i, g := range e.groups {
		if !t.changes.touch(g) {
			continue
		}
		before, after := e.before[i], e.score(corrected, g)
		t.scores[i] = after
		t.gain += before.unexplained - after.unexplained
		if before.exact && !after.exact || !before.exact && after.meanSquare > before.meanSquare*sameResidual {
			return nil
		}
		if !e.needsExplanation(i) {
			continue
		}
		needed++
		left := after.meanSquare
		if x.complexity >= parameterPerElement { // One bad element must not hide among good ones.
			left = after.worst
		}
		if after.exact || left <= explainedResidual && after.meanSquare <= explainedResidual*before.meanSquare {
			explained++
			t.explained[i] = true
		}
	}
	if explained == 0 || 2*explained < needed {
		return nil
	}
	return t
}

// isPromising reports whether a sample of the steps leaves it open that try accepts a correction. It spares computing the values
// of all steps for the many corrections that are far off.
func (e *evidence) isPromising(x correction, made changes) bool {
	const margin = 1.5
	if 2*len(e.sample) > e.rollout.Steps() {
		return true
	}
	if e.sampled == nil {
		e.scoreSample()
	}
	needed, explained := 0, 0
	for i, g := range e.groups {
		if !made.touch(g) {
			continue
		}
		before := e.sampled[i]
		after := e.scoreOf(g, func(element int) (r residual) {
			recorded, value := e.recorded[element], made[element]
			if value == nil {
				value = held(e.rebuilt[element])
			}
			for _, t := range e.sample {
				r.add(float64(recorded[t]) - float64(value(t)))
			}
			return r
		})
		switch {
		case !before.exact && before.different < 20:
			return true // Too few to tell.
		case e.before[i].exact && !after.exact:
			return false
		case after.meanSquare > margin*sameResidual*before.meanSquare && !after.exact:
			return false
		case !e.needsExplanation(i):
			continue
		case after.exact || after.meanSquare <= margin*explainedResidual && after.meanSquare <= margin*explainedResidual*before.meanSquare:
			explained++
		}
		needed++
	}
	return explained > 0 && 2*explained >= needed
}

// sampledScore is the score of a group in the sample, and the number of values that differ there.
type sampledScore struct {
	score
	different int
}

// scoreSample computes the scores of the sample, once a round.
func (e *evidence) scoreSample() {
	for _, g := range e.groups {
		s := sampledScore{}
		s.score = e.scoreOf(g, func(element int) (r residual) {
			for _, t := range e.sample {
				d := float64(e.recorded[element][t]) - float64(e.rebuilt[element][t])
				r.add(d)
				if math.Abs(d) > e.tolerance[element] {
					s.different++
				}
			}
			return r
		})
		e.sampled = append(e.sampled, s)
	}
}

// touch reports whether x changes an element of g.
func (x changes) touch(g group) bool {
	return slices.ContainsFunc(g.elements, func(element int) bool { return x[element] != nil })
}

// needsExplanation reports whether a group differs. While one quantity differs by more than noise, quantities that differ by
// noise need no explanation.
func (e *evidence) needsExplanation(i int) bool {
	urgent := false
	for j, g := range e.groups {
		urgent = urgent || !g.isHistory() && !e.before[j].agrees
	}
	return !e.before[i].exact && !(urgent && e.before[i].agrees && !e.groups[i].isHistory())
}

// rank returns the trials that are as good as the one with the largest gain, the simplest first.
func rank(trials []*trial) []*trial {
	best := slices.MaxFunc(trials, func(a, b *trial) int { return cmp.Compare(a.gain, b.gain) })
	simplest := slices.Clone(trials)
	slices.SortStableFunc(simplest, func(a, b *trial) int { return cmp.Compare(a.complexity, b.complexity) })
	var fitting []*trial
	for _, t := range simplest {
		same := func(other *trial) bool { return other.kind == t.kind && other.variant == t.variant }
		if t.asGoodAs(best) && !slices.ContainsFunc(fitting, same) {
			fitting = append(fitting, t)
		}
	}
	return fitting
}

// asGoodAs reports whether t leaves no more of any group than other does, apart from chance.
func (t *trial) asGoodAs(other *trial) bool {
	for i, s := range t.scores {
		if !s.exact && s.meanSquare > sameResidual*other.scores[i].meanSquare {
			return false
		}
	}
	return true
}

// finding returns the finding that the first of the fitting trials explains, and the others as well.
func (e *evidence) finding(fitting []*trial) *Finding {
	f := &Finding{Explanation: e.explanation(fitting[0]), Ambiguous: len(fitting) > 1}
	for _, t := range fitting[1:] {
		f.Alternatives = append(f.Alternatives, e.explanation(t))
	}
	return f
}

func (e *evidence) explanation(t *trial) Explanation {
	x := Explanation{Kind: t.kind, Quantities: []string{}, Summary: t.summary, Fix: t.fix}
	n, before, after := 0.0, 0.0, 0.0
	for i, g := range e.groups {
		if t.explained[i] {
			x.Quantities = append(x.Quantities, g.name)
			n, before, after = n+1, before+e.before[i].meanSquare, after+t.scores[i].meanSquare
		}
	}
	x.ResidualBefore, x.ResidualAfter = math.Sqrt(before/n), math.Sqrt(after/n)
	return x
}

// apply returns the rebuilt values with the correction. The history follows from the current step, unless the correction
// changes it or the history as it is fits better: not every mistake gets into the history.
func (e *evidence) apply(t *trial) columns {
	corrected := e.rebuilt.with(t.changes)
	for i, g := range e.groups {
		if !g.isHistory() || t.changes.touch(g) {
			continue
		}
		followed := corrected.with(e.historyOf(corrected, t.shifted, func(steps int) int { return steps }))
		if e.score(followed, g).meanSquare <= e.before[i].meanSquare {
			return followed
		}
	}
	return corrected
}
