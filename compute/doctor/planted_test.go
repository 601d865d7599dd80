package doctor_test

import (
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"krabby.dev/krabby/compute/doctor"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/rollout"
	"krabby.dev/krabby/hal/robot"
)

// robotLabPolicy returns a policy of the Go2 with the terms and scales of robot_lab. With steps it has a history as Isaac Lab
// lays it out: all steps of a term together, in the place of the term, with the oldest first.
func robotLabPolicy(steps int) *policy.Policy {
	r := robot.Go2()
	order := r.JointNames()
	p := &policy.Policy{Dir: "somewhere", Robot: r, Manifest: policy.Manifest{
		Name: "robot_lab", Robot: r.Name, JointOrder: order, DefaultPoseRad: r.DefaultPoseRad, ControlRateHz: 50,
		Gains: policy.Gains{Kp: policy.Numbers{20}, Kd: policy.Numbers{0.5}}, Action: policy.Action{Scale: policy.Numbers{0.25}},
		Observation: policy.Observation{Size: 45, Terms: []policy.Term{
			{Term: policy.TermBaseAngVel, Scale: policy.Numbers{0.25}}, {Term: policy.TermProjectedGravity}, {Term: policy.TermVelocityCommand},
			{Term: policy.TermJointPosRel}, {Term: policy.TermJointVel, Scale: policy.Numbers{0.05}}, {Term: policy.TermLastAction},
		}},
	}}
	if steps > 0 {
		p.Observation.Size *= steps
		p.Observation.History = &policy.History{
			Steps: steps, Layout: policy.ByTerm, Order: policy.OldestFirst, Start: policy.StartRepeat, Push: policy.PushBefore,
		}
	}
	return p
}

// humanoidPolicy returns a policy of the G1 with the terms of MuJoCo Playground, gait phase included.
func humanoidPolicy() *policy.Policy {
	p := joystickPolicy()
	r := robot.G1()
	p.Robot, p.Manifest.Robot, p.JointOrder, p.DefaultPoseRad = r, r.Name, r.JointNames(), r.DefaultPoseRad
	p.CommandRanges = policy.CommandRanges{}
	p.Observation = policy.Observation{Size: 103, Terms: []policy.Term{
		{Term: policy.TermBaseLinVel}, {Term: policy.TermBaseAngVel}, {Term: policy.TermProjectedGravity}, {Term: policy.TermVelocityCommand},
		{Term: policy.TermJointPosRel}, {Term: policy.TermJointVel}, {Term: policy.TermLastAction},
		{Term: policy.TermGaitPhase, Gait: &policy.Gait{PeriodS: 2.0 / 3, OffsetsRad: []float64{0, math.Pi}, Order: policy.CosSin}},
	}}
	return p
}

// relay changes the layout of an observation.
type relay func(o *policy.Observation)

// relaid lays the observation out as changes make it of the policy's manifest.
func relaid(changes ...relay) fault {
	return func(p *policy.Policy, r *rollout.Rollout) {
		q := *p
		q.Observation.Terms = slices.Clone(q.Observation.Terms)
		if q.Observation.History != nil {
			history := *q.Observation.History
			q.Observation.History = &history
		}
		for _, change := range changes {
			change(&q.Observation)
		}
		key := func(e policy.ObservationElement, n int) [3]any { return [3]any{e.Name(), e.Term.Quantity, n} }
		at, seen := map[[3]any]int{}, map[string]int{}
		for i, e := range elementsOf(p) {
			at[key(e, seen[e.Name()])] = i
			seen[e.Name()]++
		}
		clear(seen)
		var source []int
		for _, e := range elementsOf(&q) {
			source = append(source, at[key(e, seen[e.Name()])])
			seen[e.Name()]++
		}
		for t := range r.Steps() {
			row := r.Observation.Row(t)
			old := slices.Clone(row)
			for i, from := range source {
				row[i] = old[from]
			}
		}
	}
}

// movedTerm moves a term to another place among the terms.
func movedTerm(name string, to int) relay {
	return func(o *policy.Observation) {
		from := slices.IndexFunc(o.Terms, func(t policy.Term) bool { return t.Term == name })
		t := o.Terms[from]
		o.Terms = slices.Insert(slices.Delete(o.Terms, from, from+1), to, t)
	}
}

// history lays the history out differently.
func history(layout, order string) relay {
	return func(o *policy.Observation) { o.History.Layout, o.History.Order = layout, order }
}

// turnedFrame turns gravity and the angular velocity of the observation.
func turnedFrame(degrees float64, axis int) fault {
	half := degrees / degreesPerRad / 2
	q := [4]float32{float32(math.Cos(half))}
	q[1+axis] = float32(math.Sin(half))
	turn := func(v []float64) {
		w := []float32{float32(v[0]), float32(v[1]), float32(v[2])}
		rotate(q[:], w)
		v[0], v[1], v[2] = float64(w[0]), float64(w[1]), float64(w[2])
	}
	return combined(inObservation(policy.Gravity, turn), inObservation(policy.AngularVelocity, turn))
}

// effort adds efforts of joints that follow the policy's gains times factors.
func effort(kp, kd float64) fault {
	return func(p *policy.Policy, r *rollout.Rollout) {
		n := len(r.JointNames)
		r.EffortNm = rollout.NewArray(r.Steps(), n)
		robotKp, robotKd := p.RobotGains()
		process, targets := policy.NewActionProcessor(p), make([]float64, n)
		for t := range r.Steps() {
			process.Targets(targets, r.Action.Row(t))
			for i := range n {
				r.EffortNm.Row(t)[i] = float32(kp*robotKp[i]*(targets[i]-float64(r.PositionRad.Row(t)[i])) - kd*robotKd[i]*float64(r.VelocityRadPerSec.Row(t)[i]))
			}
		}
	}
}

// sidesSwapped is the order of joints with left and right exchanged.
func sidesSwapped(p *policy.Policy) []int {
	return exchangedLegs("left_", "right_", "right_", "left_", "FL", "FR", "FR", "FL", "RL", "RR", "RR", "RL")(p)
}

// planted is a fault and a part of the summary that Examine must report for it.
type planted struct {
	name  string
	fault any // A fault or a relay.
	want  string
	// place is what the fault changes. Faults of different places are planted in pairs.
	place string
}

// plantedFaults are the faults of all layouts.
func plantedFaults(p *policy.Policy) []planted {
	last := len(p.Observation.Terms) - 1
	all := []planted{
		{"command first", movedTerm(policy.TermVelocityCommand, 0), "terms stand in another order: command is at 0", "order"},
		{"angular velocity last", movedTerm(policy.TermBaseAngVel, last), "angular velocity is at", "order"},
		{"velocities before positions", movedTerm(policy.TermJointVel, slices.IndexFunc(p.Observation.Terms, func(t policy.Term) bool { return t.Term == policy.TermJointPosRel })), "joint velocity is at", "order"},
		{"last action first", movedTerm(policy.TermLastAction, 0), "last action is at 0", "order"},
		{"sides swapped", reorderedJoints(sidesSwapped), "left and right", "joints"},
		{"degrees of position", inObservation(policy.JointPosition, times(degreesPerRad)), "joint position in degrees", "position"},
		{"degrees of velocity", inObservation(policy.JointVelocity, times(degreesPerRad)), "joint velocity in degrees", "velocity"},
		{"scaled velocity", inObservation(policy.JointVelocity, times(1.7)), "scales joint velocity by 1.7", "velocity"},
		{"flipped joint", inObservation(policy.JointVelocity, times(-1, 4)), "in joint velocity is flipped", "velocity"},
		{"no default pose", fault(withoutDefaultPose), "without the default pose", "position"},
		{"scaled command", inObservation(policy.Command, times(2)), "scales command by 2", "command"},
		{"old action", shiftedRows(1, policy.LastAction), "the last action in the recorded observation is 1 step older", "action"},
		{"action in rad", fault(func(p *policy.Policy, r *rollout.Rollout) {
			inObservation(policy.LastAction, times(p.Action.Scale[0]))(p, r)
		}), "the policy's action scale", "action"},
		{"degrees and sides", combined(reorderedJoints(sidesSwapped), inObservation(policy.JointPosition, times(degreesPerRad))), "left and right|joint position in degrees", "joints and position"},
	}
	if slices.ContainsFunc(p.Observation.Terms, func(t policy.Term) bool { return t.Term == policy.TermProjectedGravity }) {
		all = append(
			all,
			planted{"turned 10 about y", turnedFrame(10, 1), "gravity and angular velocity are turned by 10 degrees about y|", "frame"},
			planted{"turned 3 about y", turnedFrame(3, 1), "gravity and angular velocity are turned by 3 degrees about y|", "frame"},
			planted{"turned 45 about z", turnedFrame(45, 2), "gravity and angular velocity are turned by 45 degrees about z|", "frame"},
			planted{"turned 90 about z", turnedFrame(90, 2), "gravity and angular velocity are turned by 90 degrees about z|", "frame"},
		)
	}
	if p.Observation.History != nil {
		layout := policy.ByTerm
		if p.Observation.History.Layout == policy.ByTerm {
			layout = policy.ByStep
		}
		all = append(
			all,
			planted{"other history", history(layout, policy.OldestFirst), "together, not each", "history"},
			planted{"other history, newest first", history(layout, policy.NewestFirst), "together, not each|", "history"},
			planted{"newest first", history(p.Observation.History.Layout, policy.NewestFirst), "the newest step first", "history"},
		)
	}
	return append(all, planted{"gains", effort(0.5, 2), "follow other gains", "gains"})
}

// TestExamine_plantedFaults plants each fault alone, and pairs of faults in different places.
func TestExamine_plantedFaults(t *testing.T) {
	var count atomic.Int32
	t.Cleanup(func() {
		if n := count.Load(); n < 80 {
			t.Errorf("%d faults planted, want 80 or more", n)
		}
		t.Logf("%d planted, alone and in pairs", count.Load())
	})
	for name, p := range map[string]*policy.Policy{
		joystick: joystickPolicy(), "robot_lab": robotLabPolicy(0), "robot_lab with history": robotLabPolicy(5), "humanoid": humanoidPolicy(), parkour: policies(t)[parkour],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faults := plantedFaults(p)
			for i, f := range faults {
				count.Add(1)
				checkPlanted(t, name, p, f)
				for j, second := range faults[i+1:] {
					if (i+j)%3 == 0 && f.place != second.place && !strings.Contains(f.place, " ") && !strings.Contains(second.place, " ") {
						count.Add(1)
						checkPlanted(t, name, p, f, second)
					}
				}
			}
		})
	}
}

// checkPlanted checks that the first findings are those of the faults, and that there are no others.
func checkPlanted(t *testing.T, name string, p *policy.Policy, faults ...planted) {
	t.Helper()
	r := record(t, p, motion{sway: 1})
	var names, wanted []string
	var relays []relay // The last thing that goes wrong.
	for _, f := range faults {
		switch change := f.fault.(type) {
		case relay:
			relays = append(relays, change)
		case fault:
			change(p, r)
		}
		names = append(names, f.name)
		wanted = append(wanted, strings.Split(strings.TrimSuffix(f.want, "|"), "|")...)
	}
	relaid(relays...)(p, r)
	report := examine(t, p, r, doctor.Options{})
	for _, want := range wanted {
		if !slices.ContainsFunc(report.Findings, func(f doctor.Finding) bool { return strings.Contains(f.Summary, want) && !f.Ambiguous }) {
			t.Errorf("%s, %s: no certain finding with %q: %s", name, strings.Join(names, " and "), want, describe(report))
			return
		}
	}
	if len(report.Findings) != len(wanted) || len(report.Unexplained) > 0 || report.Verdict != doctor.Differs {
		t.Errorf("%s, %s: want %d findings: %s", name, strings.Join(names, " and "), len(wanted), describe(report))
	}
}

// TestExamine_correctLayouts examines correct recordings of all layouts, of a moving and a standing robot, with efforts.
func TestExamine_correctLayouts(t *testing.T) {
	for name, p := range map[string]*policy.Policy{
		joystick: joystickPolicy(), "robot_lab": robotLabPolicy(0), "robot_lab with history": robotLabPolicy(5), "humanoid": humanoidPolicy(),
	} {
		for _, sway := range []float64{1, 0} {
			r := record(t, p, motion{sway: sway})
			effort(1, 1)(p, r)
			if report := examine(t, p, r, doctor.Options{}); report.Verdict != doctor.Correct || len(report.Findings) > 0 {
				t.Errorf("%s, sway %v: %s", name, sway, describe(report))
			}
		}
	}
}
