package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/internal/testfile"
)

// imported runs the program with the MuJoCo library.
func imported(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, diagnostics bytes.Buffer
	code = program().Run(t.Context(), append([]string{"--mujoco=" + testfile.Find(t, "KRABBY_MUJOCO")}, args...), &out, &diagnostics)
	return out.String(), diagnostics.String(), code
}

// imports imports a model and returns the robot.
func imports(t *testing.T, variable string, args ...string) (*robot.Robot, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "robot.json")
	stdout, stderr, code := imported(t, append([]string{testfile.Find(t, variable), path}, args...)...)
	if code != cli.ExitOK || stderr != "" {
		t.Fatalf("exit code %d, stderr %q, want %d and no output", code, stderr, cli.ExitOK)
	}
	r, err := robot.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return r, stdout
}

func TestGo1(t *testing.T) {
	got, _ := imports(t, "KRABBY_GO1_MODEL", "--name=go1", "--feet=FR,FL,RR,RL", "--velocity=30.1,*_calf_joint=20.06",
		"--pose=*R_hip_joint=0.1,*L_hip_joint=-0.1,*_thigh_joint=0.9,*_calf_joint=-1.8")
	want := robot.Go1()
	want.Orders = nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("robot %+v, want %+v", got, want)
	}
}

func TestGo2(t *testing.T) {
	got, stdout := imports(t, "KRABBY_GO2_MODEL", "--feet=FL,FR,RL,RR", "--velocity=30.1,*_calf_joint=20.07", "--effort=*_calf_joint=35.55", "--kp=40", "--kd=1")
	want := robot.Go2()
	want.Orders = nil
	want.DefaultPoseRad = slices.Repeat([]float64{0, 0.9, -1.8}, 4) // The keyframe.
	if !reflect.DeepEqual(got, want) {
		t.Errorf("robot %+v, want %+v", got, want)
	}
	for _, line := range []string{
		`model      "go2", 12 joints, 12 actuators`,
		"actuators  0 position servos, 12 others",
		"keyframe   home, the only one",
		`default_rad                 from keyframe "home"`,
		"kp                          from --kp",
		"note: damping in the model is not a gain and is left out: 2 N·m·s/rad",
	} {
		if !strings.Contains(stdout, line+"\n") {
			t.Errorf("no line %q in\n%s", line, stdout)
		}
	}
}

func TestURDF(t *testing.T) {
	dir := t.TempDir()
	model, path := filepath.Join(dir, "leg.urdf"), filepath.Join(dir, "leg.json")
	if err := os.WriteFile(model, []byte(`<robot name="leg"><link name="base"/><link name="thigh"/>
<joint name="hip" type="revolute"><parent link="base"/><child link="thigh"/><limit lower="-1" upper="2" effort="23.7" velocity="30.1"/></joint>
</robot>`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := imported(t, model, path, "--name=leg", "--feet=none", "--pose=0.5", "--kp=40", "--kd=1"); code != cli.ExitOK {
		t.Fatalf("exit code %d, stderr %q", code, stderr)
	}
	want := &robot.Robot{
		Name: "leg", Feet: []string{}, DefaultPoseRad: []float64{0.5}, Kp: []float64{40}, Kd: []float64{1},
		Joints: []robot.Joint{{Name: "hip", LowerRad: -1, UpperRad: 2, VelocityLimitRadPerSec: 30.1, EffortLimitNm: 23.7}},
	}
	if got, err := robot.Load(path); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("robot %+v, %v; want %+v", got, err, want)
	}
}

func TestExitCode(t *testing.T) {
	dir := t.TempDir()
	model := testfile.Find(t, "KRABBY_GO2_MODEL")
	there, svg := filepath.Join(dir, "there.json"), filepath.Join(dir, "a.svg")
	for _, path := range []string{there, svg} {
		if err := os.WriteFile(path, []byte("<svg/>"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	complete := []string{"--feet=none", "--velocity=30", "--kp=40", "--kd=1"}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"gains missing":  {[]string{model, filepath.Join(dir, "a.json"), "--feet=none", "--velocity=30"}, "a torque motor says nothing about gains"},
		"feet missing":   {[]string{model, filepath.Join(dir, "a.json")}, "the model's named geoms are FL, FR, RL, RR"},
		"no model":       {append(complete, svg, filepath.Join(dir, "a.json")), "a.svg: <svg>: found this root element"},
		"no file":        {append(complete, filepath.Join(dir, "no.xml"), filepath.Join(dir, "a.json")), "no such file"},
		"file exists":    {append(complete, model, there), "exists already"},
		"no directory":   {append(complete, model, filepath.Join(dir, "no", "a.json")), "no such file or directory"},
		"no output file": {[]string{model}, "<out>"},
		"invalid number": {[]string{model, filepath.Join(dir, "a.json"), "--kp=many"}, `found "many", expected a number`},
	} {
		stdout, stderr, code := imported(t, test.args...)
		if code != cli.ExitUsage || stdout != "" || !strings.Contains(stderr, test.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q; want %d and one line with %q", name, code, stdout, stderr, cli.ExitUsage, test.want)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 2 {
		t.Errorf("files %v, %v; want only %s and %s", left, err, there, svg)
	}
	if stdout, _, code := imported(t, append(complete, model, there, "--force")...); code != cli.ExitOK || !strings.Contains(stdout, "wrote "+there) {
		t.Errorf("--force: exit code %d, stdout %q", code, stdout)
	}
	if stdout, stderr, code := imported(t, "--help"); code != cli.ExitOK || stderr != "" || !strings.Contains(stdout, "--keyframe") {
		t.Errorf("--help: exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}
