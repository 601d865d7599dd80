package importer

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"krabby.dev/krabby/compute/policy"
)

// isLeapp reports whether a file is the YAML of a LEAPP export.
func isLeapp(d *draft) bool {
	return slices.ContainsFunc(d.docs, func(doc *document) bool { return doc.top().has("models", "pipeline", "system information") })
}

// leappTerms are terms by the property of Isaac Lab that an input is read from. Inputs are raw: scales are in the graph.
var leappTerms = map[string]policy.Term{
	"root_lin_vel_b":      {Term: policy.TermBaseLinVel},
	"root_ang_vel_b":      {Term: policy.TermBaseAngVel},
	"projected_gravity_b": {Term: policy.TermProjectedGravity},
	"root_quat_w":         {Term: policy.TermBaseQuat},
	"root_link_quat_w":    {Term: policy.TermBaseQuat},
	"joint_pos":           {Term: policy.TermJointPos},
	"joint_vel":           {Term: policy.TermJointVel},
	"command":             {Term: policy.TermVelocityCommand},
}

// leapp reads the YAML of a LEAPP export of one ONNX model, whose inputs are raw states and whose output are joint targets.
type leapp struct {
	*draft
	top      value
	name     string // Of the model.
	model    value
	inputs   []string // External inputs of the model, in the order of the observation.
	sizes    []int64
	feedback []policy.State
	target   string // The output with the joint targets.
}

func readLeapp(d *draft) error {
	if len(d.docs) != 1 || d.metadata == nil {
		return wrongFlag("--config", fmt.Sprintf("%d files", len(d.docs)), "the YAML of the export, with its ONNX file by --model")
	}
	l := &leapp{draft: d, top: d.docs[0].top()}
	if d.r == nil {
		d.ask("robot", "--robot (a built-in name or a robot file)")
		return nil
	}
	for _, step := range []func() error{l.onlyModel, l.rate, l.output, l.readFeedback, l.initialValues, l.terms} {
		if err := step(); err != nil {
			return err
		}
	}
	if len(d.o.DefaultPose) == 0 {
		d.ask("default pose", "--default-pose: it is in the graph, and the robot stands up in it; --default-pose robot is the robot's")
	}
	return l.rewrite()
}

// onlyModel finds the one model, and compares its checksum with that of the ONNX file.
func (l *leapp) onlyModel() error {
	models, _ := l.top.get("models")
	if all := models.entries(); len(all) != 1 {
		return models.wrong(fmt.Sprintf("%d models", len(all)), "one: pipelines of several models are not supported")
	}
	l.name, l.model = models.entries()[0].key, models.entries()[0].value
	if v, ok := l.model.find("parameters", "sha256sum"); ok {
		sum, err := v.text()
		if err != nil {
			return err
		}
		if sum != l.modelSum {
			return v.wrong(sum, l.modelSum+", that of "+filepath.Base(l.o.Model))
		}
	}
	return nil
}

func (l *leapp) rate() error {
	v, ok := l.top.find("pipeline", "configs", "frequency")
	if !ok {
		return nil
	}
	hz, err := v.number()
	if err != nil {
		return err
	}
	l.m.ControlRateHz = hz
	l.note("control_rate_hz", hz, from(v))
	return nil
}

// description returns the description of an input or output.
func (l *leapp) description(side, name string) (value, error) {
	all, _ := l.model.get(side)
	for _, e := range all.elements() {
		if v, ok := e.get("name"); ok && v.resolve().node.Value == name {
			v.use()
			return e, nil
		}
	}
	return value{}, l.model.wrong("no "+side+" entry "+quote(name), "a description of each tensor of the pipeline")
}

// output reads the joint targets: the one output of the pipeline.
func (l *leapp) output() error {
	v, ok := l.top.find("pipeline", "outputs", l.name)
	if !ok {
		return l.top.wrong("no pipeline.outputs."+l.name, "the outputs of the model")
	}
	names, err := v.texts()
	if err != nil {
		return err
	}
	if len(names) != 1 {
		return v.wrong(fmt.Sprintf("%q", names), "one output: the joint targets")
	}
	l.target = names[0]
	d, err := l.description("outputs", l.target)
	if err != nil {
		return err
	}
	kind, ok := d.get("kind")
	if !ok {
		return d.wrong("no kind", "target/joint/position")
	}
	if text, err := kind.text(); err != nil || text != "target/joint/position" {
		return kind.wrong(describeNode(kind.resolve().node), "target/joint/position: other targets are not supported")
	}
	joints, place, err := elementNames(d)
	if err != nil {
		return err
	}
	if err := l.setJoints(joints, place); err != nil {
		return err
	}
	if len(l.o.Joints) > 0 && !slices.Equal(joints, l.m.JointOrder) {
		return place.wrong(fmt.Sprintf("%q", joints), "the joints of --joints")
	}
	l.m.Action = policy.Action{Scale: policy.Numbers{1}, OffsetRad: policy.Numbers{0}}
	l.note("action.scale, offset_rad", "1, 0: the output is the target", from(kind))
	return nil
}

// elementNames returns the names of the elements of the last axis.
func elementNames(d value) ([]string, value, error) {
	v, ok := d.get("element_names")
	if !ok || len(v.elements()) == 0 {
		return nil, d, d.wrong("no element_names", "the names of the joints")
	}
	v.use()
	if last := v.elements()[len(v.elements())-1]; last.isSequence() {
		v = last
	}
	names, err := v.texts()
	return names, v, err
}

// readFeedback reads the outputs that are inputs of the next step.
func (l *leapp) readFeedback() error {
	flow, ok := l.top.find("pipeline", "feedback_flow")
	if !ok {
		return nil
	}
	for _, e := range flow.entries() {
		targets, err := e.value.texts()
		if err != nil {
			return err
		}
		_, output, _ := strings.Cut(e.key, "/")
		for _, target := range targets {
			_, input, _ := strings.Cut(target, "/")
			if slices.ContainsFunc(l.feedback, func(s policy.State) bool { return s.Output == output }) {
				return e.value.wrong(fmt.Sprintf("%q", targets), "one input for each output")
			}
			l.feedback = append(l.feedback, policy.State{Input: input, Output: output})
			l.note("graphs.policy.states", output+" -> "+input, from(e.value))
		}
	}
	return nil
}

// initialValues checks that the states start with zeros, as they do here.
func (l *leapp) initialValues() error {
	v, ok := l.top.find("pipeline", "initial_values")
	if !ok {
		return nil
	}
	name, err := v.text()
	if err != nil {
		return err
	}
	if name != filepath.Base(name) || !filepath.IsLocal(name) {
		return v.wrong(quote(name), "the name of a file in the same directory")
	}
	path := filepath.Join(filepath.Dir(v.doc.file), name)
	content, err := readFile(path, maxConfigBytes)
	if err != nil {
		return err
	}
	if len(content) < 8 || binary.LittleEndian.Uint64(content) > uint64(len(content)-8) {
		return &Error{File: path, Found: "another format", Expected: "safetensors: the length of a header, the header, the values"}
	}
	for i, b := range content[8+binary.LittleEndian.Uint64(content):] {
		if b != 0 {
			return &Error{File: path, Found: fmt.Sprintf("a value other than 0 at byte %d of the values", i), Expected: "zeros: states start with zeros"}
		}
	}
	l.note("initial values of states", "zeros", name)
	return nil
}

// terms reads the external inputs, one term each.
func (l *leapp) terms() error {
	v, ok := l.top.find("pipeline", "inputs", l.name)
	if !ok {
		return l.top.wrong("no pipeline.inputs."+l.name, "the inputs of the model")
	}
	names, err := v.texts()
	if err != nil {
		return err
	}
	for _, name := range names {
		if slices.ContainsFunc(l.feedback, func(s policy.State) bool { return s.Input == name }) {
			continue
		}
		t, err := l.readTerm(name)
		if err != nil {
			return err
		}
		l.m.Observation.Terms, l.inputs = append(l.m.Observation.Terms, t), append(l.inputs, name)
		p := &policy.Policy{Manifest: l.m, Robot: l.r}
		p.Observation = policy.Observation{Terms: []policy.Term{t}}
		l.sizes = append(l.sizes, int64(p.ObservationLayout().Size))
	}
	l.note("observation.terms", strings.Join(l.inputs, ", "), from(v))
	return nil
}

// readTerm returns the term of an input.
func (l *leapp) readTerm(name string) (policy.Term, error) {
	d, err := l.description("inputs", name)
	if err != nil {
		return policy.Term{}, err
	}
	property := name
	if _, ok := l.o.Terms[name]; !ok {
		v, ok := d.get("isaaclab_connection")
		if !ok {
			return policy.Term{}, d.wrong("no isaaclab_connection", "the origin of the input; say what it is with --term "+name+"=TERM")
		}
		text, err := v.text()
		if err != nil {
			return policy.Term{}, err
		}
		parts := strings.Split(text, ":")
		property = parts[len(parts)-1]
		if parts[0] == "command" {
			property = "command"
		}
	}
	t, err := l.term(property, leappTerms, d)
	if err != nil || len(t.Joints) > 0 || t.Term != policy.TermJointPos && t.Term != policy.TermJointVel {
		return t, err
	}
	joints, place, err := elementNames(d)
	if err != nil {
		return t, err
	}
	if err := l.checkNames(place.doc.file, place.path, joints); err != nil {
		return t, err
	}
	if !slices.Equal(joints, l.m.JointOrder) {
		t.Joints = joints
	}
	return t, nil
}
