package policy_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/graph/graphtest"
	"krabby.dev/krabby/hal/robot"
)

// set returns a function that sets a field of a manifest, given by its path.
func set(path string, value any) func(map[string]any) {
	return func(m map[string]any) {
		object, key := parent(m, path)
		object[key] = value
	}
}

// remove returns a function that removes a field of a manifest, given by its path.
func remove(path string) func(map[string]any) {
	return func(m map[string]any) {
		object, key := parent(m, path)
		delete(object, key)
	}
}

// parent returns the object that has the field at path, and the name of the field.
func parent(m map[string]any, path string) (object map[string]any, key string) {
	keys := strings.Split(path, ".")
	for _, key := range keys[:len(keys)-1] {
		m = m[key].(map[string]any)
	}
	return m, keys[len(keys)-1]
}

// tensor returns an element of the inputs or outputs of a manifest.
func tensor(name string, shape ...int64) any { return map[string]any{"name": name, "shape": shape} }

// tensors returns the inputs or outputs of a manifest.
func tensors(all ...any) []any { return all }

// state returns the states of a manifest.
func state(input, output string) []any {
	return []any{map[string]any{"input": input, "output": output}}
}

// manifestTest is a wrong manifest: change makes it so, and want begins the error, after the path of the manifest.
type manifestTest struct {
	name   string
	change func(manifest map[string]any)
	want   string
}

func checkManifests(t *testing.T, write func(*testing.T, func(map[string]any)) string, tests []manifestTest) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := write(t, test.change)
			_, err := policy.Load(dir)
			checkError(t, err, "policy: "+filepath.Join(dir, policy.ManifestFile)+": "+test.want)
		})
	}
}

func TestLoad_wrongManifestV1(t *testing.T) {
	sum := strings.Repeat("0", 64)
	pose := []float64{0.1, 0.9, -1.8, -0.1, 0.9, -1.8, 0.1, 0.9, -1.8, -0.1, 0.9, 1.8}
	write := func(t *testing.T, change func(map[string]any)) string { return writeV1(t, model, change) }
	checkManifests(t, write, []manifestTest{
		{"upper case name", set("Action_Scale", 1), "Action_Scale: found an unknown field, expected a field of schema version 1"},
		{"null", set("control_rate_hz", nil), "control_rate_hz: found null, expected a value, or the field left out"},
		{"null in array", set("default_pose_rad", []any{0.1, nil}), "default_pose_rad[1]: found null, expected a value, or the field left out"},
		{"large number", set("observation.size", 1e30), "observation.size: found the number 1e+30, expected an integer in the range of int"},
		{"array for object", set("input", []any{1}), "input: found an array, expected an object"},
		{"string in shape", set("input.shape", []any{1, "48"}), "input.shape[1]: found a string, expected an integer in the range of int64"},
		{"unknown field", set("acton_scale", 1), "acton_scale: found an unknown field, expected a field of schema version 1"},
		{"unknown nested field", set("observation.noise", 1), "observation.noise: found an unknown field, expected a field of schema version 1"},
		{"string for number", set("action_scale", "0.5"), "action_scale: found a string, expected a number"},
		{"newer schema", set("schema_version", 3), "schema_version: found 3, expected 1 or 2"},
		{"schema 0", set("schema_version", 0), "schema_version: found 0, expected 1 or 2"},
		{"string for schema", set("schema_version", "one"), "schema_version: found a string, expected an integer in the range of int"},
		{"field of version 2", set("action_clip", 4.8), "action_clip: found an unknown field, expected a field of schema version 1"},
		{"no name", set("name", ""), `name: found "", expected a name`},
		{"unknown robot", set("robot", "spot"), `robot: found "spot", expected one of go1, go2, hex`},
		{"no files", set("files", map[string]any{}), `files: "policy.onnx" not found in []`},
		{"other model file", set("files", map[string]any{"a.onnx": sum}), `files: "policy.onnx" not found in ["a.onnx"]`},
		{"file outside the directory", set("files", map[string]any{"policy.onnx": sum, "../x": sum}), `files: found "../x", expected the name of a file in the directory`},
		{"short checksum", set("files", map[string]any{"policy.onnx": "386c"}), `files["policy.onnx"]: found "386c", expected a sha256 of 64 lower case hex digits`},
		{"no joints", set("joint_order", []string{}), "joint_order: found 0 joints, expected 1 or more"},
		{"unknown joint", set("joint_order", []string{"a"}), `joint_order[0]: found "a", expected one of ["FR_hip_joint" "FR_thigh_joint"`},
		{"duplicate joint", set("joint_order", []string{"FR_hip_joint", "FR_hip_joint"}), `joint_order[1]: found "FR_hip_joint" again, expected each joint once`},
		{"missing joint", set("joint_order", robot.Go1().JointNames()[:11]), `joint_order: joints ["RL_calf_joint"] of go1 not found here or in other_joints_rad`},
		{"short pose", set("default_pose_rad", []float64{0}), "default_pose_rad: found 1 values, expected 12"},
		{"pose out of range", set("default_pose_rad", pose), "default_pose_rad[11]: found 1.8, expected -2.818 to -0.888, the range of RL_calf_joint"},
		{"action scale 0", set("action_scale", 0), "action_scale: found 0, expected a positive number"},
		{"no observation kind", set("observation.kind", ""), `observation.kind: found "", expected a kind of observation`},
		{"observation version 0", set("observation.version", 0), "observation.version: found 0, expected 1 or more"},
		{"observation size 0", set("observation.size", 0), "observation.size: found 0, expected 1 or more"},
		{"control rate 0", set("control_rate_hz", 0), "control_rate_hz: found 0, expected more than 0 and at most 1000"},
		{"no input name", set("input.name", ""), `input.name: found "", expected the name of the model's input`},
		{"input size", set("input.shape", []int{1, 47}), "input.shape: found [1 47], expected [1 48]"},
		{"output size", set("output.shape", []int{12}), "output.shape: found [12], expected [1 12]"},
		{"no provenance", set("provenance.source", ""), `provenance.source: found "", expected the origin of the policy`},
	})
}

var (
	modelV2 = graphtest.Model{
		Inputs:  []graphtest.Tensor{{Name: "obs", Shape: []int64{-1, 60}}, {Name: "latent", Shape: []int64{-1, 4}}},
		Outputs: []graphtest.Tensor{{Name: "action", Shape: []int64{-1, 12}}},
	}.Bytes()
	encoderV2 = graphtest.Model{
		Inputs:  []graphtest.Tensor{{Name: "image", Shape: []int64{1, 2, 3}}, {Name: "state_in", Shape: []int64{1, 8}}},
		Outputs: []graphtest.Tensor{{Name: "latent", Shape: []int64{1, 4}}, {Name: "state_out", Shape: []int64{1, 8}}},
	}.Bytes()
)

// writeV2 writes a policy of schema version 2 with all fields: it drives 12 of the hex's 18 joints and has a second graph
// with a state. It returns the directory.
func writeV2(t *testing.T, change func(manifest map[string]any)) string {
	t.Helper()
	front := robot.Hex().JointNames()[:12]
	slices.Reverse(front)
	return write(t, map[string]any{
		"schema_version":   2,
		"name":             "walk",
		"robot":            "hex",
		"joint_order":      front,
		"other_joints_rad": map[string]any{"RL_hip_yaw": 0.1, "RL_hip_pitch": 0.2, "RL_knee": 0.3, "RR_hip_yaw": 0.1, "RR_hip_pitch": 0.2, "RR_knee": 0.3},
		"default_pose_rad": []float64{0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.11, 0.12},
		"action_scale":     0.25,
		"action_clip":      4.8,
		"observation":      map[string]any{"kind": "walk", "version": 2, "size": 60},
		"control_rate_hz":  50,
		"graphs": map[string]any{
			"policy": map[string]any{"file": policy.ModelFile, "inputs": tensors(tensor("obs", 1, 60), tensor("latent", 1, 4)), "outputs": tensors(tensor("action", 1, 12))},
			"encoder": map[string]any{
				"file": "encoder.onnx", "every_steps": 5,
				"inputs":  tensors(tensor("image", 1, 2, 3), tensor("state_in", 1, 8)),
				"outputs": tensors(tensor("latent", 1, 4), tensor("state_out", 1, 8)),
				"states":  state("state_in", "state_out"),
			},
		},
		"provenance": map[string]any{"source": "a test", "path": "", "license": "none"},
	}, map[string][]byte{policy.ModelFile: modelV2, "encoder.onnx": encoderV2}, change)
}

func TestLoad_wrongManifestV2(t *testing.T) {
	checkManifests(t, writeV2, []manifestTest{
		{"field of version 1", set("input", tensor("obs", 1, 60)), "input: found an unknown field, expected a field of schema version 2"},
		{"12 of 18 joints", remove("other_joints_rad"),
			`joint_order: joints ["RL_hip_yaw" "RL_hip_pitch" "RL_knee" "RR_hip_yaw" "RR_hip_pitch" "RR_knee"] of hex not found here or in other_joints_rad`},
		{"17 of 18 joints", remove("other_joints_rad.RR_knee"), `joint_order: joints ["RR_knee"] of hex not found here or in other_joints_rad`},
		{"joint driven and held", set("other_joints_rad.FL_knee", 0), `other_joints_rad["FL_knee"]: found a joint of joint_order, expected another joint`},
		{"unknown held joint", set("other_joints_rad.tail", 0), `other_joints_rad["tail"]: found an unknown joint, expected a joint of hex`},
		{"held joint out of range", set("other_joints_rad.RR_knee", 0.6), `other_joints_rad["RR_knee"]: found 0.6, expected -0.5 to 0.5, its range`},
		{"negative clip", set("action_clip", -1), "action_clip: found -1, expected a positive number, or 0 to disable clipping"},
		{"no policy graph", remove("graphs.policy"), `graphs: "policy" not found in ["encoder"]`},
		{"file of policy graph", set("graphs.policy.file", "encoder.onnx"), `graphs.policy.file: found "encoder.onnx", expected "policy.onnx"`},
		{"unlisted file", set("graphs.encoder.file", "e.onnx"), `graphs.encoder.file: found "e.onnx", expected one of ["encoder.onnx" "policy.onnx"]`},
		{"interval of policy graph", set("graphs.policy.every_steps", 2), "graphs.policy.every_steps: found 2, expected 1"},
		{"negative interval", set("graphs.encoder.every_steps", -1), "graphs.encoder.every_steps: found -1, expected 1 or more"},
		{"no outputs", set("graphs.encoder.outputs", []any{}), "graphs.encoder.outputs: found 0 tensors, expected 1 or more"},
		{"observation size", set("observation.size", 61), "graphs.policy.inputs[0].shape: found [1 60], expected [1 61]"},
		{"duplicate input", set("graphs.encoder.inputs", tensors(tensor("image", 1), tensor("image", 1))),
			`graphs.encoder.inputs[1].name: found "image" again, expected each name once`},
		{"open dimension", set("graphs.encoder.inputs", tensors(tensor("image", -1, 2))),
			"graphs.encoder.inputs[0].shape: found [-1 2], expected dimensions of 1 or more"},
		{"large tensor", set("graphs.encoder.inputs", tensors(tensor("image", 1<<12, 1<<12, 2))),
			"graphs.encoder.inputs[0].shape: found [4096 4096 2], expected dimensions of 1 or more, at most 16777216 values"},
		{"unknown state output", set("graphs.encoder.states", state("state_in", "h")),
			`graphs.encoder.states[0].output: found "h", expected one of ["state_out"], each once`},
		{"first input as state", set("graphs.encoder.states", state("image", "state_out")),
			`graphs.encoder.states[0].input: found "image", expected one of ["state_in"], each once`},
		{"duplicate state", set("graphs.encoder.states", slices.Concat(state("state_in", "state_out"), state("state_in", "state_out"))),
			`graphs.encoder.states[1].input: found "state_in", expected one of [], each once`},
		{"state shapes", set("graphs.encoder.inputs", tensors(tensor("image", 1, 2, 3), tensor("state_in", 1, 9))),
			"graphs.encoder.states[0]: found input of shape [1 9], output of shape [1 8], expected equal shapes"},
	})
}
