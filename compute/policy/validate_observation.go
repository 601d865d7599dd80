package policy

import (
	"fmt"
	"slices"
	"strings"

	"krabby.dev/krabby/hal/robot"
)

const (
	maxTerms        = 256
	maxTermValues   = 1 << 16
	maxHistorySteps = 1000
)

func (v validator) validateObservation(p *Policy) error {
	o := v.Observation
	if n := len(o.Terms); n < 1 || n > maxTerms {
		return v.wrong("observation.terms", fmt.Sprintf("%d terms", n), fmt.Sprintf("1 to %d", maxTerms))
	}
	slots := false
	for i := range o.Terms {
		slots = slots || o.Terms[i].Term == TermSlot
		if err := v.validateTerm(p, i); err != nil {
			return err
		}
	}
	switch {
	case slots && o.Provider == "":
		return v.missing("observation.provider", "not found, expected the package that provides the terms %q", TermSlot)
	case !slots && o.Provider != "":
		return v.wrong("observation.provider", quote(o.Provider), fmt.Sprintf("no provider: no term is a %q", TermSlot))
	}
	if err := v.validateHistory(); err != nil {
		return err
	}
	if size := p.ObservationLayout().Size; size != o.Size {
		return v.wrong("observation.size", o.Size, fmt.Sprintf("%d, the sum of the terms%s", size, sizes(p)))
	}
	return nil
}

// sizes lists the sizes of the terms of p in one step.
func sizes(p *Policy) string {
	var all []string
	for i, span := range p.ObservationLayout().Terms {
		all = append(all, fmt.Sprintf("%s %d", p.Observation.Terms[i].Term, span.Size))
	}
	text := " (" + strings.Join(all, ", ") + ")"
	if h := p.Observation.History; h != nil {
		text += fmt.Sprintf(" with a history of %d steps, pushed %s use", h.Steps, h.Push)
	}
	return text
}

// validateTerm checks one term.
func (v validator) validateTerm(p *Policy, i int) error {
	t, field := &p.Observation.Terms[i], fmt.Sprintf("observation.terms[%d]", i)
	kind, ok := termTypes[t.Term]
	if !ok {
		return v.wrong(field+".term", quote(t.Term), fmt.Sprintf("%q, which is nearest, or another one of %s", robot.Nearest(t.Term, TermNames()), strings.Join(TermNames(), ", ")))
	}
	if err := v.validateFields(p, t, field, kind.fields); err != nil {
		return err
	}
	if err := v.validateSource(t, field); err != nil {
		return err
	}
	elements := p.components(t)
	if len(elements) == 0 {
		return v.wrong(field, "a term without values", "1 or more")
	}
	for _, n := range []struct {
		field  string
		values Numbers
		valid  func(float64) bool
		want   string
	}{
		{"scale", t.Scale, isFactor, "a finite number other than 0"},
		{"offset", t.Offset, isFinite, "a finite number"},
		{"value", t.Value, isFinite, "a finite number"},
	} {
		if err := v.checkNumbers(field+"."+n.field, n.values, elements, n.valid, n.want); err != nil {
			return err
		}
	}
	return v.checkBounds(field+".clip", t.Clip, elements)
}

// validateFields checks that the term has no field of other terms, and the names in its fields.
func (v validator) validateFields(p *Policy, t *Term, field string, known []string) error {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"name", t.Name != ""}, {"joints", len(t.Joints) > 0}, {"feet", len(t.Feet) > 0}, {"axes", len(t.Axes) > 0}, {"size", t.Size != 0},
		{"value", len(t.Value) > 0}, {"deadband", t.Deadband != 0}, {"gait", t.Gait != nil}, {"ground", t.Ground != nil},
	} {
		if f.set && !slices.Contains(known, f.name) {
			return v.wrong(field+"."+f.name, "a field that "+t.Term+" does not have", "a term that has it")
		}
	}
	for _, names := range []struct {
		field         string
		values, known []string
	}{
		{"joints", t.Joints, p.JointNames()}, {"feet", t.Feet, p.Robot.Feet}, {"axes", t.Axes, termTypes[TermVelocityCommand].components},
	} {
		if err := v.checkNames(field+"."+names.field, names.values, names.known); err != nil {
			return err
		}
	}
	return nil
}

// checkNames checks that all names are known and none is there twice.
func (v validator) checkNames(field string, names, known []string) error {
	for i, name := range names {
		if len(known) == 0 {
			return v.wrong(field, quote(name), "none: the robot has none")
		}
		if !slices.Contains(known, name) {
			return v.wrong(fmt.Sprintf("%s[%d]", field, i), quote(name), fmt.Sprintf("%q, which is nearest, or another one of %q", robot.Nearest(name, known), known))
		}
		if slices.Contains(names[:i], name) {
			return v.wrong(fmt.Sprintf("%s[%d]", field, i), quote(name)+" again", "each name once")
		}
	}
	return nil
}

// validateSource checks what single terms need.
func (v validator) validateSource(t *Term, field string) error {
	plain := len(t.Clip) == 0 && len(t.Scale) == 0 && len(t.Offset) == 0
	switch t.Term {
	case TermSlot:
		return v.check(
			rule{t.Name != "", field + ".name", quote(t.Name), "the name of the slot"},
			rule{t.Size > 0 && t.Size <= maxTermValues, field + ".size", t.Size, fmt.Sprintf("1 to %d", maxTermValues)},
			rule{plain, field, "a slot with clip, scale or offset", "none: the provider gives the final values"},
		)
	case TermConstant:
		return v.check(
			rule{t.Size >= 0 && t.Size <= maxTermValues, field + ".size", t.Size, fmt.Sprintf("0 to %d", maxTermValues)},
			rule{plain, field, "a constant with clip, scale or offset", "the final value"},
		)
	case TermHeightScan:
		if t.Ground == nil {
			return v.missing(field+".ground", "not found, expected the flat ground that the scan assumes")
		}
		return v.check(
			rule{t.Size > 0 && t.Size <= maxTermValues, field + ".size", t.Size, fmt.Sprintf("1 to %d", maxTermValues)},
			rule{isFinite(t.Ground.HeightM), field + ".ground.height_m", t.Ground.HeightM, "a finite number"},
			rule{isFinite(t.Ground.OffsetM), field + ".ground.offset_m", t.Ground.OffsetM, "a finite number"},
		)
	case TermGaitPhase:
		return v.validateGait(t.Gait, field+".gait")
	}
	return v.check(rule{t.Deadband >= 0 && isFinite(t.Deadband), field + ".deadband", t.Deadband, "0 or more"})
}

func (v validator) validateGait(g *Gait, field string) error {
	if g == nil {
		return v.missing(field, "not found, expected period, offsets and order")
	}
	if err := v.check(
		rule{g.PeriodS > 0 && isFinite(g.PeriodS), field + ".period_s", g.PeriodS, "more than 0"},
		rule{len(g.OffsetsRad) > 0, field + ".offsets_rad", "0 values", "1 or more"},
		rule{g.Order == CosSin || g.Order == SinCos, field + ".order", quote(g.Order), fmt.Sprintf("%q or %q", CosSin, SinCos)},
	); err != nil {
		return err
	}
	if s := g.Standing; s != nil {
		return v.check(
			rule{s.Below > 0 && isFinite(s.Below), field + ".standing.below", s.Below, "more than 0"},
			rule{len(s.PhasesRad) == len(g.OffsetsRad), field + ".standing.phases_rad", fmt.Sprintf("%d values", len(s.PhasesRad)), fmt.Sprint(len(g.OffsetsRad))},
		)
	}
	return nil
}

func (v validator) validateHistory() error {
	o, h := v.Observation, v.Observation.History
	for i, t := range o.Terms {
		field := fmt.Sprintf("observation.terms[%d]", i)
		switch {
		case h == nil && (t.HistorySteps != nil || t.ZeroInHistory):
			return v.wrong(field, "a term with history_steps or zero_in_history", "neither: the observation has no history")
		case t.HistorySteps == nil:
			continue
		}
		if err := v.check(
			rule{*t.HistorySteps >= 0 && *t.HistorySteps <= maxHistorySteps, field + ".history_steps", *t.HistorySteps, fmt.Sprintf("0 to %d", maxHistorySteps)},
			rule{h.Layout == ByTerm || *t.HistorySteps == 0 || *t.HistorySteps == h.Steps, field + ".history_steps", *t.HistorySteps,
				fmt.Sprintf("0 or %d: a history of whole steps has the same length for all terms", h.Steps)},
		); err != nil {
			return err
		}
	}
	if h == nil {
		return nil
	}
	const field = "observation.history."
	oneOf := func(name, found string, known ...string) rule {
		return rule{slices.Contains(known, found), field + name, quote(found), fmt.Sprintf("%q or %q", known[0], known[1])}
	}
	return v.check(
		rule{h.Steps >= 1 && h.Steps <= maxHistorySteps, field + "steps", h.Steps, fmt.Sprintf("1 to %d", maxHistorySteps)},
		oneOf("layout", h.Layout, ByStep, ByTerm),
		oneOf("order", h.Order, OldestFirst, NewestFirst),
		oneOf("start", h.Start, StartRepeat, StartZeros),
		oneOf("push", h.Push, PushBefore, PushAfter),
	)
}
