package policy

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"krabby.dev/krabby/hal/robot"
)

const (
	maxGraphs       = 16
	maxTensorValues = 1 << 24
	maxControlHz    = 1000
)

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

// validator checks one manifest. Its methods return an *Error for the first field that is wrong.
type validator struct {
	*Manifest
	file   string         // Path of the manifest.
	robots []*robot.Robot // Beside those that are built in.
}

// rule is a condition on one field.
type rule struct {
	holds    bool
	field    string
	found    any
	expected string
}

// check returns an *Error for the first rule that does not hold.
func (v validator) check(rules ...rule) error {
	for _, r := range rules {
		if !r.holds {
			return &Error{File: v.file, Field: r.field, Found: fmt.Sprint(r.found), Expected: r.expected}
		}
	}
	return nil
}

// wrong returns an *Error for a wrong value.
func (v validator) wrong(field string, found any, expected string) error {
	return v.check(rule{false, field, found, expected})
}

// missing returns an *Error for something that a field lacks.
func (v validator) missing(field, format string, args ...any) error {
	return &Error{File: v.file, Field: field, Err: fmt.Errorf(format, args...)}
}

// validate checks all fields of the manifest. It returns the robot and the index among the robot's joints of each joint of
// the policy.
func (v validator) validate() (*robot.Robot, robot.JointIndices, error) {
	if err := v.check(rule{v.Name != "", "name", quote(v.Name), "a name"}); err != nil {
		return nil, nil, err
	}
	r, err := v.findRobot()
	if err != nil {
		return nil, nil, err
	}
	if err := v.validateFiles(); err != nil {
		return nil, nil, err
	}
	joints, err := v.validateJoints(r)
	if err != nil {
		return nil, nil, err
	}
	if err := v.validatePose(r, joints); err != nil {
		return nil, nil, err
	}
	if err := v.check(
		rule{v.ControlRateHz > 0 && v.ControlRateHz <= maxControlHz, "control_rate_hz", v.ControlRateHz, fmt.Sprintf("more than 0 and at most %d", maxControlHz)},
	); err != nil {
		return nil, nil, err
	}
	p := &Policy{Manifest: *v.Manifest, Robot: r, joints: joints}
	for _, validate := range []func(*Policy) error{v.validateGains, v.validateAction, v.validateObservation, v.validateCommandRanges, v.validateIMU} {
		if err := validate(p); err != nil {
			return nil, nil, err
		}
	}
	if err := v.validateGraphs(); err != nil {
		return nil, nil, err
	}
	if err := v.check(rule{v.Provenance.Source != "", "provenance.source", quote(v.Provenance.Source), "the origin of the policy"}); err != nil {
		return nil, nil, err
	}
	return r, joints, nil
}

// findRobot returns the robot of the manifest. A given robot replaces a built-in one of the same name.
func (v validator) findRobot() (*robot.Robot, error) {
	names := robot.Names()
	for _, r := range v.robots {
		if r != nil && r.Name == v.Robot {
			return r, nil
		}
		if r != nil {
			names = append(names, r.Name)
		}
	}
	r, err := robot.ByName(v.Robot)
	if err != nil {
		return nil, v.wrong("robot", quote(v.Robot), "one of "+strings.Join(names, ", ")+"; another one needs its file (--robot FILE)")
	}
	return r, nil
}

func quote(s string) string { return fmt.Sprintf("%q", s) }

func (v validator) validateFiles() error {
	names := slices.Sorted(maps.Keys(v.Files))
	if !slices.Contains(names, ModelFile) {
		return v.missing("files", "%q not found in %q", ModelFile, names)
	}
	for _, name := range names {
		if err := v.check(
			rule{name == filepath.Base(name) && filepath.IsLocal(name), "files", quote(name), "the name of a file in the directory"},
			rule{sha256Hex.MatchString(v.Files[name]), fmt.Sprintf("files[%q]", name), quote(v.Files[name]), "a sha256 of 64 lower case hex digits"},
		); err != nil {
			return err
		}
	}
	return nil
}

// validateJoints returns the index of each joint of JointOrder among the joints of r. Each joint of r must be in either
// JointOrder or HeldJointsRad.
func (v validator) validateJoints(r *robot.Robot) (robot.JointIndices, error) {
	if len(v.JointOrder) == 0 {
		return nil, v.wrong("joint_order", "0 joints", "1 or more")
	}
	names := r.JointNames()
	joints := make(robot.JointIndices, len(v.JointOrder))
	for i, name := range v.JointOrder {
		field := fmt.Sprintf("joint_order[%d]", i)
		joints[i] = slices.Index(names, name)
		if err := v.check(
			rule{joints[i] >= 0, field, quote(name), fmt.Sprintf("one of %q, the joints of %s", names, r.Name)},
			rule{!slices.Contains(v.JointOrder[:i], name), field, quote(name) + " again", "each joint once"},
		); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.HeldJointsRad)) {
		field := fmt.Sprintf("other_joints_rad[%q]", name)
		i := slices.Index(names, name)
		if i < 0 {
			return nil, v.wrong(field, "an unknown joint", "a joint of "+r.Name)
		}
		j, positionRad := r.Joints[i], v.HeldJointsRad[name]
		if err := v.check(
			rule{!slices.Contains(joints, i), field, "a joint of joint_order", "another joint"},
			rule{j.Contains(positionRad), field, positionRad, fmt.Sprintf("%v to %v, its range", j.LowerRad, j.UpperRad)},
		); err != nil {
			return nil, err
		}
	}
	unassigned := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		_, held := v.HeldJointsRad[name]
		return held || slices.Contains(v.JointOrder, name)
	})
	if len(unassigned) > 0 {
		return nil, v.missing("joint_order", "joints %q of %s not found here or in other_joints_rad", unassigned, r.Name)
	}
	return joints, nil
}

func (v validator) validatePose(r *robot.Robot, joints robot.JointIndices) error {
	if found := len(v.DefaultPoseRad); found != len(joints) {
		return v.wrong("default_pose_rad", fmt.Sprintf("%d values", found), fmt.Sprint(len(joints)))
	}
	for i, positionRad := range v.DefaultPoseRad {
		if j := r.Joints[joints[i]]; !j.Contains(positionRad) {
			return v.wrong(fmt.Sprintf("default_pose_rad[%d]", i), positionRad, fmt.Sprintf("%v to %v, the range of %s", j.LowerRad, j.UpperRad, j.Name))
		}
	}
	return nil
}

// validateGraphs checks each graph by itself, and that PolicyGraph agrees with the rest of the manifest.
func (v validator) validateGraphs() error {
	names := slices.Sorted(maps.Keys(v.Graphs))
	if !slices.Contains(names, PolicyGraph) {
		return v.missing("graphs", "%q not found in %q", PolicyGraph, names)
	}
	if len(names) > maxGraphs {
		return v.wrong("graphs", fmt.Sprintf("%d graphs", len(names)), fmt.Sprintf("at most %d", maxGraphs))
	}
	for _, name := range names {
		if err := v.validateGraph(name, v.Graphs[name]); err != nil {
			return err
		}
	}
	g := v.Graphs[PolicyGraph]
	observation, action := []int64{1, int64(v.Observation.Size)}, []int64{1, int64(len(v.JointOrder))}
	return v.check(
		rule{g.File == ModelFile, v.graphField(PolicyGraph, "file"), quote(g.File), quote(ModelFile)},
		rule{g.EverySteps <= 1, v.graphField(PolicyGraph, "every_steps"), g.EverySteps, "1: the policy runs in every step"},
		rule{slices.Equal(g.Inputs[0].Shape, observation), v.tensorField(PolicyGraph, "inputs", 0) + ".shape", g.Inputs[0].Shape, fmt.Sprint(observation)},
		rule{slices.Equal(g.Outputs[0].Shape, action), v.tensorField(PolicyGraph, "outputs", 0) + ".shape", g.Outputs[0].Shape, fmt.Sprint(action)},
	)
}

func (v validator) validateGraph(name string, g Graph) error {
	files := slices.Sorted(maps.Keys(v.Files))
	if err := v.check(
		rule{slices.Contains(files, g.File), v.graphField(name, "file"), quote(g.File), fmt.Sprintf("one of %q, the files of the policy", files)},
		rule{g.EverySteps >= 0, v.graphField(name, "every_steps"), g.EverySteps, "1 or more"},
	); err != nil {
		return err
	}
	if err := v.validateTensors(name, "inputs", g.Inputs); err != nil {
		return err
	}
	if err := v.validateTensors(name, "outputs", g.Outputs); err != nil {
		return err
	}
	return v.validateStates(name, g)
}

// validateTensors checks the inputs or the outputs of a graph.
func (v validator) validateTensors(graph, field string, tensors []Tensor) error {
	if len(tensors) == 0 {
		return v.wrong(v.graphField(graph, field), "0 tensors", "1 or more")
	}
	for i, t := range tensors {
		tensor := v.tensorField(graph, field, i)
		if err := v.check(
			rule{t.Name != "", tensor + ".name", quote(t.Name), "the name of the model's " + strings.TrimSuffix(field, "s")},
			rule{findTensor(tensors, t.Name) == i, tensor + ".name", quote(t.Name) + " again", "each name once"},
			rule{validShape(t.Shape), tensor + ".shape", t.Shape, fmt.Sprintf("dimensions of 1 or more, at most %d values", maxTensorValues)},
		); err != nil {
			return err
		}
	}
	return nil
}

// findTensor returns the index of the first tensor of that name, or -1.
func findTensor(tensors []Tensor, name string) int {
	return slices.IndexFunc(tensors, func(t Tensor) bool { return t.Name == name })
}

func validShape(shape []int64) bool {
	values := int64(1)
	for _, d := range shape {
		if d < 1 || d > maxTensorValues || values*d > maxTensorValues {
			return false
		}
		values *= d
	}
	return true
}

func (v validator) validateStates(graph string, g Graph) error {
	inputs, outputs := slices.Clone(g.Inputs[1:]), slices.Clone(g.Outputs[1:]) // Those that no state has yet.
	for i, s := range g.States {
		field := fmt.Sprintf("%s[%d]", v.graphField(graph, "states"), i)
		input, err := v.takeTensor(&inputs, field+".input", s.Input)
		if err != nil {
			return err
		}
		output, err := v.takeTensor(&outputs, field+".output", s.Output)
		if err != nil {
			return err
		}
		if !slices.Equal(input.Shape, output.Shape) {
			return v.wrong(field, fmt.Sprintf("input of shape %v, output of shape %v", input.Shape, output.Shape), "equal shapes")
		}
	}
	return nil
}

// takeTensor removes the tensor of that name from tensors and returns it.
func (v validator) takeTensor(tensors *[]Tensor, field, name string) (Tensor, error) {
	i := findTensor(*tensors, name)
	if i < 0 {
		names := make([]string, 0, len(*tensors))
		for _, t := range *tensors {
			names = append(names, t.Name)
		}
		return Tensor{}, v.wrong(field, quote(name), fmt.Sprintf("one of %q, each once", names))
	}
	t := (*tensors)[i]
	*tensors = slices.Delete(*tensors, i, i+1)
	return t, nil
}

// graphField returns the path of a field of a graph. Schema version 1 has the fields "input" and "output" in place of
// graphs.
func (v validator) graphField(graph, field string) string {
	if v.SchemaVersion == 1 {
		return strings.TrimSuffix(field, "s")
	}
	return "graphs." + graph + "." + field
}

// tensorField returns the path of a tensor: field is "inputs" or "outputs".
func (v validator) tensorField(graph, field string, i int) string {
	if v.SchemaVersion == 1 {
		return v.graphField(graph, field)
	}
	return fmt.Sprintf("%s[%d]", v.graphField(graph, field), i)
}
