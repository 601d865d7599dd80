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
	"krabby.dev/krabby/compute/doctor"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/compute/rollout/npz"
	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/internal/testfile"
)

// realFlags returns the flags for the real policy, libraries and model, with absolute paths.
func realFlags(t *testing.T) []string {
	t.Helper()
	return []string{
		"--policy=" + policytest.Policy(t),
		"--onnxruntime=" + policytest.Library(t),
		"--mujoco=" + testfile.Find(t, "KRABBY_MUJOCO"),
		"--model=" + testfile.Find(t, "KRABBY_GO1_MODEL"),
	}
}

// walkWith runs the program and checks its exit code, and that standard error has one line exactly if it fails.
func walkWith(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	if got := program().Run(t.Context(), args, &out, &err); got != code {
		t.Errorf("walk %q: exit code %d, want %d; stderr: %s", args, got, code, &err)
	}
	if line := err.String(); code == cli.ExitOK && line != "" || code != cli.ExitOK && (strings.Count(line, "\n") != 1 || !strings.HasPrefix(line, "walk: ")) {
		t.Errorf("walk %q: stderr = %q, want one line exactly if it fails", args, line)
	}
	return out.String(), err.String()
}

// Without --model the model is that of the policy's robot.
func TestWalk_go2(t *testing.T) {
	t.Setenv("KRABBY_MUJOCO_MODEL", "")
	t.Setenv("KRABBY_GO2_MODEL", testfile.Find(t, "KRABBY_GO2_MODEL"))
	stdout, _ := walkWith(t, cli.ExitOK, "--policy="+policytest.Directory(t, "KRABBY_GO2_POLICY"), "--onnxruntime="+policytest.Library(t), "--mujoco="+testfile.Find(t, "KRABBY_MUJOCO"))
	var r struct {
		Robot string
		Gains policy.Gains   `json:"policy_gains"`
		Scale policy.Numbers `json:"policy_action_scale"`
	}
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("report %s: %v", stdout, err)
	}
	if r.Robot != "go2" || r.Gains.Kp.String() != "20" || r.Gains.Kd.String() != "0.5" || r.Scale[0] != 0.125 || r.Scale[1] != 0.25 {
		t.Errorf("report = %+v, want the Go2 with the policy's gains and scale", r)
	}
}

// A robot that is not built in: its file, a policy for it and a model.
func TestWalk_robotFile(t *testing.T) {
	p := policytest.Load(t, policytest.Policy(t))
	content, err := os.ReadFile(testfile.Find(t, "KRABBY_GO1_ROBOT"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "mine.json")
	if err := os.WriteFile(file, bytes.Replace(content, []byte(`"go1"`), []byte(`"mine"`), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	p.Manifest.Robot = "mine"
	if err := policytest.Write(dir, p.Manifest, map[string][]byte{policy.ModelFile: p.Models[policy.PolicyGraph]}); err != nil {
		t.Fatal(err)
	}
	args := []string{"--policy=" + dir, "--onnxruntime=" + policytest.Library(t), "--mujoco=" + testfile.Find(t, "KRABBY_MUJOCO"), "--model=" + testfile.Find(t, "KRABBY_GO1_MODEL"), "--duration=4s"}
	if stdout, _ := walkWith(t, cli.ExitOK, append(args, "--robot="+file)...); !strings.Contains(stdout, `"robot":"mine"`) {
		t.Errorf("report = %s, want the robot of the file", stdout)
	}
	if _, stderr := walkWith(t, cli.ExitUsage, args...); !strings.Contains(stderr, `robot: found "mine", expected one of g1, go1, go2, hex, t1`) {
		t.Errorf("stderr = %q, want the unknown robot", stderr)
	}
	if _, stderr := walkWith(t, cli.ExitUsage, append(args, "--robot=/nope/mine.json")...); !strings.Contains(stderr, "--robot: robot: open /nope/mine.json: no such file or directory") {
		t.Errorf("stderr = %q, want the missing file", stderr)
	}
}

func TestWalk_reportPlotAndRecording(t *testing.T) {
	file := filepath.Join(t.TempDir(), "walk.svg")
	recording := filepath.Join(t.TempDir(), "walk.npz")
	stdout, _ := walkWith(t, cli.ExitOK, append(realFlags(t), "--duration=4s", "--terrain=slope:5", "--seed=3", "--plot="+file, "--record="+recording)...)
	var r struct {
		Policy, Robot, Terrain string
		Seed                   int
		Command                []float64
		SimulatedS             float64               `json:"simulated_s"`
		MeanVxMps              float64               `json:"mean_vx_mps"`
		PolicyLoop             struct{ Actions int } `json:"policy_loop"`
		Server                 struct{ Applied int }
	}
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("report %s: %v", stdout, err)
	}
	if r.Policy != "go1_joystick" || r.Robot != "go1" || r.Terrain != "slope:5" || r.Seed != 3 || !slices.Equal(r.Command, []float64{1, 0, 0}) {
		t.Errorf("report = %+v, want the values of the flags", r)
	}
	if r.SimulatedS != 4 || r.MeanVxMps < 0.85 || r.PolicyLoop.Actions != 200 || r.Server.Applied < 199 {
		t.Errorf("report = %+v, want a walk of 4 s, 200 actions", r)
	}
	if svg, err := os.ReadFile(file); err != nil || !bytes.Contains(svg, []byte("<svg")) {
		t.Errorf("plot: %v, %.40q", err, svg)
	}
	recorded, err := npz.Read(recording)
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Load(policytest.Policy(t))
	if err != nil {
		t.Fatal(err)
	}
	// The doctor finds no fault in the recording and examines each step.
	examined, err := doctor.Examine(p, recorded, doctor.Options{Noise: -1})
	if err != nil || examined.Verdict != doctor.Correct || examined.Steps != 200 || len(examined.Elements) != 48 || len(examined.Stationary) > 0 {
		t.Errorf("recording: %v, %+v; want 200 correct steps of 48 values", err, examined)
	}
	for _, at := range []int{22, 23} { // The joints move enough to show flipped signs.
		for step := range recorded.Steps() {
			recorded.Observation.Row(step)[at] *= -1
		}
	}
	if examined, err = doctor.Examine(p, recorded, doctor.Options{Noise: -1}); err != nil || len(examined.Findings) != 1 || examined.Findings[0].Kind != doctor.SignFlipped || examined.Findings[0].Ambiguous {
		t.Errorf("recording with two signs flipped: %v, %+v", err, examined.Findings)
	}
}

func TestWalk_notAsCommanded(t *testing.T) {
	stdout, stderr := walkWith(t, cli.ExitFailed, append(realFlags(t), "--push=0,700")...)
	if !strings.Contains(stderr, "tilt: ") || !strings.Contains(stdout, `"max_tilt_rad"`) {
		t.Errorf("stderr = %q, report = %q, want the violation in the first and the report in the second", stderr, stdout)
	}
}

func TestFlags_invalid(t *testing.T) {
	real := realFlags(t)
	t.Setenv("KRABBY_GO1_MODEL", "")
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"unknown flag":   {append(real, "--sideways"), "unknown flag --sideways"},
		"command range":  {append(real, "--command=9,0,0"), "--command"},
		"command of one": {append(real, "--command=1"), "expected three numbers VX,VY,YAW"},
		"terrain":        {append(real, "--terrain=hills"), "expected flat, steps:RISE"},
		"push":           {append(real, "--push=1"), "expected two forces FX,FY"},
		"push of NaN":    {append(real, "--push=1,NaN"), "expected two forces FX,FY"},
		"duration":       {append(real, "--duration=0s"), "--duration: found 0s"},
		"rate":           {append(real, "--hal-rate=10"), "--hal-rate: found 10"},
		"record":         {append(real, "--record=/nope/walk.npz"), "/nope/walk.npz: no such file or directory"},
		"policy":         {append(real, "--policy=/nope"), "/nope/manifest.json: no such file or directory"},
		"onnxruntime":    {append(real, "--onnxruntime=/nope"), "/nope: no such file or directory"},
		"mujoco":         {append(real, "--mujoco=/nope"), "mujoco: MuJoCo library: stat /nope: no such file or directory"},
		"model":          {append(real, "--model=/nope.xml"), "/nope.xml"},
		"no model":       {append(real, "--model="), "--model: missing"},
	} {
		t.Run(name, func(t *testing.T) {
			if stdout, stderr := walkWith(t, cli.ExitUsage, test.args...); !strings.Contains(stderr, test.want) || stdout != "" {
				t.Errorf("stderr = %q, stdout = %q, want %q in the first and nothing in the second", stderr, stdout, test.want)
			}
		})
	}
}

func TestWalk_plotNotWritable(t *testing.T) {
	if _, stderr := walkWith(t, cli.ExitFailed, append(realFlags(t), "--duration=1s", "--plot=/nope/walk.svg")...); !strings.Contains(stderr, "writing the plot") {
		t.Errorf("stderr = %q, want the failed operation", stderr)
	}
}

func TestHelp(t *testing.T) {
	if stdout, _ := walkWith(t, cli.ExitOK, "--help"); !strings.Contains(stdout, "--terrain") {
		t.Errorf("help = %q", stdout)
	}
}

// The manufacturer's limits of the Go1 are narrower than those of the model with which the policy was trained.
func TestWalk_limits(t *testing.T) {
	stdout, _ := walkWith(t, cli.ExitOK, append(realFlags(t), "--robot=go1", "--limits=sdk", "--duration=4s")...)
	if !strings.Contains(stdout, `"robot":"go1","limits":"sdk"`) {
		t.Errorf("report = %s, want the limits", stdout)
	}
	// A model of another robot is recognised by the limits of the robot's own model.
	_, stderr := walkWith(t, cli.ExitUsage, append(realFlags(t), "--robot=go1", "--limits=sdk", "--model="+testfile.Find(t, "KRABBY_GO2_MODEL"))...)
	if want := `found joint "FR_hip_joint" with a range of -1.0472 to 1.0472 rad, expected -0.863 to 0.863, as go1 has`; !strings.Contains(stderr, want) {
		t.Errorf("stderr = %q, want %q", stderr, want)
	}
}

func TestWalk_robot(t *testing.T) {
	args := append(realFlags(t), "--policy="+robotflagtest.Policy(t), "--model="+testfile.Find(t, "KRABBY_GO1_MODEL"), "--duration=4s")
	robotflagtest.Check(t, program, true, args...)
}
