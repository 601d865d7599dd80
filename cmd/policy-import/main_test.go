package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/internal/cli/clitest"
)

const base = `go2:
  dt: 0.005
  decimation: 4
  num_of_dofs: 12
  default_dof_pos: [0.0, 0.8, -1.5, 0.0, 0.8, -1.5, 0.0, 0.8, -1.5, 0.0, 0.8, -1.5]
  joint_names: [FR_hip_joint, FR_thigh_joint, FR_calf_joint, FL_hip_joint, FL_thigh_joint, FL_calf_joint,
                RR_hip_joint, RR_thigh_joint, RR_calf_joint, RL_hip_joint, RL_thigh_joint, RL_calf_joint]
`

const config = `go2/robot_lab:
  model_name: policy.onnx
  num_observations: 45
  observations: [ang_vel, gravity_vec, commands, dof_pos, dof_vel, actions]
  observations_history: []
  clip_obs: 100.0
  rl_kp: [20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20]
  rl_kd: [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
  action_scale: [0.125, 0.25, 0.25, 0.125, 0.25, 0.25, 0.125, 0.25, 0.25, 0.125, 0.25, 0.25]
  ang_vel_scale: 0.25
  dof_pos_scale: 1.0
  dof_vel_scale: 0.05
  commands_scale: [1.0, 1.0, 1.0]
`

// writeFile writes a file in dir and returns its path.
func writeFile(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// policyImport runs the program.
func policyImport(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, diagnostics bytes.Buffer
	code = program().Run(t.Context(), args, &out, &diagnostics)
	return out.String(), diagnostics.String(), code
}

func TestReport(t *testing.T) {
	known := policytest.Load(t, policytest.Directory(t, "KRABBY_GO2_POLICY"))
	dir := t.TempDir()
	out := filepath.Join(dir, "walk")
	args := []string{
		out, "--model=" + filepath.Join(known.Dir, policy.ModelFile), "--config=" + writeFile(t, dir, "base.yaml", base), "--config=" + writeFile(t, dir, "config.yaml", config),
		"--source=run 7", "--vx=-1,1",
	}
	stdout, stderr, code := policyImport(t, append(args, "--dry-run")...)
	if code != cli.ExitOK || stderr != "" || !strings.HasSuffix(stdout, "nothing written (--dry-run)\n") {
		t.Fatalf("--dry-run: exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("--dry-run has written the directory")
	}
	stdout, stderr, code = policyImport(t, args...)
	if code != cli.ExitOK || stderr != "" {
		t.Fatalf("exit code %d, stderr %q", code, stderr)
	}
	var lines strings.Builder
	for line := range strings.Lines(stdout) {
		lines.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	for _, want := range []string{
		"format rl_sar\n",
		"gains.kp 20 from config.yaml go2/robot_lab.rl_kp\n",
		"control_rate_hz 50 from base.yaml go2.dt * decimation\n",
		"command_ranges.vx_mps -1 to 1 from --vx\n",
		"assumed: observation ang_vel in the base's frame",
		"not used: config.yaml: go2/robot_lab.model_name\n",
		"written: " + out,
	} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("no %q in\n%s", want, lines.String())
		}
	}
	if p := policytest.Load(t, out); p.Files[policy.ModelFile] != known.Files[policy.ModelFile] || p.Provenance.Source != "run 7" {
		t.Errorf("manifest = %+v", p.Manifest)
	}
}

func TestExitCode(t *testing.T) {
	dir := t.TempDir()
	model := writeFile(t, dir, "policy.onnx", "no model")
	clitest.Check(t, program, map[string]clitest.Case{
		"help":           {Args: []string{"--help"}, Code: cli.ExitOK, Stdout: "--checkpoint"},
		"no files":       {Args: []string{dir + "/out"}, Code: cli.ExitUsage, Stderr: "--model, --checkpoint: found both or neither"},
		"no directory":   {Args: []string{"--model=" + model}, Code: cli.ExitUsage, Stderr: "<out>"},
		"no such model":  {Args: []string{dir + "/out", "--model=" + dir + "/none.onnx"}, Code: cli.ExitUsage, Stderr: "no such file or directory"},
		"no model":       {Args: []string{dir + "/out", "--model=" + model}, Code: cli.ExitUsage, Stderr: "found an invalid ONNX file"},
		"unknown robot":  {Args: []string{dir + "/out", "--model=" + model, "--robot=spot"}, Code: cli.ExitUsage, Stderr: `--robot: unknown robot "spot"`},
		"robot file":     {Args: []string{dir + "/out", "--model=" + model, "--robot=" + dir + "/spot.json"}, Code: cli.ExitUsage, Stderr: "--robot: "},
		"unknown format": {Args: []string{dir + "/out", "--model=" + model, "--format=tf"}, Code: cli.ExitUsage, Stderr: "found an invalid ONNX file"},
	})
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("%d files, want the model only", len(entries))
	}
}
