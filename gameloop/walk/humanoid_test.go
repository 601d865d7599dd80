package walk_test

import (
	"fmt"
	"math"
	"testing"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/gameloop/walk"
	"krabby.dev/krabby/hal/message"
)

// humanoids have the bounds of the mean velocity at a command of 1 m/s, around those in plain Python with the same physics, and a
// height of the base below which the robot has fallen.
var humanoids = map[string]struct{ fromMps, toMps, heightM float64 }{
	"G1": {0.90, 1.00, 0.65},
	"T1": {0.80, 0.92, 0.60},
}

// checkHumanoid returns an error unless the robot walks within the bounds, upright, with all actions applied and without a stop.
func checkHumanoid(robot string, r *walk.Record) error {
	bounds := humanoids[robot]
	if s := r.Server; len(s.Safety.Trips) > 0 || s.Applied < 499 || s.Holds+s.Damps > 0 {
		return fmt.Errorf("trips %v, %d actions applied, %d holds, %d damps", s.Safety.Trips, s.Applied, s.Holds, s.Damps)
	}
	return checkSteady(r, bounds.fromMps, bounds.toMps, 0.95, bounds.heightM)
}

func TestRun_humanoids(t *testing.T) {
	for robot := range humanoids {
		t.Run(robot, func(t *testing.T) {
			if err := checkHumanoid(robot, run(t, policyConfig(t, robot, forward, nil))); err != nil {
				t.Error(err)
			}
		})
	}
}

// At a command of 0 the G1 marches, because its phase goes on, and the T1 stands, because its phase stops.
func TestRun_humanoidsWithoutCommand(t *testing.T) {
	for robot, marches := range map[string]bool{"G1": true, "T1": false} {
		t.Run(robot, func(t *testing.T) {
			r := run(t, policyConfig(t, robot, message.NavigationCommand{}, nil))
			s := r.Summary()
			if s.MaxTiltRad > 0.2 || math.Abs(s.MeanVxMps) > 0.2 || len(r.Server.Safety.Trips) > 0 {
				t.Errorf("summary = %+v, want a robot that stays upright", s)
			}
			if got := s.FootfallsPerS > 1; got != marches {
				t.Errorf("%v footfalls a second, want steps: %v", s.FootfallsPerS, marches)
			}
		})
	}
}

// gait returns the gait of a policy.
func gait(m *policy.Manifest) *policy.Gait {
	return m.Observation.Terms[len(m.Observation.Terms)-1].Gait
}

func TestRun_humanoidsSabotaged(t *testing.T) {
	for name, change := range map[string]func(*policy.Manifest){
		"half the action scale": func(m *policy.Manifest) { m.Action.Scale[0] /= 2 },
		"a third of the gains": func(m *policy.Manifest) {
			for i := range m.Gains.Kp {
				m.Gains.Kp[i] /= 3
			}
		},
		"legs swapped": func(m *policy.Manifest) {
			n := len(m.JointOrder)
			first, second := 0, 6 // Of the G1.
			if n == 23 {
				first, second = 11, 17
			}
			for i := range 6 {
				m.JointOrder[first+i], m.JointOrder[second+i] = m.JointOrder[second+i], m.JointOrder[first+i]
			}
			for i := range m.Observation.Terms {
				m.Observation.Terms[i].Joints = nil
			}
			if n == 23 {
				m.Observation.Terms[5].Joints, m.Observation.Terms[7].Joints = m.JointOrder[2:], m.JointOrder[2:]
			}
		},
		"terms in another order": func(m *policy.Manifest) {
			m.Observation.Terms[1], m.Observation.Terms[2] = m.Observation.Terms[2], m.Observation.Terms[1]
		},
		"a gait of half the rate":  func(m *policy.Manifest) { gait(m).PeriodS *= 2 },
		"sines first":              func(m *policy.Manifest) { gait(m).Order = policy.SinCos },
		"a gait that stands still": func(m *policy.Manifest) { gait(m).PeriodS = 1e6 },
		"no last action": func(m *policy.Manifest) {
			at := len(m.Observation.Terms) - 2
			m.Observation.Terms[at] = policy.Term{Term: policy.TermConstant, Size: len(m.JointOrder)}
		},
	} {
		for robot := range humanoids {
			t.Run(robot+" "+name, func(t *testing.T) {
				err := checkHumanoid(robot, run(t, policyConfig(t, robot, forward, change)))
				if err == nil {
					t.Error("the walk is within the bounds, want it to fail")
				}
				t.Log(err)
			})
		}
	}
}
