package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/policy/graph/graphtest"
	"krabby.dev/krabby/hal/robot"
)

// model is a model as the checked-in manifest describes it, but for what it computes.
var model = graphtest.Model{
	Inputs:  []graphtest.Tensor{{Name: "obs", Shape: []int64{1, 48}}},
	Outputs: []graphtest.Tensor{{Name: "continuous_actions", Shape: []int64{1, 12}}},
	Weights: []graphtest.Weight{{Name: "bias", Shape: []int64{12}}},
}.Bytes()

// folder writes a valid policy, as the checked-in manifest describes it but for the model, after change.
func folder(t *testing.T, change func(manifest map[string]any)) string {
	t.Helper()
	content, err := os.ReadFile("go1_joystick/go1_joystick.json")
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(content, &m); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(model)
	m["files"] = map[string]any{ModelFile: hex.EncodeToString(sum[:])}
	if change != nil {
		change(m)
	}
	content, err = json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, ManifestFile), content)
	write(t, filepath.Join(dir, ModelFile), model)
	return dir
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLoadReturnsWhatWasChecked(t *testing.T) {
	dir := folder(t, nil)
	p, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(p.Models[PolicyGraph], model) || p.Declared[PolicyGraph].Parameters != 12 || p.Dir != dir || !reflect.DeepEqual(p.Robot, robot.Go1()) {
		t.Errorf("model %q, declared %+v, dir %q, robot %q", p.Models, p.Declared, p.Dir, p.Robot.Name)
	}
	if p.Name != "go1_joystick" || p.ActionScale != 0.5 || p.ControlRateHz != 50 ||
		p.Observation != (Observation{Kind: "go1_joystick", Version: 1, Size: 48}) ||
		!reflect.DeepEqual(p.Graphs, map[string]Graph{PolicyGraph: {
			File:    ModelFile,
			Inputs:  []Tensor{{Name: "obs", Shape: []int64{1, 48}}},
			Outputs: []Tensor{{Name: "continuous_actions", Shape: []int64{1, 12}}},
		}}) {
		t.Errorf("manifest = %+v", p.Manifest)
	}
}

func TestAPolicyIsFoundByItsManifest(t *testing.T) {
	dir := folder(t, nil)
	p, err := Load(filepath.Join(dir, ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	if p.Dir != dir || p.Name != "go1_joystick" {
		t.Errorf("%s in %s, want go1_joystick in %s", p.Name, p.Dir, dir)
	}
}

func TestCheckedInManifestIsOfTheGo1(t *testing.T) {
	const file = "go1_joystick/go1_joystick.json"
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := parse(file, content)
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := m.validate(file)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(m.DefaultPoseRad, r.DefaultPoseRad) {
		t.Errorf("default pose = %v, want the robot's, %v", m.DefaultPoseRad, r.DefaultPoseRad)
	}
}

func TestAWrongManifestNamesTheField(t *testing.T) {
	set := func(path string, value any) func(map[string]any) {
		return func(m map[string]any) {
			keys := strings.Split(path, ".")
			for _, key := range keys[:len(keys)-1] {
				m = m[key].(map[string]any)
			}
			m[keys[len(keys)-1]] = value
		}
	}
	sum := strings.Repeat("0", 64)
	pose := []float64{0.1, 0.9, -1.8, -0.1, 0.9, -1.8, 0.1, 0.9, -1.8, -0.1, 0.9, 1.8}
	tests := []struct {
		name   string
		change func(map[string]any)
		want   string // After the name of the manifest.
	}{
		{"a field written otherwise", set("Action_Scale", 1), "Action_Scale: found an unknown field, expected only the fields of schema version 1"},
		{"null", set("control_rate_hz", nil), "control_rate_hz: found null, expected a value, or not the field"},
		{"null among numbers", set("default_pose_rad", []any{0.1, nil}), "default_pose_rad[1]: found null, expected a value, or not the field"},
		{"a number that is too large", set("observation.size", 1e30), "observation.size: found a JSON number 1e+30, expected a value of type int"},
		{"a list for an object", set("input", []any{1}), "input: found a JSON array, expected a value of type policy.Tensor"},
		{"text in a shape", set("input.shape", []any{1, "48"}), "input.shape[1]: found a JSON string, expected a value of type int64"},
		{"an unknown field", set("acton_scale", 1), "acton_scale: found an unknown field, expected only the fields of schema version 1"},
		{"an unknown nested field", set("observation.noise", 1), "observation.noise: found an unknown field, expected only the fields of schema version 1"},
		{"a field of another type", set("action_scale", "0.5"), "action_scale: found a JSON string, expected a value of type float64"},
		{"another schema", set("schema_version", 3), "schema_version: found 3, expected 1 or 2"},
		{"no schema", set("schema_version", 0), "schema_version: found 0, expected 1 or 2"},
		{"a schema that is no number", set("schema_version", "one"), "schema_version: found a JSON string, expected a value of type int"},
		{"a field of a newer schema", set("action_clip", 4.8), "action_clip: found an unknown field, expected only the fields of schema version 1"},
		{"no name", set("name", ""), `name: found "", expected a name`},
		{"an unknown robot", set("robot", "spot"), `robot: found "spot", expected one of go1, go2, hex`},
		{"no files", set("files", map[string]any{}), `files: found [], expected "policy.onnx" among them`},
		{"another model", set("files", map[string]any{"a.onnx": sum}), `files: found ["a.onnx"], expected "policy.onnx" among them`},
		{"a file outside the folder", set("files", map[string]any{"policy.onnx": sum, "../x": sum}), `files: found "../x", expected the name of a file in the folder`},
		{"a short checksum", set("files", map[string]any{"policy.onnx": "386c"}), `files["policy.onnx"]: found "386c", expected a sha256 of 64 lower case hex digits`},
		{"no joints", set("joint_order", []string{}), "joint_order: found no joints, expected the joints that the policy drives"},
		{"other joints", set("joint_order", []string{"a"}), `joint_order[0]: found "a", expected one of ["FR_hip_joint" "FR_thigh_joint"`},
		{"a joint twice", set("joint_order", []string{"FR_hip_joint", "FR_hip_joint"}), `joint_order[1]: found "FR_hip_joint" again, expected each joint once`},
		{"few joints", set("joint_order", robot.Go1().JointNames()[:11]), `joint_order: found 11 of the 12 joints of go1, without ["RL_calf_joint"], expected every joint, or other_joints_rad`},
		{"a short pose", set("default_pose_rad", []float64{0}), "default_pose_rad: found 1 values, expected 12"},
		{"a pose out of range", set("default_pose_rad", pose), "default_pose_rad[11]: found 1.8, expected -2.818 to -0.888, the range of RL_calf_joint"},
		{"no scale", set("action_scale", 0), "action_scale: found 0, expected a positive number"},
		{"no kind", set("observation.kind", ""), `observation.kind: found "", expected a kind of observation`},
		{"no version of it", set("observation.version", 0), "observation.version: found 0, expected 1 or more"},
		{"no size", set("observation.size", 0), "observation.size: found 0, expected 1 or more"},
		{"no rate", set("control_rate_hz", 0), "control_rate_hz: found 0, expected more than 0 and at most 1000"},
		{"a nameless input", set("input.name", ""), `input.name: found "", expected the name of the model's input`},
		{"an input of another size", set("input.shape", []int{1, 47}), "input.shape: found [1 47], expected [1 48]"},
		{"an output of another size", set("output.shape", []int{12}), "output.shape: found [12], expected [1 12]"},
		{"no provenance", set("provenance.source", ""), `provenance.source: found "", expected where the policy comes from`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := folder(t, tt.change)
			_, err := Load(dir)
			checkError(t, err, "policy: "+filepath.Join(dir, ManifestFile)+": "+tt.want)
		})
	}
}

// two is a manifest of schema version 2, with all that it can have: 12 joints of the hex, which has 18, and a second
// model that remembers.
func two() map[string]any {
	hash := func(content []byte) string {
		sum := sha256.Sum256(content)
		return hex.EncodeToString(sum[:])
	}
	front := robot.Hex().JointNames()[:12]
	slices.Reverse(front)
	tensor := func(name string, shape ...int64) any { return map[string]any{"name": name, "shape": shape} }
	return map[string]any{
		"schema_version":   2,
		"name":             "walk",
		"robot":            "hex",
		"files":            map[string]any{ModelFile: hash(twoModel), "encoder.onnx": hash(twoEncoder)},
		"joint_order":      front,
		"other_joints_rad": map[string]any{"RL_hip_yaw": 0.1, "RL_hip_pitch": 0.2, "RL_knee": 0.3, "RR_hip_yaw": 0.1, "RR_hip_pitch": 0.2, "RR_knee": 0.3},
		"default_pose_rad": []float64{0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.11, 0.12},
		"action_scale":     0.25,
		"action_clip":      4.8,
		"observation":      map[string]any{"kind": "walk", "version": 2, "size": 60},
		"control_rate_hz":  50,
		"graphs": map[string]any{
			"policy": map[string]any{"file": ModelFile, "inputs": []any{tensor("obs", 1, 60), tensor("latent", 1, 4)}, "outputs": []any{tensor("action", 1, 12)}},
			"encoder": map[string]any{
				"file": "encoder.onnx", "every_steps": 5,
				"inputs":  []any{tensor("image", 1, 2, 3), tensor("state_in", 1, 8)},
				"outputs": []any{tensor("latent", 1, 4), tensor("state_out", 1, 8)},
				"states":  []any{map[string]any{"input": "state_in", "output": "state_out"}},
			},
		},
		"provenance": map[string]any{"source": "a test", "path": "", "license": "none"},
	}
}

var (
	twoModel = graphtest.Model{
		Inputs:  []graphtest.Tensor{{Name: "obs", Shape: []int64{-1, 60}}, {Name: "latent", Shape: []int64{-1, 4}}},
		Outputs: []graphtest.Tensor{{Name: "action", Shape: []int64{-1, 12}}},
	}.Bytes()
	twoEncoder = graphtest.Model{
		Inputs:  []graphtest.Tensor{{Name: "image", Shape: []int64{1, 2, 3}}, {Name: "state_in", Shape: []int64{1, 8}}},
		Outputs: []graphtest.Tensor{{Name: "latent", Shape: []int64{1, 4}}, {Name: "state_out", Shape: []int64{1, 8}}},
	}.Bytes()
)

func folderOfTwo(t *testing.T, manifest map[string]any) string {
	t.Helper()
	content, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, ManifestFile), content)
	write(t, filepath.Join(dir, ModelFile), twoModel)
	write(t, filepath.Join(dir, "encoder.onnx"), twoEncoder)
	return dir
}

func TestAPolicyOfSomeJointsHoldsTheOthers(t *testing.T) {
	p, err := Load(folderOfTwo(t, two()))
	if err != nil {
		t.Fatal(err)
	}
	if g := p.Graphs["encoder"]; g.EverySteps != 5 || !slices.Equal(g.States, []State{{"state_in", "state_out"}}) || !bytes.Equal(p.Models["encoder"], twoEncoder) {
		t.Errorf("encoder = %+v, want that of the manifest and the bytes of its file", g)
	}
	if want := (robot.Map{11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}); !slices.Equal(p.Joints(), want) {
		t.Errorf("joints = %v, want %v", p.Joints(), want)
	}
	got := make([]float64, 18)
	action := make([]float32, 12)
	action[0], action[1], action[11] = 1, 100, -100 // The last two are clipped.
	p.Targets(got, action)
	want := []float64{0.12 - 1.2, 0.11, 0.1, 0.09, 0.08, 0.07, 0.06, 0.05, 0.04, 0.03, 0.02 + 1.2, 0.01 + 0.25, 0.1, 0.2, 0.3, 0.1, 0.2, 0.3}
	for i := range want {
		if math.Abs(got[i]-want[i]) > 1e-12 {
			t.Errorf("target[%d], of %s, = %v rad, want %v", i, p.Robot.Joints[i].Name, got[i], want[i])
		}
	}
	if n := testing.AllocsPerRun(100, func() { p.Targets(got, action) }); n != 0 {
		t.Errorf("%v allocations for targets, want 0", n)
	}
}

func TestAWrongManifestOfSeveralGraphsNamesTheField(t *testing.T) {
	at := func(m map[string]any, path ...string) map[string]any {
		for _, key := range path {
			m = m[key].(map[string]any)
		}
		return m
	}
	tensor := func(name string, shape ...int64) any { return map[string]any{"name": name, "shape": shape} }
	tests := []struct {
		name   string
		change func(map[string]any)
		want   string // After the name of the manifest.
	}{
		{"a field of version 1", func(m map[string]any) { m["input"] = tensor("obs", 1, 60) }, "input: found an unknown field, expected only the fields of schema version 2"},
		{"12 joints of 18", func(m map[string]any) { delete(m, "other_joints_rad") },
			`joint_order: found 12 of the 18 joints of hex, without ["RL_hip_yaw" "RL_hip_pitch" "RL_knee" "RR_hip_yaw" "RR_hip_pitch" "RR_knee"], expected every joint, or other_joints_rad to say where the others are held`},
		{"a joint that nothing is said of", func(m map[string]any) { delete(at(m, "other_joints_rad"), "RR_knee") }, `joint_order: found 12 of the 18 joints of hex, without ["RR_knee"]`},
		{"a joint driven and held", func(m map[string]any) { at(m, "other_joints_rad")["FL_knee"] = 0 }, `other_joints_rad["FL_knee"]: found a joint that is in joint_order, expected only the other joints`},
		{"an unknown joint held", func(m map[string]any) { at(m, "other_joints_rad")["tail"] = 0 }, `other_joints_rad["tail"]: found an unknown joint, expected only the joints of hex`},
		{"held out of range", func(m map[string]any) { at(m, "other_joints_rad")["RR_knee"] = 0.6 }, `other_joints_rad["RR_knee"]: found 0.6, expected -0.5 to 0.5, its range`},
		{"a negative clip", func(m map[string]any) { m["action_clip"] = -1 }, "action_clip: found -1, expected a positive number, or none"},
		{"no policy", func(m map[string]any) { delete(at(m, "graphs"), "policy") }, `graphs: found ["encoder"], expected "policy" among them`},
		{"another file for the policy", func(m map[string]any) { at(m, "graphs", "policy")["file"] = "encoder.onnx" }, `graphs.policy.file: found "encoder.onnx", expected "policy.onnx"`},
		{"an unlisted file", func(m map[string]any) { at(m, "graphs", "encoder")["file"] = "e.onnx" }, `graphs.encoder.file: found "e.onnx", expected one of ["encoder.onnx" "policy.onnx"]`},
		{"a policy that rests", func(m map[string]any) { at(m, "graphs", "policy")["every_steps"] = 2 }, "graphs.policy.every_steps: found 2, expected 1"},
		{"a negative rest", func(m map[string]any) { at(m, "graphs", "encoder")["every_steps"] = -1 }, "graphs.encoder.every_steps: found -1, expected 1 or more"},
		{"no outputs", func(m map[string]any) { at(m, "graphs", "encoder")["outputs"] = []any{} }, "graphs.encoder.outputs: found none, expected 1 or more"},
		{"another size", func(m map[string]any) { at(m, "observation")["size"] = 61 }, "graphs.policy.inputs[0].shape: found [1 60], expected [1 61]"},
		{"an input twice", func(m map[string]any) {
			at(m, "graphs", "encoder")["inputs"] = []any{tensor("image", 1), tensor("image", 1)}
		}, `graphs.encoder.inputs[1].name: found "image" again, expected each name once`},
		{"an open dimension", func(m map[string]any) {
			at(m, "graphs", "encoder")["inputs"] = []any{tensor("image", -1, 2)}
		}, "graphs.encoder.inputs[0].shape: found [-1 2], expected dimensions of 1 or more"},
		{"a tensor too large", func(m map[string]any) {
			at(m, "graphs", "encoder")["inputs"] = []any{tensor("image", 1<<12, 1<<12, 2)}
		}, "graphs.encoder.inputs[0].shape: found [4096 4096 2], expected dimensions of 1 or more, at most 16777216 values"},
		{"a state of nothing", func(m map[string]any) {
			at(m, "graphs", "encoder")["states"] = []any{map[string]any{"input": "state_in", "output": "h"}}
		}, `graphs.encoder.states[0].output: found "h", expected one of ["state_out"], once`},
		{"a state in the first input", func(m map[string]any) {
			at(m, "graphs", "encoder")["states"] = []any{map[string]any{"input": "image", "output": "state_out"}}
		}, `graphs.encoder.states[0].input: found "image", expected one of ["state_in"], once`},
		{"a state that changes its shape", func(m map[string]any) {
			at(m, "graphs", "encoder")["inputs"] = []any{tensor("image", 1, 2, 3), tensor("state_in", 1, 9)}
		}, "graphs.encoder.states[0]: found input of shape [1 9], output of [1 8], expected one shape"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := two()
			tt.change(m)
			dir := folderOfTwo(t, m)
			_, err := Load(dir)
			checkError(t, err, "policy: "+filepath.Join(dir, ManifestFile)+": "+tt.want)
		})
	}
}

func TestAModelThatIsNotAsTheManifestSaysIsRefused(t *testing.T) {
	obs, action := graphtest.Tensor{Name: "obs", Shape: []int64{1, 48}}, graphtest.Tensor{Name: "continuous_actions", Shape: []int64{1, 12}}
	wide, double, state := obs, obs, graphtest.Tensor{Name: "state", Shape: []int64{1, 4}}
	wide.Shape = []int64{1, 753}
	double.Type = 11
	for name, test := range map[string]struct {
		model []byte
		want  string
	}{
		"no model":        {[]byte("text"), "found no ONNX model (graph: no ONNX file"},
		"another shape":   {graphtest.Model{Inputs: []graphtest.Tensor{wide}, Outputs: []graphtest.Tensor{action}}.Bytes(), "model inputs: found [obs float[1 753]], expected [obs float[1 48]]"},
		"another type":    {graphtest.Model{Inputs: []graphtest.Tensor{double}, Outputs: []graphtest.Tensor{action}}.Bytes(), "model inputs: found [obs double[1 48]], expected [obs float[1 48]]"},
		"another output":  {graphtest.Model{Inputs: []graphtest.Tensor{obs}, Outputs: []graphtest.Tensor{obs}}.Bytes(), "model outputs: found [obs float[1 48]], expected [continuous_actions float[1 12]]"},
		"one input more":  {graphtest.Model{Inputs: []graphtest.Tensor{obs, state}, Outputs: []graphtest.Tensor{action}}.Bytes(), "model inputs: found [obs float[1 48] state float[1 4]], expected [obs float[1 48]]"},
		"weights outside": {graphtest.Model{Inputs: []graphtest.Tensor{obs}, Outputs: []graphtest.Tensor{action}, Weights: []graphtest.Weight{{Name: "w", Shape: []int64{4}, External: "../../etc/passwd"}}}.Bytes(), `external data: found weights in ["../../etc/passwd"], expected all weights in the file itself`},
		"weights beside":  {graphtest.Model{Inputs: []graphtest.Tensor{obs}, Outputs: []graphtest.Tensor{action}, Weights: []graphtest.Weight{{Name: "w", Shape: []int64{4}, External: "w.bin"}}}.Bytes(), `external data: found weights in ["w.bin"], expected all weights in the file itself`},
	} {
		t.Run(name, func(t *testing.T) {
			sum := sha256.Sum256(test.model)
			dir := folder(t, func(m map[string]any) { m["files"] = map[string]any{ModelFile: hex.EncodeToString(sum[:])} })
			write(t, filepath.Join(dir, ModelFile), test.model)
			_, err := Load(dir)
			checkError(t, err, "policy: "+filepath.Join(dir, ModelFile)+": "+test.want)
		})
	}
}

func TestAWrongFileIsNamed(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, dir string)
		file   string
		want   string // After the name of the file.
		is     error
	}{
		{"no folder", func(t *testing.T, dir string) { os.RemoveAll(dir) }, ManifestFile, "found no such file, expected a readable file", fs.ErrNotExist},
		{"no manifest", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, ManifestFile)) }, ManifestFile, "found no such file, expected a readable file", fs.ErrNotExist},
		{"no model", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, ModelFile)) }, ModelFile, "found no such file, expected a readable file", fs.ErrNotExist},
		{"an empty manifest", func(t *testing.T, dir string) { write(t, filepath.Join(dir, ManifestFile), nil) }, ManifestFile, "found an empty file, expected 1 to 1048576 bytes", nil},
		{"a huge manifest", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, ManifestFile), make([]byte, maxManifestBytes+1))
		}, ManifestFile, "found 1048577 bytes, expected 1 to 1048576 bytes", nil},
		{"a field given twice", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, ManifestFile), []byte(`{"observation": {"size": 48, "size": 49}}`))
		}, ManifestFile, "observation.size: found the field again, expected each field once", nil},
		{"no object", func(t *testing.T, dir string) { write(t, filepath.Join(dir, ManifestFile), []byte(`[1]`)) }, ManifestFile, "found no JSON object, expected a policy manifest", nil},
		{"half a manifest", func(t *testing.T, dir string) { write(t, filepath.Join(dir, ManifestFile), []byte(`{"name": "x`)) }, ManifestFile, "found no valid JSON (jsontext: unexpected EOF within \"/name\" after offset 11), expected a policy manifest", nil},
		{"two manifests", func(t *testing.T, dir string) { write(t, filepath.Join(dir, ManifestFile), []byte(`{}{}`)) }, ManifestFile, "found more after the JSON object, expected nothing", nil},
		{"a folder for a model", func(t *testing.T, dir string) {
			os.Remove(filepath.Join(dir, ModelFile))
			os.Mkdir(filepath.Join(dir, ModelFile), 0o755)
		}, ModelFile, "found something that is not a regular file, expected a readable file", nil},
		{"a huge model", func(t *testing.T, dir string) {
			if err := os.Truncate(filepath.Join(dir, ModelFile), maxFileBytes+1); err != nil {
				t.Fatal(err)
			}
		}, ModelFile, "found 268435457 bytes, expected 1 to 268435456 bytes", nil},
		{"a flipped bit in the model", func(t *testing.T, dir string) {
			flipped := bytes.Clone(model)
			flipped[7] ^= 1
			write(t, filepath.Join(dir, ModelFile), flipped)
		}, ModelFile, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := folder(t, nil)
			tt.change(t, dir)
			_, err := Load(dir)
			if tt.name == "a flipped bit in the model" {
				flipped := bytes.Clone(model)
				flipped[7] ^= 1
				found, want := sha256.Sum256(flipped), sha256.Sum256(model)
				tt.want = "sha256: found " + hex.EncodeToString(found[:]) + ", expected " + hex.EncodeToString(want[:])
			}
			checkError(t, err, "policy: "+filepath.Join(dir, tt.file)+": "+tt.want)
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error = %v, want it to be %v", err, tt.is)
			}
		})
	}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error = %v, want an *Error", err)
	}
	if !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error = %q,\n     want %q", err, want)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error = %q, want one line", err)
	}
}

func TestTargetsAreScaledAndOffset(t *testing.T) {
	p := &Policy{Manifest: Manifest{DefaultPoseRad: []float64{0.1, -1.8}, ActionScale: 0.5}}
	got := make([]float64, 2)
	p.Targets(got, []float32{2, -0.25})
	for i, want := range []float64{1.1, -1.925} {
		if math.Abs(got[i]-want) > 1e-12 {
			t.Errorf("target[%d] = %v rad, want %v", i, got[i], want)
		}
	}
}
