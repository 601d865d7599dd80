package layout_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/layout"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

var observation = policy.Observation{Kind: "walk", Version: 2, Size: 60}

// front returns a policy for 12 of the hex's 18 joints, in reverse order.
func front() *policy.Policy {
	hex := robot.Hex()
	names := hex.JointNames()[:12]
	slices.Reverse(names)
	return &policy.Policy{
		Dir:   "policies/walk",
		Robot: hex,
		Manifest: policy.Manifest{
			JointOrder:     names,
			DefaultPoseRad: make([]float64, 12),
			Observation:    observation,
		},
	}
}

func TestNew(t *testing.T) {
	l, err := layout.New(front(), observation, 12)
	if err != nil {
		t.Fatal(err)
	}
	if want := (robot.JointIndices{11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}); !slices.Equal(l.Joints, want) || len(l.DefaultPoseRad) != 12 {
		t.Errorf("joints = %v, default pose = %v; want %v and 12 positions", l.Joints, l.DefaultPoseRad, want)
	}
}

func TestNew_mismatch(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*policy.Policy)
		want   string
	}{
		"kind": {
			func(p *policy.Policy) { p.Observation.Kind = "run" },
			"policy: policies/walk: observation: found {Kind:run Version:2 Size:60}, expected {Kind:walk Version:2 Size:60}",
		},
		"joints": {
			func(p *policy.Policy) { p.DefaultPoseRad = make([]float64, 18) },
			"policy: policies/walk: default_pose_rad: found 18 values, expected 12",
		},
	} {
		p := front()
		test.change(p)
		_, err := layout.New(p, observation, 12)
		if _, ok := errors.AsType[*policy.Error](err); !ok || err.Error() != test.want {
			t.Errorf("%s: error = %v, want a *policy.Error, %s", name, err, test.want)
		}
	}
}

func TestCheckLengths(t *testing.T) {
	l, err := layout.New(front(), observation, 12)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		dst, positions, velocities, last int
		want                             string
	}{
		{60, 18, 18, 12, ""},
		{59, 18, 18, 12, "observation buffer: found 59 values, expected 60"},
		{60, 12, 18, 12, "joint positions: found 12 values, expected 18"},
		{60, 18, 0, 12, "joint velocities: found 0 values, expected 18"},
		{60, 18, 18, 18, "last action: found 18 values, expected 12"},
	} {
		o := &message.Observation{PositionRad: make([]float64, test.positions), VelocityRadPerSec: make([]float64, test.velocities)}
		err := l.CheckLengths(make([]float32, test.dst), o, make([]float32, test.last))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("error = %v, want %q", err, test.want)
		}
	}
}
