package importer

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/graph"
	"krabby.dev/krabby/hal/robot"
)

// draft is a policy in the making.
type draft struct {
	o *Options
	r *robot.Robot
	m policy.Manifest

	docs           []*document
	agent          *document // The configuration of rsl_rl; nil is none.
	model          []byte
	modelSum       string          // SHA-256 of the file that was read.
	stateNames     []policy.State  // Of the model, where a file states them.
	metadata       *graph.Metadata // Nil with a checkpoint.
	network        *network        // Nil with a model.
	usedProperties []string
	usedTerms      map[string]bool // Of o.Terms.
	missing        []string
	unused         []string // Keys that a later file replaces.
	notes          []Note
}

// note records the origin of a field.
func (d *draft) note(field string, value any, from string) {
	d.notes = slices.DeleteFunc(d.notes, func(n Note) bool { return n.Field == field && !n.Assumed })
	d.notes = append(d.notes, Note{Field: field, Value: fmt.Sprint(value), From: from})
}

// assume records a value that nothing states.
func (d *draft) assume(field string, value any, why string) {
	d.notes = append(d.notes, Note{field, fmt.Sprint(value), why, true})
}

// ask records that a field is missing.
func (d *draft) ask(field, flag string) {
	d.missing = append(d.missing, fmt.Sprintf("%s: give %s", field, flag))
}

// from names the place of a value.
func from(v value) string { return filepath.Base(v.doc.file) + " " + v.path }

// setRobot takes the built-in robot of a name in a file, unless the options have a robot. A name that is not built in needs one.
func (d *draft) setRobot(name string, v value) {
	if d.r != nil {
		return
	}
	r, err := robot.ByName(name)
	if err != nil {
		return // checkMissing asks.
	}
	d.r = r
	d.note("robot", name, from(v))
}

// setJoints takes the policy's joints, unless the options have them.
func (d *draft) setJoints(names []string, v value) error {
	if len(d.o.Joints) > 0 {
		return nil
	}
	if err := d.checkNames(v.doc.file, v.path, names); err != nil {
		return err
	}
	d.m.JointOrder = names
	d.note("joint_order", fmt.Sprintf("%d joints: %s", len(names), strings.Join(names, " ")), from(v))
	return nil
}

// checkNames checks names of the robot's joints, each once.
func (d *draft) checkNames(file, field string, names []string) error {
	for i, name := range names {
		element := fmt.Sprintf("%s[%d]", field, i)
		if slices.Contains(names[:i], name) {
			return &Error{File: file, Field: element, Found: quote(name) + " again", Expected: "each joint once"}
		}
		if d.r != nil && !slices.Contains(d.r.JointNames(), name) {
			return &Error{File: file, Field: element, Found: quote(name), Expected: "a joint of " + d.r.Name + ": " + oneOf(name, d.r.JointNames())}
		}
	}
	return nil
}

// joints returns the number of the policy's joints.
func (d *draft) joints() int { return len(d.m.JointOrder) }

// jointNumbers returns numbers of the policy's joints: one, or one for each.
func (d *draft) jointNumbers(v value) (policy.Numbers, error) {
	n, err := v.numbers()
	if err != nil {
		return nil, err
	}
	if v.isSequence() && len(n) != d.joints() {
		return nil, v.wrong(fmt.Sprintf("%d values", len(n)), fmt.Sprintf("%d: one for each joint of the policy", d.joints()))
	}
	for i, x := range n {
		if isInfinite(x) {
			return nil, v.wrong(fmt.Sprintf("%v at %d", x, i), "finite numbers")
		}
	}
	return simplify(n), nil
}

// simplify returns one number for equal numbers.
func simplify(n policy.Numbers) policy.Numbers {
	if v, ok := n.Uniform(); ok {
		return policy.Numbers{v}
	}
	return n
}

// setPose takes the default pose.
func (d *draft) setPose(v value) error {
	n, err := d.jointNumbers(v)
	if err != nil {
		return err
	}
	d.m.DefaultPoseRad = n.Expand(d.joints())
	d.note("default_pose_rad", n, from(v))
	return nil
}

// setGains takes gains of the policy's joints.
func (d *draft) setGains(kp, kd value) (err error) {
	if d.m.Gains.Kp, err = d.jointNumbers(kp); err != nil {
		return err
	}
	if d.m.Gains.Kd, err = d.jointNumbers(kd); err != nil {
		return err
	}
	d.note("gains.kp", d.m.Gains.Kp, from(kp))
	d.note("gains.kd", d.m.Gains.Kd, from(kd))
	return nil
}

// setScale takes the scale of actions.
func (d *draft) setScale(v value) (err error) {
	if d.m.Action.Scale, err = d.jointNumbers(v); err != nil {
		return err
	}
	d.note("action.scale", d.m.Action.Scale, from(v))
	return nil
}

// setRate takes the control rate from a time per step, which can be a product of two numbers.
func (d *draft) setRate(stepS float64, where string) {
	if stepS > 0 {
		d.m.ControlRateHz = roundRate(1 / stepS)
		d.note("control_rate_hz", d.m.ControlRateHz, where)
	}
}

// setDecimatedRate takes the rate of a policy that acts every few steps of a simulation: its step dt, in s, times the decimation.
func (d *draft) setDecimatedRate(dt, decimation value) error {
	x, err := dt.number()
	if err != nil {
		return err
	}
	n, err := decimation.number()
	if err != nil {
		return err
	}
	if x*n <= 0 {
		return dt.wrong(fmt.Sprintf("a step of %v s", x*n), "more than 0")
	}
	d.setRate(x*n, from(dt)+" * "+decimation.path[strings.LastIndexByte(decimation.path, '.')+1:])
	return nil
}

// roundRate removes the rounding of a division: 1/0.02 and 1/(0.005*4) are 50.
func roundRate(hz float64) float64 {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(hz, 'g', 9, 64), 64)
	return rounded
}

// setRange takes a range of the command.
func (d *draft) setRange(target **policy.Range, field string, v value) error {
	pair, err := v.pair()
	if err != nil {
		return err
	}
	r := policy.Range(pair)
	*target = &r
	d.note("command_ranges."+field, fmt.Sprintf("%v to %v", r[0], r[1]), from(v))
	return nil
}

// matched returns the number that a list of PATTERN=NUMBER gives to each joint. Patterns match whole names, as in Isaac Lab.
// Errors are a pattern that matches no joint of the robot (from a flag: none of names), a joint that several patterns match, and with
// complete, one that none matches.
func (d *draft) matched(file, field string, names []string, patterns []string, numbers policy.Numbers, complete bool) ([]float64, error) {
	values, owner := make([]float64, len(names)), make([]string, len(names))
	for p, pattern := range patterns {
		expression, err := regexp.Compile("^(?:" + pattern + ")$")
		if err != nil {
			return nil, &Error{File: file, Field: field, Found: "the pattern " + quote(pattern), Expected: "a regular expression: " + err.Error()}
		}
		found := false
		for i, name := range names {
			if !expression.MatchString(name) {
				continue
			}
			if owner[i] != "" {
				return nil, &Error{File: file, Field: field, Found: fmt.Sprintf("%q and %q for %s", owner[i], pattern, name), Expected: "one pattern for each joint"}
			}
			found, owner[i], values[i] = true, pattern, numbers[p]
		}
		if !found && (file == commandLine || d.r == nil || !slices.ContainsFunc(d.r.JointNames(), expression.MatchString)) {
			return nil, &Error{File: file, Field: field, Found: "the pattern " + quote(pattern), Expected: "a joint that it matches: " + oneOf(pattern, names)}
		}
	}
	for i, name := range names {
		if owner[i] == "" && complete {
			return nil, &Error{File: file, Field: field, Found: "no number for " + name, Expected: "one for each joint"}
		}
	}
	return values, nil
}

// term returns the manifest's term for a name in the files, by the options or by the names of the source.
func (d *draft) term(name string, known map[string]policy.Term, v value) (policy.Term, error) {
	if text, ok := d.o.Terms[name]; ok {
		d.usedTerms[name] = true
		t, err := parseTerm(name, text)
		if err == nil {
			d.note("observation: "+name, strings.TrimSpace(t.Term+" "+t.Name), "--term")
		}
		return t, err
	}
	if t, ok := known[name]; ok {
		return t, nil
	}
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	return policy.Term{}, v.wrong(quote(name), oneOf(name, names)+"; say what it is with --term "+name+"=TERM")
}

// parseTerm reads the value of the flag --term: the name of a term, or a term in JSON.
func parseTerm(name, text string) (policy.Term, error) {
	t := policy.Term{Term: text}
	if strings.HasPrefix(text, "{") {
		t = policy.Term{}
		if err := decodeJSON([]byte(text), &t); err != nil {
			return t, &Error{File: commandLine, Field: "--term " + name, Found: quote(text), Expected: "a term in JSON: " + err.Error()}
		}
	}
	if !slices.Contains(policy.TermNames(), t.Term) {
		return t, &Error{File: commandLine, Field: "--term " + name, Found: quote(t.Term), Expected: oneOf(t.Term, policy.TermNames())}
	}
	return t, nil
}

// setTermScale takes the scale of a term of size elements; 1 is none.
func setTermScale(t *policy.Term, n policy.Numbers, v value) error {
	for i, x := range n {
		if !isFactor(x) {
			return v.wrong(fmt.Sprintf("%v at %d", x, i), "finite numbers other than 0")
		}
	}
	n = simplify(n)
	if one, ok := n.Uniform(); ok && one == 1 {
		return nil
	}
	t.Scale = n
	return nil
}

// bounds returns clip bounds. Infinite bounds on both sides do not clip.
func bounds(pairs [][2]float64, v value) (policy.Bounds, error) {
	var b policy.Bounds
	infinite := 0
	for _, p := range pairs {
		if isInfinite(p[0]) && isInfinite(p[1]) {
			infinite++
			continue
		}
		if isInfinite(p[0]) || isInfinite(p[1]) || p[0] >= p[1] {
			return nil, v.wrong(fmt.Sprintf("%v to %v", p[0], p[1]), "a finite lower and a finite higher bound, or none")
		}
		b = append(b, p)
	}
	if infinite > 0 && len(b) > 0 {
		return nil, v.wrong("bounds of some elements only", "bounds of all elements or of none")
	}
	if len(b) > 0 && !slices.ContainsFunc(b, func(p [2]float64) bool { return p != b[0] }) {
		b = b[:1]
	}
	return b, nil
}

// finish adds the graph and checks that the sizes of the model fit the terms.
func (d *draft) finish() error {
	if err := d.buildNetwork(); err != nil {
		return err
	}
	g, err := d.graph()
	if err != nil {
		return err
	}
	d.m.Robot = d.r.Name
	d.m.Graphs = map[string]policy.Graph{policy.PolicyGraph: g}
	p := &policy.Policy{Manifest: d.m, Robot: d.r}
	for i := range d.m.Observation.Terms {
		t := &d.m.Observation.Terms[i]
		if !slices.Contains(policy.TermNames(), t.Term) || t.Term == policy.TermGaitPhase && t.Gait == nil {
			return nil // policy.Load names the field.
		}
	}
	size := p.ObservationLayout().Size
	if d.m.Observation.Size == 0 {
		d.m.Observation.Size = size
	}
	inputs := d.metadata.Inputs[0].Shape
	if found := inputs[len(inputs)-1]; found > 0 && found != int64(size) {
		return &Error{File: d.modelFile(), Field: "input " + d.metadata.Inputs[0].Name, Found: fmt.Sprintf("%d values", found), Expected: fmt.Sprintf("%d, the sum of the terms%s", size, sizes(p))}
	}
	g.Inputs[0].Shape = []int64{1, int64(size)}
	return nil
}

// sizes lists the terms of p with their sizes.
func sizes(p *policy.Policy) string {
	var b bytes.Buffer
	for i, span := range p.ObservationLayout().Terms {
		fmt.Fprintf(&b, ", %s %d", p.Observation.Terms[i].Term, span.Size)
	}
	text := " (" + strings.TrimPrefix(b.String(), ", ") + ")"
	if h := p.Observation.History; h != nil {
		text += fmt.Sprintf(" with a history of %d steps", h.Steps)
	}
	return text
}
