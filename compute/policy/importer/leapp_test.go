package importer_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/onnx/onnxtest"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/graph/graphtest"
	"krabby.dev/krabby/compute/policy/importer"
	"krabby.dev/krabby/hal/robot"
)

// leappYAML is an export of LEAPP in which SUM stands for the checksum of the model and JOINTS for the Go2's joints in its order.
const leappYAML = `models:
  walk:
    inputs:
    - {name: robot_joint_pos, shape: [1, 12], dtype: float32, kind: state/joint/position, element_names: [[JOINTS]], isaaclab_connection: "state:robot:joint_pos"}
    - {name: robot_projected_gravity_b, shape: [1, 3], dtype: float32, kind: state/vector3d, isaaclab_connection: "state:robot:projected_gravity_b"}
    - {name: base_velocity, shape: [1, 3], dtype: float32, kind: command/body/velocity, isaaclab_connection: "command:base_velocity"}
    - {name: last, shape: [1, 12], dtype: float32}
    outputs:
    - {name: next, shape: [1, 12], dtype: float32}
    - {name: target, shape: [1, 12], dtype: float32, kind: target/joint/position, element_names: [[JOINTS]], isaaclab_connection: "write:robot:set_joint_position_target"}
    parameters: {model_path: walk.onnx, md5sum: "0", sha256sum: SUM, backend: onnx-dynamo}
pipeline:
  configs: {frequency: 50.0}
  data_flow: {}
  feedback_flow: {walk/next: [walk/last]}
  initial_values: walk_initial_values.safetensors
  inputs: {walk: [base_velocity, robot_joint_pos, robot_projected_gravity_b, last]}
  outputs: {walk: [target]}
system information: {leapp version: 0.7.2}
`

// leappOptions writes an export: target = joint positions + last, next = joint positions.
func leappOptions(t *testing.T, change *strings.Replacer, initial ...byte) importer.Options {
	t.Helper()
	dir := t.TempDir()
	tensor := func(name string, n int64) graphtest.Tensor {
		return graphtest.Tensor{Name: name, Shape: []int64{1, n}}
	}
	export := graphtest.Model{
		Inputs:  []graphtest.Tensor{tensor("robot_joint_pos", 12), tensor("robot_projected_gravity_b", 3), tensor("base_velocity", 3), tensor("last", 12)},
		Outputs: []graphtest.Tensor{tensor("next", 12), tensor("target", 12)},
		Nodes:   []graphtest.Node{{Op: "Add", Inputs: []string{"robot_joint_pos", "last"}, Outputs: []string{"target"}}, {Op: "Identity", Inputs: []string{"robot_joint_pos"}, Outputs: []string{"next"}}},
	}.Bytes()
	header := []byte(`{"walk/last":{"dtype":"F32","shape":[1,12],"data_offsets":[0,48]}}`)
	values := append(make([]byte, 48-len(initial)), initial...)
	write(t, dir, "walk_initial_values.safetensors", string(binary.LittleEndian.AppendUint64(nil, uint64(len(header))))+string(header)+string(values))
	content := strings.NewReplacer("JOINTS", strings.Join(robot.Go2().JointNames(), ", "), "SUM", fmt.Sprintf("%x", sha256.Sum256(export))).Replace(change.Replace(leappYAML))
	return importer.Options{
		Model: write(t, dir, "walk.onnx", string(export)), Configs: []string{write(t, dir, "walk.yaml", content)}, Robot: robot.Go2(),
		DefaultPose: []string{"robot"}, Kp: []string{"25"}, Kd: []string{"0.5"}, Source: "a test", Name: "walk",
	}
}

func TestImport_leapp(t *testing.T) {
	runtime := onnxtest.Open(t)
	p, _ := imported(t, leappOptions(t, strings.NewReplacer()))
	var terms []string
	for _, term := range p.Observation.Terms {
		terms = append(terms, term.Term)
	}
	if want := []string{policy.TermVelocityCommand, policy.TermJointPos, policy.TermProjectedGravity}; !slices.Equal(terms, want) || p.Observation.Size != 18 || p.ControlRateHz != 50 {
		t.Errorf("terms = %q of %d values, want %q of 18", terms, p.Observation.Size, want)
	}
	if p.Action.Scale[0] != 1 || p.Action.OffsetRad[0] != 0 || !slices.Equal(p.JointOrder, robot.Go2().JointNames()) {
		t.Errorf("action = %+v, joints %q", p.Action, p.JointOrder)
	}
	session := onnxtest.NewSession(t, runtime, p)
	for step, want := range []float32{4, 8} { // The positions, then with those of the step before.
		session.Input()[3+1] = 4
		if err := session.Run(); err != nil {
			t.Fatal(err)
		}
		if got := session.Output()[1]; got != want {
			t.Errorf("step %d: target = %v, want %v", step, got, want)
		}
	}
}

func TestImport_leappInvalid(t *testing.T) {
	for name, test := range map[string]struct {
		old, new string
		want     []string
	}{
		"checksum":       {"sha256sum: SUM", "sha256sum: abc", []string{"models.walk.parameters.sha256sum: found abc, expected"}},
		"torque":         {"kind: target/joint/position", "kind: target/joint/effort", []string{`outputs[1].kind: found "target/joint/effort", expected target/joint/position`}},
		"unknown state":  {"state:robot:projected_gravity_b", "state:robot:projected_gravity", []string{`found "projected_gravity", expected "projected_gravity_b", which is nearest`}},
		"no connection":  {`, isaaclab_connection: "command:base_velocity"`, "", []string{"inputs[2]: found no isaaclab_connection", "--term base_velocity=TERM"}},
		"two outputs":    {"outputs: {walk: [target]}", "outputs: {walk: [target, next]}", []string{"pipeline.outputs.walk: found [\"target\" \"next\"], expected one output"}},
		"no feedback":    {"feedback_flow: {walk/next: [walk/last]}", "feedback_flow: {}", []string{"models.walk.inputs[3]: found no isaaclab_connection"}},
		"another place":  {"walk_initial_values.safetensors", "../other.safetensors", []string{"pipeline.initial_values: found \"../other.safetensors\""}},
		"joint of other": {"element_names: [[JOINTS]], isaaclab_connection: \"write", "element_names: [[FL_hip]], isaaclab_connection: \"write", []string{`element_names[0][0]: found "FL_hip", expected a joint of go2`}},
	} {
		t.Run(name, func(t *testing.T) {
			checkError(t, leappOptions(t, strings.NewReplacer(test.old, test.new)), test.want...)
		})
	}
	checkError(t, leappOptions(t, strings.NewReplacer(), 0x3f), "walk_initial_values.safetensors: found a value other than 0 at byte 47 of the values, expected zeros")
	o := leappOptions(t, strings.NewReplacer())
	if err := os.WriteFile(filepath.Join(filepath.Dir(o.Model), "walk_initial_values.safetensors"), []byte("short"), 0o644); err != nil {
		t.Fatal(err)
	}
	checkError(t, o, "walk_initial_values.safetensors: found another format, expected safetensors")
	o = leappOptions(t, strings.NewReplacer("frequency: 50.0", "other: 1"))
	o.DefaultPose = nil
	checkError(t, o, "control rate: give --rate", "default pose: give --default-pose")
}
