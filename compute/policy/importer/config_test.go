package importer_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/graph/graphtest"
	"krabby.dev/krabby/compute/policy/importer"
	"krabby.dev/krabby/hal/robot"
)

// deployYAML is a Go2 policy in the form of unitree_rl_lab, with joints type by type and gains that differ by motor.
const deployYAML = `joint_ids_map: [3, 0, 9, 6, 4, 1, 10, 7, 5, 2, 11, 8]
step_dt: 0.02
stiffness: [20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31]
damping: [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
default_joint_pos: [0.1, -0.1, 0.1, -0.1, 0.8, 0.8, 1.0, 1.0, -1.5, -1.5, -1.5, -1.5]
commands:
  base_velocity:
    ranges:
      lin_vel_x: [-0.5, 1.0]
      lin_vel_y: [-0.3, 0.3]
      ang_vel_z: [-1.2, 1.2]
      heading: null
actions:
  JointPositionAction:
    clip: null
    joint_names: [.*]
    scale: [0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25]
    offset: [0.1, -0.1, 0.1, -0.1, 0.8, 0.8, 1.0, 1.0, -1.5, -1.5, -1.5, -1.5]
    joint_ids: !!python/object/apply:builtins.slice
    - null
    - null
    - null
observations:
  base_ang_vel:
    params: {}
    clip: [-100.0, 100.0]
    scale: [0.2, 0.2, 0.2]
    history_length: 5
  projected_gravity:
    params: {}
    clip: null
    scale: [1.0, 1.0, 1.0]
    history_length: 5
  velocity_commands:
    params: {command_name: base_velocity}
    clip: null
    scale: [2.0, 2.0, 0.25]
    history_length: 5
  joint_pos_rel:
    params: {}
    clip: null
    scale: [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    history_length: 5
  last_action:
    params: {}
    clip: null
    scale: null
    history_length: 1
`

func TestImport_unitree(t *testing.T) {
	o := importer.Options{Model: model(t, 5*21+12, nil), Robot: robot.Go2(), Configs: []string{write(t, t.TempDir(), "deploy.yaml", deployYAML)}, Source: "a test", Name: "walk"}
	p, result := imported(t, o)
	if want := robot.Go2().Orders["type_major"]; !slices.Equal(p.JointOrder, want) {
		t.Errorf("joints = %q, want %q", p.JointOrder, want)
	}
	if want := (policy.Numbers{23, 20, 29, 26, 24, 21, 30, 27, 25, 22, 31, 28}); !slices.Equal(p.Gains.Kp, want) {
		t.Errorf("kp = %v, want %v: those of the motors", p.Gains.Kp, want)
	}
	if p.ControlRateHz != 50 || *p.CommandRanges.YawRateRadPerSec != (policy.Range{-1.2, 1.2}) || len(p.Action.OffsetRad) != 0 {
		t.Errorf("rate = %v, yaw rate %v, offset %v", p.ControlRateHz, p.CommandRanges.YawRateRadPerSec, p.Action.OffsetRad)
	}
	one := 1
	want := policy.Observation{
		Size: 117, Terms: []policy.Term{
			{Term: policy.TermBaseAngVel, Scale: policy.Numbers{0.2}, Clip: policy.Symmetric(100)}, {Term: policy.TermProjectedGravity},
			{Term: policy.TermVelocityCommand, Scale: policy.Numbers{2, 2, 0.25}}, {Term: policy.TermJointPosRel}, {Term: policy.TermLastAction, HistorySteps: &one},
		},
		History: &policy.History{Steps: 5, Layout: policy.ByTerm, Order: policy.OldestFirst, Start: policy.StartRepeat, Push: policy.PushBefore},
	}
	if !reflect.DeepEqual(p.Observation, want) {
		t.Errorf("observation = %+v,\n want %+v", p.Observation, want)
	}
	if want := []string{"deploy.yaml: actions.JointPositionAction.joint_names", "deploy.yaml: observations.velocity_commands.params"}; !slices.Equal(result.Unused, want) {
		t.Errorf("unused = %q, want %q", result.Unused, want)
	}
}

func TestImport_unitreeOptions(t *testing.T) {
	edited := strings.NewReplacer(
		"observations:\n", "observations:\n  use_gym_history: true\n", "history_length: 1", "history_length: 5",
		"  last_action:\n    params: {}", "  gait_phase:\n    params: {period: 0.6}", "clip: null\n    joint_names", "clip: "+repeat("[-2, 2]", 12)+"\n    joint_names",
	).Replace(deployYAML)
	p, _ := imported(t, importer.Options{Model: model(t, 5*23, nil), Robot: robot.Go2(), Configs: []string{write(t, t.TempDir(), "deploy.yaml", edited)}, Source: "a test", Name: "walk"})
	if h := p.Observation.History; h.Layout != policy.ByStep {
		t.Errorf("history = %+v, want step by step", h)
	}
	if g := p.Observation.Terms[4].Gait; g == nil || g.PeriodS != 0.6 || g.Order != policy.SinCos {
		t.Errorf("gait = %+v, want a period of 0.6 s", g)
	}
	if want := policy.Symmetric(2); !reflect.DeepEqual(p.Action.TargetClipRad, want) {
		t.Errorf("clip of targets = %v, want %v", p.Action.TargetClipRad, want)
	}
}

func TestImport_unitreeInvalid(t *testing.T) {
	for name, test := range map[string]struct {
		old, new string
		want     []string
	}{
		"slice that runs code": {"apply:builtins.slice", "apply:os.system", []string{"actions.JointPositionAction.joint_ids: found the tag", "os.system", "run code"}},
		"part of the joints":   {"    - null\n    - null\n    - null\n", "    - 0\n    - 6\n    - null\n", []string{"joint_ids: found a list of 3, expected null"}},
		"motor twice":          {"[3, 0, 9", "[3, 3, 9", []string{"joint_ids_map[1]: found motor 3 again"}},
		"motor of another":     {"[3, 0, 9", "[3, 12, 9", []string{"joint_ids_map[1]: found motor 12, expected 0 to 11, the motors of go2"}},
		"fewer gains":          {"29, 30, 31]", "29]", []string{"stiffness: found 10 values, expected at least 12"}},
		"unknown term":         {"projected_gravity:", "project_gravity:", []string{`observations.project_gravity: found "project_gravity", expected "projected_gravity", which is nearest`}},
		"scale of a vector":    {"scale: [0.2, 0.2, 0.2]", "scale: [0.2, 0.2]", []string{"observations.base_ang_vel.scale: found 2 values, expected 3, the size of base_ang_vel"}},
		"NaN":                  {"scale: [0.2, 0.2, 0.2]", "scale: [.nan, 0.2, 0.2]", []string{"observations.base_ang_vel.scale[0]: found NaN"}},
		"history":              {"history_length: 5", "history_length: 4", []string{"input obs: found 117 values, expected 96, the sum of the terms"}},
		"other action":         {"JointPositionAction", "JointVelocityAction", []string{"actions: found [\"JointVelocityAction\"], expected \"JointPositionAction\" only"}},
		"rate":                 {"step_dt: 0.02", "step_dt: 0", []string{"step_dt: found 0, expected more than 0 s"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, t.TempDir(), "deploy.yaml", strings.ReplaceAll(deployYAML, test.old, test.new))
			checkError(t, importer.Options{Model: model(t, 117, nil), Robot: robot.Go2(), Configs: []string{path}, Source: "a test", Name: "walk"}, test.want...)
		})
	}
}

// envYAML is a Go2 task in the form of Isaac Lab's params/env.yaml.
const envYAML = `viewer:
  eye: !!python/tuple [7.5, 7.5, 7.5]
sim:
  dt: 0.005
  gravity: !!python/tuple
  - 0.0
  - 0.0
  - -9.81
decimation: 4
scene:
  num_envs: 4096
  robot:
    init_state:
      rot: !!python/tuple [1.0, 0.0, 0.0, 0.0]
      joint_pos:
        .*L_hip_joint: 0.1
        .*R_hip_joint: -0.1
        F[L,R]_thigh_joint: 0.8
        R[L,R]_thigh_joint: 1.0
        .*_calf_joint: -1.5
    actuators:
      base_legs:
        class_type: isaaclab.actuators.actuator_pd:DCMotor
        joint_names_expr:
        - .*_hip_joint
        - .*_thigh_joint
        effort_limit: 23.5
        stiffness: 25.0
        damping: 0.5
      calves:
        joint_names_expr: [.*_calf_joint]
        stiffness:
          F.*: 30.0
          R.*: 31.0
        damping: 0.7
observations:
  policy:
    concatenate_terms: true
    enable_corruption: true
    history_length: null
    flatten_history_dim: true
    base_lin_vel:
      func: isaaclab.envs.mdp.observations:base_lin_vel
      params: {}
      modifiers: null
      noise: {func: "isaaclab.utils.noise.noise_model:uniform_noise", n_min: -0.1, n_max: 0.1}
      clip: !!python/tuple [-100.0, 100.0]
      scale: null
      history_length: 0
      flatten_history_dim: true
    orientation:
      func: isaaclab.envs.mdp.observations:root_quat_w
      params: {}
      clip: null
      scale: null
      history_length: 0
    velocity_commands:
      func: isaaclab.envs.mdp.observations:generated_commands
      params: {command_name: base_velocity}
      scale: !!python/tuple [2.0, 2.0, 0.25]
    joint_pos:
      func: isaaclab.envs.mdp.observations:joint_pos_rel
      params:
        asset_cfg:
          name: robot
          joint_names: .*_hip_joint
          joint_ids: !!python/object/apply:builtins.slice [null, null, null]
          preserve_order: false
      scale: 0.5
    joint_vel:
      func: isaaclab.envs.mdp.observations:joint_vel_rel
      scale: 0.05
    actions:
      func: isaaclab.envs.mdp.observations:last_action
    height_scan: null
  critic: {}
actions:
  joint_pos:
    class_type: isaaclab.envs.mdp.actions.joint_actions:JointPositionAction
    joint_names: [.*]
    preserve_order: false
    scale: {.*_hip_joint: 0.125, "^(?:.*_(?:thigh|calf)_joint)$": 0.25}
    offset: 0.0
    use_default_offset: true
    clip: {.*: !!python/tuple [-3.0, 3.0]}
rewards: {alive: {weight: 0.15}}
commands:
  base_velocity:
    ranges:
      lin_vel_x: !!python/tuple [-1.0, 1.0]
      lin_vel_y: !!python/tuple [-1.0, 1.0]
      ang_vel_z: !!python/tuple [-1.0, 1.0]
`

func isaacLabOptions(t *testing.T, env string) importer.Options {
	t.Helper()
	return importer.Options{
		Model: model(t, 3+4+3+4+12+12, nil), Robot: robot.Go2(), Joints: []string{"type_major"}, Configs: []string{write(t, t.TempDir(), "env.yaml", env)},
		Source: "a test", Name: "walk",
	}
}

func TestImport_isaacLab(t *testing.T) {
	p, result := imported(t, isaacLabOptions(t, envYAML))
	want := policy.Observation{Size: 38, Terms: []policy.Term{
		{Term: policy.TermBaseLinVel, Clip: policy.Symmetric(100)}, {Term: policy.TermBaseQuat}, {Term: policy.TermVelocityCommand, Scale: policy.Numbers{2, 2, 0.25}},
		{Term: policy.TermJointPosRel, Joints: []string{"FL_hip_joint", "FR_hip_joint", "RL_hip_joint", "RR_hip_joint"}, Scale: policy.Numbers{0.5}},
		{Term: policy.TermJointVel, Scale: policy.Numbers{0.05}}, {Term: policy.TermLastAction},
	}}
	if !reflect.DeepEqual(p.Observation, want) {
		t.Errorf("observation = %+v,\n want %+v", p.Observation, want)
	}
	if want := (policy.Numbers{25, 25, 25, 25, 25, 25, 25, 25, 30, 30, 31, 31}); !slices.Equal(p.Gains.Kp, want) {
		t.Errorf("kp = %v, want %v", p.Gains.Kp, want)
	}
	if want := []float64{0.1, -0.1, 0.1, -0.1, 0.8, 0.8, 1, 1, -1.5, -1.5, -1.5, -1.5}; !slices.Equal(p.DefaultPoseRad, want) {
		t.Errorf("pose = %v, want %v", p.DefaultPoseRad, want)
	}
	if p.Action.Scale.At(0) != 0.125 || p.Action.Scale.At(4) != 0.25 || p.Action.TargetClipRad[0] != [2]float64{-3, 3} || p.ControlRateHz != 50 {
		t.Errorf("action = %+v, rate %v", p.Action, p.ControlRateHz)
	}
	if p.IMU == nil || p.IMU.QuaternionOrder != policy.WXYZ {
		t.Errorf("IMU = %+v, want %s: the initial rotation is the identity in it", p.IMU, policy.WXYZ)
	}
	for _, key := range []string{"viewer", "rewards", "scene.robot.actuators.base_legs.effort_limit", "sim.gravity"} {
		if !slices.Contains(result.Unused, "env.yaml: "+key) {
			t.Errorf("unused = %q, want %s", result.Unused, key)
		}
	}
}

func TestImport_isaacLabVersion(t *testing.T) {
	for name, test := range map[string]struct{ rot, version, want string }{
		"3.0 by its rotation":  {"[0.0, 0.0, 0.0, 1.0]", "", policy.XYZW},
		"3.0 by flag":          {"[0.5, 0.5, 0.5, 0.5]", "3.0", policy.XYZW},
		"2.3 by flag":          {"[0.5, 0.5, 0.5, 0.5]", "2.3", policy.WXYZ},
		"it cannot be told":    {"[0.5, 0.5, 0.5, 0.5]", "", ""},
		"flag before rotation": {"[1.0, 0.0, 0.0, 0.0]", "3.0", policy.XYZW},
	} {
		t.Run(name, func(t *testing.T) {
			o := isaacLabOptions(t, strings.Replace(envYAML, "[1.0, 0.0, 0.0, 0.0]", test.rot, 1))
			o.IsaacLab = test.version
			if test.want == "" {
				checkError(t, o, "order of quaternions", "give --isaac-lab 2.3")
				return
			}
			if p, _ := imported(t, o); p.IMU.QuaternionOrder != test.want {
				t.Errorf("order = %s, want %s", p.IMU.QuaternionOrder, test.want)
			}
		})
	}
}

func TestImport_isaacLabInvalid(t *testing.T) {
	for name, test := range map[string]struct {
		old, new string
		want     []string
	}{
		"negative step":     {"decimation: 4", "decimation: -4", []string{"sim.dt: found a step of -0.02 s, expected more than 0"}},
		"own function":      {"observations:joint_vel_rel", "observations:joint_velocity", []string{`observations.policy.joint_vel.func: found "isaaclab.envs.mdp.observations:joint_velocity", expected the function "joint_`, "--term joint_vel=TERM"}},
		"gains of the USD":  {"stiffness: 25.0", "stiffness: null", []string{"stiffness of the actuator base_legs, which is that of the robot's USD file: give --kp"}},
		"joint without one": {"[.*_calf_joint]", "[FL_calf_joint]", []string{"scene.robot.actuators: found no actuator for FR_calf_joint"}},
		"two actuators":     {"[.*_calf_joint]", "[.*_calf_joint, FL_hip_joint]", []string{"joint_names_expr: found FL_hip_joint, which the actuator base_legs has too"}},
		"other pattern":     {".*_calf_joint: -1.5", ".*_knee_joint: -1.5", []string{`joint_pos: found the pattern ".*_knee_joint", expected a joint that it matches`}},
		"no expression":     {".*_calf_joint: -1.5", "(_calf_joint: -1.5", []string{"joint_pos: found the pattern", "regular expression"}},
		"two for a joint":   {".*_calf_joint: -1.5", ".*_joint: -1.5", []string{`joint_pos: found ".*L_hip_joint" and ".*_joint" for FL_hip_joint`}},
		"other action":      {":JointPositionAction", ":RelativeJointPositionAction", []string{"class_type: found", "expected JointPositionAction"}},
		"modifier":          {"modifiers: null", "modifiers: [{func: x}]", []string{"modifiers: found a list of 1, expected null"}},
		"two groups joined": {"concatenate_terms: true", "concatenate_terms: false", []string{"concatenate_terms: found false, expected true"}},
	} {
		t.Run(name, func(t *testing.T) {
			checkError(t, isaacLabOptions(t, strings.Replace(envYAML, test.old, test.new, 1)), test.want...)
		})
	}
	o := isaacLabOptions(t, envYAML)
	o.Joints = nil
	checkError(t, o, "joint order of the policy: give --joints", "--joints type_major")
	o = isaacLabOptions(t, strings.Replace(envYAML, "joint_names: [.*]\n    preserve_order: false", "joint_names: ["+strings.Join(robot.Go2().JointNames(), ", ")+"]\n    preserve_order: true", 1))
	o.Joints = nil
	if p, _ := imported(t, o); !slices.Equal(p.JointOrder, robot.Go2().JointNames()) {
		t.Errorf("joints = %q, want those of the action", p.JointOrder)
	}
	o = isaacLabOptions(t, strings.Replace(envYAML, "observations:joint_vel_rel", "observations:speed", 1))
	o.Terms = map[string]string{"joint_vel": `{"term": "joint_vel", "offset": 0.5}`}
	if p, _ := imported(t, o); p.Observation.Terms[4].Offset[0] != 0.5 {
		t.Errorf("term = %+v, want that of the flag", p.Observation.Terms[4])
	}
}

// leggedGymYAML is a Go2 policy in the form of unitree_rl_gym.
const leggedGymYAML = `policy_path: "motion.pt"
simulation_dt: 0.002
control_decimation: 10
kps: [20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0, 20.0]
kds: [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
default_angles: [0.1, 0.8, -1.5, -0.1, 0.8, -1.5, 0.1, 1.0, -1.5, -0.1, 1.0, -1.5]
lin_vel_scale: 2.0
ang_vel_scale: 0.25
dof_pos_scale: 1.0
dof_vel_scale: 0.05
action_scale: 0.25
cmd_scale: [2.0, 2.0, 0.25]
num_actions: 12
num_obs: 48
cmd_init: [0.5, 0, 0]
`

func TestImport_leggedGym(t *testing.T) {
	for size, want := range map[string][]string{
		"45": {"base_ang_vel", "projected_gravity", "velocity_command", "joint_pos_rel", "joint_vel", "last_action"},
		"47": {"base_ang_vel", "projected_gravity", "velocity_command", "joint_pos_rel", "joint_vel", "last_action", "gait_phase"},
		"48": {"base_lin_vel", "base_ang_vel", "projected_gravity", "velocity_command", "joint_pos_rel", "joint_vel", "last_action"},
	} {
		path := write(t, t.TempDir(), "go2.yaml", strings.Replace(leggedGymYAML, "num_obs: 48", "num_obs: "+size, 1))
		p, result := imported(t, importer.Options{Model: model(t, -1, nil), Robot: robot.Go2(), Joints: []string{"robot"}, Configs: []string{path}, Source: "a test", Name: "walk"})
		var got []string
		for _, term := range p.Observation.Terms {
			got = append(got, term.Term)
		}
		if !slices.Equal(got, want) || p.ControlRateHz != 50 || p.Gains.Kp.At(0) != 20 || p.Action.Scale.At(0) != 0.25 {
			t.Errorf("%s values: terms %q, rate %v, gains %v", size, got, p.ControlRateHz, p.Gains)
		}
		if !slices.ContainsFunc(result.Notes, func(n importer.Note) bool { return n.Assumed && n.Field == "observation.terms" }) {
			t.Errorf("%s values: notes = %v, want the terms among the assumptions", size, result.Notes)
		}
	}
	path := write(t, t.TempDir(), "go2.yaml", strings.Replace(leggedGymYAML, "num_obs: 48", "num_obs: 99", 1))
	o := importer.Options{Model: model(t, 99, nil), Robot: robot.Go2(), Joints: []string{"robot"}, Configs: []string{path}, Source: "a test", Name: "walk"}
	checkError(t, o, "num_obs: found 99, expected 45, 47 with a phase or 48", "--observation")
	o.Joints = nil
	checkError(t, o, "joint order of the policy: give --joints")
	o.Joints = []string{"FL_hip_joint", "FL_hip_joint"}
	checkError(t, o, `--joints[1]: found "FL_hip_joint" again, expected each joint once`)
	o.Joints = []string{"breadth_first"}
	checkError(t, o, `--joints: found "breadth_first", expected names of joints, or an order of go2: sdk, type_major, robot`)
}

func TestImport_hold(t *testing.T) {
	legs := robot.Go2().JointNames()[:6]
	path := model(t, -1, nil)
	content := strings.NewReplacer("num_obs: 48", "num_obs: 27", "num_actions: 12", "num_actions: 6",
		"kps: "+repeat("20.0", 12), "kps: "+repeat("20.0", 6), "kds: "+repeat("0.5", 12), "kds: "+repeat("0.5", 6),
		", 0.1, 1.0, -1.5, -0.1, 1.0, -1.5]", "]").Replace(leggedGymYAML)
	o := importer.Options{
		Model: path, Robot: robot.Go2(), Joints: legs, Configs: []string{write(t, t.TempDir(), "go2.yaml", content)}, Source: "a test", Name: "walk",
	}
	checkError(t, o, "positions of the joints RL_hip_joint, RL_thigh_joint, RL_calf_joint, RR_hip_joint, RR_thigh_joint, RR_calf_joint of go2, which the policy does not move: give --hold")
	o.Model = write(t, t.TempDir(), "policy.onnx", string(graphtest.Model{
		Inputs: []graphtest.Tensor{{Name: "obs", Shape: []int64{1, 27}}}, Outputs: []graphtest.Tensor{{Name: "actions", Shape: []int64{1, 6}}},
	}.Bytes()))
	o.Hold = []string{"default"}
	p, _ := imported(t, o)
	if want := map[string]float64{"RL_hip_joint": 0.1, "RL_thigh_joint": 1, "RL_calf_joint": -1.5, "RR_hip_joint": -0.1, "RR_thigh_joint": 1, "RR_calf_joint": -1.5}; !reflect.DeepEqual(p.HeldJointsRad, want) {
		t.Errorf("held joints = %v, want %v", p.HeldJointsRad, want)
	}
	o.Hold = []string{".*_hip_joint=0", ".*_thigh_joint=0.9", ".*_calf_joint=-1.6"}
	if p, _ := imported(t, o); p.HeldJointsRad["RR_thigh_joint"] != 0.9 {
		t.Errorf("held joints = %v", p.HeldJointsRad)
	}
	o.Hold = []string{"FL_.*=0", "R.*=0"}
	checkError(t, o, `--hold: found the pattern "FL_.*", expected a joint that it matches`)
}

func TestImport_rlSarReplacedKey(t *testing.T) {
	dir := t.TempDir()
	p, result := imported(t, importer.Options{Model: model(t, 45, nil), Source: "a test", Configs: []string{
		write(t, dir, "base.yaml", rlSarBase+"  rl_kp: "+repeat("80", 12)+"\n"), write(t, dir, "config.yaml", rlSarConfig),
	}})
	if want := "base.yaml: go2.rl_kp, which config.yaml go2/robot_lab.rl_kp replaces"; p.Gains.Kp[0] != 20 || !slices.Contains(result.Unused, want) {
		t.Errorf("kp = %v, unused = %q, want 20 and %s", p.Gains.Kp, result.Unused, want)
	}
}

func TestImport_rlSarWithoutJoints(t *testing.T) {
	dir := t.TempDir()
	base := rlSarBase[:strings.Index(rlSarBase, "  joint_names")]
	o := importer.Options{Model: model(t, 45, nil), Source: "a test", Configs: []string{write(t, dir, "base.yaml", base), write(t, dir, "config.yaml", rlSarConfig)}}
	if _, err := importer.Import(o); err == nil || err.Error() != "not stated by the files: joint order of the policy: give --joints" {
		t.Errorf("error = %v, want only the joints to be missing", err)
	}
	o.Robot, o.Joints = robot.Go2(), []string{"sdk"}
	if p, _ := imported(t, o); !slices.Equal(p.JointOrder, robot.Go2().Orders["sdk"]) || p.Action.Scale.At(0) != 0.125 {
		t.Errorf("joints = %q, scale %v", p.JointOrder, p.Action.Scale)
	}
}

// FuzzConfig imports each file as each source: it must fail with an error, or make a policy that loads.
func FuzzConfig(f *testing.F) {
	for _, content := range []string{deployYAML, envYAML, leggedGymYAML, rlSarBase, rlSarConfig, leappYAML, "a: &a [*a]\n", "kps: &a {b: *a}\nkds: 1\ndefault_angles: 1\n"} {
		f.Add(content)
	}
	path := filepath.Join(f.TempDir(), "policy.onnx")
	if err := os.WriteFile(path, graphtest.Model{
		Inputs: []graphtest.Tensor{{Name: "obs", Shape: []int64{1, -1}}}, Outputs: []graphtest.Tensor{{Name: "actions", Shape: []int64{1, 12}}},
	}.Bytes(), 0o644); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content string) {
		config := write(t, t.TempDir(), "config.yaml", content)
		for _, format := range importer.Formats() {
			result, err := importer.Import(importer.Options{
				Model: path, Configs: []string{config}, Format: format, Robot: robot.Go2(), Joints: []string{"type_major"}, DefaultPose: []string{"robot"}, Kp: []string{"20"}, Kd: []string{"1"},
				RateHz: 50, ActionScale: []string{"0.25"}, Source: "a test", Name: "walk",
			})
			if err != nil {
				continue
			}
			if err := result.Write(filepath.Join(t.TempDir(), "policy")); err != nil && result.Manifest.Observation.Size == 0 {
				t.Errorf("%s: observation without values: %v", format, err)
			}
		}
	})
}
