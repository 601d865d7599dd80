package observation_test

import (
	_ "embed"
	"encoding/json"
	"math"
	"testing"

	"krabby.dev/krabby/compute/observation"
	"krabby.dev/krabby/compute/onnx/onnxtest"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/hal/message"
)

// golden has the observations and actions of an independent implementation in Python, testdata/golden.py.
//
//go:embed testdata/golden.json
var golden []byte

type goldenFile struct {
	PolicySHA256 string `json:"policy_sha256"`
	Cases        []struct {
		BaseVelocityMps          [3]float64 `json:"base_velocity_mps"`
		AngularVelocityRadPerSec [3]float64 `json:"angular_velocity_rad_per_sec"`
		Orientation              [4]float64 `json:"orientation"`
		PositionRad              []float64  `json:"position_rad"`
		VelocityRadPerSec        []float64  `json:"velocity_rad_per_sec"`
		LastAction               []float32  `json:"last_action"`
		Command                  [3]float64 `json:"command"`
		Obs                      []float32  `json:"obs"`
		Action                   []float32  `json:"action"`
	} `json:"cases"`
}

func TestGolden(t *testing.T) {
	const tolerance = 1e-5
	var g goldenFile
	if err := json.Unmarshal(golden, &g); err != nil {
		t.Fatal(err)
	}
	if len(g.Cases) != 100 {
		t.Fatalf("%d golden cases, want 100", len(g.Cases))
	}
	p := policytest.Load(t, policytest.Policy(t))
	if sum := p.Files[policy.ModelFile]; sum != g.PolicySHA256 {
		t.Fatalf("golden values of policy %s, want %s: run testdata/golden.py", g.PolicySHA256, sum)
	}
	b, err := observation.New(p)
	if err != nil {
		t.Fatal(err)
	}
	session := onnxtest.NewSession(t, onnxtest.Open(t), p)

	o := message.NewObservation(p.Robot)
	for i, c := range g.Cases {
		o.BaseVelocityKnown, o.BaseVelocityMps = true, c.BaseVelocityMps
		o.IMU.AngularVelocityRadPerSec = c.AngularVelocityRadPerSec
		o.IMU.Orientation = c.Orientation
		copy(o.PositionRad, c.PositionRad)
		copy(o.VelocityRadPerSec, c.VelocityRadPerSec)
		command := message.NavigationCommand{VxMps: c.Command[0], VyMps: c.Command[1], YawRateRadPerSec: c.Command[2]}
		if err := b.Build(session.Input(), o, command, c.LastAction); err != nil {
			t.Fatal(err)
		}
		compare(t, i, "obs", session.Input(), c.Obs, tolerance)
		if err := session.Run(); err != nil {
			t.Fatal(err)
		}
		compare(t, i, "action", session.Output(), c.Action, tolerance)
	}
}

func compare(t *testing.T, n int, name string, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("case %d: %s has %d values, want %d", n, name, len(got), len(want))
	}
	for i := range want {
		// The negated comparison fails for NaN.
		if d := math.Abs(float64(got[i]) - float64(want[i])); !(d <= tolerance) {
			t.Errorf("case %d: %s[%d] = %v, want %v ± %v", n, name, i, got[i], want[i], tolerance)
		}
	}
}
