package walk_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"krabby.dev/krabby/compute/inference"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/gameloop/walk"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/mujoco"
	"krabby.dev/krabby/internal/bringup"
	"krabby.dev/krabby/internal/testfile"
)

// policyConfig returns a walk of ten seconds of the policy and the model that variables name, for example KRABBY_GO2_POLICY, with its
// manifest after change; nil changes nothing.
func policyConfig(t *testing.T, robot string, command message.NavigationCommand, change func(*policy.Manifest)) walk.Config {
	t.Helper()
	dir := policytest.Directory(t, "KRABBY_"+robot+"_POLICY")
	if change != nil {
		p := policytest.Load(t, dir)
		change(&p.Manifest)
		dir = t.TempDir()
		if err := policytest.Write(dir, p.Manifest, map[string][]byte{policy.ModelFile: p.Models[policy.PolicyGraph]}); err != nil {
			t.Fatal(err)
		}
	}
	i, err := inference.Open(inference.Options{Policy: dir, ONNXRuntime: policytest.Library(t), Command: command})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	})
	return walk.Config{
		Policy: bringup.Policy{Policy: i.Policy, Builder: i.Builder, Model: i.Model},
		Physics: mujoco.Factory{
			Library: testfile.Find(t, "KRABBY_MUJOCO"),
			Model:   testfile.Find(t, "KRABBY_"+robot+"_MODEL"),
			Terrain: mujoco.Flat(),
		},
		HALRateHz: 200,
		Command:   command,
		Duration:  10 * time.Second,
	}
}

// checkGo2 returns an error unless the walk at 1 m/s is as in plain Python with this policy and the same physics: from two
// seconds on 0.85 to 0.97 m/s, upright, and the trunk above 0.25 m.
func checkGo2(r *walk.Record) error {
	if err := walk.Check(r); err != nil {
		return err
	}
	return checkSteady(r, 0.85, 0.97, 0.98, 0.25)
}

// checkSteady checks the walk from two seconds on: the mean forward velocity, the cosine of the tilt, the height of the base.
func checkSteady(r *walk.Record, fromMps, toMps, upright, heightM float64) error {
	n, mean, leastUpright, leastHeightM := 0.0, 0.0, 1.0, math.Inf(1)
	for _, s := range r.Samples {
		if s.Time < 2*time.Second {
			continue
		}
		n++
		mean += s.VelocityMps[0]
		leastUpright, leastHeightM = min(leastUpright, math.Cos(s.TiltRad)), min(leastHeightM, s.HeightM)
	}
	if mean /= n; !(mean > fromMps && mean < toMps && leastUpright > upright && leastHeightM > heightM) {
		return fmt.Errorf("found %.3f m/s, upright %.3f, height %.3f m; expected %v to %v, more than %v and more than %v",
			mean, leastUpright, leastHeightM, fromMps, toMps, upright, heightM)
	}
	return nil
}

func TestRun_go2(t *testing.T) {
	r := run(t, policyConfig(t, "GO2", forward, nil))
	if err := checkGo2(r); err != nil {
		t.Error(err)
	}
	if n := len(r.Server.Safety.Trips); n != 0 || r.Policy.Actions != 500 {
		t.Errorf("%d trips and %d actions, want none and 500", n, r.Policy.Actions)
	}
}

func TestRun_go2AsCommanded(t *testing.T) {
	for name, test := range map[string]struct {
		command message.NavigationCommand
		rateHz  float64
	}{
		"forward, at the default rate": {forward, 100},
		"slow":                         {message.NavigationCommand{VxMps: 0.5}, 200},
		"turning left":                 {message.NavigationCommand{YawRateRadPerSec: 1}, 200},
		"standing":                     {message.NavigationCommand{}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			c := policyConfig(t, "GO2", test.command, nil)
			c.HALRateHz = test.rateHz
			if err := walk.Check(run(t, c)); err != nil {
				t.Error(err)
			}
		})
	}
}

// A walk fails when one thing in the manifest is not that of the training.
func TestRun_go2Sabotaged(t *testing.T) {
	for name, change := range map[string]func(*policy.Manifest){
		"one action scale for all joints": func(m *policy.Manifest) { m.Action.Scale = policy.Numbers{0.125} },
		"unscaled joint velocity":         func(m *policy.Manifest) { m.Observation.Terms[4].Scale = nil },
		"the robot's gains":               func(m *policy.Manifest) { m.Gains = policy.Gains{Kp: policy.Numbers{40}, Kd: policy.Numbers{1}} },
		"half the damping":                func(m *policy.Manifest) { m.Gains.Kd = policy.Numbers{0.25} },
		"another default pose":            func(m *policy.Manifest) { m.DefaultPoseRad[2] = -1.8 },
		"left legs first": func(m *policy.Manifest) {
			for i := 0; i < 12; i += 6 {
				for k := range 3 {
					m.JointOrder[i+k], m.JointOrder[i+3+k] = m.JointOrder[i+3+k], m.JointOrder[i+k]
				}
			}
		},
		"terms in another order": func(m *policy.Manifest) {
			m.Observation.Terms[0], m.Observation.Terms[1] = m.Observation.Terms[1], m.Observation.Terms[0]
		},
		"joints of a term in another order": func(m *policy.Manifest) {
			m.Observation.Terms[4].Joints = slices.Clone(m.JointOrder)
			slices.Reverse(m.Observation.Terms[4].Joints)
		},
		"no last action": func(m *policy.Manifest) {
			m.Observation.Terms[5] = policy.Term{Term: policy.TermConstant, Size: 12}
		},
		"an action late": func(m *policy.Manifest) { m.Action.DelaySteps = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			err := checkGo2(run(t, policyConfig(t, "GO2", forward, change)))
			if err == nil {
				t.Error("the walk is as commanded, want it to fail")
			}
			t.Log(err)
		})
	}
}
