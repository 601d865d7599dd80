package doctor

import (
	"math"
	"slices"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/message"
)

// hypothesis is one mistake that is known to happen in training, in deployment or in the log.
//
// A hypothesis gets the evidence: the recorded and the rebuilt values of every element of the observation, over all steps,
// the latter corrected by the findings so far. It proposes corrections: changes of the rebuilt values that reproduce the
// recorded ones if the hypothesis is true. It fits the parameters of a correction, such as a factor, to the evidence, and
// provides the sentences that explain the correction and say how to fix the mistake. It may change the elements of a single
// quantity (eachQuantity), of several quantities, of the history, or the whole observation (overall), and it may rebuild
// the observation from other sensor values (evidence.fromSensors).
//
// The search (search.go) works in rounds. In each it tests the corrections of all hypotheses:
//
//   - A correction explains a group, which is a quantity or the history, if it takes at least three quarters of the squared
//     residual away and leaves at most a quarter of the variance, or if it leaves only rounding. It is dismissed if it explains
//     fewer than half of the groups that it changes and that need an explanation, or if it makes a group worse. While one
//     quantity differs by more than noise, those that differ by noise need no explanation.
//   - The best correction has the largest gain: the sum, over the groups that it changes, of how much less is unexplained.
//   - Another correction fits as well as the best one if it leaves at most 1.1 times as much of each group, or only rounding. If
//     several fit, the finding is ambiguous: the one with the lowest complexity is the explanation, and among equals the one
//     whose hypothesis comes first in the list. The others are its alternatives.
//
// The correction of the finding is applied, and the next round searches what is left. So the findings come in the order of
// their gain, except for a rate that follows from the times, which comes first.
//
// To add a hypothesis, write it in a file hypothesis_NAME.go, with its kind, and add a line to hypotheses.
type hypothesis interface {
	// corrections returns the corrections that fit the evidence, none if the hypothesis does not apply.
	corrections(e *evidence) ([]correction, error)
}

// hypotheses lists all hypotheses. Those of the second list explain the history alone. They are tested when none of the first
// list explains anything: the history repeats the steps before, so a mistake in the current step explains that in the history.
func hypotheses() [][]hypothesis {
	return [][]hypothesis{
		{
			eachQuantity(zeros),
			eachQuantity(unit),
			eachQuantity(scale),
			eachQuantity(sign),
			eachQuantity(clipping),
			eachQuantity(permutation),
			eachQuantity(offset),
			overall(defaultPose),
			overall(jointOrder),
			overall(delay),
			overall(rate),
			overall(quaternion),
			overall(turned),
			overall(frame),
			overall(sensorUnit),
			overall(scaledJointOrder),
		},
		{
			overall(historyLayout),
		},
	}
}

// eachQuantity is a hypothesis about a single quantity. It is tested on every quantity that differs.
type eachQuantity func(e *evidence, g group) []correction

func (h eachQuantity) corrections(e *evidence) ([]correction, error) {
	var all []correction
	for _, g := range e.quantities() {
		if g.quantity != policy.Constant && e.differs(g.quantity) {
			all = append(all, h(e, g)...)
		}
	}
	return all, nil
}

// overall is a hypothesis about several quantities, the sensors, the history or the whole observation.
type overall func(e *evidence) ([]correction, error)

func (h overall) corrections(e *evidence) ([]correction, error) { return h(e) }

// correction is a change of the rebuilt observation that a hypothesis proposes.
type correction struct {
	kind Kind
	// variant tells corrections of one kind apart. Of those with the same variant only the first is reported.
	variant    string
	complexity complexity
	summary    string // A sentence: what the recorded observation, or the rollout, contains.
	fix        string // What to do.
	// change returns the corrected values of all elements that the correction changes. If it changes none of the history, the
	// history follows from the current step.
	change func() changes
	// second is another mistake in the same quantity, a finding of its own; nil if there is none.
	second *second
	// shifted is true if rows get the values of other steps.
	shifted bool
}

// second is the second of two mistakes in one quantity: a factor.
type second struct {
	factor       float64
	kind         Kind
	summary, fix string
}

// complexity is how much a correction supposes. Of two that fit as well, the simpler one is the explanation.
type complexity int

const (
	noParameters         complexity = iota // A mistake without free parameters.
	oneParameter                           // One number is fitted to the rollout.
	parameterPerElement                    // One number is fitted for each element.
	unspecificParameters                   // As parameterPerElement, and the numbers do not show the cause.
)

// evidence is what hypotheses are tested on: the policy, the rollout, the elements of the observation, their groups, and the
// recorded values, all from comparison; and the values to correct.
type evidence struct {
	*comparison
	rebuilt columns // With the corrections of the findings so far.
	before  []score // The scores of rebuilt, by group.
	sampled []sampledScore
}

// newEvidence returns the evidence after the findings that lead to rebuilt.
func (c *comparison) newEvidence(rebuilt columns) *evidence {
	e := &evidence{comparison: c, rebuilt: rebuilt}
	for _, g := range c.groups {
		e.before = append(e.before, c.score(rebuilt, g))
	}
	return e
}

// differs reports whether one of the quantities is compared and differs by more than rounding.
func (e *evidence) differs(quantities ...policy.Quantity) bool {
	for _, q := range quantities {
		for i, g := range e.groups {
			if g.quantity == q && !e.before[i].exact {
				return true
			}
		}
	}
	return false
}

// differsAtAll reports whether any group differs by more than rounding.
func (e *evidence) differsAtAll() bool {
	return slices.ContainsFunc(e.before, func(s score) bool { return !s.exact })
}

// mapped returns the changes of g by f, which gets the position in the group and a rebuilt value.
func (e *evidence) mapped(g group, f func(i int, value float64) float64) func() changes {
	return func() changes {
		out := changes{}
		for i, element := range g.elements {
			rebuilt := e.rebuilt[element]
			out[element] = func(t int) float32 { return float32(f(i, float64(rebuilt[t]))) }
		}
		return out
	}
}

// shifted returns the changes of groups whose row t gets the values of row from(t), unknown if from(t) is outside the rollout.
func (e *evidence) shifted(groups []group, from func(t int) int) func() changes {
	return func() changes {
		out := changes{}
		for _, g := range groups {
			for _, element := range g.elements {
				rebuilt := e.rebuilt[element]
				out[element] = func(t int) float32 {
					if at := from(t); at >= 0 && at < len(rebuilt) {
						return rebuilt[at]
					}
					return unknownValue
				}
			}
		}
		return out
	}
}

// fromSensors returns x with the change of the quantities that follows if the observation is rebuilt from changed sensors;
// no correction if none of the quantities differs.
func (e *evidence) fromSensors(x correction, change func(*message.Observation), quantities ...policy.Quantity) ([]correction, error) {
	if !e.differs(quantities...) {
		return nil, nil
	}
	built, err := e.rebuildOnce(string(x.kind)+" "+x.variant, change)
	if err != nil {
		return nil, err
	}
	x.change = func() changes {
		out := changes{}
		for _, q := range quantities {
			if g := e.group(q); g != nil {
				for _, element := range g.elements {
					out[element] = func(t int) float32 { return built.Values[t*built.Columns+element] }
				}
			}
		}
		return out
	}
	return []correction{x}, nil
}

// products returns the sums of recorded times rebuilt and of rebuilt squared, each with the offset added: their ratio is the
// factor that brings the rebuilt values closest to the recorded ones.
func products(recorded, rebuilt []float32, offset float64) (product, square float64) {
	for t, r := range rebuilt {
		a, b := float64(recorded[t])+offset, float64(r)+offset
		if math.IsNaN(a) || math.IsNaN(b) {
			continue
		}
		product += a * b
		square += b * b
	}
	return product, square
}
