package policy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/graph/graphtest"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/hal/robot"
)

// model has the inputs and outputs of the Go1 joystick policy and 12 parameters.
var model = graphtest.Model{
	Inputs:  []graphtest.Tensor{{Name: "obs", Shape: []int64{1, 48}}},
	Outputs: []graphtest.Tensor{{Name: "continuous_actions", Shape: []int64{1, 12}}},
	Weights: []graphtest.Weight{{Name: "bias", Shape: []int64{12}}},
}.Bytes()

// writeV1 writes the Go1 joystick policy in schema version 1, with model in place of its own and with the manifest after
// change. It returns the directory.
func writeV1(t *testing.T, model []byte, change func(manifest map[string]any)) string {
	t.Helper()
	return writeFrom(t, "testdata/v1.json", model, change)
}

// writeV3 is like writeV1 for the newest schema.
func writeV3(t *testing.T, change func(manifest map[string]any)) string {
	t.Helper()
	return writeFrom(t, "go1_joystick/go1_joystick.json", model, change)
}

func writeFrom(t *testing.T, file string, model []byte, change func(manifest map[string]any)) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(content, &m); err != nil {
		t.Fatal(err)
	}
	return write(t, m, map[string][]byte{policy.ModelFile: model}, change)
}

// write writes a policy to a new directory: files and, with their checksums and after change, manifest.
func write(t *testing.T, manifest map[string]any, files map[string][]byte, change func(manifest map[string]any)) string {
	t.Helper()
	manifest["files"] = policytest.Checksums(files)
	if change != nil {
		change(manifest)
	}
	dir := t.TempDir()
	if err := policytest.Write(dir, manifest, files); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// checkError checks that err is a *policy.Error, that its text is one line, and that it begins with prefix.
func checkError(t *testing.T, err error, prefix string) {
	t.Helper()
	if _, ok := errors.AsType[*policy.Error](err); !ok {
		t.Fatalf("error = %v, want a *policy.Error", err)
	}
	if !strings.HasPrefix(err.Error(), prefix) {
		t.Errorf("error = %q,\n     want %q", err, prefix)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error = %q, want one line", err)
	}
}

func TestLoad(t *testing.T) {
	for version, dir := range map[int]string{1: writeV1(t, model, nil), 3: writeV3(t, nil)} {
		p := policytest.Load(t, dir)
		if !bytes.Equal(p.Models[policy.PolicyGraph], model) || p.Metadata[policy.PolicyGraph].Parameters != 12 || p.Dir != dir || !reflect.DeepEqual(p.Robot, robot.Go1()) {
			t.Errorf("version %d: models %q, metadata %+v, dir %q, robot %q", version, p.Models, p.Metadata, p.Dir, p.Robot.Name)
		}
		if p.SchemaVersion != version || p.Name != "go1_joystick" || p.Action.Scale.String() != "0.5" || p.ControlRateHz != 50 ||
			!reflect.DeepEqual(p.Graphs, map[string]policy.Graph{policy.PolicyGraph: {
				File:    policy.ModelFile,
				Inputs:  []policy.Tensor{{Name: "obs", Shape: []int64{1, 48}}},
				Outputs: []policy.Tensor{{Name: "continuous_actions", Shape: []int64{1, 12}}},
			}}) {
			t.Errorf("version %d: manifest = %+v", version, p.Manifest)
		}
	}
}

// The kind of observation that version 1 names is the same data in version 3, and so are the gains.
func TestLoad_versionsAgree(t *testing.T) {
	old, data := policytest.Load(t, writeV1(t, model, nil)), policytest.Load(t, writeV3(t, nil))
	if !reflect.DeepEqual(old.Observation, data.Observation) || !reflect.DeepEqual(old.CommandRanges, data.CommandRanges) || !reflect.DeepEqual(old.Gains, data.Gains) {
		t.Errorf("observation of version 1 is %+v,\nof version 3 %+v", old.Observation, data.Observation)
	}
	oldKp, oldKd := old.RobotGains()
	if kp, kd := data.RobotGains(); !slices.Equal(kp, oldKp) || !slices.Equal(kd, oldKd) || kp[0] != 35 || kd[11] != 0.5 {
		t.Errorf("gains of version 1 are %v and %v, of version 3 %v and %v", oldKp, oldKd, kp, kd)
	}
}

// A manifest in the newest schema survives encoding.
func TestManifest_encoding(t *testing.T) {
	p := policytest.Load(t, writeV3(t, func(m map[string]any) {
		set("action.scale", []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})(m)
		set("action.clip", []float64{-1, 2})(m)
		set("action.target_clip_rad", slices.Repeat([]any{[]float64{-3, 3}}, 12))(m)
	}))
	content, err := json.Marshal(p.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := policytest.Write(dir, json.RawMessage(content), map[string][]byte{policy.ModelFile: model}); err != nil {
		t.Fatal(err)
	}
	if again := policytest.Load(t, dir); !reflect.DeepEqual(again.Manifest, p.Manifest) {
		t.Errorf("manifest = %+v\nafter encoding %+v", p.Manifest, again.Manifest)
	}
	for _, want := range []string{`"scale":[1,2,3,`, `"clip":[-1,2]`, `"target_clip_rad":[[-3,3],`, `"kp":35`} {
		if !strings.Contains(string(content), want) {
			t.Errorf("no %s in %s", want, content)
		}
	}
}

func TestLoad_manifestPath(t *testing.T) {
	dir := writeV1(t, model, nil)
	p := policytest.Load(t, filepath.Join(dir, policy.ManifestFile))
	if p.Dir != dir || p.Name != "go1_joystick" {
		t.Errorf("policy %s in %s, want go1_joystick in %s", p.Name, p.Dir, dir)
	}
}

func TestLoad_go1JoystickManifest(t *testing.T) {
	p := policytest.Load(t, writeV3(t, nil))
	if !slices.Equal(p.DefaultPoseRad, p.Robot.DefaultPoseRad) {
		t.Errorf("default pose = %v, want the robot's, %v", p.DefaultPoseRad, p.Robot.DefaultPoseRad)
	}
	// As it is in the repository, the manifest is valid: only the checksum of another model is wrong.
	content, err := os.ReadFile("go1_joystick/go1_joystick.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, policy.ManifestFile), content)
	writeFile(t, filepath.Join(dir, policy.ModelFile), model)
	_, err = policy.Load(dir)
	checkError(t, err, "policy: "+filepath.Join(dir, policy.ModelFile)+": sha256: found ")
}

func TestLoad_modelMismatch(t *testing.T) {
	obs, action := graphtest.Tensor{Name: "obs", Shape: []int64{1, 48}}, graphtest.Tensor{Name: "continuous_actions", Shape: []int64{1, 12}}
	wide, double, state := obs, obs, graphtest.Tensor{Name: "state", Shape: []int64{1, 4}}
	wide.Shape = []int64{1, 753}
	double.Type = 11
	encode := func(output graphtest.Tensor, inputs ...graphtest.Tensor) []byte {
		return graphtest.Model{Inputs: inputs, Outputs: []graphtest.Tensor{output}}.Bytes()
	}
	external := func(path string) []byte {
		return graphtest.Model{
			Inputs:  []graphtest.Tensor{obs},
			Outputs: []graphtest.Tensor{action},
			Weights: []graphtest.Weight{{Name: "w", Shape: []int64{4}, External: path}},
		}.Bytes()
	}
	for name, test := range map[string]struct {
		model []byte
		want  string
	}{
		"text":              {[]byte("text"), "invalid ONNX model: graph: invalid protobuf"},
		"input shape":       {encode(action, wide), "model inputs: found [obs float[1 753]], expected [obs float[1 48]]"},
		"input type":        {encode(action, double), "model inputs: found [obs double[1 48]], expected [obs float[1 48]]"},
		"output":            {encode(obs, obs), "model outputs: found [obs float[1 48]], expected [continuous_actions float[1 12]]"},
		"additional input":  {encode(action, obs, state), "model inputs: found [obs float[1 48] state float[1 4]], expected [obs float[1 48]]"},
		"data elsewhere":    {external("../../etc/passwd"), `external data: found weights in ["../../etc/passwd"], expected all weights in the model file; policy-import joins them`},
		"data in directory": {external("w.bin"), `external data: found weights in ["w.bin"], expected all weights in the model file; policy-import joins them`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := writeV1(t, test.model, nil)
			_, err := policy.Load(dir)
			checkError(t, err, "policy: "+filepath.Join(dir, policy.ModelFile)+": "+test.want)
		})
	}
}

func TestLoad_wrongFile(t *testing.T) {
	const maxManifestBytes, maxFileBytes = 1 << 20, 256 << 20
	flipped := bytes.Clone(model)
	flipped[7] ^= 1
	replace := func(file string, content []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) { writeFile(t, filepath.Join(dir, file), content) }
	}
	remove := func(file string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, file)); err != nil {
				t.Fatal(err)
			}
		}
	}
	sum := func(content []byte) string {
		return slices.Collect(maps.Values(policytest.Checksums(map[string][]byte{"": content})))[0]
	}
	for _, test := range []struct {
		name   string
		change func(t *testing.T, dir string)
		file   string
		want   string // After the path of the file.
		is     error
	}{
		{"no directory", remove("."), policy.ManifestFile, "no such file or directory", fs.ErrNotExist},
		{"no manifest", remove(policy.ManifestFile), policy.ManifestFile, "no such file or directory; policy-import makes a policy of policy.onnx", fs.ErrNotExist},
		{"no model", remove(policy.ModelFile), policy.ModelFile, "no such file or directory", fs.ErrNotExist},
		{"empty manifest", replace(policy.ManifestFile, nil), policy.ManifestFile, "found 0 bytes, expected 1 to 1048576 bytes", nil},
		{"large manifest", replace(policy.ManifestFile, make([]byte, maxManifestBytes+1)), policy.ManifestFile, "found 1048577 bytes, expected 1 to 1048576 bytes", nil},
		{"duplicate field", replace(policy.ManifestFile, []byte(`{"observation": {"size": 48, "size": 49}}`)), policy.ManifestFile, "observation.size: found a duplicate field, expected each field once", nil},
		{"array", replace(policy.ManifestFile, []byte(`[1]`)), policy.ManifestFile, "found an array, expected an object", nil},
		{"truncated manifest", replace(policy.ManifestFile, []byte(`{"name": "x`)), policy.ManifestFile, `invalid JSON: jsontext: unexpected EOF within "/name" after offset 11`, nil},
		{"two objects", replace(policy.ManifestFile, []byte(`{}{}`)), policy.ManifestFile, "found data after the JSON value, expected the end of the file", nil},
		{"directory", func(t *testing.T, dir string) {
			remove(policy.ModelFile)(t, dir)
			if err := os.Mkdir(filepath.Join(dir, policy.ModelFile), 0o755); err != nil {
				t.Fatal(err)
			}
		}, policy.ModelFile, "found a directory, expected a regular file", nil},
		{"large model", func(t *testing.T, dir string) {
			if err := os.Truncate(filepath.Join(dir, policy.ModelFile), maxFileBytes+1); err != nil {
				t.Fatal(err)
			}
		}, policy.ModelFile, "found 268435457 bytes, expected 1 to 268435456 bytes", nil},
		{"flipped bit", replace(policy.ModelFile, flipped), policy.ModelFile, "sha256: found " + sum(flipped) + ", expected " + sum(model), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := writeV1(t, model, nil)
			test.change(t, dir)
			_, err := policy.Load(dir)
			checkError(t, err, "policy: "+filepath.Join(dir, test.file)+": "+test.want)
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error = %v, want it to wrap %v", err, test.is)
			}
		})
	}
}

func TestLoad_robotOfFile(t *testing.T) {
	mine := robot.Go1()
	mine.Name = "mine"
	dir := writeV3(t, set("robot", "mine"))
	p, err := policy.Load(dir, nil, mine)
	if err != nil || p.Robot != mine {
		t.Errorf("Load = %v, %v; want a policy of the given robot", p, err)
	}
	_, err = policy.Load(dir)
	checkError(t, err, "policy: "+filepath.Join(dir, policy.ManifestFile)+`: robot: found "mine", expected one of g1, go1, go2, hex, t1; another one needs its file (--robot FILE)`)
	narrow := robot.Go1() // It replaces the built-in one.
	narrow.Joints[0].UpperRad = 0.05
	dir = writeV3(t, nil)
	_, err = policy.Load(dir, narrow)
	checkError(t, err, "policy: "+filepath.Join(dir, policy.ManifestFile)+": default_pose_rad[0]: found 0.1, expected -0.863 to 0.05, the range of FR_hip_joint")
}

func TestLoad_modelInsteadOfDirectory(t *testing.T) {
	model := filepath.Join(policytest.Policy(t), policy.ModelFile)
	if _, err := policy.Load(model); err == nil || !strings.HasSuffix(err.Error(), "policy.onnx: found a file, expected a policy directory, which policy-import makes") {
		t.Errorf("Load = %v, want what to do", err)
	}
}
