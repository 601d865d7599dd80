package doctor

import (
	"fmt"

	"krabby.dev/krabby/compute/policy"
)

// Delay means that values belong to an earlier or a later step.
const Delay Kind = "delay"

// delay supposes that the recorded values are one or two steps older or newer than the sensors of the same row: all values,
// those of all sensors, or those of one quantity.
func delay(e *evidence) ([]correction, error) {
	var sensors []group
	for _, g := range e.quantities() {
		if g.quantity != policy.LastAction && g.quantity != policy.Command {
			sensors = append(sensors, g)
		}
	}
	var all []correction
	for _, steps := range []int{1, -1, 2, -2} {
		all = append(all, e.delayed(steps, "all values", e.quantities()), e.delayed(steps, "all sensors", sensors))
		for _, g := range e.quantities() {
			if g.quantity != policy.Constant {
				all = append(all, e.delayed(steps, g.name, []group{g}))
			}
		}
	}
	return all, nil
}

// delayed returns the correction that makes the values of groups, called what, older by steps.
func (e *evidence) delayed(steps int, what string, groups []group) correction {
	x := correction{
		kind: Delay, variant: fmt.Sprintf("%s %d", what, steps), complexity: noParameters, shifted: true,
		fix: "build the observation from the newest reading and log both in the same step",
		change: e.shifted(groups, func(t int) int {
			from := t - steps
			if from < 0 || from >= len(e.episodeStart) || e.episodeStart[from] != e.episodeStart[t] {
				return -1
			}
			return from
		}),
	}
	verb, age, n := "lags", "older", steps
	if steps < 0 {
		verb, age, n = "leads", "newer", -steps
	}
	duration := fmt.Sprintf("%d steps", n)
	if n == 1 {
		duration = "1 step"
	}
	x.summary = fmt.Sprintf("the recorded observation %s the rollout by %s in %s", verb, duration, what)
	if what == string(policy.LastAction) {
		x.summary = fmt.Sprintf("the last action in the recorded observation is %s %s than the previous action", duration, age)
		x.fix = "feed back the action of the previous step"
		if steps == -1 {
			x.summary = "the last action in the recorded observation is the action of the same step: the rollout's actions are one step early, or its observations late"
		}
	}
	return x
}
