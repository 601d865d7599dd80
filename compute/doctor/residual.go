package doctor

import (
	"math"
	"slices"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/rollout"
	"krabby.dev/krabby/hal/message"
)

// equal is the largest difference between values that count as equal.
const equal = 1e-4

// sampleSteps is the number of steps on which corrections are tried first.
const sampleSteps = 250

// historyName is the name of the group of all elements of earlier steps.
const historyName = "history"

// columns holds the values of every element of the observation over all steps, by the index of the element. NaN marks values
// that cannot be known; they are not compared.
type columns [][]float32

// column returns the value of an element in step t.
type column func(t int) float32

// changes holds new values of some elements, by the index of the element. They are computed when they are needed: most
// corrections are dismissed after a sample of the steps.
type changes map[int]column

// held returns the column of values.
func held(values []float32) column { return func(t int) float32 { return values[t] } }

// columnsOf returns the columns of a.
func columnsOf(a rollout.Array) columns {
	c := make(columns, a.Columns)
	for i := range c {
		c[i] = a.Column(i)
	}
	return c
}

// with returns c with the changes x. It shares the other columns with c.
func (c columns) with(x changes) columns {
	out := slices.Clone(c)
	for i, value := range x {
		values := make([]float32, len(c[i]))
		for t := range values {
			values[t] = value(t)
		}
		out[i] = values
	}
	return out
}

// minSpread is the smallest spread of a quantity, in its unit: what is usual for a robot that moves.
var minSpread = map[policy.Quantity]float64{
	policy.BaseVelocity: 0.2, policy.AngularVelocity: 0.5, policy.Gravity: 0.1, policy.RollPitch: 0.1,
	policy.JointPosition: 0.1, policy.JointVelocity: 1, policy.LastAction: 0.5, policy.Command: 0.5, policy.Contact: 0.5,
	policy.Orientation: 0.1, policy.AbsoluteJointPosition: 0.1, policy.GaitPhase: 0.5, policy.Constant: 1, policy.External: 1,
}

// measured are the quantities that sensors measure, with noise. Whoever builds the observation knows the others exactly.
var measured = map[policy.Quantity]bool{
	policy.BaseVelocity: true, policy.AngularVelocity: true, policy.Gravity: true, policy.RollPitch: true,
	policy.Orientation: true, policy.JointPosition: true, policy.AbsoluteJointPosition: true, policy.JointVelocity: true,
}

// group is the unit of findings: the elements of a quantity in the current step, or the history.
type group struct {
	name     string
	quantity policy.Quantity // Empty for the history.
	elements []int           // Indices of one or more elements.
}

func (g group) isHistory() bool { return g.quantity == "" }

// comparison compares observations with the recorded one.
type comparison struct {
	*rebuilder
	recorded columns
	noise    float64
	// groups are the quantities, in the order of the observation, and then the history, if it is known.
	groups []group
	// tolerance, spread and motion are by element: the largest difference that is rounding, the spread as in Element, and the
	// standard deviation of the rebuilt value.
	tolerance, spread, motion []float64
	// sample are steps on which corrections are tried first.
	sample []int
	// rebuilds are the observations rebuilt from changed sensors, by the change: the rounds of a search use the same ones.
	rebuilds map[string]rollout.Array
	orders   []order // See jointOrders.
}

// newComparison returns the comparison of observations of b with the recorded one.
func newComparison(b *rebuilder, rebuilt columns, noise float64) *comparison {
	c := &comparison{rebuilder: b, recorded: columnsOf(b.rollout.Observation), noise: noise, rebuilds: map[string]rollout.Array{}}
	c.sample = spread(b.rollout.Steps(), sampleSteps)
	history := group{name: historyName}
	for i, e := range b.elements {
		q := e.Term.Quantity
		known := b.unknown[q] == ""
		if e.Term.AgeSteps > 0 {
			if (known || q == policy.External) && !b.missingSteps {
				history.elements = append(history.elements, i)
			}
			continue
		}
		if !known || q == policy.External {
			continue
		}
		g := c.group(q)
		if g == nil {
			c.groups = append(c.groups, group{name: string(q), quantity: q})
			g = &c.groups[len(c.groups)-1]
		}
		g.elements = append(g.elements, i)
	}
	if len(history.elements) > 0 {
		c.groups = append(c.groups, history)
	}
	for i, e := range b.elements {
		recorded, largest := deviation(c.recorded[i])
		motion, _ := deviation(rebuilt[i])
		// Positions of up to 2 rad were rounded before the default pose was subtracted.
		c.tolerance = append(c.tolerance, equal+8*b.rollout.Rounding*max(largest, 2*e.Term.Scale))
		c.spread = append(c.spread, max(recorded, minSpread[e.Term.Quantity]*e.Term.Scale))
		c.motion = append(c.motion, motion)
	}
	return c
}

// rebuildOnce rebuilds the observations from changed sensors, unless a change of that name has been rebuilt before.
func (c *comparison) rebuildOnce(name string, change func(*message.Observation)) (rollout.Array, error) {
	if built, ok := c.rebuilds[name]; ok {
		return built, nil
	}
	built, err := c.rebuild(change)
	if err == nil {
		c.rebuilds[name] = built
	}
	return built, err
}

// group returns the group of a quantity, nil if the quantity is not compared.
func (c *comparison) group(q policy.Quantity) *group {
	if at := slices.IndexFunc(c.groups, func(g group) bool { return g.quantity == q }); at >= 0 {
		return &c.groups[at]
	}
	return nil
}

// quantities returns all groups but the history.
func (c *comparison) quantities() []group {
	return slices.DeleteFunc(slices.Clone(c.groups), group.isHistory)
}

// deviation returns the standard deviation of the known values and their largest magnitude.
func deviation(values []float32) (deviation, largest float64) {
	n, sum, squares := 0.0, 0.0, 0.0
	for _, value := range values {
		v := float64(value)
		if v != v {
			continue
		}
		n, sum, squares = n+1, sum+v, squares+v*v
		if v < 0 {
			v = -v
		}
		if v > largest {
			largest = v
		}
	}
	if n == 0 {
		return 0, 0
	}
	return math.Sqrt(max(squares/n-sum*sum/n/n, 0)), largest
}

// stationary reports whether a group hardly changes: then a wrong order, sign, frame or delay would hardly show.
func (c *comparison) stationary(g group) bool {
	if !measured[g.quantity] && g.quantity != policy.LastAction {
		return false
	}
	return !slices.ContainsFunc(g.elements, func(i int) bool {
		return c.motion[i] > c.noise*minSpread[g.quantity]*c.elements[i].Term.Scale
	})
}

// residual sums up differences over all steps in which they are known.
type residual struct {
	n            int
	squares, max float64
}

// add adds the difference of one step, unless it is NaN.
func (r *residual) add(difference float64) {
	if difference != difference {
		return
	}
	r.n++
	r.squares += difference * difference
	if difference < 0 {
		difference = -difference
	}
	if difference > r.max { // The builtin max is slower: it looks at NaN and at the sign of 0.
		r.max = difference
	}
}

// rms returns the root of the mean square, 0 without known steps.
func (r residual) rms() float64 {
	if r.n == 0 {
		return 0
	}
	return math.Sqrt(r.squares / float64(r.n))
}

// residual returns recorded - values of an element.
func (c *comparison) residual(values columns, element int) (r residual) {
	recorded := c.recorded[element]
	for t, v := range values[element] {
		r.add(float64(recorded[t]) - float64(v))
	}
	return r
}

// agrees reports whether the residual of an element is rounding or noise.
func (c *comparison) agrees(r residual, element int) bool {
	return r.max <= c.tolerance[element] || measured[c.elements[element].Term.Quantity] && r.rms() <= c.noise*c.spread[element]
}

// white reports whether the residual of an element has no mean and does not depend on the step before.
func (c *comparison) white(values columns, element int) bool {
	n, sum, squares, products, last := 0.0, 0.0, 0.0, 0.0, 0.0
	for t, v := range values[element] {
		d := float64(c.recorded[element][t]) - float64(v)
		if math.IsNaN(d) {
			continue
		}
		n, sum, squares, products, last = n+1, sum+d, squares+d*d, products+d*last, d
	}
	return math.Abs(products) < 0.3*squares && sum*sum/n < 0.1*squares
}

// score is the residual of a group.
type score struct {
	meanSquare  float64 // The mean over all elements, each as a fraction of the square of its spread.
	worst       float64 // The mean square of the worst element.
	unexplained float64 // From 0 for equal to 1: the residual's part of the sum of its mean square and the squared spread.
	exact       bool    // All differences are rounding.
	agrees      bool    // All differences are rounding or noise.
}

// score returns the score of a group.
func (c *comparison) score(values columns, g group) score {
	return c.scoreOf(g, func(element int) residual { return c.residual(values, element) })
}

// scoreOf returns the score of a group with the given residuals of its elements.
func (c *comparison) scoreOf(g group, of func(element int) residual) score {
	s := score{exact: true, agrees: true}
	n := 0.0
	for _, i := range g.elements {
		r := of(i)
		if r.n == 0 {
			continue
		}
		n++
		square := r.squares / float64(r.n)
		variance := c.spread[i] * c.spread[i]
		s.meanSquare += square / variance
		s.worst = max(s.worst, square/variance)
		s.unexplained += square / (square + variance)
		s.exact = s.exact && r.max <= c.tolerance[i]
		s.agrees = s.agrees && c.agrees(r, i)
	}
	if n > 0 {
		s.meanSquare, s.unexplained = s.meanSquare/n, s.unexplained/n
	}
	return s
}
