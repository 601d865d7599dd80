package policy_test

import (
	"math"
	"slices"
	"testing"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/hal/robot"
)

// go1Action returns a policy for the Go1 whose default pose is 0, with that action.
func go1Action(action policy.Action) *policy.Policy {
	p := policytest.Joystick(robot.Go1())
	p.DefaultPoseRad, p.Action = make([]float64, 12), action
	return p
}

// each returns 12 numbers: first, second, and 0 for the rest.
func each(first, second float64) policy.Numbers {
	return append(policy.Numbers{first, second}, make(policy.Numbers, 10)...)
}

func TestActionProcessor(t *testing.T) {
	bounds := append(policy.Bounds{{-0.5, 1}, {-9, 9}}, slices.Repeat(policy.Symmetric(9), 10)...)
	for name, test := range map[string]struct {
		action policy.Action
		in     [][2]float32 // The first two actions of each step.
		want   [][2]float64 // Their targets, in rad.
	}{
		"scale":            {policy.Action{Scale: policy.Numbers{0.5}}, [][2]float32{{2, -3}}, [][2]float64{{1, -1.5}}},
		"scale per joint":  {policy.Action{Scale: each(0.125, 0.25)}, [][2]float32{{2, -3}}, [][2]float64{{0.25, -0.75}}},
		"offset":           {policy.Action{Scale: policy.Numbers{1}, OffsetRad: each(10, 20)}, [][2]float32{{2, -3}}, [][2]float64{{12, 17}}},
		"clip":             {policy.Action{Scale: policy.Numbers{2}, Clip: policy.Symmetric(2.5)}, [][2]float32{{2, -3}}, [][2]float64{{4, -5}}},
		"clip per joint":   {policy.Action{Scale: policy.Numbers{2}, Clip: bounds}, [][2]float32{{2, -3}, {-2, 10}}, [][2]float64{{2, -6}, {-1, 18}}},
		"clip of targets":  {policy.Action{Scale: policy.Numbers{2}, TargetClipRad: policy.Bounds{{-5, 3}}}, [][2]float32{{2, -3}}, [][2]float64{{3, -5}}},
		"delay":            {policy.Action{Scale: policy.Numbers{1}, DelaySteps: 2}, [][2]float32{{1, 2}, {3, 4}, {5, 6}, {7, 8}}, [][2]float64{{}, {}, {1, 2}, {3, 4}}},
		"smoothing":        {policy.Action{Scale: policy.Numbers{2}, Smoothing: 0.25}, [][2]float32{{4, 8}, {4, 0}}, [][2]float64{{2, 4}, {3.5, 3}}},
		"smoothing, delay": {policy.Action{Scale: policy.Numbers{1}, Smoothing: 0.5, DelaySteps: 1}, [][2]float32{{4, 8}, {0, 0}, {0, 0}}, [][2]float64{{}, {2, 4}, {1, 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			a := policy.NewActionProcessor(go1Action(test.action))
			for round := range 2 { // The second round, after Reset, is like the first.
				for step, in := range test.in {
					got, action := make([]float64, 12), make([]float32, 12)
					action[0], action[1] = in[0], in[1]
					a.Targets(got, action)
					if got[0] != test.want[step][0] || got[1] != test.want[step][1] {
						t.Errorf("round %d, step %d: targets %v, want %v", round, step, got[:2], test.want[step])
					}
				}
				a.Reset()
			}
		})
	}
}

func TestActionProcessor_heldJoints(t *testing.T) {
	p := policytest.Load(t, writeV2(t, nil))
	if want := (robot.JointIndices{11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}); !slices.Equal(p.JointMap(), want) {
		t.Errorf("joint map = %v, want %v", p.JointMap(), want)
	}
	got := make([]float64, 18)
	action := make([]float32, 12)
	action[0], action[1], action[11] = 1, 100, -100 // The last two are clipped.
	a := policy.NewActionProcessor(p)
	a.Targets(got, action)
	want := []float64{0.12 - 1.2, 0.11, 0.1, 0.09, 0.08, 0.07, 0.06, 0.05, 0.04, 0.03, 0.02 + 1.2, 0.01 + 0.25, 0.1, 0.2, 0.3, 0.1, 0.2, 0.3}
	for i := range want {
		if math.Abs(got[i]-want[i]) > 1e-12 {
			t.Errorf("target[%d], of %s, = %v rad, want %v", i, p.Robot.Joints[i].Name, got[i], want[i])
		}
	}
}

func TestActionProcessor_noAllocations(t *testing.T) {
	a := policy.NewActionProcessor(go1Action(policy.Action{Scale: policy.Numbers{1}, Clip: policy.Symmetric(1), Smoothing: 0.5, DelaySteps: 3}))
	targets, action := make([]float64, 12), make([]float32, 12)
	if n := testing.AllocsPerRun(100, func() { a.Targets(targets, action) }); n != 0 {
		t.Errorf("%v allocations for targets, want 0", n)
	}
}

func TestRobotGains(t *testing.T) {
	p := policytest.Load(t, writeV2(t, nil)) // For 12 of 18 joints, in reverse order.
	p.Gains = policy.Gains{Kp: append(policy.Numbers{1, 2}, slices.Repeat(policy.Numbers{3}, 10)...), Kd: policy.Numbers{0.25}}
	kp, kd := p.RobotGains()
	if kp[11] != 1 || kp[10] != 2 || kp[9] != 3 || kp[17] != p.Robot.Kp[17] || kd[0] != 0.25 || kd[17] != p.Robot.Kd[17] {
		t.Errorf("gains = %v and %v, want the policy's for its joints and the robot's for the others", kp, kd)
	}
}
