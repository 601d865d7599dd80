package importer

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"krabby.dev/krabby/compute/policy"
)

// isaacLabTerms are functions of Isaac Lab by their names, without the module.
var isaacLabTerms = map[string]policy.Term{
	"base_lin_vel":       {Term: policy.TermBaseLinVel},
	"base_ang_vel":       {Term: policy.TermBaseAngVel},
	"projected_gravity":  {Term: policy.TermProjectedGravity},
	"root_quat_w":        {Term: policy.TermBaseQuat},
	"generated_commands": {Term: policy.TermVelocityCommand},
	"joint_pos":          {Term: policy.TermJointPos},
	"joint_pos_rel":      {Term: policy.TermJointPosRel},
	"joint_vel":          {Term: policy.TermJointVel},
	"joint_vel_rel":      {Term: policy.TermJointVel},
	"last_action":        {Term: policy.TermLastAction},
}

// groupKeys are the keys of an observation group that are not terms.
var groupKeys = []string{"concatenate_terms", "concatenate_dim", "enable_corruption", "history_length", "flatten_history_dim"}

// terms reads the group policy of the observations. A history of the group replaces those of its terms.
func (i *isaacLab) terms() error {
	group, ok := i.top.find("observations", "policy")
	if !ok {
		return i.top.wrong("no observations.policy", "the observation group of the policy")
	}
	if v, ok := group.get("concatenate_terms"); ok {
		if joined, err := v.truth(); err != nil || !joined {
			return v.wrong("false", "true: one vector")
		}
	}
	groupSteps := 0
	if v, ok := group.get("history_length"); ok {
		var err error
		if groupSteps, err = v.integer(); err != nil {
			return err
		}
	}
	flat, err := flattened(group)
	if err != nil {
		return err
	}
	var steps []int
	var names []string
	for _, e := range group.entries() {
		if slices.Contains(groupKeys, e.key) || e.value.isNull() {
			continue // A term that is null is switched off.
		}
		t, n, err := i.readTerm(e, groupSteps == 0)
		if err != nil {
			return err
		}
		if groupSteps > 0 {
			n = groupSteps
		}
		i.m.Observation.Terms, steps, names = append(i.m.Observation.Terms, t), append(steps, n), append(names, e.key)
	}
	if groupSteps > 1 && !flat {
		return group.wrong("flatten_history_dim: false", "true: a history in one row")
	}
	i.note("observation.terms", strings.Join(names, ", "), from(group))
	i.termHistory(steps, from(group)+".history_length")
	return nil
}

// flattened returns flatten_history_dim, which is true by default.
func flattened(v value) (bool, error) {
	if f, ok := v.get("flatten_history_dim"); ok {
		return f.truth()
	}
	return true, nil
}

// readTerm returns a term and the length of its history.
func (i *isaacLab) readTerm(e entry, own bool) (policy.Term, int, error) {
	t, err := i.termOf(e)
	if err != nil {
		return t, 0, err
	}
	if m, ok := e.value.get("modifiers"); ok {
		return t, 0, m.wrong(describeNode(m.resolve().node), "null: modifiers are not supported")
	}
	if n, ok := e.value.get("noise"); ok {
		n.use() // Only in training.
	}
	if t.Term == policy.TermVelocityCommand {
		if v, ok := e.value.find("params", "command_name"); ok {
			v.use()
		}
	}
	if err := i.termJoints(&t, e.value); err != nil {
		return t, 0, err
	}
	steps, err := i.termFields(&t, e.value)
	if err != nil {
		return t, 0, err
	}
	if flat, err := flattened(e.value); err != nil || own && steps > 1 && !flat {
		return t, 0, e.value.wrong("flatten_history_dim: false", "true: a history in one row")
	}
	return t, steps, nil
}

// termOf returns the term of a function, or that of the flag --term for the key.
func (i *isaacLab) termOf(e entry) (policy.Term, error) {
	f, ok := e.value.get("func")
	if !ok {
		return policy.Term{}, e.value.wrong("no func", "the function of the term")
	}
	name, err := f.text()
	if err != nil {
		return policy.Term{}, err
	}
	if _, ok := i.o.Terms[e.key]; ok {
		return i.term(e.key, nil, e.value)
	}
	module, function, _ := strings.Cut(name, ":")
	if t, ok := isaacLabTerms[function]; ok {
		if !strings.HasPrefix(module, "isaaclab.") && !strings.HasPrefix(module, "omni.isaac.lab.") {
			i.assume("observation "+e.key, t.Term, name+" is taken to do what Isaac Lab's function of this name does: --term "+e.key+"=TERM")
		}
		return t, nil
	}
	known := make([]string, 0, len(isaacLabTerms))
	for name := range isaacLabTerms {
		known = append(known, name)
	}
	slices.Sort(known)
	return policy.Term{}, f.wrong(quote(name), "the function "+oneOf(function, known)+"; say what it is with --term "+e.key+"=TERM")
}

// termJoints reads the joints of a term, where they are not all. They have the policy's order unless the order of names is kept.
func (i *isaacLab) termJoints(t *policy.Term, v value) error {
	asset, ok := v.find("params", "asset_cfg")
	if !ok {
		return nil
	}
	asset.use()
	names, ok := asset.get("joint_names")
	if !ok || t.Term != policy.TermJointPos && t.Term != policy.TermJointPosRel && t.Term != policy.TermJointVel {
		return nil
	}
	patterns := []string{}
	if names.isSequence() {
		var err error
		if patterns, err = names.texts(); err != nil {
			return err
		}
	} else {
		pattern, err := names.text()
		if err != nil {
			return err
		}
		patterns = append(patterns, pattern)
	}
	keep := false
	if p, ok := asset.get("preserve_order"); ok {
		var err error
		if keep, err = p.truth(); err != nil {
			return err
		}
	}
	selected, err := selectJoints(names, i.m.JointOrder, patterns, keep)
	if err == nil && !slices.Equal(selected, i.m.JointOrder) {
		t.Joints = selected
	}
	return err
}

// selectJoints returns the joints that patterns match: in the order of joints, or of the patterns.
func selectJoints(v value, joints, patterns []string, keep bool) ([]string, error) {
	var selected []string
	for _, pattern := range patterns {
		expression, err := regexp.Compile("^(?:" + pattern + ")$")
		if err != nil {
			return nil, v.wrong(quote(pattern), "a regular expression: "+err.Error())
		}
		before := len(selected)
		for _, joint := range joints {
			if expression.MatchString(joint) && !slices.Contains(selected, joint) {
				selected = append(selected, joint)
			}
		}
		if len(selected) == before {
			return nil, v.wrong(quote(pattern), "a joint of the policy: "+oneOf(pattern, joints))
		}
	}
	if keep {
		return selected, nil
	}
	return slices.DeleteFunc(slices.Clone(joints), func(joint string) bool { return !slices.Contains(selected, joint) }), nil
}

// termFields reads clip, scale and history_length of a term, in the form of Isaac Lab and unitree_rl_lab.
func (d *draft) termFields(t *policy.Term, v value) (steps int, err error) {
	if c, ok := v.get("clip"); ok {
		p, err := c.pair()
		if err != nil {
			return 0, err
		}
		if t.Clip, err = bounds([][2]float64{p}, c); err != nil {
			return 0, err
		}
	}
	if s, ok := v.get("scale"); ok {
		n, err := s.numbers()
		if err != nil {
			return 0, err
		}
		if err := d.checkTermSize(t, n, s); err != nil {
			return 0, err
		}
		if err := setTermScale(t, n, s); err != nil {
			return 0, err
		}
	}
	if h, ok := v.get("history_length"); ok {
		if steps, err = h.integer(); err != nil {
			return 0, err
		}
		if steps < 0 {
			return 0, h.wrong(fmt.Sprint(steps), "0 or more")
		}
	}
	return steps, nil
}

// checkTermSize compares the number of scales with the size of a term.
func (d *draft) checkTermSize(t *policy.Term, n policy.Numbers, v value) error {
	if len(n) == 1 || d.r == nil || t.Term == policy.TermGaitPhase && t.Gait == nil {
		return nil
	}
	p := &policy.Policy{Manifest: d.m, Robot: d.r}
	p.Observation = policy.Observation{Terms: []policy.Term{*t}}
	if size := p.ObservationLayout().Size; size != len(n) {
		return v.wrong(fmt.Sprintf("%d values", len(n)), fmt.Sprintf("%d, the size of %s", size, t.Term))
	}
	return nil
}

// commandRanges reads the ranges of the one velocity command.
func (d *draft) commandRanges(commands value) error {
	all := commands.entries()
	if len(all) == 0 {
		return nil
	}
	if len(all) > 1 {
		return commands.wrong(fmt.Sprintf("%d commands", len(all)), "one, the velocity command")
	}
	ranges, ok := all[0].value.get("ranges")
	if !ok {
		return nil
	}
	for _, r := range []struct {
		key, field string
		target     **policy.Range
	}{
		{"lin_vel_x", "vx_mps", &d.m.CommandRanges.VxMps}, {"lin_vel_y", "vy_mps", &d.m.CommandRanges.VyMps},
		{"ang_vel_z", "yaw_rate_rad_per_sec", &d.m.CommandRanges.YawRateRadPerSec},
	} {
		if v, ok := ranges.get(r.key); ok {
			if err := d.setRange(r.target, r.field, v); err != nil {
				return err
			}
			if math.IsInf((*r.target)[0], 0) || math.IsInf((*r.target)[1], 0) {
				return v.wrong(describeNode(v.resolve().node), "finite numbers")
			}
		}
	}
	return nil
}
