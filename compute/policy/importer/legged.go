package importer

import (
	"fmt"
	"slices"
	"strings"

	"krabby.dev/krabby/compute/policy"
)

// isLeggedGym reports whether a file is a deploy YAML of unitree_rl_gym.
func isLeggedGym(d *draft) bool {
	return slices.ContainsFunc(d.docs, func(doc *document) bool { return doc.top().has("kps", "kds", "default_angles") })
}

// leggedGym reads a deploy YAML of unitree_rl_gym or legged_gym.
type leggedGym struct {
	*draft
	top value
}

func readLeggedGym(d *draft) error {
	if len(d.docs) != 1 {
		return wrongFlag("--config", fmt.Sprintf("%d files", len(d.docs)), "one file")
	}
	l := &leggedGym{d, d.docs[0].top()}
	if err := l.rate(); err != nil {
		return err
	}
	if d.joints() == 0 {
		d.ask("joint order of the policy", "--joints: legged_gym takes the order of the URDF file, for the robots here --joints robot")
		return nil
	}
	if v, ok := l.top.get("num_actions"); ok {
		if n, err := v.integer(); err != nil || n != d.joints() {
			return v.wrong(describeNode(v.resolve().node), fmt.Sprintf("%d, the number of --joints", d.joints()))
		}
	}
	for _, step := range []func() error{l.numbers, l.terms, l.command} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// rate reads the period: control_dt, or the simulation's step times the decimation.
func (l *leggedGym) rate() error {
	if v, ok := l.top.get("control_dt"); ok {
		x, err := v.number()
		l.setRate(x, from(v))
		return err
	}
	dt, hasDt := l.top.get("simulation_dt")
	decimation, hasDecimation := l.top.get("control_decimation")
	if !hasDt || !hasDecimation {
		return nil
	}
	return l.setDecimatedRate(dt, decimation)
}

func (l *leggedGym) numbers() error {
	if v, ok := l.top.get("default_angles"); ok {
		if err := l.setPose(v); err != nil {
			return err
		}
	}
	kp, hasKp := l.top.get("kps")
	kd, hasKd := l.top.get("kds")
	if hasKp && hasKd {
		if err := l.setGains(kp, kd); err != nil {
			return err
		}
	}
	if v, ok := l.top.get("action_scale"); ok {
		return l.setScale(v)
	}
	return nil
}

// terms makes the observation of the deploy programs, which the file does not list: only its size tells which it is.
func (l *leggedGym) terms() error {
	v, ok := l.top.get("num_obs")
	if !ok || l.o.Observation != "" {
		if ok {
			v.use()
		}
		return nil // checkMissing asks.
	}
	size, err := v.integer()
	if err != nil {
		return err
	}
	n := 9 + 3*l.joints()
	names := []string{"ang_vel", "gravity", "cmd", "dof_pos", "dof_vel", "actions"}
	switch size {
	case n:
	case n + 2:
		names = append(names, "phase")
	case n + 3:
		names = append([]string{"lin_vel"}, names...)
	default:
		return v.wrong(fmt.Sprint(size), fmt.Sprintf("%d, %d with a phase or %d with the linear velocity; give another observation by --observation", n, n+2, n+3))
	}
	for _, name := range names {
		if err := l.addTerm(name); err != nil {
			return err
		}
	}
	l.assume("observation.terms", strings.Join(names, ", "), fmt.Sprintf("that of the programs of legged_gym and unitree_rl_gym for num_obs %d: --observation replaces it", size))
	if slices.Contains(names, "phase") {
		l.assume("observation phase", "sine, then cosine, period 0.8 s, starts at 0", "the programs of unitree_rl_gym have it in their code")
	}
	return nil
}

// leggedGymTerms are the parts of the observation, and the keys of their scales.
var leggedGymTerms = map[string]struct {
	term  policy.Term
	scale string
}{
	"lin_vel": {policy.Term{Term: policy.TermBaseLinVel}, "lin_vel_scale"},
	"ang_vel": {policy.Term{Term: policy.TermBaseAngVel}, "ang_vel_scale"},
	"gravity": {policy.Term{Term: policy.TermProjectedGravity}, ""},
	"cmd":     {policy.Term{Term: policy.TermVelocityCommand}, "cmd_scale"},
	"dof_pos": {policy.Term{Term: policy.TermJointPosRel}, "dof_pos_scale"},
	"dof_vel": {policy.Term{Term: policy.TermJointVel}, "dof_vel_scale"},
	"actions": {policy.Term{Term: policy.TermLastAction}, ""},
	"phase":   {policy.Term{Term: policy.TermGaitPhase, Gait: &policy.Gait{PeriodS: 0.8, OffsetsRad: []float64{0}, Order: policy.SinCos}}, ""},
}

func (l *leggedGym) addTerm(name string) error {
	part := leggedGymTerms[name]
	t := part.term
	if part.scale != "" {
		v, ok := l.top.get(part.scale)
		if !ok {
			l.ask("scale of "+name, "the key "+part.scale+", or the observation by --observation")
			return nil
		}
		n, err := v.numbers()
		if err != nil {
			return err
		}
		if err := l.checkTermSize(&t, n, v); err != nil {
			return err
		}
		if err := setTermScale(&t, n, v); err != nil {
			return err
		}
		l.note("observation "+name+" scale", simplify(n), from(v))
	}
	l.m.Observation.Terms = append(l.m.Observation.Terms, t)
	return nil
}

// command reads the largest commands, which the joystick's full deflection gives.
func (l *leggedGym) command() error {
	v, ok := l.top.get("max_cmd")
	if !ok {
		return nil
	}
	n, err := v.numbers()
	if err != nil {
		return err
	}
	if len(n) != 3 {
		return v.wrong(fmt.Sprintf("%d values", len(n)), "3: forward, left, yaw rate")
	}
	for k, target := range []**policy.Range{&l.m.CommandRanges.VxMps, &l.m.CommandRanges.VyMps, &l.m.CommandRanges.YawRateRadPerSec} {
		if n[k] < 0 || isInfinite(n[k]) {
			return v.wrong(fmt.Sprint(n[k]), "0 or more")
		}
		*target = &policy.Range{-n[k], n[k]}
	}
	l.note("command_ranges", fmt.Sprintf("±%v m/s, ±%v m/s, ±%v rad/s", n[0], n[1], n[2]), from(v))
	return nil
}
