package importer

import (
	"fmt"
	"slices"
	"strings"

	"krabby.dev/krabby/compute/policy"
)

// isUnitree reports whether a file is unitree_rl_lab's deploy.yaml.
func isUnitree(d *draft) bool {
	return len(d.docs) == 1 && d.docs[0].top().has("joint_ids_map", "step_dt")
}

// unitree reads deploy.yaml of unitree_rl_lab.
type unitree struct {
	*draft
	top  value
	rows []int // The motor of each joint of the policy.
}

func readUnitree(d *draft) error {
	if len(d.docs) != 1 {
		return wrongFlag("--config", fmt.Sprintf("%d files", len(d.docs)), "one deploy.yaml")
	}
	if d.r == nil {
		d.ask("robot", "--robot (a built-in name or a robot file)")
		return nil
	}
	u := &unitree{draft: d, top: d.docs[0].top()}
	for _, step := range []func() error{u.joint, u.rate, u.gains, u.action, u.terms, u.command} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// joint reads the joints: joint i of the policy is the motor joint_ids_map[i] of the SDK.
func (u *unitree) joint() error {
	motors, err := u.motors()
	if err != nil {
		return err
	}
	v, ok := u.top.get("joint_ids_map")
	if !ok {
		return u.top.wrong("no joint_ids_map", "the motor of each joint")
	}
	v.use()
	var names []string
	for _, e := range v.elements() {
		i, err := e.integer()
		if err != nil {
			return err
		}
		if i < 0 || i >= len(motors) {
			return e.wrong(fmt.Sprintf("motor %d", i), fmt.Sprintf("0 to %d, the motors of %s", len(motors)-1, u.r.Name))
		}
		if slices.Contains(u.rows, i) {
			return e.wrong(fmt.Sprintf("motor %d again", i), "each motor once")
		}
		u.rows, names = append(u.rows, i), append(names, motors[i])
	}
	if err := u.setJoints(names, v); err != nil {
		return err
	}
	if len(u.o.Joints) > 0 && !slices.Equal(u.m.JointOrder, names) {
		return v.wrong(strings.Join(names, " "), "the joints of --joints")
	}
	if v, ok := u.top.get("default_joint_pos"); ok {
		return u.setPose(v)
	}
	return nil
}

// motors returns the joints in the order of the SDK's motors.
func (u *unitree) motors() ([]string, error) {
	switch {
	case len(u.o.Motors) > 0:
		u.note("motor order", strings.Join(u.o.Motors, ","), "--motors")
		return u.order("--motors", u.o.Motors)
	case len(u.r.Orders["sdk"]) > 0:
		u.note("motor order", "sdk", "the orders of the robot "+u.r.Name)
		return u.r.Orders["sdk"], nil
	case u.r.Name == "g1":
		u.assume("motor order", "that of the robot's model", "the SDK of the G1 numbers its motors like its model: --motors")
		return u.r.JointNames(), nil
	}
	u.ask("order of the motors in the SDK", "--motors")
	return nil, &MissingError{u.missing}
}

func (u *unitree) rate() error {
	v, ok := u.top.get("step_dt")
	if !ok {
		return nil
	}
	x, err := v.number()
	if err != nil {
		return err
	}
	if !(x > 0) {
		return v.wrong(fmt.Sprint(x), "more than 0 s")
	}
	u.setRate(x, from(v))
	return nil
}

// gains reads the gains, which are in the order of the motors.
func (u *unitree) gains() error {
	for _, g := range []struct {
		key, field string
		target     *policy.Numbers
		flag       []string
	}{{"stiffness", "gains.kp", &u.m.Gains.Kp, u.o.Kp}, {"damping", "gains.kd", &u.m.Gains.Kd, u.o.Kd}} {
		v, ok := u.top.get(g.key)
		if !ok {
			continue
		}
		if len(g.flag) > 0 {
			v.use()
			continue // The flag replaces all of them.
		}
		n, err := v.numbers()
		if err != nil {
			return err
		}
		gains := make(policy.Numbers, len(u.rows))
		for i, motor := range u.rows {
			if motor >= len(n) {
				return v.wrong(fmt.Sprintf("%d values", len(n)), fmt.Sprintf("at least %d: one for each motor up to the last of joint_ids_map; or the gains of the joints by --kp and --kd", slices.Max(u.rows)+1))
			}
			gains[i] = n[motor]
		}
		*g.target = simplify(gains)
		u.note(g.field, *g.target, from(v)+", by motor")
	}
	return nil
}

// action reads the one action term. Its clip bounds the processed action, the target.
func (u *unitree) action() error {
	actions, ok := u.top.get("actions")
	if !ok {
		return nil
	}
	all := actions.entries()
	if len(all) != 1 || all[0].key != "JointPositionAction" {
		var names []string
		for _, e := range all {
			names = append(names, e.key)
		}
		return actions.wrong(fmt.Sprintf("%q", names), `"JointPositionAction" only: joints that are driven otherwise are not supported`)
	}
	a := all[0].value
	if ids, ok := a.get("joint_ids"); ok {
		ids.use()
		if !ids.isFullSlice() && !isIdentity(ids, u.joints()) {
			return ids.wrong(describeNode(ids.resolve().node), "null, a slice of all joints, or all joints in order")
		}
	}
	if v, ok := a.get("scale"); ok {
		if err := u.setScale(v); err != nil {
			return err
		}
	}
	if v, ok := a.get("offset"); ok {
		n, err := u.jointNumbers(v)
		if err != nil {
			return err
		}
		if slices.Equal(n.Expand(u.joints()), u.m.DefaultPoseRad) {
			u.note("action.offset_rad", "the default pose", from(v))
		} else {
			u.m.Action.OffsetRad = n
			u.note("action.offset_rad", n, from(v))
		}
	}
	if v, ok := a.get("clip"); ok {
		return u.targetClip(v)
	}
	return nil
}

// isIdentity reports whether v is the list 0 to n-1.
func isIdentity(v value, n int) bool {
	numbers, err := v.numbers()
	if err != nil || len(numbers) != n {
		return false
	}
	for i, x := range numbers {
		if x != float64(i) {
			return false
		}
	}
	return true
}

// targetClip reads the bounds of the targets: one pair, or one for each joint.
func (u *unitree) targetClip(v value) error {
	v.use()
	var pairs [][2]float64
	elements := v.elements()
	if len(elements) == 2 && !elements[0].isSequence() {
		elements = []value{v}
	}
	for _, e := range elements {
		p, err := e.pair()
		if err != nil {
			return err
		}
		pairs = append(pairs, p)
	}
	if len(pairs) != 1 && len(pairs) != u.joints() {
		return v.wrong(fmt.Sprintf("%d pairs", len(pairs)), fmt.Sprintf("%d: one for each joint of the policy", u.joints()))
	}
	b, err := bounds(pairs, v)
	u.m.Action.TargetClipRad = b
	u.note("action.target_clip_rad", b, from(v))
	return err
}

// unitreeTerms are the names of terms of unitree_rl_lab.
var unitreeTerms = map[string]policy.Term{
	"base_lin_vel":               {Term: policy.TermBaseLinVel},
	"base_ang_vel":               {Term: policy.TermBaseAngVel},
	"projected_gravity":          {Term: policy.TermProjectedGravity},
	"velocity_commands":          {Term: policy.TermVelocityCommand},
	"keyboard_velocity_commands": {Term: policy.TermVelocityCommand},
	"joint_pos_rel":              {Term: policy.TermJointPosRel},
	"joint_pos":                  {Term: policy.TermJointPos},
	"joint_vel_rel":              {Term: policy.TermJointVel},
	"joint_vel":                  {Term: policy.TermJointVel},
	"last_action":                {Term: policy.TermLastAction},
	"gait_phase":                 {Term: policy.TermGaitPhase},
}

// terms reads the observation. A history is term by term unless use_gym_history is set.
func (u *unitree) terms() error {
	observations, ok := u.top.get("observations")
	if !ok {
		return nil
	}
	var steps []int
	var names []string
	byStep := false
	for _, e := range observations.entries() {
		if e.key == "use_gym_history" {
			var err error
			if byStep, err = e.value.truth(); err != nil {
				return err
			}
			continue
		}
		t, n, err := u.readTerm(e)
		if err != nil {
			return err
		}
		u.m.Observation.Terms = append(u.m.Observation.Terms, t)
		steps, names = append(steps, n), append(names, e.key)
	}
	u.note("observation.terms", strings.Join(names, ", "), from(observations))
	u.termHistory(steps, from(observations)+".*.history_length")
	if h := u.m.Observation.History; byStep && h != nil {
		h.Layout = policy.ByStep
		u.note("observation.history.layout", "step by step", from(observations)+".use_gym_history")
	}
	return nil
}

// readTerm returns a term and the length of its history.
func (u *unitree) readTerm(e entry) (policy.Term, int, error) {
	t, err := u.term(e.key, unitreeTerms, e.value)
	if err != nil {
		return t, 0, err
	}
	if t.Term == policy.TermGaitPhase && t.Gait == nil {
		v, ok := e.value.find("params", "period")
		if !ok {
			return t, 0, e.value.wrong("no params.period", "the period of the gait in s")
		}
		period, err := v.number()
		if err != nil {
			return t, 0, err
		}
		t.Gait = &policy.Gait{PeriodS: period, OffsetsRad: []float64{0}, Order: policy.SinCos}
		u.assume("observation "+e.key, "sine, then cosine, starts at 0", "unitree_rl_lab's definition of gait_phase")
	}
	steps, err := u.termFields(&t, e.value)
	return t, steps, err
}

// command reads the ranges of the command.
func (u *unitree) command() error {
	if v, ok := u.top.get("commands"); ok {
		return u.commandRanges(v)
	}
	return nil
}
