package doctor

import (
	"fmt"
	"math"
)

// WrongRate means that the rollout has more or fewer rows than the policy has steps, or that the history skips steps.
const WrongRate Kind = "wrong_rate"

// rateTolerance is the largest relative difference between the rate of the rollout and that of the policy.
const rateTolerance = 0.05

// rate supposes that the observation is built in every second, third... row only and held in between.
func rate(e *evidence) ([]correction, error) {
	var all []correction
	for _, every := range []int{2, 3, 4, 5, 10} {
		for phase := range every {
			all = append(all, correction{
				kind: WrongRate, variant: fmt.Sprintf("held for %d", every), complexity: noParameters, shifted: true,
				summary: fmt.Sprintf("the recorded observation changes only in every %s row: the rollout has %d rows per policy step", ordinal(every), every),
				fix:     fmt.Sprintf("log one row per policy step, at %v Hz; if the policy was trained at the rate of the log, run it at that rate", e.policy.ControlRateHz),
				change: e.shifted(e.quantities(), func(t int) int {
					from := t - (t-phase+every)%every
					if from >= 0 && e.episodeStart[from] != e.episodeStart[t] {
						return -1
					}
					return from
				}),
			})
		}
	}
	return all, nil
}

// wrongRate returns the finding that follows from the times of the rollout alone, nil if they agree with the policy's rate.
func (c *comparison) wrongRate() *Finding {
	difference := math.Abs(c.rateHz/c.policy.ControlRateHz - 1)
	if difference <= rateTolerance {
		return nil
	}
	return &Finding{Explanation: Explanation{
		Kind: WrongRate, Quantities: []string{"time"},
		Summary:        fmt.Sprintf("the rollout has %.4g steps per second, the policy was trained for %v", c.rateHz, c.policy.ControlRateHz),
		Fix:            "log every policy step once, and run the policy at the rate that it was trained for",
		ResidualBefore: difference, ResidualAfter: difference,
	}}
}

// ordinal returns an ordinal number.
func ordinal(n int) string {
	switch n {
	case 2:
		return "second"
	case 3:
		return "third"
	}
	return fmt.Sprintf("%dth", n)
}
