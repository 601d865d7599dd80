package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/cmd/internal/robotflag/robotflagtest"
	"krabby.dev/krabby/compute/doctor"
	"krabby.dev/krabby/compute/observation"
	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/compute/rollout"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/internal/cli"
)

// record writes a rollout of the Go1 policy on a robot with swinging joints. change changes the observation before the policy
// gets it.
func record(t *testing.T, change func(observation []float32)) (path string) {
	t.Helper()
	p, err := policy.Load(policytest.Policy(t))
	if err != nil {
		t.Fatal(err)
	}
	b, err := observation.New(p)
	if err != nil {
		t.Fatal(err)
	}
	runtime, err := onnx.Open(policytest.Library(t))
	if err != nil {
		t.Fatal(err)
	}
	defer runtime.Close()
	session, err := runtime.NewSession(p)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	rec := rollout.NewRecorder(p.Robot, p.Observation.Size, 12)
	last := make([]float32, 12)
	for step := range 100 {
		o := message.NewObservation(p.Robot)
		o.MonotonicNs, o.BaseVelocityKnown = int64(step)*20_000_000, true
		for i := range o.PositionRad {
			s := float64(step)/50 + float64(i)
			o.PositionRad[i] += 0.2 * math.Sin(9*s)
			o.VelocityRadPerSec[i] = 1.8 * math.Cos(9*s)
		}
		o.IMU.AngularVelocityRadPerSec = [3]float64{math.Sin(float64(step)), math.Cos(float64(step)), 1}
		command := message.NavigationCommand{VxMps: 1}
		if err := b.Build(session.Input(), o, command, last); err != nil {
			t.Fatal(err)
		}
		change(session.Input())
		if err := session.Run(); err != nil {
			t.Fatal(err)
		}
		rec.Step(o, command, session.Input(), session.Output())
		copy(last, session.Output())
	}
	path = filepath.Join(t.TempDir(), "r.npz")
	if err := rec.Write(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// unchanged keeps the observation.
func unchanged([]float32) {}

// unscaled multiplies the joint velocities by 20.
func unscaled(observation []float32) {
	for i := 21; i < 33; i++ {
		observation[i] *= 20
	}
}

// call runs the program and checks its exit code, and that standard error has one line exactly if there is no verdict.
func call(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	if !slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--onnxruntime") }) {
		args = append(args, "--onnxruntime=") // The environment may set another one.
	}
	var out, diagnostics bytes.Buffer
	if got := program().Run(t.Context(), args, &out, &diagnostics); got != code {
		t.Errorf("policy-doctor %q: exit code %d, want %d\n%s%s", args, got, code, &out, &diagnostics)
	}
	if line := diagnostics.String(); code != cli.ExitUsage && line != "" || code == cli.ExitUsage && (strings.Count(line, "\n") != 1 || !strings.HasPrefix(line, "policy-doctor: ")) {
		t.Errorf("policy-doctor %q: stderr = %q, want one line exactly if there is no verdict", args, line)
	}
	return out.String(), diagnostics.String()
}

func TestRun_correct(t *testing.T) {
	stdout, _ := call(t, cli.ExitOK, policytest.Policy(t), record(t, unchanged), "--onnxruntime="+policytest.Library(t))
	for _, want := range []string{
		"correct\n\n", "48 of 48 agree", "the recorded actions match the policy's output for the recorded observations\n",
		"stationary, so a wrong order, sign, frame or delay would not show: base velocity, gravity\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
}

func TestRun_fault(t *testing.T) {
	file := filepath.Join(t.TempDir(), "worst.svg")
	stdout, _ := call(t, cli.ExitFailed, policytest.Policy(t), record(t, unscaled), "--plot="+file)
	if !strings.HasPrefix(stdout, "differs: the recorded observation scales joint velocity by 20\n") {
		t.Errorf("stdout = %s", stdout)
	}
	// In this order: the verdict, the values, the findings, the limits.
	at := 0
	for _, want := range []string{
		"36 of 48 agree", "joint velocity RR_calf_joint", "1. scaled: ", "fix: divide by 20", "residual of joint velocity: ",
		"not checked: action: no ONNX Runtime library",
	} {
		next := strings.Index(stdout[at:], want)
		if next < 0 {
			t.Fatalf("no %q after byte %d of\n%s", want, at, stdout)
		}
		at += next
	}
	if svg, err := os.ReadFile(file); err != nil || !bytes.Contains(svg, []byte("<svg")) {
		t.Errorf("plot: %v, %.40q", err, svg)
	}
}

func TestRun_json(t *testing.T) {
	stdout, _ := call(t, cli.ExitFailed, "--json", "--onnxruntime="+policytest.Library(t), policytest.Policy(t), record(t, unscaled))
	var r doctor.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	if r.Verdict != doctor.Differs || r.Steps != 100 || len(r.Elements) != 48 || r.Elements[0].Quantity != "joint velocity" || r.Elements[0].Unit != "rad/s" || r.Elements[0].Agrees {
		t.Errorf("report = %+v", r)
	}
	if len(r.Findings) != 1 || r.Findings[0].Kind != doctor.Scaled || r.Findings[0].Ambiguous || !(r.Findings[0].ResidualAfter < 1e-3 && r.Findings[0].ResidualBefore > 0.9) {
		t.Errorf("findings = %+v", r.Findings)
	}
	// The recorded actions match the wrong observations. For the right ones the policy has another output.
	if a := r.Action; a == nil || !a.Agrees || a.EffectMaxRad < 0.1 {
		t.Errorf("action = %+v", a)
	}
}

func TestRun_skipAndSteps(t *testing.T) {
	steps := 0
	path := record(t, func(observation []float32) {
		if steps++; steps <= 10 {
			unscaled(observation)
		}
	})
	call(t, cli.ExitFailed, policytest.Policy(t), path)
	stdout, _ := call(t, cli.ExitOK, policytest.Policy(t), path, "--skip=10", "--steps=50")
	if !strings.Contains(stdout, "50 steps at 50 Hz, after 10 skipped") {
		t.Errorf("stdout = %s", stdout)
	}
}

func TestRun_noVerdict(t *testing.T) {
	p, r := policytest.Policy(t), record(t, unchanged)
	junk := filepath.Join(t.TempDir(), "junk.npz")
	if err := os.WriteFile(junk, []byte("junk"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"missing argument": {[]string{p}, []string{"<rollout>"}},
		"unknown flag":     {[]string{p, r, "--yaml"}, []string{"unknown flag --yaml"}},
		"skip":             {[]string{p, r, "--skip=-1"}, []string{"--skip: found -1"}},
		"skip too large":   {[]string{p, r, "--skip=90"}, []string{r + ": found 100 steps, 90 of them skipped"}},
		"steps":            {[]string{p, r, "--steps=3"}, []string{"--steps: found 3, expected 25 or more"}},
		"noise":            {[]string{p, r, "--noise=2"}, []string{"--noise: found 2"}},
		"policy":           {[]string{"/nope", r}, []string{"/nope/manifest.json: no such file or directory"}},
		"rollout":          {[]string{p, "/nope.npz"}, []string{"/nope.npz: no such file or directory"}},
		"invalid rollout":  {[]string{p, junk}, []string{junk + ": not a zip archive"}},
		"another policy":   {[]string{filepath.Join(policytest.Parkour(t), "student"), r}, []string{r + ": observation: found 48 values per step, expected 753"}},
		"onnxruntime":      {[]string{p, r, "--onnxruntime=/nope"}, []string{"/nope: no such file or directory"}},
		"plot":             {[]string{p, r, "--plot=/nope/worst.svg"}, []string{"writing the plot"}},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr := call(t, cli.ExitUsage, test.args...)
			for _, want := range test.want {
				if !strings.Contains(stderr, want) || stdout != "" {
					t.Errorf("stderr = %q, stdout = %q, want %q in the first and nothing in the second", stderr, stdout, want)
				}
			}
		})
	}
}

func TestRun_bazelRunPaths(t *testing.T) {
	r := record(t, unchanged)
	p := policytest.Policy(t)
	t.Setenv("BUILD_WORKING_DIRECTORY", filepath.Dir(r))
	call(t, cli.ExitOK, p, "r.npz", "--plot=worst.svg")
	if _, err := os.Stat(filepath.Join(filepath.Dir(r), "worst.svg")); err != nil {
		t.Error(err)
	}
}

func TestRun_help(t *testing.T) {
	stdout, _ := call(t, cli.ExitOK, "--help")
	for _, want := range []string{"--plot", "0 the observations agree, apart from noise, 1 they differ, 2 no verdict."} {
		if !strings.Contains(strings.Join(strings.Fields(stdout), " "), want) {
			t.Errorf("no %q in the help: %q", want, stdout)
		}
	}
}

func TestRun_robot(t *testing.T) {
	robotflagtest.Check(t, program, false, robotflagtest.Policy(t), record(t, unchanged), "--onnxruntime=") // The environment may set another one.
}
