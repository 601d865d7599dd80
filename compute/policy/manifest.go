package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"krabby.dev/krabby/hal/robot"
)

// SchemaVersion is the newest version of the manifest. Version 1 is read as well, which has one graph
// with one input and one output, and the robot's joints in the robot's order.
const SchemaVersion = 2

// PolicyGraph is the name of the graph whose first output is the action.
const PolicyGraph = "policy"

const (
	maxGraphs       = 16
	maxTensorValues = 1 << 24
)

// Manifest says what a policy is and how it wants to be used. docs/policies.md has it as a table.
type Manifest struct {
	// SchemaVersion is 1 or SchemaVersion.
	SchemaVersion int `json:"schema_version"`
	// Name identifies the policy in reports.
	Name string `json:"name"`
	// Robot names the robot that the policy drives; see robot.ByName.
	Robot string `json:"robot"`
	// Files maps the name of each file of the folder to its sha256 in hex. ModelFile must be among them.
	Files map[string]string `json:"files"`
	// JointOrder names the joints that the policy drives, in the order of its actions.
	JointOrder []string `json:"joint_order"`
	// OtherJointsRad says where the robot's other joints are held, in rad, by name: each of them, and no other.
	OtherJointsRad map[string]float64 `json:"other_joints_rad,omitempty"`
	// DefaultPoseRad is what an action of 0 asks for, in rad, in the order of JointOrder.
	DefaultPoseRad []float64 `json:"default_pose_rad"`
	// ActionScale turns actions into rad: target = default pose + scale * action.
	ActionScale float64 `json:"action_scale"`
	// ActionClip bounds the actions, of either sign, before they are scaled; 0 where there is no bound.
	ActionClip float64 `json:"action_clip,omitempty"`
	// Observation says how the first input of PolicyGraph is built.
	Observation Observation `json:"observation"`
	// ControlRateHz is the rate at which the policy was trained to act, in Hz.
	ControlRateHz float64 `json:"control_rate_hz"`
	// Graphs are the models, by what they are for. PolicyGraph must be among them, in ModelFile.
	Graphs map[string]Graph `json:"graphs"`
	// Provenance says where the files come from.
	Provenance Provenance `json:"provenance"`
}

// Observation names the layout of a policy's input; a package of that kind builds it.
type Observation struct {
	Kind    string `json:"kind"`
	Version int    `json:"version"`
	// Size is the number of values.
	Size int `json:"size"`
}

// Graph is one model of a policy. Its tensors are float32 and in the order of the model.
type Graph struct {
	// File is its ONNX file.
	File    string   `json:"file"`
	Inputs  []Tensor `json:"inputs"`
	Outputs []Tensor `json:"outputs"`
	// States are what the model remembers: after each step the output becomes the input of the next. Both are among
	// Inputs and Outputs, but not the first of them.
	States []State `json:"states,omitempty"`
	// EverySteps says that the model runs in the first of so many steps; 0 means each.
	EverySteps int `json:"every_steps,omitempty"`
}

// State is a pair of an input and an output of one shape.
type State struct {
	Input  string `json:"input"`
	Output string `json:"output"`
}

// Tensor is an input or output of a model.
type Tensor struct {
	Name  string  `json:"name"`
	Shape []int64 `json:"shape"`
}

// Size returns the number of values of a tensor of this shape.
func (t Tensor) Size() int64 {
	n := int64(1)
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Provenance says where a policy comes from.
type Provenance struct {
	Source  string `json:"source"`
	Path    string `json:"path"`
	License string `json:"license"`
}

// version1 is a manifest of schema version 1: what has gone since is beside the fields that remain.
type version1 struct {
	SchemaVersion  int               `json:"schema_version"`
	Name           string            `json:"name"`
	Robot          string            `json:"robot"`
	Files          map[string]string `json:"files"`
	JointOrder     []string          `json:"joint_order"`
	DefaultPoseRad []float64         `json:"default_pose_rad"`
	ActionScale    float64           `json:"action_scale"`
	Observation    Observation       `json:"observation"`
	ControlRateHz  float64           `json:"control_rate_hz"`
	Input          Tensor            `json:"input"`
	Output         Tensor            `json:"output"`
	Provenance     Provenance        `json:"provenance"`
}

func (v *version1) manifest() *Manifest {
	return &Manifest{
		SchemaVersion: v.SchemaVersion, Name: v.Name, Robot: v.Robot, Files: v.Files, JointOrder: v.JointOrder,
		DefaultPoseRad: v.DefaultPoseRad, ActionScale: v.ActionScale, Observation: v.Observation, ControlRateHz: v.ControlRateHz,
		Graphs: map[string]Graph{
			PolicyGraph: {File: ModelFile, Inputs: []Tensor{v.Input}, Outputs: []Tensor{v.Output}},
		},
		Provenance: v.Provenance,
	}
}

// parse reads a manifest of any version strictly: fields that its version does not know are refused, because they may
// carry meaning, as are names written otherwise, a field given twice, and null, which would be taken for 0.
func parse(file string, content []byte) (*Manifest, error) {
	if err := checkJSON(file, content); err != nil {
		return nil, err
	}
	// What is no object, or has no number there, is for the strict decoder to complain about.
	var versioned struct {
		SchemaVersion jsontext.Value `json:"schema_version"`
	}
	_ = json.Unmarshal(content, &versioned)
	switch found := versioned.SchemaVersion; {
	case string(found) == strconv.Itoa(SchemaVersion):
		var m Manifest
		if err := decode(file, content, &m, SchemaVersion); err != nil {
			return nil, err
		}
		return &m, nil
	case found.Kind() == '0' && string(found) != "1":
		return nil, wrongVersion(file, string(found))
	}
	var v version1
	if err := decode(file, content, &v, 1); err != nil {
		return nil, err
	}
	if v.SchemaVersion != 1 {
		return nil, wrongVersion(file, strconv.Itoa(v.SchemaVersion))
	}
	return v.manifest(), nil
}

func wrongVersion(file, found string) error {
	return &Error{File: file, Field: "schema_version", Found: found, Expected: fmt.Sprintf("1 or %d", SchemaVersion)}
}

// checkJSON reads content as one JSON object that says everything once.
func checkJSON(file string, content []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(content))
	for d.InputOffset() == 0 || d.StackDepth() > 0 {
		token, err := d.ReadToken()
		if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok && errors.Is(err, jsontext.ErrDuplicateName) {
			return &Error{File: file, Field: field(syntax.JSONPointer), Found: "the field again", Expected: "each field once"}
		}
		if err != nil {
			return &Error{File: file, Found: "no valid JSON (" + err.Error() + ")", Expected: "a policy manifest"}
		}
		if token.Kind() == 'n' {
			return &Error{File: file, Field: field(d.StackPointer()), Found: "null", Expected: "a value, or not the field"}
		}
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return &Error{File: file, Found: "more after the JSON object", Expected: "nothing"}
	}
	if jsontext.Value(content).Kind() != '{' {
		return &Error{File: file, Found: "no JSON object", Expected: "a policy manifest"}
	}
	return nil
}

// decode reads valid JSON into a manifest of that version.
func decode(file string, content []byte, to any, version int) error {
	err := json.Unmarshal(content, to, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	wrong, ok := errors.AsType[*json.SemanticError](err)
	switch {
	case !ok:
		return &Error{File: file, Found: "no valid JSON (" + err.Error() + ")", Expected: "a policy manifest"}
	case errors.Is(err, json.ErrUnknownName):
		return &Error{File: file, Field: field(wrong.JSONPointer), Found: "an unknown field", Expected: fmt.Sprintf("only the fields of schema version %d", version)}
	}
	return &Error{File: file, Field: field(wrong.JSONPointer), Found: "a JSON " + kind(wrong), Expected: "a value of type " + wrong.GoType.String()}
}

// kind names what was found, and shows a number, which may be of the right kind and too large.
func kind(e *json.SemanticError) string {
	switch {
	case e.JSONKind == '0' && e.JSONValue != nil:
		return "number " + string(e.JSONValue)
	case e.JSONKind == '[':
		return "array"
	case e.JSONKind == '{':
		return "object"
	}
	return e.JSONKind.String()
}

// field writes a place in a manifest as all errors do: graphs.policy.inputs[0].name.
func field(place jsontext.Pointer) string {
	var b strings.Builder
	for token := range place.Tokens() {
		switch _, err := strconv.Atoi(token); {
		case err == nil:
			b.WriteString("[" + token + "]")
		case b.Len() > 0:
			b.WriteString("." + token)
		default:
			b.WriteString(token)
		}
	}
	return b.String()
}

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

// validate returns the first field that does not fit, and else the robot of the manifest and the place of each of the
// policy's joints among its joints.
func (m *Manifest) validate(file string) (*robot.Robot, robot.Map, error) {
	wrong := func(field, found, expected string) (*robot.Robot, robot.Map, error) {
		return nil, nil, &Error{File: file, Field: field, Found: found, Expected: expected}
	}
	if m.Name == "" {
		return wrong("name", `""`, "a name")
	}
	r, err := robot.ByName(m.Robot)
	if err != nil {
		return wrong("robot", fmt.Sprintf("%q", m.Robot), "one of "+strings.Join(robot.Names(), ", "))
	}
	if _, ok := m.Files[ModelFile]; !ok {
		return wrong("files", fmt.Sprintf("%q", slices.Sorted(maps.Keys(m.Files))), fmt.Sprintf("%q among them", ModelFile))
	}
	for _, name := range slices.Sorted(maps.Keys(m.Files)) {
		if name != filepath.Base(name) || !filepath.IsLocal(name) {
			return wrong("files", fmt.Sprintf("%q", name), "the name of a file in the folder")
		}
		if !sha256Hex.MatchString(m.Files[name]) {
			return wrong(fmt.Sprintf("files[%q]", name), fmt.Sprintf("%q", m.Files[name]), "a sha256 of 64 lower case hex digits")
		}
	}
	joints, err := m.mapJoints(file, r)
	if err != nil {
		return nil, nil, err
	}
	if len(m.DefaultPoseRad) != len(joints) {
		return wrong("default_pose_rad", fmt.Sprintf("%d values", len(m.DefaultPoseRad)), fmt.Sprint(len(joints)))
	}
	for i, at := range joints {
		if j := r.Joints[at]; !j.Contains(m.DefaultPoseRad[i]) {
			return wrong(fmt.Sprintf("default_pose_rad[%d]", i), fmt.Sprint(m.DefaultPoseRad[i]),
				fmt.Sprintf("%v to %v, the range of %s", j.LowerRad, j.UpperRad, j.Name))
		}
	}
	if !(m.ActionScale > 0) || math.IsInf(m.ActionScale, 0) {
		return wrong("action_scale", fmt.Sprint(m.ActionScale), "a positive number")
	}
	if !(m.ActionClip >= 0) || math.IsInf(m.ActionClip, 0) {
		return wrong("action_clip", fmt.Sprint(m.ActionClip), "a positive number, or none")
	}
	if m.Observation.Kind == "" {
		return wrong("observation.kind", `""`, "a kind of observation")
	}
	if m.Observation.Version <= 0 {
		return wrong("observation.version", fmt.Sprint(m.Observation.Version), "1 or more")
	}
	if m.Observation.Size <= 0 {
		return wrong("observation.size", fmt.Sprint(m.Observation.Size), "1 or more")
	}
	if !(m.ControlRateHz > 0 && m.ControlRateHz <= 1000) {
		return wrong("control_rate_hz", fmt.Sprint(m.ControlRateHz), "more than 0 and at most 1000")
	}
	if err := m.validateGraphs(file); err != nil {
		return nil, nil, err
	}
	if m.Provenance.Source == "" {
		return wrong("provenance.source", `""`, "where the policy comes from")
	}
	return r, joints, nil
}

// mapJoints finds the policy's joints among the robot's, and sees to it that each joint is either the policy's or held.
func (m *Manifest) mapJoints(file string, r *robot.Robot) (robot.Map, error) {
	wrong := func(field, found, expected string) error {
		return &Error{File: file, Field: field, Found: found, Expected: expected}
	}
	if len(m.JointOrder) == 0 {
		return nil, wrong("joint_order", "no joints", "the joints that the policy drives")
	}
	names := r.JointNames()
	joints := make(robot.Map, len(m.JointOrder))
	for i, name := range m.JointOrder {
		joints[i] = slices.Index(names, name)
		if joints[i] < 0 {
			return nil, wrong(fmt.Sprintf("joint_order[%d]", i), fmt.Sprintf("%q", name), fmt.Sprintf("one of %q, the joints of %s", names, r.Name))
		}
		if slices.Index(m.JointOrder, name) < i {
			return nil, wrong(fmt.Sprintf("joint_order[%d]", i), fmt.Sprintf("%q again", name), "each joint once")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.OtherJointsRad)) {
		field := fmt.Sprintf("other_joints_rad[%q]", name)
		at := slices.Index(names, name)
		switch {
		case at < 0:
			return nil, wrong(field, "an unknown joint", fmt.Sprintf("only the joints of %s", r.Name))
		case slices.Contains(joints, at):
			return nil, wrong(field, "a joint that is in joint_order", "only the other joints")
		case !r.Joints[at].Contains(m.OtherJointsRad[name]):
			return nil, wrong(field, fmt.Sprint(m.OtherJointsRad[name]), fmt.Sprintf("%v to %v, its range", r.Joints[at].LowerRad, r.Joints[at].UpperRad))
		}
	}
	var missing []string
	for i, name := range names {
		if _, held := m.OtherJointsRad[name]; !held && !slices.Contains(joints, i) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return nil, wrong("joint_order", fmt.Sprintf("%d of the %d joints of %s, without %q", len(joints), len(names), r.Name, missing),
			"every joint, or other_joints_rad to say where the others are held")
	}
	return joints, nil
}

// validateGraphs checks that the graphs are complete and agree with the rest of the manifest.
func (m *Manifest) validateGraphs(file string) error {
	wrong := func(field, found, expected string) error {
		return &Error{File: file, Field: field, Found: found, Expected: expected}
	}
	names := slices.Sorted(maps.Keys(m.Graphs))
	if !slices.Contains(names, PolicyGraph) || len(names) > maxGraphs {
		return wrong("graphs", fmt.Sprintf("%q", names), fmt.Sprintf("%q among them, and at most %d", PolicyGraph, maxGraphs))
	}
	for _, name := range names {
		g := m.Graphs[name]
		if _, ok := m.Files[g.File]; !ok {
			return wrong(m.graphField(name, "file"), fmt.Sprintf("%q", g.File), fmt.Sprintf("one of %q, the files of the policy", slices.Sorted(maps.Keys(m.Files))))
		}
		if g.EverySteps < 0 {
			return wrong(m.graphField(name, "every_steps"), fmt.Sprint(g.EverySteps), "1 or more")
		}
		for field, tensors := range map[string][]Tensor{"inputs": g.Inputs, "outputs": g.Outputs} {
			if err := m.validateTensors(file, name, field, tensors); err != nil {
				return err
			}
		}
		if err := m.validateStates(file, name, g); err != nil {
			return err
		}
	}
	g := m.Graphs[PolicyGraph]
	if g.File != ModelFile {
		return wrong(m.graphField(PolicyGraph, "file"), fmt.Sprintf("%q", g.File), fmt.Sprintf("%q", ModelFile))
	}
	if g.EverySteps > 1 {
		return wrong(m.graphField(PolicyGraph, "every_steps"), fmt.Sprint(g.EverySteps), "1: it acts in every step")
	}
	for _, t := range []struct {
		field  string
		tensor Tensor
		size   int
	}{{"inputs", g.Inputs[0], m.Observation.Size}, {"outputs", g.Outputs[0], len(m.JointOrder)}} {
		if want := []int64{1, int64(t.size)}; !slices.Equal(t.tensor.Shape, want) {
			return wrong(m.tensorField(PolicyGraph, t.field, 0)+".shape", fmt.Sprint(t.tensor.Shape), fmt.Sprint(want))
		}
	}
	return nil
}

func (m *Manifest) validateTensors(file, graph, field string, tensors []Tensor) error {
	if len(tensors) == 0 {
		return &Error{File: file, Field: m.graphField(graph, field), Found: "none", Expected: "1 or more"}
	}
	for i, t := range tensors {
		at := m.tensorField(graph, field, i)
		if t.Name == "" {
			return &Error{File: file, Field: at + ".name", Found: `""`, Expected: "the name of the model's " + strings.TrimSuffix(field, "s")}
		}
		if slices.IndexFunc(tensors, func(other Tensor) bool { return other.Name == t.Name }) < i {
			return &Error{File: file, Field: at + ".name", Found: fmt.Sprintf("%q again", t.Name), Expected: "each name once"}
		}
		values := int64(1)
		for _, d := range t.Shape {
			if d < 1 || d > maxTensorValues || values*d > maxTensorValues {
				return &Error{File: file, Field: at + ".shape", Found: fmt.Sprint(t.Shape), Expected: fmt.Sprintf("dimensions of 1 or more, at most %d values", maxTensorValues)}
			}
			values *= d
		}
	}
	return nil
}

func (m *Manifest) validateStates(file, graph string, g Graph) error {
	seen := map[string]bool{}
	for i, s := range g.States {
		at := fmt.Sprintf("%s[%d]", m.graphField(graph, "states"), i)
		input, inputErr := stateTensor(g.Inputs, s.Input, seen, "input ")
		if inputErr != "" {
			return &Error{File: file, Field: at + ".input", Found: fmt.Sprintf("%q", s.Input), Expected: inputErr}
		}
		output, outputErr := stateTensor(g.Outputs, s.Output, seen, "output ")
		if outputErr != "" {
			return &Error{File: file, Field: at + ".output", Found: fmt.Sprintf("%q", s.Output), Expected: outputErr}
		}
		if !slices.Equal(input.Shape, output.Shape) {
			return &Error{File: file, Field: at, Found: fmt.Sprintf("input of shape %v, output of %v", input.Shape, output.Shape), Expected: "one shape"}
		}
	}
	return nil
}

// stateTensor finds one side of a state; else it says what was expected.
func stateTensor(tensors []Tensor, name string, seen map[string]bool, side string) (_ Tensor, expected string) {
	at := slices.IndexFunc(tensors, func(t Tensor) bool { return t.Name == name })
	if at < 1 || seen[side+name] {
		var names []string
		for _, t := range tensors[1:] {
			names = append(names, t.Name)
		}
		return Tensor{}, fmt.Sprintf("one of %q, once", names)
	}
	seen[side+name] = true
	return tensors[at], ""
}

// graphField and tensorField name a field of a graph as the version of the manifest does.
func (m *Manifest) graphField(graph, field string) string {
	if m.SchemaVersion == 1 {
		return strings.TrimSuffix(field, "s")
	}
	return "graphs." + graph + "." + field
}

func (m *Manifest) tensorField(graph, field string, i int) string {
	if m.SchemaVersion == 1 {
		return strings.TrimSuffix(field, "s")
	}
	return fmt.Sprintf("%s[%d]", m.graphField(graph, field), i)
}
