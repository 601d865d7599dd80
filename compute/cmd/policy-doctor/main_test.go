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

	"krabby.dev/krabby/compute/doctor"
	"krabby.dev/krabby/compute/joystick"
	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/compute/rollout"
	"krabby.dev/krabby/hal/message"
)

// record writes a rollout of the Go1 policy, which answers a robot that swings, with the observation changed before the
// policy sees it.
func record(t *testing.T, change func(observation []float32)) (path string) {
	t.Helper()
	p, err := policy.Load(policytest.Policy(t))
	if err != nil {
		t.Fatal(err)
	}
	b, err := joystick.New(p)
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
	rec := rollout.NewRecorder(p.Robot, joystick.Size, 12)
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

func unchanged([]float32) {}

func unscaled(observation []float32) {
	for i := 21; i < 33; i++ {
		observation[i] *= 20
	}
}

// call runs the program and checks its exit code and that standard error has one line where there is no verdict.
func call(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	if !slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--onnxruntime") }) {
		args = append(args, "--onnxruntime=") // The environment may name one by its runfile.
	}
	var out, diagnostics bytes.Buffer
	if got := run(args, &out, &diagnostics); got != code {
		t.Errorf("policy-doctor %q: exit code %d, want %d\n%s%s", args, got, code, &out, &diagnostics)
	}
	if line := diagnostics.String(); code != exitUsage && line != "" || code == exitUsage && (strings.Count(line, "\n") != 1 || !strings.HasPrefix(line, "policy-doctor: ")) {
		t.Errorf("policy-doctor %q: stderr = %q, want one line where there is no verdict", args, line)
	}
	return out.String(), diagnostics.String()
}

func TestACorrectRolloutExitsWith0(t *testing.T) {
	stdout, _ := call(t, exitAgrees, policytest.Policy(t), record(t, unchanged), "--onnxruntime="+policytest.Library(t))
	for _, want := range []string{
		"correct\n\n", "48 of 48 agree", "the recorded actions are the policy's answers to the recorded observations\n",
		"hardly moved, so that a wrong order, sign, frame or delay would not show: base velocity, gravity\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
}

func TestAFaultIsNamedAndExitsWith1(t *testing.T) {
	file := filepath.Join(t.TempDir(), "worst.svg")
	stdout, _ := call(t, exitDiffers, policytest.Policy(t), record(t, unscaled), "--plot="+file)
	if !strings.HasPrefix(stdout, "differs: the recorded observation has joint velocity times 20\n") {
		t.Errorf("stdout = %s", stdout)
	}
	// In this order: the verdict, the values, the hypotheses, what was not checked.
	at := 0
	for _, want := range []string{
		"36 of 48 agree", "joint velocity RR_calf_joint", "1. scaled: ", "to do: divide by 20", "difference of joint velocity: ",
		"not checked: action: no ONNX Runtime library is named",
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

func TestJSONHasWhatTheTextHas(t *testing.T) {
	stdout, _ := call(t, exitDiffers, "--json", "--onnxruntime="+policytest.Library(t), policytest.Policy(t), record(t, unscaled))
	var r doctor.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	if r.Verdict != doctor.Differs || r.Steps != 100 || len(r.Slots) != 48 || r.Slots[0].Quantity != "joint velocity" || r.Slots[0].Unit != "rad/s" || r.Slots[0].Agrees {
		t.Errorf("report = %+v", r)
	}
	if len(r.Findings) != 1 || r.Findings[0].Kind != doctor.Scaled || r.Findings[0].Ambiguous || !(r.Findings[0].After < 1e-3 && r.Findings[0].Before > 0.9) {
		t.Errorf("findings = %+v", r.Findings)
	}
	// What the policy saw was wrong, what it answered is what is recorded; seeing right, it would have answered otherwise.
	if a := r.Action; a == nil || !a.Agrees || a.EffectMaxRad < 0.1 {
		t.Errorf("action = %+v", a)
	}
}

func TestWhatALookLeavesOutIsLeftOut(t *testing.T) {
	steps := 0
	path := record(t, func(observation []float32) {
		if steps++; steps <= 10 {
			unscaled(observation)
		}
	})
	call(t, exitDiffers, policytest.Policy(t), path)
	stdout, _ := call(t, exitAgrees, policytest.Policy(t), path, "--skip=10", "--steps=50")
	if !strings.Contains(stdout, "50 steps at 50 Hz, after 10 skipped") {
		t.Errorf("stdout = %s", stdout)
	}
}

func TestWithoutAVerdictTheExitCodeIs2(t *testing.T) {
	p, r := policytest.Policy(t), record(t, unchanged)
	junk := filepath.Join(t.TempDir(), "junk.npz")
	if err := os.WriteFile(junk, []byte("junk"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no rollout":     {[]string{p}, "<rollout>"},
		"unknown flag":   {[]string{p, r, "--yaml"}, "unknown flag --yaml"},
		"skip":           {[]string{p, r, "--skip=-1"}, "--skip: found -1"},
		"too much skip":  {[]string{p, r, "--skip=90"}, r + ": found 100 steps, 90 of them to be skipped"},
		"steps":          {[]string{p, r, "--steps=3"}, "--steps: found 3, expected 25 or more"},
		"noise":          {[]string{p, r, "--noise=2"}, "--noise: found 2"},
		"policy":         {[]string{"/nope", r}, "/nope/manifest.json: found no such file"},
		"rollout":        {[]string{p, "/nope.npz"}, "/nope.npz: found no such file"},
		"no rollout's":   {[]string{p, junk}, junk + ": found no zip archive"},
		"another policy": {[]string{filepath.Join(policytest.Parkour(t), "student"), r}, r + ": observation: found 48 values in each step of the rollout, expected 753"},
		"onnxruntime":    {[]string{p, r, "--onnxruntime=/nope"}, "/nope: found no such file"},
		"plot":           {[]string{p, r, "--plot=/nope/worst.svg"}, "writing the plot"},
	} {
		t.Run(name, func(t *testing.T) {
			if stdout, stderr := call(t, exitUsage, test.args...); !strings.Contains(stderr, test.want) || stdout != "" {
				t.Errorf("stderr = %q, stdout = %q, want %q in the first and nothing in the second", stderr, stdout, test.want)
			}
		})
	}
}

func TestPathsAreSeenFromWhereBazelRunWasCalled(t *testing.T) {
	r := record(t, unchanged)
	p := policytest.Policy(t)
	t.Setenv("BUILD_WORKING_DIRECTORY", filepath.Dir(r))
	call(t, exitAgrees, p, "r.npz", "--plot=worst.svg")
	if _, err := os.Stat(filepath.Join(filepath.Dir(r), "worst.svg")); err != nil {
		t.Error(err)
	}
}

func TestHelp(t *testing.T) {
	if stdout, _ := call(t, exitAgrees, "--help"); !strings.Contains(stdout, "--plot") || !strings.Contains(stdout, "0 they agree") {
		t.Errorf("help = %q", stdout)
	}
}
