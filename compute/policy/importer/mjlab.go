package importer

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"krabby.dev/krabby/compute/policy"
)

// mjlabTerms are mjlab's names of terms.
var mjlabTerms = map[string]policy.Term{
	"base_lin_vel":      {Term: policy.TermBaseLinVel},
	"base_ang_vel":      {Term: policy.TermBaseAngVel},
	"projected_gravity": {Term: policy.TermProjectedGravity},
	"joint_pos":         {Term: policy.TermJointPosRel}, // mjlab's function joint_pos_rel, named joint_pos in its tasks.
	"joint_pos_rel":     {Term: policy.TermJointPosRel},
	"joint_vel":         {Term: policy.TermJointVel},
	"joint_vel_rel":     {Term: policy.TermJointVel},
	"actions":           {Term: policy.TermLastAction},
	"last_action":       {Term: policy.TermLastAction},
	"command":           {Term: policy.TermVelocityCommand},
	"velocity_commands": {Term: policy.TermVelocityCommand},
}

// isMjlab reports whether the model has mjlab's metadata.
func isMjlab(d *draft) bool {
	if d.metadata == nil {
		return false
	}
	_, joints := d.metadata.Properties["joint_names"]
	_, terms := d.metadata.Properties["observation_names"]
	return joints && terms && len(d.docs) == 0
}

// mjlab reads the metadata of an ONNX file: flat lists separated by commas, lists in them by semicolons, numbers with three decimals.
type mjlab struct{ *draft }

func readMjlab(d *draft) error {
	m := mjlab{d}
	names, err := m.list("joint_names")
	if err != nil {
		return err
	}
	if len(d.o.Joints) == 0 {
		if err := d.checkNames(d.o.Model, "metadata joint_names", names); err != nil {
			return err
		}
		d.m.JointOrder = names
		d.note("joint_order", fmt.Sprintf("%d joints: %s", len(names), strings.Join(names, " ")), m.origin("joint_names"))
	}
	for _, f := range []struct {
		key, field string
		target     *policy.Numbers
	}{
		{"default_joint_pos", "default_pose_rad", (*policy.Numbers)(&d.m.DefaultPoseRad)},
		{"joint_stiffness", "gains.kp", &d.m.Gains.Kp}, {"joint_damping", "gains.kd", &d.m.Gains.Kd}, {"action_scale", "action.scale", &d.m.Action.Scale},
	} {
		if *f.target, err = m.jointNumbers(f.key); err != nil {
			return err
		}
		d.note(f.field, *f.target, m.origin(f.key))
	}
	d.assume("precision", "as printed", "mjlab prints most numbers with three decimals: a small gain can have lost digits; give --kp, --kd with all of them")
	d.assume("action.clip", "none", "the metadata do not state it: --action-clip")
	if run, ok := d.property("run_path"); ok && run != "" {
		d.m.Provenance.Source = "mjlab run " + run
		d.note("provenance.source", d.m.Provenance.Source, m.origin("run_path"))
	}
	d.property("command_names")
	return m.terms()
}

func (m mjlab) origin(key string) string { return filepath.Base(m.o.Model) + " metadata " + key }

func (m mjlab) wrong(key, found, expected string) error {
	return &Error{File: m.o.Model, Field: "metadata " + key, Found: found, Expected: expected}
}

// list returns the elements of a key.
func (m mjlab) list(key string) ([]string, error) {
	text, ok := m.property(key)
	if !ok || strings.TrimSpace(text) == "" {
		return nil, m.wrong(key, "nothing", "a list separated by commas")
	}
	all := strings.Split(text, ",")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return all, nil
}

// number parses a number, which can be infinite.
func (m mjlab) number(key, text string) (float64, error) {
	x, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(x) {
		return 0, m.wrong(key, quote(text), "a number")
	}
	return x, nil
}

// jointNumbers returns one number, or one for each joint.
func (m mjlab) jointNumbers(key string) (policy.Numbers, error) {
	texts, err := m.list(key)
	if err != nil {
		return nil, err
	}
	if len(texts) != 1 && len(texts) != m.joints() {
		return nil, m.wrong(key, fmt.Sprintf("%d values", len(texts)), fmt.Sprintf("%d: one for each joint of the policy", m.joints()))
	}
	var n policy.Numbers
	for _, text := range texts {
		x, err := m.number(key, text)
		if err != nil {
			return nil, err
		}
		n = append(n, x)
	}
	return simplify(n), nil
}

// terms reads the observation. A history is term by term, oldest first.
func (m mjlab) terms() error {
	names, err := m.list("observation_names")
	if err != nil {
		return err
	}
	columns := map[string][]string{}
	for _, key := range []string{"observation_terms_scale", "observation_terms_clip", "observation_terms_history_length", "observation_terms_flatten_history_dim"} {
		if _, ok := m.metadata.Properties[key]; !ok {
			m.assume(key, "none", "the metadata do not state it")
			continue
		}
		if columns[key], err = m.list(key); err != nil {
			return err
		}
		if found := len(columns[key]); found != len(names) {
			return m.wrong(key, fmt.Sprintf("%d values", found), fmt.Sprintf("%d: one for each of the terms %s", len(names), strings.Join(names, ", ")))
		}
	}
	var steps []int
	for i, name := range names {
		t, n, err := m.readTerm(i, name, columns)
		if err != nil {
			return err
		}
		m.m.Observation.Terms, steps = append(m.m.Observation.Terms, t), append(steps, n)
		if t.Term == policy.TermBaseLinVel && len(m.o.IMUPosition) == 0 {
			m.assume("imu.position_m", "the robot's", "mjlab's base_lin_vel is the velocity at the IMU's site: --imu-position, if it is not at the robot's IMU")
		}
	}
	m.note("observation.terms", strings.Join(names, ", "), m.origin("observation_names"))
	m.termHistory(steps, m.origin("observation_terms_history_length"))
	return nil
}

// readTerm returns term i, and the number of steps of its history.
func (m mjlab) readTerm(i int, name string, columns map[string][]string) (policy.Term, int, error) {
	t, err := m.term(name, mjlabTerms, value{doc: &document{file: m.o.Model}, path: fmt.Sprintf("metadata observation_names[%d]", i)})
	if err != nil {
		return t, 0, err
	}
	element := func(key string) (string, value) {
		if columns[key] == nil {
			return "", value{}
		}
		return columns[key][i], value{doc: &document{file: m.o.Model}, path: "metadata " + key + " of " + name}
	}
	if text, v := element("observation_terms_scale"); text != "" && text != "None" {
		var n policy.Numbers
		for _, part := range strings.Split(text, ";") {
			x, err := m.number(strings.TrimPrefix(v.path, "metadata "), part)
			if err != nil {
				return t, 0, err
			}
			n = append(n, x)
		}
		if err := setTermScale(&t, n, v); err != nil {
			return t, 0, err
		}
	}
	if text, v := element("observation_terms_clip"); text != "" && text != "None" {
		low, high, ok := strings.Cut(text, ";")
		if !ok {
			return t, 0, v.wrong(quote(text), "LOW;HIGH")
		}
		var pair [2]float64
		for k, part := range []string{low, high} {
			if pair[k], err = m.number(strings.TrimPrefix(v.path, "metadata "), part); err != nil {
				return t, 0, err
			}
		}
		if t.Clip, err = bounds([][2]float64{pair}, v); err != nil {
			return t, 0, err
		}
	}
	steps := 0.0
	if text, v := element("observation_terms_history_length"); text != "" {
		if steps, err = m.number(strings.TrimPrefix(v.path, "metadata "), text); err != nil {
			return t, 0, err
		}
	}
	if text, v := element("observation_terms_flatten_history_dim"); text != "" && steps > 1 {
		if flat, err := m.number(strings.TrimPrefix(v.path, "metadata "), text); err != nil || flat != 1 {
			return t, 0, v.wrong(quote(text), "1.000: a history in one row")
		}
	}
	return t, int(steps), nil
}

// termHistory sets a history of Isaac Lab's kind: term by term, the oldest step first, filled with the first step at the start.
func (d *draft) termHistory(steps []int, where string) {
	longest := 0
	for _, n := range steps {
		longest = max(longest, n)
	}
	if longest <= 1 {
		return
	}
	d.m.Observation.History = &policy.History{Steps: longest, Layout: policy.ByTerm, Order: policy.OldestFirst, Start: policy.StartRepeat, Push: policy.PushBefore}
	for i, n := range steps {
		if n = max(n, 1); n != longest {
			d.m.Observation.Terms[i].HistorySteps = &n
		}
	}
	d.note("observation.history.steps", longest, where)
	d.assume("observation.history", "term by term, oldest first, starts with the first step", "Isaac Lab's and mjlab's history is like this: --history replaces it")
}
