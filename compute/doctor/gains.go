package doctor

import (
	"fmt"
	"math"
	"strings"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/rollout"
)

// WrongGains means that the joints follow other gains than those that the policy was trained with.
const WrongGains Kind = "gains"

const (
	// kpTolerance and kdTolerance are the largest relative differences between gains that count as none. The velocity of a step
	// is that at its end, so kd is less certain.
	kpTolerance, kdTolerance = 0.1, 0.25
	// gainFit is the part of the effort's variance that gains must explain to be known.
	gainFit = 0.9
)

// wrongGains returns the finding for joints whose effort follows other gains than the policy's, none if the rollout has no
// efforts or does not show the gains.
//
// The effort of a joint's loop is kp * (target - position) - kd * velocity. The targets follow from the actions: those of the
// same row, or those of the row before, whichever fits the efforts better.
func (c *comparison) wrongGains() []Finding {
	r := c.rollout
	if !r.EffortNm.Present() || c.missingSteps {
		return nil
	}
	targets := c.targets()
	kp, kd := c.policy.RobotGains()
	var summaries []string
	var worst float64
	joints := c.policy.JointMap()
	known := 0
	for _, joint := range joints {
		best := gains{}
		for _, delay := range []int{0, 1} {
			if g := c.fitGains(targets, joint, delay); g.explained > best.explained {
				best = g
			}
		}
		if best.explained < gainFit {
			continue
		}
		known++
		ofKp, ofKd := math.Abs(best.kp-kp[joint])/kp[joint], math.Abs(best.kd-kd[joint])/max(kd[joint], 0.2)
		if ofKp > kpTolerance || ofKd > kdTolerance {
			worst = max(worst, ofKp, ofKd)
			summaries = append(summaries, fmt.Sprintf("%s kp %.3g, kd %.2g instead of %.3g, %.2g",
				c.policy.Robot.Joints[joint].Name, best.kp, best.kd, kp[joint], kd[joint]))
		}
	}
	if len(summaries) == 0 {
		return nil
	}
	more := ""
	if len(summaries) > 3 {
		more = fmt.Sprintf(" and %d more", len(summaries)-3)
	}
	return []Finding{{Explanation: Explanation{
		Kind: WrongGains, Quantities: []string{"gains"},
		Summary: fmt.Sprintf("%d of %d joints follow other gains than the policy was trained with: %s%s",
			len(summaries), known, strings.Join(summaries[:min(3, len(summaries))], "; "), more),
		Fix:            "command the policy's gains with every target, in N·m/rad and N·m·s/rad; or correct the manifest's gains",
		ResidualBefore: worst,
	}}}
}

// targets returns the targets of each row's action, by the robot's joints.
func (c *comparison) targets() [][]float64 {
	process, out := policy.NewActionProcessor(c.policy), make([][]float64, c.rollout.Steps())
	for t := range out {
		if c.rollout.StartsEpisode(t) {
			process.Reset()
		}
		out[t] = make([]float64, len(c.policy.Robot.Joints))
		process.Targets(out[t], c.rollout.Action.Row(t))
	}
	return out
}

// gains are those of a joint, and the part of the effort's square that they explain.
type gains struct{ kp, kd, explained float64 }

// fitGains fits gains to the efforts of a joint, in the steps in which they are less than the joint's limit.
func (c *comparison) fitGains(targets [][]float64, joint, delay int) gains {
	r, column := c.rollout, c.jointColumns[joint]
	limit := 0.97 * c.policy.Robot.Joints[joint].EffortLimitNm
	largest := 0.0
	at := func(a rollout.Array, t int) float64 { return float64(a.Row(t)[column]) }
	for t := range r.Steps() {
		largest = max(largest, math.Abs(at(r.EffortNm, t)))
	}
	if limit <= 0 {
		limit = math.Inf(1)
	}
	var ee, ev, vv, te, tv, tt, n float64
	for t := delay; t < r.Steps(); t++ {
		if delay > 0 && r.StartsEpisode(t) {
			continue
		}
		effort := at(r.EffortNm, t)
		if math.Abs(effort) > limit {
			continue
		}
		e, v := targets[t-delay][joint]-at(r.PositionRad, t), -at(r.VelocityRadPerSec, t)
		ee, ev, vv, te, tv, tt, n = ee+e*e, ev+e*v, vv+v*v, te+effort*e, tv+effort*v, tt+effort*effort, n+1
	}
	determinant := ee*vv - ev*ev
	if n < MinSteps || tt == 0 || largest < 1e-6 || determinant <= 1e-9*ee*vv || determinant == 0 {
		return gains{}
	}
	g := gains{kp: (te*vv - tv*ev) / determinant, kd: (tv*ee - te*ev) / determinant}
	g.explained = (g.kp*te + g.kd*tv) / tt
	return g
}
