package policy

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// checkProperties compares what an exporter wrote into the model's own metadata with the manifest, as far as both say it. The
// keys are those of mjlab; the rate has none there. The error is an *Error.
func (p *Policy) checkProperties(path string, properties map[string]string) error {
	c := propertyChecker{p, path, properties}
	for _, check := range []func() error{c.names, c.jointNumbers, c.actionScale, c.rate, c.terms} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// ComparedProperties are the keys of a model's metadata that Load compares with the manifest.
var ComparedProperties = []string{
	"joint_names", "joint_stiffness", "joint_damping", "default_joint_pos", "action_scale", "control_rate_hz", "step_dt",
	"observation_names", "observation_terms_scale", "observation_terms_clip", "observation_terms_history_length",
}

type propertyChecker struct {
	*Policy
	path       string
	properties map[string]string
}

// list returns the elements of a property, or nil.
func (c propertyChecker) list(key string) []string {
	text, ok := c.properties[key]
	if !ok || strings.TrimSpace(text) == "" {
		return nil
	}
	all := strings.Split(text, ",")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return all
}

func (c propertyChecker) wrong(key, found, expected string) error {
	return &Error{File: c.path, Field: "metadata " + key, Found: found, Expected: "the manifest's " + expected}
}

func (c propertyChecker) names() error {
	found, expected := c.list("joint_names"), c.JointNames()
	if found != nil && !slices.Equal(found, expected) {
		return c.wrong("joint_names", strings.Join(found, ", "), strings.Join(expected, ", "))
	}
	return nil
}

// jointNumbers compares the numbers of joints.
func (c propertyChecker) jointNumbers() error {
	n := len(c.DefaultPoseRad)
	for _, numbers := range []struct {
		key      string
		expected []float64
	}{
		{"joint_stiffness", c.Gains.Kp.Expand(n)}, {"joint_damping", c.Gains.Kd.Expand(n)}, {"default_joint_pos", c.DefaultPoseRad},
	} {
		if err := c.numbers(numbers.key, c.list(numbers.key), numbers.expected, c.JointNames()); err != nil {
			return err
		}
	}
	return nil
}

func (c propertyChecker) actionScale() error {
	return c.numbers("action_scale", c.list("action_scale"), c.Action.Scale.Expand(len(c.DefaultPoseRad)), c.JointNames())
}

func (c propertyChecker) rate() error {
	if err := c.numbers("control_rate_hz", c.list("control_rate_hz"), []float64{c.ControlRateHz}, []string{"rate"}); err != nil {
		return err
	}
	return c.numbers("step_dt", c.list("step_dt"), []float64{1 / c.ControlRateHz}, []string{"period"})
}

// numbers compares numbers of elements with those names. A single number stands for all elements.
func (c propertyChecker) numbers(key string, found []string, expected []float64, elements []string) error {
	if found == nil {
		return nil
	}
	if len(found) != 1 && len(found) != len(expected) {
		return c.wrong(key, fmt.Sprintf("%d values", len(found)), fmt.Sprintf("%d", len(expected)))
	}
	for i, want := range expected {
		text := found[min(i, len(found)-1)]
		if !states(text, want) {
			return c.wrong(key, fmt.Sprintf("%s for %s", text, elements[i]), fmt.Sprint(want))
		}
	}
	return nil
}

// states reports whether a printed number is that value, as precisely as it is printed. Exporters print three decimals, or a
// number with all its digits.
func states(text string, value float64) bool {
	const leastDecimals = 3
	printed, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return false
	}
	if math.IsInf(printed, 0) || math.IsInf(value, 0) {
		return printed == value
	}
	_, fraction, _ := strings.Cut(text, ".")
	tolerance := 0.5 * math.Pow10(-max(leastDecimals, len(fraction)))
	return math.Abs(printed-value) <= tolerance+1e-6*math.Abs(value)
}

// termAliases are the names that exporters give to terms, where they differ from the manifest's.
var termAliases = map[string][]string{
	"joint_pos":         {TermJointPos, TermJointPosRel},
	"joint_pos_rel":     {TermJointPosRel},
	"joint_vel_rel":     {TermJointVel},
	"actions":           {TermLastAction},
	"command":           {TermVelocityCommand},
	"velocity_commands": {TermVelocityCommand},
	"velocity_command":  {TermVelocityCommand},
}

// terms compares the terms of the observation: names that are known, scales, clips and lengths of the history.
func (c propertyChecker) terms() error {
	o := &c.Observation
	for _, key := range []string{"observation_names", "observation_terms_scale", "observation_terms_clip", "observation_terms_history_length"} {
		found := c.list(key)
		if found == nil {
			continue
		}
		if len(found) != len(o.Terms) {
			return c.wrong(key, fmt.Sprintf("%d terms", len(found)), fmt.Sprint(len(o.Terms)))
		}
		for i, text := range found {
			if err := c.term(key, text, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// term compares one property of term i.
func (c propertyChecker) term(key, found string, i int) error {
	t := &c.Observation.Terms[i]
	elements := c.components(t)
	switch key {
	case "observation_names":
		names, known := termAliases[found]
		if !known && slices.Contains(TermNames(), found) {
			names, known = []string{found}, true
		}
		if known && !slices.Contains(names, t.Term) {
			return c.wrong(fmt.Sprintf("%s[%d]", key, i), found, t.Term)
		}
	case "observation_terms_scale":
		scale := t.Scale
		if len(scale) == 0 {
			scale = Numbers{1}
		}
		if found != "None" {
			return c.numbers(fmt.Sprintf("%s of %s", key, t.Term), strings.Split(found, ";"), scale.Expand(len(elements)), elements)
		}
	case "observation_terms_clip":
		clip := Bounds{{math.Inf(-1), math.Inf(1)}}
		if len(t.Clip) > 0 {
			clip = t.Clip
		}
		low, high, pair := strings.Cut(found, ";")
		for _, b := range clip.Expand(len(elements)) {
			// A clip of each element, or none, is not compared.
			if pair && !strings.Contains(high, ";") && !(states(low, b[0]) && states(high, b[1])) {
				return c.wrong(fmt.Sprintf("%s of %s", key, t.Term), found, fmt.Sprintf("%v;%v", b[0], b[1]))
			}
		}
	case "observation_terms_history_length":
		if steps := max(c.Observation.historySteps(i), 1); !states(found, float64(steps)) && !(steps == 1 && states(found, 0)) {
			return c.wrong(fmt.Sprintf("%s of %s", key, t.Term), found, fmt.Sprint(steps))
		}
	}
	return nil
}
