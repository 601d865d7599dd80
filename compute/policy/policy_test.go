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
	"strings"
	"testing"

	"krabby.dev/krabby/hal/robot"
)

var model = []byte("stands for a model: loading checks bytes, not their meaning")

// folder writes a valid policy, as the checked-in manifest describes it but for the model, after change.
func folder(t *testing.T, change func(manifest map[string]any)) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("go1_joystick", ManifestFile))
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
	if !bytes.Equal(p.Model, model) || p.Dir != dir || !reflect.DeepEqual(p.Robot, robot.Go1()) {
		t.Errorf("model %q, dir %q, robot %q", p.Model, p.Dir, p.Robot.Name)
	}
	if p.Name != "go1_joystick" || p.ActionScale != 0.5 || p.ControlRateHz != 50 ||
		p.Observation != (Observation{Kind: "go1_joystick", Version: 1, Size: 48}) ||
		p.Input.Name != "obs" || p.Output.Name != "continuous_actions" || p.Input.Size() != 48 || p.Output.Size() != 12 {
		t.Errorf("manifest = %+v", p.Manifest)
	}
}

func TestCheckedInManifestIsOfTheGo1(t *testing.T) {
	file := filepath.Join("go1_joystick", ManifestFile)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := parse(file, content)
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.validate(file)
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
		{"an unknown field", set("acton_scale", 1), "acton_scale: found an unknown field, expected only the fields of schema version 1"},
		{"an unknown nested field", set("observation.noise", 1), "noise: found an unknown field, expected only the fields of schema version 1"},
		{"a field of another type", set("action_scale", "0.5"), "action_scale: found a JSON string, expected a value of type float64"},
		{"another schema", set("schema_version", 2), "schema_version: found 2, expected 1"},
		{"no name", set("name", ""), `name: found "", expected a name`},
		{"an unknown robot", set("robot", "spot"), `robot: found "spot", expected one of go1, go2, hex`},
		{"no files", set("files", map[string]any{}), `files: found [], expected "policy.onnx" among them`},
		{"another model", set("files", map[string]any{"a.onnx": sum}), `files: found ["a.onnx"], expected "policy.onnx" among them`},
		{"a file outside the folder", set("files", map[string]any{"policy.onnx": sum, "../x": sum}), `files: found "../x", expected the name of a file in the folder`},
		{"a short checksum", set("files", map[string]any{"policy.onnx": "386c"}), `files["policy.onnx"]: found "386c", expected a sha256 of 64 lower case hex digits`},
		{"other joints", set("joint_order", []string{"a"}), `joint_order: found ["a"], expected ["FR_hip_joint" "FR_thigh_joint"`},
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
		}, ManifestFile, "found more than 1048576 bytes, expected 1 to 1048576 bytes", nil},
		{"half a manifest", func(t *testing.T, dir string) { write(t, filepath.Join(dir, ManifestFile), []byte(`{"name": "x`)) }, ManifestFile, "found no valid JSON (unexpected EOF), expected a policy manifest", nil},
		{"two manifests", func(t *testing.T, dir string) { write(t, filepath.Join(dir, ManifestFile), []byte(`{}{}`)) }, ManifestFile, "found more after the JSON object, expected nothing", nil},
		{"a folder for a model", func(t *testing.T, dir string) {
			os.Remove(filepath.Join(dir, ModelFile))
			os.Mkdir(filepath.Join(dir, ModelFile), 0o755)
		}, ModelFile, "found something that is not a regular file, expected a readable file", nil},
		{"a flipped bit in the model", func(t *testing.T, dir string) {
			flipped := bytes.Clone(model)
			flipped[7] ^= 1
			write(t, filepath.Join(dir, ModelFile), flipped)
		}, ModelFile, "sha256: found 90", nil},
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
