package joystick_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/joystick"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// go1 returns a policy for the Go1 with the fields that a Builder reads.
func go1() *policy.Policy {
	r := robot.Go1()
	return &policy.Policy{
		Dir:   "somewhere",
		Robot: r,
		Manifest: policy.Manifest{
			DefaultPoseRad: r.DefaultPoseRad,
			Observation:    policy.Observation{Kind: joystick.Kind, Version: joystick.Version, Size: joystick.Size},
		},
	}
}

func TestBuild(t *testing.T) {
	b, err := joystick.New(go1())
	if err != nil {
		t.Fatal(err)
	}
	o := message.NewObservation(robot.Go1())
	o.BaseVelocityKnown, o.BaseVelocityMps = true, [3]float64{1, 2, 3}
	o.IMU.AngularVelocityRadPerSec = [3]float64{4, 5, 6}
	o.IMU.Orientation = [4]float64{math.Sqrt2 / 2, math.Sqrt2 / 2, 0, 0} // Rolled to the right by 90°.
	lastAction := make([]float32, 12)
	for i := range 12 {
		o.PositionRad[i] += 0.25 * float64(i+1)
		o.VelocityRadPerSec[i] = 100 + float64(i)
		lastAction[i] = 200 + float32(i)
	}
	got := make([]float32, joystick.Size)
	command := message.NavigationCommand{VxMps: 7, VyMps: 8, YawRateRadPerSec: 9}
	if err := b.Build(got, o, command, lastAction); err != nil {
		t.Fatal(err)
	}
	want := []float32{
		1, 2, 3, 4, 5, 6, 0, -1, 0,
		0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.25, 2.5, 2.75, 3,
		100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
		200, 201, 202, 203, 204, 205, 206, 207, 208, 209, 210, 211,
		7, 8, 9,
	}
	if len(want) != joystick.Size {
		t.Fatalf("Size = %d, want %d", joystick.Size, len(want))
	}
	for i := range want {
		if math.Abs(float64(got[i]-want[i])) > 1e-6 {
			t.Errorf("obs[%d] = %v, want %v", i, got[i], want[i])
		}
	}
}

func TestBuild_jointOrder(t *testing.T) {
	p := go1()
	p.JointOrder = robot.Go1().JointNames()
	slices.Reverse(p.JointOrder)
	b, err := joystick.New(p)
	if err != nil {
		t.Fatal(err)
	}
	o := message.NewObservation(robot.Go1())
	o.BaseVelocityKnown = true
	for i := range 12 {
		o.PositionRad[i], o.VelocityRadPerSec[i] = float64(i), 100+float64(i)
	}
	got, last := make([]float32, joystick.Size), make([]float32, 12)
	last[0] = 5
	if err := b.Build(got, o, message.NavigationCommand{}, last); err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		if want := float32(11 - float64(i) - p.DefaultPoseRad[i]); got[9+i] != want {
			t.Errorf("position %d = %v, want %v", i, got[9+i], want)
		}
		if want := float32(111 - i); got[21+i] != want {
			t.Errorf("velocity %d = %v, want %v", i, got[21+i], want)
		}
	}
	if got[33] != 5 {
		t.Errorf("last action 0 = %v, want 5: actions have the policy's order", got[33])
	}
}

func TestProjectedGravity(t *testing.T) {
	h := math.Sqrt2 / 2
	tests := []struct {
		name string
		q    [4]float64
		want [3]float64
	}{
		{"upright", [4]float64{1, 0, 0, 0}, [3]float64{0, 0, -1}},
		{"yawed", [4]float64{h, 0, 0, h}, [3]float64{0, 0, -1}},
		{"upside down", [4]float64{0, 1, 0, 0}, [3]float64{0, 0, 1}},
		{"nose down", [4]float64{h, 0, h, 0}, [3]float64{1, 0, 0}},
		{"on its right side", [4]float64{h, h, 0, 0}, [3]float64{0, -1, 0}},
		{"norm above 1", [4]float64{1.01, 0, 0, 0}, [3]float64{0, 0, -1}},
	}
	for _, tt := range tests {
		got := joystick.ProjectedGravity(tt.q)
		for i := range got {
			if math.Abs(got[i]-tt.want[i]) > 1e-12 {
				t.Errorf("%s: gravity = %v, want %v", tt.name, got, tt.want)
				break
			}
		}
	}
}

func TestBuild_wrongInput(t *testing.T) {
	b, err := joystick.New(go1())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		dst, positions, velocities, last int
		want                             string
	}{
		{47, 12, 12, 12, "joystick: observation buffer: found 47 values, expected 48"},
		{48, 18, 12, 12, "joystick: joint positions: found 18 values, expected 12"},
		{48, 12, 0, 12, "joystick: joint velocities: found 0 values, expected 12"},
		{48, 12, 12, 11, "joystick: last action: found 11 values, expected 12"},
		{48, 12, 12, 12, "joystick: base velocity not found"},
	}
	for _, tt := range tests {
		o := &message.Observation{PositionRad: make([]float64, tt.positions), VelocityRadPerSec: make([]float64, tt.velocities)}
		err := b.Build(make([]float32, tt.dst), o, message.NavigationCommand{}, make([]float32, tt.last))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error = %v, want %q in it", err, tt.want)
		}
	}
}

func TestNew_otherObservation(t *testing.T) {
	for name, change := range map[string]func(*policy.Policy){
		"kind":    func(p *policy.Policy) { p.Observation.Kind = "parkour" },
		"version": func(p *policy.Policy) { p.Observation.Version = 2 },
		"size":    func(p *policy.Policy) { p.Observation.Size = 753 },
		"joints":  func(p *policy.Policy) { p.DefaultPoseRad = make([]float64, 18) },
	} {
		p := go1()
		change(p)
		_, err := joystick.New(p)
		if _, ok := errors.AsType[*policy.Error](err); !ok {
			t.Errorf("other %s: error = %v, want a *policy.Error", name, err)
		}
	}
}

func TestCheckCommand(t *testing.T) {
	tests := []struct {
		in   message.NavigationCommand
		want string
	}{
		{message.NavigationCommand{VxMps: -1.5, VyMps: 0.8, YawRateRadPerSec: 6.28}, ""},
		{message.NavigationCommand{VxMps: 1.6}, "vx_mps: found 1.6, expected -1.5 to 1.5"},
		{message.NavigationCommand{VyMps: -0.9}, "vy_mps: found -0.9, expected -0.8 to 0.8"},
		{message.NavigationCommand{YawRateRadPerSec: 7}, "yaw_rate_rad_per_sec: found 7, expected -6.28 to 6.28"},
		{message.NavigationCommand{VxMps: math.NaN()}, "vx_mps: found NaN, expected a finite number"},
	}
	for _, tt := range tests {
		got := ""
		if err := joystick.CheckCommand(tt.in); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("CheckCommand(%+v) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestBuild_noAllocations(t *testing.T) {
	b, err := joystick.New(go1())
	if err != nil {
		t.Fatal(err)
	}
	o := message.NewObservation(robot.Go1())
	o.BaseVelocityKnown = true
	dst, last := make([]float32, joystick.Size), make([]float32, 12)
	if n := testing.AllocsPerRun(100, func() {
		if err := b.Build(dst, o, message.NavigationCommand{}, last); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a run, want 0", n)
	}
}
