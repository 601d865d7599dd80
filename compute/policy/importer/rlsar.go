package importer

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"krabby.dev/krabby/compute/policy"
)

// isRLSar reports whether a file has one top key, the robot or robot/policy, with the keys of rl_sar.
func isRLSar(d *draft) bool {
	return slices.ContainsFunc(d.docs, func(doc *document) bool {
		top := doc.top().entries()
		return len(top) == 1 && (top[0].value.has("rl_kp") || top[0].value.has("dt", "decimation") || top[0].value.has("clip_obs"))
	})
}

// rlSar reads base.yaml and config.yaml of rl_sar. A key of the later file replaces that of the earlier one, as rl_sar does.
type rlSar struct {
	*draft
	parts []value
}

func readRLSar(d *draft) error {
	s, robotName := rlSar{draft: d}, ""
	for _, doc := range d.docs {
		top := doc.top().entries()
		if len(top) != 1 || !top[0].value.isMapping() {
			return doc.top().wrong(fmt.Sprintf("%d top keys", len(top)), "one, ROBOT in base.yaml or ROBOT/POLICY in config.yaml")
		}
		s.parts = append(s.parts, top[0].value)
		name, _, hasPolicy := strings.Cut(top[0].key, "/")
		d.setRobot(name, top[0].value)
		if hasPolicy {
			d.m.Name = strings.ReplaceAll(top[0].key, "/", "_")
			d.note("name", d.m.Name, from(top[0].value))
		}
		if robotName != "" && robotName != name {
			return top[0].value.wrong(quote(name), quote(robotName)+", the robot of the other file")
		}
		robotName = name
	}
	// Base and config may be given in either order: base.yaml has no observations.
	slices.SortStableFunc(s.parts, func(a, b value) int {
		return b2i(a.has("observations")) - b2i(b.has("observations"))
	})
	for _, step := range []func() error{s.joint, s.gains, s.action, s.rate, s.terms, s.history} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// get returns a key of the last file that has it.
func (s rlSar) get(key string) (v value, ok bool) {
	for _, part := range s.parts {
		if found, has := part.get(key); has {
			if ok {
				s.unused = append(s.unused, fmt.Sprintf("%s: %s, which %s replaces", filepath.Base(v.doc.file), v.path, from(found)))
			}
			v, ok = found, true
			found.use()
		}
	}
	return v, ok
}

// joint reads the joints: names are in the policy's order, and so is everything else.
func (s rlSar) joint() error {
	if v, ok := s.get("joint_names"); ok {
		names, err := v.texts()
		if err != nil {
			return err
		}
		if err := s.setJoints(names, v); err != nil {
			return err
		}
	}
	if s.joints() == 0 {
		return nil
	}
	if v, ok := s.get("num_of_dofs"); ok {
		if n, err := v.integer(); err != nil || n != s.joints() {
			return v.wrong(describeNode(v.resolve().node), fmt.Sprintf("%d, the number of joint_names", s.joints()))
		}
	}
	if v, ok := s.get("wheel_indices"); ok && len(v.elements()) > 0 {
		return v.wrong(describeNode(v.resolve().node), "no wheels: joints that are driven by velocity are not supported")
	}
	if v, ok := s.get("default_dof_pos"); ok {
		return s.setPose(v)
	}
	return nil
}

func (s rlSar) gains() error {
	kp, hasKp := s.get("rl_kp")
	kd, hasKd := s.get("rl_kd")
	if hasKp && hasKd && s.joints() > 0 {
		return s.setGains(kp, kd)
	}
	return nil
}

// action reads scale and clip of the output.
func (s rlSar) action() error {
	if s.joints() == 0 {
		return nil
	}
	if v, ok := s.get("action_scale"); ok {
		if err := s.setScale(v); err != nil {
			return err
		}
	}
	low, hasLow := s.get("clip_actions_lower")
	high, hasHigh := s.get("clip_actions_upper")
	if !hasLow || !hasHigh || len(low.elements()) == 0 && len(high.elements()) == 0 {
		return nil // rl_sar does not clip without bounds.
	}
	lows, err := s.jointNumbers(low)
	if err != nil {
		return err
	}
	highs, err := s.jointNumbers(high)
	if err != nil {
		return err
	}
	var pairs [][2]float64
	for i := range max(len(lows), len(highs)) {
		pairs = append(pairs, [2]float64{lows.At(i), highs.At(i)})
	}
	if s.m.Action.Clip, err = bounds(pairs, low); err != nil {
		return err
	}
	s.note("action.clip", s.m.Action.Clip, from(low)+", clip_actions_upper")
	return nil
}

func (s rlSar) rate() error {
	dt, hasDt := s.get("dt")
	decimation, hasDecimation := s.get("decimation")
	if !hasDt || !hasDecimation {
		return nil
	}
	return s.setDecimatedRate(dt, decimation)
}

// rlSarTerms are rl_sar's names of terms, and the keys of their scales.
var rlSarTerms = map[string]policy.Term{
	"lin_vel":      {Term: policy.TermBaseLinVel},
	"ang_vel":      {Term: policy.TermBaseAngVel},
	"ang_vel_body": {Term: policy.TermBaseAngVel},
	"gravity_vec":  {Term: policy.TermProjectedGravity},
	"commands":     {Term: policy.TermVelocityCommand},
	"dof_pos":      {Term: policy.TermJointPosRel},
	"dof_vel":      {Term: policy.TermJointVel},
	"actions":      {Term: policy.TermLastAction},
	"g1_phase":     {Term: policy.TermGaitPhase, Gait: &policy.Gait{PeriodS: 0.8, OffsetsRad: []float64{0}, Order: policy.SinCos}},
}

var rlSarScales = map[string]string{
	"lin_vel": "lin_vel_scale", "ang_vel": "ang_vel_scale", "ang_vel_body": "ang_vel_scale", "commands": "commands_scale",
	"dof_pos": "dof_pos_scale", "dof_vel": "dof_vel_scale",
}

// terms reads the observation. rl_sar clips the scaled values.
func (s rlSar) terms() error {
	names, ok := s.get("observations")
	if !ok {
		return nil
	}
	limit := 0.0
	if v, ok := s.get("clip_obs"); ok {
		var err error
		if limit, err = v.number(); err != nil {
			return err
		}
		if !(limit > 0) {
			return v.wrong(fmt.Sprint(limit), "more than 0")
		}
		s.note("observation clip", fmt.Sprintf("±%v after scaling: ±%v/scale in the manifest, where clip comes first", limit, limit), from(v))
	}
	all, err := names.texts()
	if err != nil {
		return err
	}
	for i, name := range all {
		t, err := s.term(name, rlSarTerms, names.element(i))
		if err != nil {
			return err
		}
		if err := s.scaled(&t, name, limit); err != nil {
			return err
		}
		s.m.Observation.Terms = append(s.m.Observation.Terms, t)
	}
	s.note("observation.terms", strings.Join(all, ", "), from(names))
	if slices.Contains(all, "ang_vel") {
		s.assume("observation ang_vel", "in the base's frame", "rl_sar has it in the world's frame only in its first simulator")
	}
	if slices.Contains(all, "g1_phase") {
		s.note("observation g1_phase", "period 0.8 s, sin then cos, starts at 0", "rl_sar's definition of g1_phase")
	}
	return nil
}

// scaled sets scale and clip of a term. Terms of the flag --term that have them keep them.
func (s rlSar) scaled(t *policy.Term, name string, limit float64) error {
	if key, ok := rlSarScales[name]; ok && len(t.Scale) == 0 {
		v, ok := s.get(key)
		if !ok {
			s.ask("scale of "+name, fmt.Sprintf(`the key %s, or --term %s='{"term": %q, "scale": NUMBER}'`, key, name, t.Term))
			return nil
		}
		n, err := v.numbers()
		if err != nil {
			return err
		}
		if err := setTermScale(t, n, v); err != nil {
			return err
		}
	}
	if limit == 0 || len(t.Clip) > 0 || t.Term == policy.TermGaitPhase || t.Term == policy.TermConstant || t.Term == policy.TermSlot {
		return nil
	}
	t.Clip = policy.Symmetric(limit)
	if len(t.Scale) > 0 {
		t.Clip = nil
		for _, x := range t.Scale {
			t.Clip = append(t.Clip, [2]float64{-limit / math.Abs(x), limit / math.Abs(x)})
		}
	}
	return nil
}

// history reads the steps: a list of ages, 0 is the current step.
func (s rlSar) history() error {
	v, ok := s.get("observations_history")
	if !ok || len(v.elements()) == 0 {
		s.get("observations_history_priority")
		return s.size()
	}
	ages, err := v.numbers()
	if err != nil {
		return err
	}
	h := &policy.History{Steps: len(ages), Layout: policy.ByStep, Order: policy.NewestFirst, Start: policy.StartZeros, Push: policy.PushBefore}
	if ages[0] != 0 {
		h.Order = policy.OldestFirst
	}
	for i, age := range ages {
		want := i
		if h.Order == policy.OldestFirst {
			want = len(ages) - 1 - i
		}
		if age != float64(want) {
			return v.wrong(fmt.Sprint([]float64(ages)), "all ages from 0 up or down to 0, each once")
		}
	}
	if p, ok := s.get("observations_history_priority"); ok {
		text, err := p.text()
		if err != nil {
			return err
		}
		switch text {
		case "time":
		case "term":
			h.Layout = policy.ByTerm
		default:
			return p.wrong(quote(text), oneOf(text, []string{"time", "term"}))
		}
	} else {
		s.assume("observation.history.layout", "all terms of a step together", "rl_sar's default priority is time")
	}
	s.m.Observation.History = h
	s.note("observation.history", fmt.Sprintf("%d steps, by %s, %s", h.Steps, h.Layout, strings.ReplaceAll(h.Order, "_", " ")), from(v))
	s.assume("observation.history.start", "zeros", "rl_sar's buffer starts with zeros: --history replaces it")
	return s.size()
}

// size compares the number of values of one step.
func (s rlSar) size() error {
	v, ok := s.get("num_observations")
	if !ok || s.r == nil || s.joints() == 0 {
		return nil
	}
	n, err := v.integer()
	if err != nil {
		return err
	}
	one := s.m
	one.Observation.History = nil
	p := &policy.Policy{Manifest: one, Robot: s.r}
	if size := p.ObservationLayout().Size; size != n {
		return v.wrong(fmt.Sprint(n), fmt.Sprintf("%d, the sum of the terms%s", size, sizes(p)))
	}
	return nil
}
