package importer_test

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"krabby.dev/krabby/compute/onnx/onnxtest"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/graph/graphtest"
	"krabby.dev/krabby/compute/policy/importer"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/hal/robot"
)

// jointFlags are options for a policy of the Go2 that no file describes: an observation of the joints' positions.
func jointFlags(t *testing.T, path string) importer.Options {
	t.Helper()
	return importer.Options{
		Model: path, Robot: robot.Go2(), Joints: []string{"robot"}, DefaultPose: []string{"robot"}, Kp: []string{"20"}, Kd: []string{"0.5"}, ActionScale: []string{"0.25"}, RateHz: 50,
		Observation: write(t, t.TempDir(), "observation.json", `{"size": 12, "terms": [{"term": "joint_pos"}]}`), Source: "a test", Name: "walk",
	}
}

// twoFiles writes an export of two files: actions = obs + bias, where the bias is in policy.onnx.data.
func twoFiles(t *testing.T, place map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	var data []byte
	for i := range 16 {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(i)))
	}
	write(t, dir, "policy.onnx.data", string(data))
	text := func(b []byte, n protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), s)
	}
	number := func(b []byte, n protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
	}
	weight := text(number(number(number(nil, 1, 1), 1, 12), 2, 1), 8, "bias")
	for _, key := range []string{"location", "offset", "length"} {
		if place[key] != "" {
			weight = text(weight, 13, string(text(text(nil, 1, key), 2, place[key])))
		}
	}
	weight = number(weight, 14, 1)
	value := func(name string) string {
		shape := text(text(nil, 1, string(number(nil, 1, 1))), 1, string(number(nil, 1, 12)))
		return string(text(text(nil, 1, name), 2, string(text(nil, 1, string(text(number(nil, 1, 1), 2, string(shape)))))))
	}
	node := text(text(text(text(nil, 1, "obs"), 1, "bias"), 2, "actions"), 4, "Add")
	g := text(text(text(text(text(nil, 1, string(node)), 2, "g"), 5, string(weight)), 11, value("obs")), 12, value("actions"))
	return write(t, dir, "policy.onnx", string(text(text(number(nil, 1, 10), 7, string(g)), 8, string(number(nil, 2, 18)))))
}

func TestImport_externalData(t *testing.T) {
	path := twoFiles(t, map[string]string{"location": "policy.onnx.data", "offset": "8", "length": "48"})
	p, result := imported(t, jointFlags(t, path))
	if external := p.Metadata[policy.PolicyGraph].ExternalData; len(external) > 0 {
		t.Errorf("external data = %q, want none", external)
	}
	session := onnxtest.NewSession(t, onnxtest.Open(t), p)
	session.Input()[3] = 100
	if err := session.Run(); err != nil {
		t.Fatal(err)
	}
	if want := []float32{2, 3, 4, 105, 6, 7, 8, 9, 10, 11, 12, 13}; !slices.Equal(session.Output(), want) {
		t.Errorf("actions = %v, want %v", session.Output(), want)
	}
	if n := result.Notes[0]; n.Field != "weights" || n.From != "policy.onnx.data" {
		t.Errorf("note = %+v, want the joined file", n)
	}
}

func TestImport_externalDataInvalid(t *testing.T) {
	for name, test := range map[string]struct {
		place map[string]string
		want  string
	}{
		"missing file":    {map[string]string{"location": "weights.bin"}, "weights.bin: no such file or directory"},
		"another place":   {map[string]string{"location": "../policy.onnx.data"}, `weight "bias": location: found "../policy.onnx.data", expected the name of a file in the same directory`},
		"absolute place":  {map[string]string{"location": "/etc/hostname"}, `location: found "/etc/hostname"`},
		"offset":          {map[string]string{"location": "policy.onnx.data", "offset": "65"}, `offset: found "65", expected 0 to 64`},
		"negative offset": {map[string]string{"location": "policy.onnx.data", "offset": "-1"}, `offset: found "-1"`},
		"length":          {map[string]string{"location": "policy.onnx.data", "offset": "8", "length": "57"}, `length: found "57", expected at most the 56 bytes`},
	} {
		t.Run(name, func(t *testing.T) { checkError(t, jointFlags(t, twoFiles(t, test.place)), test.want) })
	}
}

func TestImport_recurrent(t *testing.T) {
	state := func(name string) graphtest.Tensor { return graphtest.Tensor{Name: name, Shape: []int64{1, 1, 64}} }
	export := graphtest.Model{
		Inputs:  []graphtest.Tensor{{Name: "obs", Shape: []int64{1, 12}}, state("h_in"), state("c_in")},
		Outputs: []graphtest.Tensor{{Name: "actions", Shape: []int64{1, 12}}, state("h_out"), state("c_out")},
	}
	p, _ := imported(t, jointFlags(t, write(t, t.TempDir(), "policy.onnx", string(export.Bytes()))))
	if want := []policy.State{{Input: "h_in", Output: "h_out"}, {Input: "c_in", Output: "c_out"}}; !slices.Equal(p.Graphs[policy.PolicyGraph].States, want) {
		t.Errorf("states = %v, want %v", p.Graphs[policy.PolicyGraph].States, want)
	}
	for name, change := range map[string]func(m *graphtest.Model){
		"no next state":       func(m *graphtest.Model) { m.Outputs = m.Outputs[:2] },
		"other order":         func(m *graphtest.Model) { m.Outputs[1], m.Outputs[2] = m.Outputs[2], m.Outputs[1] },
		"other name":          func(m *graphtest.Model) { m.Inputs[1].Name = "scan" },
		"other size":          func(m *graphtest.Model) { m.Outputs[1].Shape = []int64{1, 1, 32} },
		"whole numbers":       func(m *graphtest.Model) { m.Inputs[1].Type = 7 },
		"actions of 18":       func(m *graphtest.Model) { m.Outputs[0].Shape = []int64{1, 18} },
		"a batch of 4":        func(m *graphtest.Model) { m.Inputs[0].Shape = []int64{4, 12} },
		"observation of 3D":   func(m *graphtest.Model) { m.Inputs[0].Shape = []int64{1, 1, 12} },
		"observation is less": func(m *graphtest.Model) { m.Inputs[0].Shape = []int64{1, 11} },
	} {
		t.Run(name, func(t *testing.T) {
			m := export
			m.Inputs, m.Outputs = slices.Clone(m.Inputs), slices.Clone(m.Outputs)
			change(&m)
			checkError(t, jointFlags(t, write(t, t.TempDir(), "policy.onnx", string(m.Bytes()))), "policy.onnx: ", "found", "expected")
		})
	}
}

func TestWrite_existing(t *testing.T) {
	result, err := importer.Import(jointFlags(t, twoFiles(t, map[string]string{"location": "policy.onnx.data", "length": "48"})))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() // An empty directory is replaced.
	if err := result.Write(dir); err != nil {
		t.Fatal(err)
	}
	before := policytest.Load(t, dir)
	err = result.Write(dir)
	if err == nil || !strings.Contains(err.Error(), "found a directory with 2 files, expected no directory, or an empty one") {
		t.Errorf("error = %v", err)
	}
	if after := policytest.Load(t, dir); !reflect.DeepEqual(after.Manifest, before.Manifest) {
		t.Error("the policy has changed")
	}
	if others, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), ".policy-import*")); len(others) > 0 {
		t.Errorf("left behind: %q", others)
	}
}

func TestImport_invalidModel(t *testing.T) {
	o := jointFlags(t, write(t, t.TempDir(), "policy.onnx", "no model"))
	checkError(t, o, "policy.onnx: found an invalid ONNX file")
	o.Model = t.TempDir()
	checkError(t, o, "expected a regular file")
	o = jointFlags(t, write(t, t.TempDir(), "policy.onnx", string(graphtest.Model{}.Bytes())))
	checkError(t, o, "inputs and outputs: found [] and []")
	o = jointFlags(t, twoFiles(t, map[string]string{"location": "policy.onnx.data", "length": "48"}))
	o.Observation = write(t, t.TempDir(), "observation.json", `{"size": 12, "terms": [{"term": "joint_pos", "clop": 3}]}`)
	checkError(t, o, "observation.json: found other JSON", "clop")
	o.Configs = []string{write(t, t.TempDir(), "other.yaml", "speed: 3\n")}
	checkError(t, o, `other.yaml: found the keys ["speed"], expected the file of a known source: --format`)
	o.Format = "rlsar"
	checkError(t, o, `--format: found "rlsar", expected "rl_sar", which is nearest`)
}

func TestImport_playground(t *testing.T) {
	const config = `{"ctrl_dt": 0.02, "sim_dt": 0.004, "Kp": 35.0, "Kd": 0.5, "action_scale": 0.5, "history_len": 1, "command_config": {"a": [1.5, 0.8, 1.2], "b": [0.9, 0.25, 0.5]}}`
	o := importer.Options{
		Model: model(t, 48, nil), Robot: robot.Go1(), Joints: []string{"robot"}, DefaultPose: []string{"robot"}, Configs: []string{write(t, t.TempDir(), "config.json", config)},
		Source: "a test", Name: "walk",
	}
	p, result := imported(t, o)
	want, _, _ := policy.KindObservation("go1_joystick")
	if !reflect.DeepEqual(p.Observation, want) || p.Gains.Kp[0] != 35 || p.Action.Scale[0] != 0.5 || p.ControlRateHz != 50 || *p.CommandRanges.VyMps != (policy.Range{-0.8, 0.8}) {
		t.Errorf("manifest = %+v, want that of go1_joystick", p.Manifest)
	}
	if want := []string{"config.json: sim_dt", "config.json: history_len", "config.json: command_config.b"}; !slices.Equal(result.Unused, want) {
		t.Errorf("unused = %q, want %q", result.Unused, want)
	}
	o.Joints, o.DefaultPose = nil, nil
	checkError(t, o, "default pose: give --default-pose", "joint order of the policy: give --joints")
	o.Joints, o.DefaultPose, o.Model = []string{"robot"}, []string{"robot"}, model(t, 50, nil)
	checkError(t, o, "observation: give --observation: only those of the joystick tasks of quadrupeds (48 values)")
}

// TestImport_playgroundG1 imports a real policy and compares the manifest with the one that walks in physics.
func TestImport_playgroundG1(t *testing.T) {
	known := policytest.Load(t, policytest.Directory(t, "KRABBY_G1_POLICY"))
	config := write(t, t.TempDir(), "config.json", `{"ctrl_dt": 0.02, "sim_dt": 0.002, "action_scale": 0.5, "lin_vel_x": [-1.5, 1.5], "lin_vel_y": [-0.8, 0.8], "ang_vel_yaw": [-6.28, 6.28]}`)
	o := importer.Options{
		Model: filepath.Join(known.Dir, policy.ModelFile), Robot: robot.G1(), Joints: []string{"robot"}, DefaultPose: []string{"robot"}, Configs: []string{config},
		Kp:   []string{".*_ankle_pitch_joint=20", ".*_(ankle_roll|wrist_.*)_joint=2", ".*_(hip|shoulder)_.*=75", ".*_(knee|elbow)_joint=75", "waist_.*=75"},
		Kd:   []string{".*_ankle_pitch_joint=1", ".*_(ankle_roll|wrist_.*)_joint=0.2", ".*_(hip|shoulder)_.*=2", ".*_(knee|elbow)_joint=2", "waist_.*=2"},
		Name: known.Name, Source: known.Provenance.Source, License: known.Provenance.License,
	}
	p, _ := imported(t, o)
	p.Provenance.Path = known.Provenance.Path
	if !reflect.DeepEqual(p.Manifest, known.Manifest) {
		t.Errorf("manifest = %+v,\n want %+v", p.Manifest, known.Manifest)
	}
}
