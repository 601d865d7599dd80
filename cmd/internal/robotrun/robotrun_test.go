package robotrun_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/cmd/internal/robotrun"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/compute/rollout/npz"
	"krabby.dev/krabby/internal/bringup"
	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/internal/testfile"
)

// run runs a program with a policy at a low rate, so that a busy machine keeps up.
func run(t *testing.T, dir string, flags ...string) (report bringup.Report, stderr string, code int) {
	t.Helper()
	return runUntil(t.Context(), t, dir, flags...)
}

func runUntil(ctx context.Context, t *testing.T, dir string, flags ...string) (report bringup.Report, stderr string, code int) {
	t.Helper()
	var stdout, diagnostics bytes.Buffer
	args := append([]string{"--policy=" + dir, "--onnxruntime=" + policytest.Library(t), "--robot=go2", "--duration=1s", "--rate=10", "--hal-rate=20"}, flags...)
	code = robotrun.Program("test", "Runs.", nil).Run(ctx, args, &stdout, &diagnostics)
	if code == cli.ExitOK {
		if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
			t.Fatal(err)
		}
	}
	return report, diagnostics.String(), code
}

func TestProgram_parkourTeacherOnFlatGround(t *testing.T) {
	report, stderr, code := run(t, filepath.Join(policytest.Parkour(t), "teacher"))
	if code != cli.ExitOK || report.Actions == 0 || !report.Action.Finite || report.Server.Applied == 0 {
		t.Errorf("exit code %d, report %+v; want actions that reach the robot\n%s", code, report, stderr)
	}
	if !strings.Contains(stderr, "assuming flat ground") {
		t.Errorf("stderr = %q, want a warning about the height scan", stderr)
	}
}

func TestProgram_parkourStudentWithoutCamera(t *testing.T) {
	report, stderr, code := run(t, filepath.Join(policytest.Parkour(t), "student"))
	if code != cli.ExitOK || report.Actions != 0 || report.Skipped["build"] == 0 {
		t.Errorf("exit code %d, report %+v; want no action of a robot without a camera", code, report)
	}
	if !strings.Contains(stderr, "depth image not found") {
		t.Errorf("stderr = %q, want the reason", stderr)
	}
}

func TestProgram_interrupted_writesRecording(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run.npz")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	report, stderr, code := runUntil(ctx, t, filepath.Join(policytest.Parkour(t), "teacher"), "--duration=0s", "--record="+file)
	if code != cli.ExitOK || report.Actions == 0 || !strings.Contains(stderr, "msg=recorded") {
		t.Fatalf("exit code %d, %d actions, stderr %q", code, report.Actions, stderr)
	}
	r, err := npz.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if uint64(r.Steps()) != uint64(report.Actions) || r.Observation.Columns != 753 || r.Action.Columns != 12 || r.Contacts.Columns != 4 || !r.BaseVelocityMps.Present() {
		t.Errorf("%d steps of %d and %d values, want %d of 753 and 12", r.Steps(), r.Observation.Columns, r.Action.Columns, report.Actions)
	}
	// The last action is the raw action of the row before.
	for step := 1; step < r.Steps(); step++ {
		if got, want := r.Observation.Row(step)[37:49], r.Action.Row(step-1); !slices.Equal(got, want) || got[0] == 0 {
			t.Errorf("last action in row %d is %v, action in the row before is %v: want the same", step, got, want)
		}
	}
}

func TestProgram_invalidPolicyOptions(t *testing.T) {
	teacher := filepath.Join(policytest.Parkour(t), "teacher")
	for name, test := range map[string]struct {
		dir   string
		flags []string
		want  string
	}{
		"yaw command":       {teacher, []string{"--command=0.5,0,1"}, "--command: yaw_rate_rad_per_sec: found 1, expected 0"},
		"another robot":     {teacher, []string{"--robot=go1"}, `--robot: found "go1", expected "go2"`},
		"another provider":  {otherProvider(t), nil, `observation.provider: found "dance", expected "parkour"`},
		"no such directory": {teacher, []string{"--record=/nope/run.npz"}, "--record: rollout: /nope/run.npz: no such file or directory"},
		"a provider":        {teacher, []string{"--providers=cuda,cpu"}, "provider cuda: not available in"},
		"unknown providers": {teacher, []string{"--providers=npu"}, `found provider "npu"`},
	} {
		_, stderr, code := run(t, test.dir, test.flags...)
		if code != cli.ExitUsage || !strings.Contains(stderr, test.want) {
			t.Errorf("%s: exit code %d, stderr %q; want %d and %q", name, code, stderr, cli.ExitUsage, test.want)
		}
	}
}

func TestProgram_allowCPU(t *testing.T) {
	report, stderr, code := run(t, filepath.Join(policytest.Parkour(t), "teacher"), "--providers=cuda,cpu", "--allow-cpu")
	if code != cli.ExitOK || report.Actions == 0 || !strings.Contains(stderr, "continuing without a provider") {
		t.Errorf("exit code %d, %d actions, stderr %q; want actions and a warning", code, report.Actions, stderr)
	}
}

// otherProvider writes a policy whose slots another package provides.
func otherProvider(t *testing.T) string {
	t.Helper()
	p := policytest.Load(t, filepath.Join(policytest.Parkour(t), "teacher"))
	p.SchemaVersion, p.Observation.Provider = policy.SchemaVersion, "dance"
	files := map[string][]byte{}
	for name, g := range p.Graphs {
		files[g.File] = p.Models[name]
	}
	dir := t.TempDir()
	if err := policytest.Write(dir, p.Manifest, files); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestProgram_robotFile(t *testing.T) {
	content, err := os.ReadFile(testfile.Find(t, "KRABBY_GO2_ROBOT"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "go2.json")
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
	report, stderr, code := run(t, filepath.Join(policytest.Parkour(t), "teacher"), "--robot="+file)
	if code != cli.ExitOK || report.Actions == 0 || report.Robot != "go2" {
		t.Errorf("exit code %d, report %+v; want actions of the robot in the file\n%s", code, report, stderr)
	}
	if err := os.WriteFile(file, []byte(`{"schema_version": 1, "name": ""}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := run(t, filepath.Join(policytest.Parkour(t), "teacher"), "--robot="+file); code != cli.ExitUsage || !strings.Contains(stderr, "--robot: robot "+file+": name: found") {
		t.Errorf("exit code %d, stderr %q; want %d and the wrong field", code, stderr, cli.ExitUsage)
	}
}
