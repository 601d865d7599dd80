package policy_test

import (
	"encoding/json"
	"maps"
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
		{"newer schema", set("schema_version", 4), "schema_version: found 4, expected 1 to 3"},
		{"schema 0", set("schema_version", 0), "schema_version: found 0, expected 1 to 3"},
		{"string for schema", set("schema_version", "one"), "schema_version: found a string, expected an integer in the range of int"},
		{"field of version 2", set("action_clip", 4.8), "action_clip: found an unknown field, expected a field of schema version 1"},
		{"no name", set("name", ""), `name: found "", expected a name`},
		{"unknown robot", set("robot", "spot"), `robot: found "spot", expected one of g1, go1, go2, hex, t1`},
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
		{"no observation kind", set("observation.kind", ""), `observation.kind: found "", expected "go1_joystick" or "parkour"`},
		{"observation version 0", set("observation.version", 0), "observation.version: found 0, expected 1"},
		{"observation size 0", set("observation.size", 0), "observation.size: found 0, expected 48"},
		{"control rate 0", set("control_rate_hz", 0), "control_rate_hz: found 0, expected more than 0 and at most 1000"},
		{"no input name", set("input.name", ""), `input.name: found "", expected the name of the model's input`},
		{"input size", set("input.shape", []int{1, 47}), "input.shape: found [1 47], expected [1 48]"},
		{"output size", set("output.shape", []int{12}), "output.shape: found [12], expected [1 12]"},
		{"no provenance", set("provenance.source", ""), `provenance.source: found "", expected the origin of the policy`},
	})
}

var (
	modelV2 = graphtest.Model{
		Inputs:  []graphtest.Tensor{{Name: "obs", Shape: []int64{-1, 48}}, {Name: "latent", Shape: []int64{-1, 4}}},
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
		"observation":      map[string]any{"kind": "go1_joystick", "version": 1, "size": 48},
		"control_rate_hz":  50,
		"graphs": map[string]any{
			"policy": map[string]any{"file": policy.ModelFile, "inputs": tensors(tensor("obs", 1, 48), tensor("latent", 1, 4)), "outputs": tensors(tensor("action", 1, 12))},
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
		{"size of parkour", set("observation.kind", "parkour"), "observation.size: found 48, expected 753, the sum of the terms (base_ang_vel 3, "},
		{"negative clip", set("action_clip", -1), "action_clip: found -1, expected a positive number, or 0 to disable clipping"},
		{"no policy graph", remove("graphs.policy"), `graphs: "policy" not found in ["encoder"]`},
		{"file of policy graph", set("graphs.policy.file", "encoder.onnx"), `graphs.policy.file: found "encoder.onnx", expected "policy.onnx"`},
		{"unlisted file", set("graphs.encoder.file", "e.onnx"), `graphs.encoder.file: found "e.onnx", expected one of ["encoder.onnx" "policy.onnx"]`},
		{"interval of policy graph", set("graphs.policy.every_steps", 2), "graphs.policy.every_steps: found 2, expected 1"},
		{"negative interval", set("graphs.encoder.every_steps", -1), "graphs.encoder.every_steps: found -1, expected 1 or more"},
		{"no outputs", set("graphs.encoder.outputs", []any{}), "graphs.encoder.outputs: found 0 tensors, expected 1 or more"},
		{"observation size", set("observation.size", 61), "observation.size: found 61, expected 48, the sum of the terms (base_lin_vel 3, base_ang_vel 3, "},
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

// terms replaces the terms of an observation.
func terms(all ...map[string]any) func(map[string]any) { return set("observation.terms", all) }

type object = map[string]any

// history is a valid history, with changed fields.
func history(change object) func(map[string]any) {
	h := object{"steps": 3, "layout": "step", "order": "oldest_first", "start": "repeat", "push": "before"}
	maps.Copy(h, change)
	return set("observation.history", h)
}

func TestLoad_wrongManifestV3(t *testing.T) {
	eleven := slices.Repeat([]float64{0.5}, 11)
	gait := func(change object) func(map[string]any) {
		g := object{"period_s": 0.5, "offsets_rad": []float64{0, 3}, "order": "cos_sin"}
		maps.Copy(g, change)
		return terms(object{"term": "gait_phase", "gait": g})
	}
	checkManifests(t, writeV3, []manifestTest{
		{"field of version 2", set("action_scale", 0.5), "action_scale: found an unknown field, expected a field of schema version 3"},
		{"no gains", remove("gains"), "gains.kp: not found, expected a number, or one for each of the 12 joints"},
		{"no kd", remove("gains.kd"), "gains.kd: not found"},
		{"11 gains", set("gains.kp", eleven), "gains.kp: found 11 values, expected one number, or 12: one for each of"},
		{"13 gains", set("gains.kd", slices.Repeat([]float64{0.5}, 13)), "gains.kd: found 13 values, expected one number, or 12"},
		{"negative gain", set("gains.kp", append(slices.Clone(eleven), -1)), "gains.kp[11]: found -1, expected more than 0 and at most 100000"},
		{"text in gains", set("gains.kp", []any{1, "2"}), "gains.kp[1]: found a string, expected a number"},
		{"no action scale", remove("action.scale"), "action.scale: not found"},
		{"11 scales", set("action.scale", eleven), "action.scale: found 11 values, expected one number, or 12"},
		{"action scale 0", set("action.scale", 0), "action.scale: found 0, expected a finite number other than 0"},
		{"reversed clip", set("action.clip", []float64{2, -2}), "action.clip: found 2 to -2, expected a lower and a higher bound"},
		{"negative clip", set("action.clip", -2), "action.clip: found 2 to -2, expected"},
		{"three bounds", set("action.clip", []float64{1, 2, 3}), "action.clip"},
		{"11 offsets", set("action.offset_rad", eleven), "action.offset_rad: found 11 values"},
		{"smoothing", set("action.smoothing", 1.5), "action.smoothing: found 1.5, expected the weight of the new action"},
		{"delay", set("action.delay_steps", -1), "action.delay_steps: found -1, expected 0 to 100"},
		{"kind", set("observation.kind", "go1_joystick"), "observation.kind: found an unknown field"},
		{"no terms", set("observation.terms", []any{}), "observation.terms: found 0 terms, expected 1 to 256"},
		{"unknown term", terms(object{"term": "base_linear_vel"}), `observation.terms[0].term: found "base_linear_vel", expected "base_lin_vel", which is nearest, or another one of base_ang_vel, `},
		{"unknown field", terms(object{"term": "base_lin_vel", "noise": 1}), "observation.terms[0].noise: found an unknown field"},
		{"joints of gravity", terms(object{"term": "projected_gravity", "joints": []string{"FR_hip_joint"}}), "observation.terms[0].joints: found a field that projected_gravity does not have"},
		{"unknown joint", terms(object{"term": "joint_vel", "joints": []string{"FR_hip"}}), `observation.terms[0].joints[0]: found "FR_hip", expected "FR_hip_joint", which is nearest, or another one of`},
		{"joint twice", terms(object{"term": "joint_vel", "joints": []string{"FR_hip_joint", "FR_hip_joint"}}), `observation.terms[0].joints[1]: found "FR_hip_joint" again, expected each name once`},
		{"unknown axis", terms(object{"term": "velocity_command", "axes": []string{"yaw"}}), `observation.terms[0].axes[0]: found "yaw", expected "vx", which is nearest`},
		{"2 scales of 3", terms(object{"term": "base_ang_vel", "scale": []float64{1, 2}}), `observation.terms[0].scale: found 2 values, expected one number, or 3: one for each of ["x" "y" "z"]`},
		{"scale 0", terms(object{"term": "base_ang_vel", "scale": 0}), "observation.terms[0].scale: found 0, expected a finite number other than 0"},
		{"huge offset", terms(object{"term": "base_ang_vel", "offset": json.RawMessage("1e999")}), "observation.terms[0].offset: found the number 1e999, expected a number"},
		{"reversed clip of a term", terms(object{"term": "base_ang_vel", "clip": []any{[]float64{1, 2}, []float64{2, 1}, []float64{1, 2}}}), "observation.terms[0].clip[1]: found 2 to 1"},
		{"slot without provider", terms(object{"term": "slot", "name": "a", "size": 48}), "observation.provider: not found"},
		{"provider without slot", set("observation.provider", "parkour"), `observation.provider: found "parkour", expected no provider`},
		{"slot without name", terms(object{"term": "slot", "size": 48}), `observation.terms[0].name: found "", expected the name of the slot`},
		{"huge slot", terms(object{"term": "slot", "name": "a", "size": 1 << 24}), "observation.terms[0].size: found 16777216, expected 1 to 65536"},
		{"constant of two sizes", terms(object{"term": "constant", "value": []float64{1, 2}, "size": 3}), "observation.terms[0].value: found 2 values, expected one number, or 3"},
		{"scaled slot", terms(object{"term": "slot", "name": "a", "size": 48, "scale": 2}), "observation.terms[0]: found a slot with clip, scale or offset"},
		{"gait missing", terms(object{"term": "gait_phase"}), "observation.terms[0].gait: not found"},
		{"gait period", gait(object{"period_s": 0}), "observation.terms[0].gait.period_s: found 0, expected more than 0"},
		{"gait order", gait(object{"order": "sin"}), `observation.terms[0].gait.order: found "sin", expected "cos_sin" or "sin_cos"`},
		{"gait at rest", gait(object{"standing": object{"below": 0.1, "phases_rad": []float64{3}}}), "observation.terms[0].gait.standing.phases_rad: found 1 values, expected 2"},
		{"ground missing", terms(object{"term": "height_scan", "size": 187}), "observation.terms[0].ground: not found"},
		{"size", set("observation.size", 45), "observation.size: found 45, expected 48, the sum of the terms (base_lin_vel 3, "},
		{"size with history", history(nil), "observation.size: found 48, expected 144, the sum of the terms ("},
		{"history without layout", history(object{"layout": ""}), `observation.history.layout: found "", expected "step" or "term"`},
		{"history order", history(object{"order": "newest"}), `observation.history.order: found "newest", expected "oldest_first" or "newest_first"`},
		{"history start", history(object{"start": "nan"}), `observation.history.start: found "nan", expected "repeat" or "zeros"`},
		{"history push", history(object{"push": "never"}), `observation.history.push: found "never", expected "before" or "after"`},
		{"history steps", history(object{"steps": 0}), "observation.history.steps: found 0, expected 1 to 1000"},
		{"history of a term alone", terms(object{"term": "base_ang_vel", "history_steps": 3}), "observation.terms[0]: found a term with history_steps or zero_in_history"},
		{"input of the graph", set("graphs.policy.inputs", tensors(tensor("obs", 1, 47))), "graphs.policy.inputs[0].shape: found [1 47], expected [1 48]"},
		{"command range", set("command_ranges.vx_mps", []float64{1, -1}), "command_ranges.vx_mps: found 1 to -1, expected the lowest and the highest value"},
		{"quaternion order", set("imu", object{"quaternion_order": "zyxw"}), `imu.quaternion_order: found "zyxw", expected "wxyz" or "xyzw"`},
		{"quaternion norm", set("imu", object{"quaternion_order": "wxyz", "orientation": []float64{1, 1, 0, 0}}), "imu.orientation: found a norm of 1.414, expected 1"},
		{"IMU position", set("imu", object{"quaternion_order": "wxyz", "position_m": []float64{1, 0}}), "imu.position_m: found 2 values, expected 3"},
	})
}

// Python's json module writes numbers that JSON does not have.
func TestLoad_numberNotFinite(t *testing.T) {
	for _, number := range []string{"NaN", "Infinity", "-Infinity"} {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, policy.ManifestFile), []byte(`{"schema_version": 3, "action": {"scale": [1, `+number+`]}}`))
		_, err := policy.Load(dir)
		checkError(t, err, "policy: "+filepath.Join(dir, policy.ManifestFile)+": action.scale[1]: found a number that is not finite, expected a finite number")
	}
}
