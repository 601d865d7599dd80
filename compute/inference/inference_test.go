package inference_test

import (
	"path/filepath"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/inference"
	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

func TestOpen(t *testing.T) {
	for name, test := range map[string]struct {
		policy  string
		robot   *robot.Robot
		command message.NavigationCommand
	}{
		"joystick":        {policytest.Policy(t), robot.Go1(), message.NavigationCommand{VxMps: 1}},
		"any robot":       {policytest.Policy(t), nil, message.NavigationCommand{}},
		"parkour teacher": {filepath.Join(policytest.Parkour(t), "teacher"), robot.Go2(), message.NavigationCommand{VxMps: 0.5}},
	} {
		t.Run(name, func(t *testing.T) {
			i, err := inference.Open(inference.Options{Policy: test.policy, ONNXRuntime: policytest.Library(t), Robot: test.robot, Command: test.command})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := i.Close(); err != nil {
					t.Error(err)
				}
			}()
			r, err := robot.ByName(i.Policy.Robot.Name)
			if err != nil {
				t.Fatal(err)
			}
			o := message.NewObservation(r)
			copy(o.PositionRad, r.DefaultPoseRad)
			o.IMU.Orientation[0], o.BaseVelocityKnown = 1, true
			if err := i.Builder.Build(i.Model.Input(), o, test.command, make([]float32, len(i.Policy.DefaultPoseRad))); err != nil {
				t.Fatal(err)
			}
			if err := i.Model.Run(); err != nil {
				t.Fatal(err)
			}
			if len(i.Model.Output()) != len(i.Policy.DefaultPoseRad) || i.Runtime.Version() == "" {
				t.Errorf("action of %d values by ONNX Runtime %q, want %d", len(i.Model.Output()), i.Runtime.Version(), len(i.Policy.DefaultPoseRad))
			}
		})
	}
}

func TestOpen_invalid(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*inference.Options)
		want   string
	}{
		"policy":   {func(o *inference.Options) { o.Policy = "/nope" }, "/nope/manifest.json"},
		"robot":    {func(o *inference.Options) { o.Robot = robot.Go2() }, `--robot: found "go2", expected "go1"`},
		"command":  {func(o *inference.Options) { o.Command.VxMps = 9 }, "--command: vx_mps: found 9, expected -1.5 to 1.5"},
		"library":  {func(o *inference.Options) { o.ONNXRuntime = "/nope" }, "/nope"},
		"provider": {func(o *inference.Options) { o.Providers = []onnx.Provider{onnx.CUDA} }, "provider cuda"},
	} {
		t.Run(name, func(t *testing.T) {
			o := inference.Options{Policy: policytest.Policy(t), ONNXRuntime: policytest.Library(t)}
			test.change(&o)
			if i, err := inference.Open(o); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Open = %v, %v; want %q in the error", i, err, test.want)
			}
		})
	}
}

func TestOpen_unknownProvider(t *testing.T) {
	p := policytest.Load(t, policytest.Policy(t))
	m := p.Manifest
	m.Observation.Terms = append(m.Observation.Terms[:6:6], policy.Term{Term: policy.TermSlot, Name: "goal", Size: 3})
	m.Observation.Provider = "maze"
	dir := t.TempDir()
	if err := policytest.Write(dir, m, map[string][]byte{policy.ModelFile: p.Models[policy.PolicyGraph]}); err != nil {
		t.Fatal(err)
	}
	_, err := inference.Open(inference.Options{Policy: dir, ONNXRuntime: policytest.Library(t)})
	if want := `observation.provider: found "maze", expected "parkour"`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error = %v, want %q in it", err, want)
	}
}
