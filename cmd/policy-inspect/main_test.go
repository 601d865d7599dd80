package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/cmd/internal/robotflag/robotflagtest"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/internal/cli"
)

func inspect(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, diagnostics bytes.Buffer
	code = program().Run(t.Context(), args, &out, &diagnostics)
	return out.String(), diagnostics.String(), code
}

func TestText(t *testing.T) {
	stdout, stderr, code := inspect(t, policytest.Policy(t))
	if code != cli.ExitOK || stderr != "" {
		t.Fatalf("exit code %d, stderr %q", code, stderr)
	}
	var lines []string
	for line := range strings.Lines(stdout) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	for _, want := range []string{
		"policy go1_joystick (schema version 3)",
		"robot go1, 12 of 12 joints",
		"observation 48 values of 7 terms",
		"rate 50 Hz",
		"action default pose + 0.5 rad * action, action not clipped",
		"command yaw rate -6.28 to 6.28 rad/s",
		"FL_calf_joint 5 -1.8 35 0.5",
		"joint_pos_rel 9 12 - 1 0",
		"input obs [1 48]",
		"output continuous_actions [1 12]",
		"format IR 6, ai.onnx 11, ai.onnx.ml 2: ONNX Runtime 1.32.0, which is pinned, takes it",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in\n%s", want, stdout)
		}
	}
}

func TestJSON(t *testing.T) {
	stdout, stderr, code := inspect(t, "--json", policytest.Policy(t))
	if code != cli.ExitOK || stderr != "" {
		t.Fatalf("exit code %d, stderr %q", code, stderr)
	}
	var got struct {
		Manifest policy.Manifest
		Models   map[string]struct {
			Parameters   int64    `json:"parameters"`
			ExternalData []string `json:"external_data"`
		}
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	g := got.Manifest.Graphs[policy.PolicyGraph]
	if got.Manifest.Name != "go1_joystick" || g.File != policy.ModelFile || len(g.Inputs) != 1 || g.Inputs[0].Name != "obs" {
		t.Errorf("manifest = %+v, want that of go1_joystick with its graph", got.Manifest)
	}
	if got.Models[policy.PolicyGraph].Parameters < 10000 {
		t.Errorf("models = %+v, want the policy's parameters", got.Models)
	}
}

func TestPath_bazelRun(t *testing.T) {
	dir := policytest.Policy(t)
	t.Setenv("BUILD_WORKING_DIRECTORY", filepath.Dir(dir))
	if _, stderr, code := inspect(t, filepath.Base(dir)); code != cli.ExitOK || stderr != "" {
		t.Errorf("exit code %d, stderr %q, want %d and no output", code, stderr, cli.ExitOK)
	}
}

func TestExitCode(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, policy.ManifestFile), []byte(`{"schema_version": 7}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"newer schema": {[]string{dir}, cli.ExitFailed, "schema_version: found 7, expected 1 to 3"},
		"no directory": {[]string{filepath.Join(dir, "no")}, cli.ExitFailed, "no such file or directory"},
		"no argument":  {nil, cli.ExitUsage, "<dir>"},
		"unknown flag": {[]string{"--yaml", dir}, cli.ExitUsage, "--yaml"},
	} {
		stdout, stderr, code := inspect(t, test.args...)
		if code != test.code || stdout != "" || !strings.HasPrefix(stderr, "policy-inspect: ") || !strings.Contains(stderr, test.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q; want %d and one line with %q", name, code, stdout, stderr, test.code, test.want)
		}
	}
	if stdout, stderr, code := inspect(t, "--help"); code != cli.ExitOK || stderr != "" || !strings.Contains(stdout, "--json") {
		t.Errorf("--help: exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestOutput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.json")
	stdout, stderr, code := inspect(t, "--json", "--output="+file, policytest.Policy(t))
	if code != cli.ExitOK || stdout != "" || stderr != "" {
		t.Fatalf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	want, _, _ := inspect(t, "--json", policytest.Policy(t))
	if got, err := os.ReadFile(file); err != nil || string(got) != want {
		t.Errorf("%s, %v, want what is printed without --output: %s", got, err, want)
	}

	file = filepath.Join(t.TempDir(), "policy.json")
	if _, _, code := inspect(t, "--output="+file, t.TempDir()); code != cli.ExitFailed {
		t.Errorf("exit code %d of a directory without a manifest, want %d", code, cli.ExitFailed)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("there is an output for a directory without a manifest")
	}
}

func TestRobot(t *testing.T) {
	robotflagtest.Check(t, program, true, robotflagtest.Policy(t))
	want := `--robot: found "go2", expected "go1", the robot of the policy in `
	if _, stderr, code := inspect(t, "--robot=go2", policytest.Policy(t)); code != cli.ExitUsage || !strings.Contains(stderr, want) {
		t.Errorf("exit code %d, stderr %q; want %q", code, stderr, want)
	}
	if _, stderr, code := inspect(t, "--limits=sdk", policytest.Policy(t)); code != cli.ExitUsage || !strings.Contains(stderr, "--limits: requires --robot") {
		t.Errorf("exit code %d, stderr %q; want the missing robot", code, stderr)
	}
	if _, stderr, code := inspect(t, "--robot=go1", "--limits=sdk", policytest.Policy(t)); code != cli.ExitOK || stderr != "" {
		t.Errorf("exit code %d, stderr %q; want a policy that fits into the limits", code, stderr)
	}
}
