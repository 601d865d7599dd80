package importer

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"krabby.dev/krabby/compute/policy"
)

// isPlayground reports whether a file is the configuration of an environment of MuJoCo Playground, as JSON or YAML.
func isPlayground(d *draft) bool {
	return slices.ContainsFunc(d.docs, func(doc *document) bool { return doc.top().has("ctrl_dt", "sim_dt", "action_scale") })
}

// playground reads the configuration of a joystick task of MuJoCo Playground.
type playground struct {
	*draft
	top value
}

func readPlayground(d *draft) error {
	if len(d.docs) != 1 {
		return wrongFlag("--config", fmt.Sprintf("%d files", len(d.docs)), "one file")
	}
	p := &playground{d, d.docs[0].top()}
	if v, ok := p.top.get("ctrl_dt"); ok {
		x, err := v.number()
		if err != nil {
			return err
		}
		p.setRate(x, from(v))
	}
	if len(d.o.DefaultPose) == 0 {
		d.ask("default pose", "--default-pose, the joints of the keyframe home in the task's model; --default-pose robot is that of the robot here")
	}
	if d.joints() == 0 {
		d.ask("joint order of the policy", "--joints: Playground takes the order of the model, for the robots here --joints robot")
		return nil
	}
	if v, ok := p.top.get("action_scale"); ok {
		if err := p.setScale(v); err != nil {
			return err
		}
	}
	kp, hasKp := p.top.get("Kp")
	kd, hasKd := p.top.get("Kd")
	if hasKp && hasKd {
		if err := p.setGains(kp, kd); err != nil {
			return err
		}
	}
	if err := p.commands(); err != nil {
		return err
	}
	return p.terms()
}

// commands reads the ranges: lin_vel_x and so on, or the amplitudes command_config.a.
func (p *playground) commands() error {
	targets := []**policy.Range{&p.m.CommandRanges.VxMps, &p.m.CommandRanges.VyMps, &p.m.CommandRanges.YawRateRadPerSec}
	for i, key := range []string{"lin_vel_x", "lin_vel_y", "ang_vel_yaw"} {
		if v, ok := p.top.get(key); ok {
			if err := p.setRange(targets[i], []string{"vx_mps", "vy_mps", "yaw_rate_rad_per_sec"}[i], v); err != nil {
				return err
			}
		}
	}
	v, ok := p.top.find("command_config", "a")
	if !ok {
		return nil
	}
	n, err := v.numbers()
	if err != nil {
		return err
	}
	if len(n) != 3 || slices.ContainsFunc(n, func(x float64) bool { return x < 0 || isInfinite(x) }) {
		return v.wrong(fmt.Sprint([]float64(n)), "3 amplitudes: forward, left, yaw rate")
	}
	for i, target := range targets {
		*target = &policy.Range{-n[i], n[i]}
	}
	p.note("command_ranges", fmt.Sprintf("±%v m/s, ±%v m/s, ±%v rad/s", n[0], n[1], n[2]), from(v))
	return nil
}

// terms makes the observation of the joystick tasks, which no file lists: the size of the model's input tells which it is.
func (p *playground) terms() error {
	if p.o.Observation != "" {
		return nil
	}
	n := p.joints()
	size := int64(-1)
	if p.metadata != nil {
		shape := p.metadata.Inputs[0].Shape
		size = shape[len(shape)-1]
	}
	linear := []policy.Term{{Term: policy.TermBaseLinVel}, {Term: policy.TermBaseAngVel}, {Term: policy.TermProjectedGravity}}
	joints := []policy.Term{{Term: policy.TermJointPosRel}, {Term: policy.TermJointVel}, {Term: policy.TermLastAction}}
	command := []policy.Term{{Term: policy.TermVelocityCommand}}
	phase := policy.Term{Term: policy.TermGaitPhase, Gait: &policy.Gait{PeriodS: 1 / 1.5, OffsetsRad: []float64{0, math.Pi}, Order: policy.CosSin}}
	switch {
	case size == int64(12+3*n):
		p.m.Observation.Terms = slices.Concat(linear, joints, command)
	case size == int64(16+3*n) && p.r.Name == "g1":
		p.m.Observation.Terms = append(slices.Concat(linear, command, joints), phase)
	default:
		p.ask("observation", fmt.Sprintf("--observation: only those of the joystick tasks of quadrupeds (%d values) and of the G1 (%d) are known, the model has %d", 12+3*n, 16+3*n, size))
		return nil
	}
	var names []string
	for _, t := range p.m.Observation.Terms {
		names = append(names, t.Term)
	}
	p.assume("observation.terms", strings.Join(names, ", "), fmt.Sprintf("that of Playground's joystick tasks for %d values: --observation replaces it", size))
	return nil
}
