package doctor_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/doctor"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/compute/rollout"
)

const degreesPerRad = 180 / math.Pi

// plantedFault is a fault and the finding that Examine must report for it.
type plantedFault struct {
	name    string
	fault   fault
	kind    doctor.Kind
	summary string // A part of it.
	only    string // The kind of observation; empty for both.
}

var orderFaults = []plantedFault{
	{"other major", reorderedJoints(otherMajor), doctor.JointOrder, "-major", ""},
	{"other major, inverse", reorderedJoints(func(p *policy.Policy) []int { return inverted(otherMajor(p)) }), doctor.JointOrder, "-major", ""},
	{"joints of the log", func(p *policy.Policy, r *rollout.Rollout) {
		at := indices(p, p.Robot.Orders["type_major"])
		if p.Observation.Provider == parkour { // The log of this policy is leg-major.
			at = inverted(indices(p, p.Robot.JointNames()))
		}
		combined(inLog(position, reordered(at...)), inLog(velocity, reordered(at...)))(p, r)
	}, doctor.JointOrder, "the joint arrays of the rollout are not in the order of joint_names", ""},
	{"joints of velocities", func(p *policy.Policy, r *rollout.Rollout) {
		inObservation(policy.JointVelocity, reordered(otherMajor(p)...))(p, r)
	}, doctor.JointOrder, "joints of joint velocity in another order (type-major)", joystick},
	{"arbitrary joint order", reorderedJoints(func(*policy.Policy) []int { return []int{3, 7, 0, 1, 11, 2, 5, 4, 10, 9, 6, 8} }), doctor.Swapped, "in another order", ""},
	{"left and right legs", leftRight, doctor.LegsSwapped, "left and right legs swapped", ""},
	{"front and rear legs", frontRear, doctor.LegsSwapped, "front and rear legs swapped", ""},
	{"axes", inObservation(policy.AngularVelocity, reordered(1, 0, 2)), doctor.Swapped, "x is y, y is x", ""},
}

var signFaults = []plantedFault{
	{"one joint", inObservation(policy.JointVelocity, times(-1, 4)), doctor.SignFlipped, "thigh_joint in joint velocity", ""},
	{"joints of one type", inObservation(policy.JointPosition, times(-1, 2, 5, 8, 11)), doctor.SignFlipped, "of every calf_joint in joint position", joystick},
	{"joint of the log", inLog(position, times(-1, 1)), doctor.SignFlipped, "thigh_joint in joint position is flipped between the rollout and the recorded observation, before the default pose", ""},
	{"axis", inObservation(policy.AngularVelocity, times(-1, 1)), doctor.SignFlipped, "of y in angular velocity", ""},
	{"gravity", inObservation(policy.Gravity, times(-1)), doctor.SignFlipped, "of all values in gravity", joystick},
}

var unitFaults = []plantedFault{
	{"degrees in the observation", inObservation(policy.JointPosition, times(degreesPerRad)), doctor.Degrees, "the recorded observation has joint position in degrees", ""},
	{"degrees in the log", inLog(position, times(degreesPerRad)), doctor.Degrees, "the rollout has joint positions in degrees", ""},
	{"degrees per second", inLog(angularVelocity, times(degreesPerRad)), doctor.Degrees, "the rollout has angular velocity in degrees", ""},
}

var sensorFaults = []plantedFault{
	{"angular velocity in the world frame", inWorldFrame(policy.AngularVelocity), doctor.Frame, "the recorded observation has angular velocity in the world frame", ""},
	{"angular velocity of the log in the world frame", angularVelocityInWorldFrame, doctor.Frame, "the rollout has angular velocity in the world frame", ""},
	{"base velocity in the world frame", inWorldFrame(policy.BaseVelocity), doctor.Frame, "base velocity in the world frame", joystick},
	{"gravity in the world frame", worldGravity, doctor.Frame, "gravity in the world frame", joystick},
	{"xyzw in the log", xyzw, doctor.QuaternionOrder, "the orientation of the rollout is x, y, z, w", ""},
	{"wxyz read as xyzw", inLog(orientation, reordered(3, 0, 1, 2)), doctor.QuaternionOrder, "reads the orientation as x, y, z, w, but it is w, x, y, z", ""},
	{"inverse orientation", conjugate, doctor.QuaternionInverse, "is inverted", ""},
	{"inverse orientation as xyzw", combined(conjugate, xyzw), doctor.QuaternionOrder, "and it is inverted", ""},
}

var scaleFaults = []plantedFault{
	{"scale", inObservation(policy.JointVelocity, times(1.7)), doctor.Scaled, "scales joint velocity by 1.7", ""},
	{"scale close to 1", inObservation(policy.JointVelocity, times(1.02)), doctor.Scaled, "scales joint velocity by 1.02", ""},
	{"scale of another policy", inObservation(policy.JointVelocity, times(0.05)), doctor.Scaled, "scales joint velocity by 0.05", joystick},
	{"unscaled joint velocity", inObservation(policy.JointVelocity, times(20)), doctor.Unscaled, "does not scale joint velocity", parkour},
	{"unscaled angular velocity", inObservation(policy.AngularVelocity, times(4)), doctor.Unscaled, "does not scale angular velocity", parkour},
	{"scale of each element", inObservation(policy.Command, func(v []float64) { v[0], v[1], v[2] = 2*v[0], 2*v[1], 0.25*v[2] }), doctor.Scaled, "forward by 2, left by 2, yaw rate by 0.25", joystick},
	{"scaled action", func(p *policy.Policy, r *rollout.Rollout) {
		inObservation(policy.LastAction, times(p.Action.Scale[0]))(p, r)
	}, doctor.Scaled, "the policy's action scale", ""},
	{"clipped joint velocity", inObservation(policy.JointVelocity, func(v []float64) {
		for i := range v {
			v[i] = min(max(v[i], -0.1), 0.1)
		}
	}), doctor.Clipped, "clips joint velocity to ±0.1", ""},
	{"zero joint velocity", inObservation(policy.JointVelocity, times(0)), doctor.NotFilledIn, "zeros for joint velocity", ""},
}

var poseFaults = []plantedFault{
	{"default pose not subtracted", withoutDefaultPose, doctor.DefaultPose, "without the default pose subtracted", ""},
	{"default pose subtracted in the log", func(p *policy.Policy, r *rollout.Rollout) {
		inLog(position, func(v []float64) {
			for i := range v {
				v[i] -= p.Robot.DefaultPoseRad[i]
			}
		})(p, r)
	}, doctor.DefaultPose, "the rollout's joint positions already have the default pose subtracted", ""},
	{"another default pose", inObservation(policy.JointPosition, func(v []float64) { v[1], v[7] = v[1]+0.1, v[7]+0.1 }), doctor.Offset, "has a constant offset", ""},
}

var timingFaults = []plantedFault{
	{"all values late", shiftedRows(1), doctor.Delay, "lags the rollout by 1 step in all values", ""},
	{"all values early", shiftedRows(-1), doctor.Delay, "leads the rollout by 1 step in all values", ""},
	{
		"sensors late", shiftedRows(2, policy.BaseVelocity, policy.AngularVelocity, policy.Gravity, policy.JointPosition, policy.JointVelocity),
		doctor.Delay, "lags the rollout by 2 steps in all sensors", joystick,
	},
	{"last action late", shiftedRows(1, policy.LastAction), doctor.Delay, "the last action in the recorded observation is 1 step older", ""},
	{"last action of the same step", shiftedRows(-1, policy.LastAction), doctor.Delay, "the action of the same step", ""},
	{"missing rows", everySecondRow, doctor.WrongRate, "the rollout has 25 steps per second, the policy was trained for 50", ""},
	{"held rows", combined(historyOf(everySecondStep), heldRows), doctor.WrongRate, "only in every second row", ""},
}

var historyFaults = []plantedFault{
	{"newest step first", historyOf(newestFirst), doctor.HistoryOrder, "newest step first", parkour},
	{"current step in the history", historyOf(func(steps int) int { return steps - 1 }), doctor.HistoryTiming, "already contains the current step", parkour},
	{"history of every second step", historyOf(everySecondStep), doctor.WrongRate, "2 policy steps apart", parkour},
	{"zero history", func(p *policy.Policy, r *rollout.Rollout) {
		for t := range r.Steps() {
			clear(r.Observation.Row(t)[223:])
		}
	}, doctor.NotFilledIn, "zeros for the history", parkour},
}

func TestExamine_singleFault(t *testing.T) {
	for _, test := range slices.Concat(orderFaults, signFaults, unitFaults, sensorFaults, scaleFaults, poseFaults, timingFaults, historyFaults) {
		for kind, p := range policies(t) {
			if test.only != "" && test.only != kind {
				continue
			}
			t.Run(test.name+"/"+kind, func(t *testing.T) {
				for _, noise := range []float64{0, 0.01} {
					if noise > 0 && (kind == parkour || test.name == "scale close to 1") {
						continue // The history of parkour repeats the noise, and a scale of 1.02 is less than the noise.
					}
					r := record(t, p, motion{1, noise})
					test.fault(p, r)
					test.check(t, examine(t, p, r, doctor.Options{}), noise)
				}
			})
		}
	}
}

// check checks that the first finding names the fault for certain and removes the residual.
func (f plantedFault) check(t *testing.T, report *doctor.Report, noise float64) {
	t.Helper()
	if report.Verdict != doctor.Differs || len(report.Findings) == 0 || report.Findings[0].Kind != f.kind || !strings.Contains(report.Findings[0].Summary, f.summary) {
		t.Errorf("noise %v: %s\nwant %s: %s", noise, describe(report), f.kind, f.summary)
		return
	}
	found := report.Findings[0]
	if found.Ambiguous {
		t.Errorf("noise %v: ambiguous for a moving robot: %s", noise, describe(report))
	}
	if noise == 0 && len(report.Unexplained) > 0 || found.Fix == "" || f.name != "missing rows" && !(found.ResidualAfter < found.ResidualBefore/2) {
		t.Errorf("noise %v: residual before %v, after %v, fix %q: %s", noise, found.ResidualBefore, found.ResidualAfter, found.Fix, describe(report))
	}
}

func TestExamine_twoFaults(t *testing.T) {
	scaled := inObservation(policy.JointVelocity, times(3))
	for name, test := range map[string]struct {
		p         *policy.Policy
		fault     fault
		summaries []string
	}{
		"scale and axis": {
			joystickPolicy(), combined(scaled, inObservation(policy.AngularVelocity, times(-1, 2))),
			[]string{"scales joint velocity by 3", "of z in angular velocity"},
		},
		"quaternion and default pose": {
			joystickPolicy(), combined(xyzw, withoutDefaultPose),
			[]string{"the orientation of the rollout is x, y, z, w", "without the default pose subtracted"},
		},
		"delay and scale": {
			joystickPolicy(), combined(scaled, shiftedRows(1)),
			[]string{"lags the rollout by 1 step in all values", "scales joint velocity by 3"},
		},
		"degrees and history": {
			policytest.ParkourPolicy(), combined(inObservation(policy.AngularVelocity, times(degreesPerRad)), historyOf(newestFirst)),
			[]string{"angular velocity in degrees", "newest step first"},
		},
		"legs and command": {
			policytest.ParkourPolicy(), combined(leftRight, inObservation(policy.Command, times(2))),
			[]string{"left and right legs swapped", "scales command by 2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t, test.p, motion{sway: 1})
			test.fault(test.p, r)
			report := examine(t, test.p, r, doctor.Options{})
			for _, want := range test.summaries {
				if !slices.ContainsFunc(report.Findings, func(f doctor.Finding) bool { return strings.Contains(f.Summary, want) }) {
					t.Errorf("no finding with the summary %q", want)
				}
			}
			if len(report.Findings) != len(test.summaries) || len(report.Unexplained) > 0 {
				t.Error(describe(report))
			}
		})
	}
}

// Factors for each element explain a scale together with a sign. Another order together with a factor is two findings.
func TestExamine_twoFaultsInOneQuantity(t *testing.T) {
	frontLegs := reordered(3, 4, 5, 0, 1, 2)
	for name, test := range map[string]struct {
		quantity policy.Quantity
		factor   float64
		second   func([]float64)
		summary  string
		also     string // The summary of a second finding.
	}{
		"scale and sign":   {policy.JointVelocity, 3, times(-1, 4), "FL_hip_joint by 3, FL_thigh_joint by -3, FL_calf_joint by 3", ""},
		"degrees and axis": {policy.AngularVelocity, degreesPerRad, times(-1, 1), "x by 57.3, y by -57.3, z by 57.3", ""},
		"scale and legs":   {policy.JointVelocity, 3, frontLegs, "legs as FL FR RR RL", "scales joint velocity by 3"},
		"degrees and legs": {policy.JointPosition, degreesPerRad, frontLegs, "legs as FL FR RR RL", "has joint position in degrees"},
	} {
		t.Run(name, func(t *testing.T) {
			p := joystickPolicy()
			r := record(t, p, motion{sway: 1})
			combined(inObservation(test.quantity, times(test.factor)), inObservation(test.quantity, test.second))(p, r)
			report := examine(t, p, r, doctor.Options{})
			wanted := []string{test.summary}
			if test.also != "" {
				wanted = append(wanted, test.also)
			}
			same := slices.EqualFunc(report.Findings, wanted, func(f doctor.Finding, want string) bool { return strings.Contains(f.Summary, want) })
			if !same || len(report.Unexplained) > 0 {
				t.Errorf("want findings with the summaries %q: %s", wanted, describe(report))
			}
		})
	}
}

// A robot that stands does not show many faults, and others look alike. An unambiguous finding must be right.
func TestExamine_stationaryRobot_noFalseFinding(t *testing.T) {
	for name, test := range map[string]struct {
		fault fault
		kind  doctor.Kind // The only kind that may be unambiguous.
	}{
		"left and right legs": {leftRight, doctor.LegsSwapped},
		"other major":         {reorderedJoints(otherMajor), doctor.JointOrder},
		"sign":                {inObservation(policy.JointPosition, times(-1, 0)), doctor.SignFlipped},
		"velocity sign":       {inObservation(policy.JointVelocity, times(-1)), doctor.SignFlipped},
		"degrees":             {inObservation(policy.JointPosition, times(degreesPerRad)), doctor.Degrees},
		"default pose":        {withoutDefaultPose, doctor.DefaultPose},
		"xyzw":                {xyzw, doctor.QuaternionOrder},
		"inverse orientation": {conjugate, doctor.QuaternionInverse},
		"gravity":             {worldGravity, doctor.Frame},
		"delay":               {shiftedRows(1), doctor.Delay},
		"action delay":        {shiftedRows(1, policy.LastAction), doctor.Delay},
		"action scale":        {inObservation(policy.LastAction, times(0.5)), doctor.Scaled},
		"command scale":       {inObservation(policy.Command, times(2)), doctor.Scaled},
		"held rows":           {heldRows, doctor.WrongRate},
	} {
		for kind, p := range policies(t) {
			for _, noise := range []float64{0, 0.02} {
				r := record(t, p, motion{0, noise})
				test.fault(p, r)
				report := examine(t, p, r, doctor.Options{})
				if len(report.Findings) > 0 && !report.Findings[0].Ambiguous && report.Findings[0].Kind != test.kind {
					t.Errorf("%s, %s, noise %v: wrong unambiguous finding: %s", name, kind, noise, describe(report))
				}
				if report.Verdict == doctor.Correct && !slices.Contains(report.Stationary, "joint velocity") {
					t.Errorf("%s, %s, noise %v: correct, and joint velocity is not stationary: %s", name, kind, noise, describe(report))
				}
			}
		}
	}
}
