package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"krabby.dev/krabby/compute/policy"
)

// Verdict is the result of an examination.
type Verdict string

// The verdicts.
const (
	// Correct means that all compared values are equal.
	Correct Verdict = "correct"
	// Noisy means that all compared values are equal or differ by noise.
	Noisy Verdict = "correct within noise"
	// Differs means that a value differs by more than noise, that a hypothesis explains a smaller difference, or that the
	// actions differ.
	Differs Verdict = "differs"
)

// Kind is the kind of mistake that a hypothesis supposes. Each file hypothesis_NAME.go declares those of its hypotheses.
type Kind string

// Report is the result of Examine.
type Report struct {
	Policy      string `json:"policy"`
	Robot       string `json:"robot"`
	Observation string `json:"observation"`
	// PolicyGains are those that the policy was trained with.
	PolicyGains policy.Gains `json:"policy_gains"`
	Verdict     Verdict      `json:"verdict"`
	// Steps is the number of steps that were compared, after Skipped steps.
	Steps   int `json:"steps"`
	Skipped int `json:"skipped"`
	// RateHz is the rate of the rollout, PolicyRateHz the rate that the policy was trained for.
	RateHz       float64 `json:"rate_hz"`
	PolicyRateHz float64 `json:"policy_rate_hz"`
	// Findings explain the differences, the largest first.
	Findings []Finding `json:"findings"`
	// Unexplained lists the quantities that differ by more than noise after all findings.
	Unexplained []string `json:"unexplained"`
	// WhiteResidual is true if the unexplained residuals have no mean and do not depend on the step before.
	WhiteResidual bool `json:"white_residual"`
	// Elements are the elements that were compared, the largest residual first.
	Elements []Element `json:"elements"`
	// NotChecked maps each quantity that was not compared to the reason.
	NotChecked map[string]string `json:"not_checked"`
	// Stationary lists the quantities that hardly changed: a wrong order, sign, frame or delay of them would not show.
	Stationary []string `json:"stationary"`
	// Action compares the recorded actions with the output of the policy; nil if Options.Model is nil.
	Action *Action `json:"action,omitempty"`

	timeS                        []float64
	recorded, rebuilt, corrected columns
}

// Element is the residual of one element of the observation, recorded - rebuilt, over all steps.
type Element struct {
	// Index is the index in the observation vector.
	Index int    `json:"index"`
	Name  string `json:"name"`
	// Quantity is "history" for an element of an earlier step.
	Quantity string `json:"quantity"`
	Unit     string `json:"unit"`
	// MaxAbs and RMS are in Unit, the observation's own scale.
	MaxAbs float64 `json:"max_abs"`
	RMS    float64 `json:"rms"`
	// Spread is the standard deviation of the recorded value, but at least what is usual; Relative is RMS / Spread.
	Spread   float64 `json:"spread"`
	Relative float64 `json:"relative"`
	// Agrees is true if the residual is rounding or noise.
	Agrees bool `json:"agrees"`
	// RMSAfter is the RMS after the corrections of all findings.
	RMSAfter float64 `json:"rms_after"`
}

// Explanation is a hypothesis that explains a difference.
type Explanation struct {
	Kind Kind `json:"kind"`
	// Quantities are the quantities whose difference it explains.
	Quantities []string `json:"quantities"`
	// Summary says in a sentence what the recorded observation, or the rollout, contains; Fix says what to do.
	Summary string `json:"summary"`
	Fix     string `json:"fix"`
	// ResidualBefore and ResidualAfter are the RMS residual of Quantities without and with the correction, as a fraction of
	// their spread.
	ResidualBefore float64 `json:"residual_before"`
	ResidualAfter  float64 `json:"residual_after"`
}

// Finding is the explanation that a round of the search chose.
type Finding struct {
	Explanation
	// Ambiguous is true if the Alternatives explain the difference as well.
	Ambiguous    bool          `json:"ambiguous"`
	Alternatives []Explanation `json:"alternatives,omitempty"`
}

// Series holds the values of an element over time.
type Series struct {
	Name, Unit string
	TimeS      []float64
	// Recorded is from the rollout, Rebuilt is built from its sensors, Corrected is Rebuilt with the corrections of all
	// findings. NaN marks unknown values.
	Recorded, Rebuilt, Corrected []float64
}

// Series returns the values of an element of r.Elements.
func (r *Report) Series(e Element) Series {
	s := Series{Name: e.Name, Unit: e.Unit, TimeS: r.timeS}
	for t := range r.timeS {
		s.Recorded = append(s.Recorded, float64(r.recorded[e.Index][t]))
		s.Rebuilt = append(s.Rebuilt, float64(r.rebuilt[e.Index][t]))
		s.Corrected = append(s.Corrected, float64(r.corrected[e.Index][t]))
	}
	return s
}

// report returns the report about the observations: rebuilt as built from the sensors, corrected with all findings. After are
// the residuals with all findings, by element; nil if those are of rebuilt.
func (c *comparison) report(rebuilt, corrected columns, after func(element int) afterwards, findings []Finding) *Report {
	p := c.policy
	r := &Report{
		Policy: p.Name, Robot: p.Robot.Name, Observation: p.Observation.String(),
		PolicyGains: p.Gains, Steps: c.rollout.Steps(), RateHz: c.rateHz, PolicyRateHz: p.ControlRateHz,
		Findings: findings, Unexplained: []string{}, NotChecked: c.notChecked(), Stationary: []string{},
		timeS: c.rollout.TimeS, recorded: c.recorded, rebuilt: rebuilt, corrected: corrected,
	}
	exact, white := true, true
	unexplained := map[string]bool{}
	for i, e := range c.elements {
		before := c.residual(rebuilt, i)
		left := afterwards{residual: before, agrees: c.agrees(before, i)}
		if after != nil {
			left = after(i)
		}
		if before.n == 0 || e.Term.Quantity == policy.External && e.Term.AgeSteps == 0 {
			continue
		}
		exact = exact && before.max <= c.tolerance[i]
		element := c.element(i, before, left.residual)
		r.Elements = append(r.Elements, element)
		if left.n > 0 && !left.agrees {
			unexplained[element.Quantity] = true
			white = white && measured[e.Term.Quantity] && left.white
		}
	}
	slices.SortStableFunc(r.Elements, func(a, b Element) int {
		if a.Agrees != b.Agrees {
			if a.Agrees {
				return 1
			}
			return -1
		}
		return cmp.Compare(b.Relative, a.Relative)
	})
	for _, g := range c.groups {
		if unexplained[g.name] {
			r.Unexplained = append(r.Unexplained, g.name)
		}
		if c.stationary(g) {
			r.Stationary = append(r.Stationary, g.name)
		}
	}
	r.WhiteResidual = len(unexplained) > 0 && white
	switch {
	case len(findings) > 0 || len(unexplained) > 0:
		r.Verdict = Differs
	case !exact:
		r.Verdict = Noisy
	default:
		r.Verdict = Correct
	}
	return r
}

// afterwards is what the findings leave of an element.
type afterwards struct {
	residual
	agrees, white bool
}

// afterwards returns what corrected values leave of an element.
func (c *comparison) afterwards(corrected columns, element int) afterwards {
	r := c.residual(corrected, element)
	agrees := c.agrees(r, element)
	return afterwards{r, agrees, !agrees && r.n > 0 && c.white(corrected, element)}
}

// element returns the report about one element, of which before and after are the residuals.
func (c *comparison) element(i int, before, after residual) Element {
	e := c.elements[i]
	quantity, unit := string(e.Term.Quantity), e.Term.Unit
	if e.Term.AgeSteps > 0 {
		quantity = historyName
	}
	if e.Term.Scale != 1 {
		unit = strings.TrimSpace(fmt.Sprintf("%v %s", 1/e.Term.Scale, unit))
	}
	return Element{
		Index: i, Name: e.Name(), Quantity: quantity, Unit: unit, MaxAbs: before.max, RMS: before.rms(), Spread: c.spread[i],
		Relative: before.rms() / c.spread[i], Agrees: c.agrees(before, i), RMSAfter: after.rms(),
	}
}

// notChecked returns why each quantity that is not compared is not, by its name.
func (b *rebuilder) notChecked() map[string]string {
	reasons := map[string]string{}
	for _, e := range b.elements {
		if reason, ok := b.unknown[e.Term.Quantity]; ok {
			reasons[string(e.Term.Quantity)] = reason
		}
		if b.missingSteps && e.Term.AgeSteps > 0 {
			reasons[historyName] = missingStepsReason
		}
	}
	return reasons
}
