package policy_test

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/graph/graphtest"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/hal/robot"
)

// twelve returns text for each of 12 joints, as exporters write lists.
func twelve(text string) string { return strings.Join(slices.Repeat([]string{text}, 12), ",") }

// writeExport writes the Go1 joystick policy with gains and scales of many digits, and with a model whose metadata agree with
// the manifest, as mjlab writes them, after change.
func writeExport(t *testing.T, change map[string]string) string {
	t.Helper()
	properties := map[string]string{
		"run_path":                         "runs/7",
		"joint_names":                      strings.Join(robot.Go1().JointNames(), ","),
		"joint_stiffness":                  twelve("35.123"),
		"joint_damping":                    twelve("0.000"), // 0.0004
		"default_joint_pos":                "0.100,0.900,-1.800,-0.100,0.900,-1.800,0.100,0.900,-1.800,-0.100,0.900,-1.800",
		"command_names":                    "twist",
		"observation_names":                "base_lin_vel,base_ang_vel,projected_gravity,joint_pos,joint_vel,actions,command",
		"observation_terms_scale":          "1.000,0.250,1.000,1.000,0.050,1.000,2.000;2.000;0.250",
		"observation_terms_clip":           "-inf;inf,-400.000;400.000,-inf;inf,-inf;inf,-inf;inf,-inf;inf,-inf;inf",
		"observation_terms_history_length": "0.000,1.000,0.000,0.000,0.000,0.000,0.000",
		"action_scale":                     "0.37341",
		"step_dt":                          "0.020",
	}
	maps.Copy(properties, change)
	m := graphtest.Model{
		Inputs:     []graphtest.Tensor{{Name: "obs", Shape: []int64{1, 48}}},
		Outputs:    []graphtest.Tensor{{Name: "continuous_actions", Shape: []int64{1, 12}}},
		Properties: properties,
	}.Bytes()
	return writeFrom(t, "go1_joystick/go1_joystick.json", m, func(manifest map[string]any) {
		set("gains", object{"kp": 35.12345, "kd": 0.0004})(manifest)
		set("action.scale", 0.37341)(manifest)
		terms(
			object{"term": "base_lin_vel"}, object{"term": "base_ang_vel", "scale": 0.25, "clip": 400}, object{"term": "projected_gravity"},
			object{"term": "joint_pos_rel"}, object{"term": "joint_vel", "scale": 0.05}, object{"term": "last_action"},
			object{"term": "velocity_command", "scale": []float64{2, 2, 0.25}},
		)(manifest)
	})
}

func TestLoad_metadata(t *testing.T) {
	p := policytest.Load(t, writeExport(t, nil))
	if got := p.Metadata[policy.PolicyGraph].Properties["run_path"]; got != "runs/7" {
		t.Errorf("run_path = %q, want runs/7", got)
	}
	// A policy that says less is not contradicted.
	for _, key := range policy.ComparedProperties {
		policytest.Load(t, writeExport(t, map[string]string{key: ""}))
	}
	policytest.Load(t, writeExport(t, map[string]string{
		"action_scale": twelve("0.373"), "observation_names": "speed,base_ang_vel,projected_gravity,joint_pos,joint_vel,actions,command",
	}))
}

func TestLoad_metadataContradicts(t *testing.T) {
	swapped := robot.Go1().JointNames()
	swapped[0], swapped[3] = swapped[3], swapped[0]
	for name, test := range map[string]struct{ key, value, want string }{
		"joint order":       {"joint_names", strings.Join(swapped, ","), "joint_names: found FL_hip_joint, FR_thigh_joint, FR_calf_joint, FR_hip_joint, "},
		"stiffness":         {"joint_stiffness", twelve("20.000"), "joint_stiffness: found 20.000 for FR_hip_joint, expected the manifest's 35.12345"},
		"last digit":        {"joint_stiffness", twelve("35.124"), "joint_stiffness: found 35.124 for FR_hip_joint, expected the manifest's 35.12345"},
		"damping":           {"joint_damping", twelve("0.001"), "joint_damping: found 0.001 for FR_hip_joint, expected the manifest's 0.0004"},
		"18 joints":         {"joint_damping", "1.000,1.000", "joint_damping: found 2 values, expected the manifest's 12"},
		"text":              {"joint_damping", twelve("low"), "joint_damping: found low for FR_hip_joint"},
		"pose":              {"default_joint_pos", twelve("0.100"), "default_joint_pos: found 0.100 for FR_thigh_joint, expected the manifest's 0.9"},
		"action scale":      {"action_scale", "0.37342", "action_scale: found 0.37342 for FR_hip_joint, expected the manifest's 0.37341"},
		"scale of a joint":  {"action_scale", "0.373,0.373,0.249,0.373,0.373,0.249,0.373,0.373,0.249,0.373,0.373,0.249", "action_scale: found 0.249 for FR_calf_joint, expected the manifest's 0.37341"},
		"rate":              {"step_dt", "0.005", "step_dt: found 0.005 for period, expected the manifest's 0.02"},
		"fewer terms":       {"observation_names", "base_lin_vel,base_ang_vel", "observation_names: found 2 terms, expected the manifest's 7"},
		"order of terms":    {"observation_names", "base_ang_vel,base_lin_vel,projected_gravity,joint_pos,joint_vel,actions,command", "observation_names[0]: found base_ang_vel, expected the manifest's base_lin_vel"},
		"scale of a term":   {"observation_terms_scale", "1.000,0.250,1.000,1.000,1.000,1.000,2.000;2.000;0.250", "observation_terms_scale of joint_vel: found 1.000 for FR_hip_joint, expected the manifest's 0.05"},
		"scale of elements": {"observation_terms_scale", "1.000,0.250,1.000,1.000,0.050,1.000,2.000", "observation_terms_scale of velocity_command: found 2.000 for yaw_rate, expected the manifest's 0.25"},
		"clip":              {"observation_terms_clip", "-5.000;5.000,-400.000;400.000,-inf;inf,-inf;inf,-inf;inf,-inf;inf,-inf;inf", "observation_terms_clip of base_lin_vel: found -5.000;5.000, expected the manifest's -Inf;+Inf"},
		"history":           {"observation_terms_history_length", "0.000,5.000,0.000,0.000,0.000,0.000,0.000", "observation_terms_history_length of base_ang_vel: found 5.000, expected the manifest's 1"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := writeExport(t, map[string]string{test.key: test.value})
			_, err := policy.Load(dir)
			checkError(t, err, "policy: "+filepath.Join(dir, policy.ModelFile)+": metadata "+test.want)
		})
	}
}
