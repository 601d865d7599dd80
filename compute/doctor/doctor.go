// Package doctor finds out why an observation that was recorded is not the one that this repository builds: the first cause of
// policies that walk in simulation and shake on the robot. It needs the policy and a rollout, and runs no model unless it
// is given one.
//
// It rebuilds the observation of every step from the recorded sensors, with the very builders that run on a robot, and
// compares value by value. Where they differ it tries what is known to go wrong (candidates.go), one change of the rebuilt
// observation each, and accepts the one that takes most of the difference away; then it looks at what is left, and so on.
//
// What counts as equal: a difference of 1e-4 in each step. Values are of order 1 (rad, rad/s, m/s), float32 rounds them to
// 1e-6 after the little arithmetic there is, and 1e-4 rad is finer than encoders. For float16 it is eight times the
// rounding of values of that size. What counts as noise: a difference of a sensor's value that no hypothesis explains and whose
// RMS is below Noise of the value's spread, its standard deviation, but of no less than is usual for a robot that moves:
// sensors of a robot that stands have noise too.
//
// What counts as explained: a hypothesis takes at least three quarters of the squared difference away from a quantity, and
// leaves less than a quarter of its variance; and it does so for half of the quantities that it changes, and makes none worse.
// What counts as ambiguous: another one, of another kind, leaves at most 1.1 times as much (or less than what counts as
// equal). Of a robot that hardly moves many hypotheses say the same, and then all of them are named.
//
// It must never import inference engines, transport, servers or clients.
package doctor

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/rollout"
)

const (
	// DefaultNoise is how much of a value's spread noise may be.
	DefaultNoise = 0.05
	// DefaultSteps is how many steps are looked at: a minute at 50 Hz says all.
	DefaultSteps = 3000
	// MinSteps is how many steps there must be.
	MinSteps = 25

	equal         = 1e-4
	explains      = 0.25 // Of the squared difference, what may be left.
	sameRatio     = 1.1
	maxFindings   = 6
	rateTolerance = 0.05

	// history is what the values of steps before are called.
	history = "history"
)

// The verdicts.
const (
	Correct = "correct"
	Noisy   = "correct but for noise"
	Differs = "differs"
)

// Report is what came of an examination.
type Report struct {
	Policy      string `json:"policy"`
	Robot       string `json:"robot"`
	Observation string `json:"observation"`
	// Verdict is Correct, Noisy or Differs.
	Verdict string `json:"verdict"`
	// Steps were compared, after so many Skipped.
	Steps   int `json:"steps"`
	Skipped int `json:"skipped"`
	// RateHz is the rollout's, PolicyRateHz that which the policy was trained for.
	RateHz       float64 `json:"rate_hz"`
	PolicyRateHz float64 `json:"policy_rate_hz"`
	// Findings explain the differences, those that explain most first.
	Findings []Finding `json:"findings"`
	// Unexplained are the quantities that still differ.
	Unexplained []string `json:"unexplained"`
	// LooksLikeNoise says that what is unexplained has no mean and does not depend on the step before.
	LooksLikeNoise bool `json:"looks_like_noise"`
	// Slots are the values that were compared, the worst first.
	Slots []Slot `json:"slots"`
	// NotChecked says which quantities were not compared, and why.
	NotChecked map[string]string `json:"not_checked"`
	// Still are the quantities that hardly changed: their order, signs, frames and delays are not known to be right.
	Still []string `json:"still"`
	// Action is what the policy answers to the recorded observation; nil where it was not run.
	Action *Action `json:"action,omitempty"`

	timeS                       []float64
	recorded, rebuilt, improved *table // Of all slots.
}

// Slot is how one value of the observation compares, over all steps.
type Slot struct {
	Index int    `json:"index"`
	Name  string `json:"name"`
	// Quantity is "history" for what was current in a step before.
	Quantity string `json:"quantity"`
	Unit     string `json:"unit"`
	// MaxAbs and RMS are of recorded - rebuilt, in the observation's own scale.
	MaxAbs float64 `json:"max_abs"`
	RMS    float64 `json:"rms"`
	// Spread is the standard deviation of the recorded value, but no less than what is usual; Relative is RMS / Spread.
	Spread   float64 `json:"spread"`
	Relative float64 `json:"relative"`
	// Agrees says that the difference is rounding, or noise.
	Agrees bool `json:"agrees"`
	// RMSAfter is what is left with all findings.
	RMSAfter float64 `json:"rms_after"`
}

// Explanation is one hypothesis that fits.
type Explanation struct {
	// Kind is one of the constants.
	Kind Kind `json:"kind"`
	// Quantities are what it is about.
	Quantities []string `json:"quantities"`
	// Says is what the recorded observation, or the rollout, has; Fix is what to do.
	Says string `json:"says"`
	Fix  string `json:"fix"`
	// Before and After are the RMS difference of the quantities, in parts of their spread.
	Before float64 `json:"before"`
	After  float64 `json:"after"`
}

// Finding is the hypothesis that explains most of what was left.
type Finding struct {
	Explanation
	// Ambiguous says that the Alternatives explain it as well.
	Ambiguous    bool          `json:"ambiguous"`
	Alternatives []Explanation `json:"alternatives,omitempty"`
}

// Options say how to look.
type Options struct {
	// Skip is how many steps to leave out at the start.
	Skip int
	// Steps is how many to look at, 0 for DefaultSteps.
	Steps int
	// Noise is how much of a value's spread noise may be, below 0 for DefaultNoise.
	Noise float64
	// Model, if any, is run on the recorded observation.
	Model Model
}

// Examine compares r with what p's builder makes of it. The error says what of the rollout cannot be of this policy.
func Examine(p *policy.Policy, r *rollout.Rollout, opts Options) (*Report, error) {
	if opts.Noise < 0 {
		opts.Noise = DefaultNoise
	}
	if opts.Steps == 0 {
		opts.Steps = DefaultSteps
	}
	if opts.Skip < 0 || opts.Skip+MinSteps > r.Steps() {
		return nil, fmt.Errorf("found %d steps, %d of them to be skipped, expected %d or more to compare", r.Steps(), opts.Skip, MinSteps)
	}
	r = r.Slice(opts.Skip, min(r.Steps(), opts.Skip+max(opts.Steps, MinSteps)))
	b, err := newRebuilder(p, r)
	if err != nil {
		return nil, err
	}
	rateHz := rate(r.TimeS)
	if b.gaps = rateHz < p.ControlRateHz/1.5; b.gaps {
		b.lacks[policy.LastAction] = "steps are missing between those of the rollout"
	}
	rebuilt, err := b.build(nil)
	if err != nil {
		return nil, err
	}
	e := &examination{rebuilder: b, recorded: &table{r.Steps(), len(b.slots), r.Observation.Values}, noise: opts.Noise}
	e.measure(rebuilt)

	report := &Report{
		Policy: p.Name, Robot: p.Robot.Name, Observation: fmt.Sprintf("%s version %d", p.Observation.Kind, p.Observation.Version),
		Steps: r.Steps(), Skipped: opts.Skip, RateHz: rateHz, PolicyRateHz: p.ControlRateHz,
		Findings: []Finding{}, Unexplained: []string{}, NotChecked: map[string]string{}, Still: []string{},
		timeS: r.TimeS, recorded: e.recorded, rebuilt: rebuilt,
	}
	for _, s := range b.slots {
		if why, ok := b.lacks[s.Quantity]; ok {
			report.NotChecked[string(s.Quantity)] = why
		}
	}
	if b.gaps && b.current < len(b.slots) {
		report.NotChecked[history] = b.lacks[policy.LastAction]
	}
	if found := e.wrongRate(rateHz); found != nil {
		report.Findings = append(report.Findings, *found)
	}
	improved := rebuilt
	for range maxFindings {
		finding, better, err := e.explain(improved)
		if err != nil {
			return nil, err
		}
		if finding == nil {
			break
		}
		improved = better
		report.Findings = append(report.Findings, *finding)
	}
	report.improved = improved
	report.conclude(e)
	if opts.Model != nil {
		if report.Action, err = act(opts.Model, p, r, rebuilt); err != nil {
			return nil, err
		}
		if !report.Action.Agrees {
			report.Verdict = Differs
		}
	}
	return report, nil
}

// rate returns the median rate of the steps, in Hz.
func rate(timeS []float64) float64 {
	var periods []float64
	for i := range timeS[1:] {
		periods = append(periods, timeS[i+1]-timeS[i])
	}
	slices.Sort(periods)
	return 1 / periods[len(periods)/2]
}

// Series are the values of a slot over time.
type Series struct {
	Name, Unit string
	TimeS      []float64
	// Recorded is what the rollout has, Rebuilt what is built of its sensors, and Corrected that with all findings; NaN is
	// what is not known.
	Recorded, Rebuilt, Corrected []float64
}

// Series returns the values of the slot of that index.
func (r *Report) Series(slot Slot) Series {
	s := Series{Name: slot.Name, Unit: slot.Unit, TimeS: r.timeS}
	for t := range r.timeS {
		s.Recorded = append(s.Recorded, r.recorded.at(t, slot.Index))
		s.Rebuilt = append(s.Rebuilt, r.rebuilt.at(t, slot.Index))
		s.Corrected = append(s.Corrected, r.improved.at(t, slot.Index))
	}
	return s
}

// conclude compares the slots and says what it comes to.
func (r *Report) conclude(e *examination) {
	exact, left, white := true, map[string]bool{}, true
	for i, s := range e.slots {
		if s.Quantity == policy.Elsewhere && s.StepsBack == 0 {
			continue
		}
		before := e.compare(r.rebuilt, i)
		if before.n == 0 {
			continue
		}
		after := e.compare(r.improved, i)
		quantity := string(s.Quantity)
		if s.StepsBack > 0 {
			quantity = history
		}
		slot := Slot{
			Index: i, Name: s.Name, Quantity: quantity, Unit: unitOf(s), MaxAbs: before.max, RMS: before.rms(), Spread: e.spread[i],
			Relative: before.rms() / e.spread[i], Agrees: e.fits(before, i), RMSAfter: after.rms(),
		}
		r.Slots = append(r.Slots, slot)
		exact = exact && before.max <= e.tolerance[i]
		if after.n > 0 && !e.fits(after, i) {
			left[quantity] = true
			white = white && sensed[s.Quantity] && e.white(r.improved, i)
		}
	}
	slices.SortStableFunc(r.Slots, func(a, b Slot) int {
		if a.Agrees != b.Agrees {
			if a.Agrees {
				return 1
			}
			return -1
		}
		return cmp.Compare(b.Relative, a.Relative)
	})
	for _, b := range e.blocks {
		if left[string(b.quantity)] {
			r.Unexplained = append(r.Unexplained, string(b.quantity))
		}
		if e.still(b) {
			r.Still = append(r.Still, string(b.quantity))
		}
	}
	if left[history] {
		r.Unexplained = append(r.Unexplained, history)
	}
	r.LooksLikeNoise = len(left) > 0 && white
	switch {
	case len(r.Findings) > 0 || len(left) > 0:
		r.Verdict = Differs
	case !exact:
		r.Verdict = Noisy
	default:
		r.Verdict = Correct
	}
}

// white says whether what is left of a slot has no mean and does not depend on the step before.
func (e *examination) white(t *table, slot int) bool {
	n, sum, squares, products, last := 0.0, 0.0, 0.0, 0.0, 0.0
	for i := range t.rows {
		d := e.recorded.at(i, slot) - t.at(i, slot)
		if math.IsNaN(d) {
			continue
		}
		n, sum, squares, products, last = n+1, sum+d, squares+d*d, products+d*last, d
	}
	return math.Abs(products) < 0.3*squares && sum*sum/n < 0.1*squares
}

func unitOf(s policy.Slot) string {
	if s.Scale == 1 {
		return s.Unit
	}
	return strings.TrimSpace(fmt.Sprintf("%v %s", 1/s.Scale, s.Unit))
}

// usual is the least spread that counts, of a robot that moves, in the quantity's unit.
var usual = map[policy.Quantity]float64{
	policy.BaseVelocity: 0.2, policy.AngularVelocity: 0.5, policy.Gravity: 0.1, policy.RollPitch: 0.1,
	policy.JointPosition: 0.1, policy.JointVelocity: 1, policy.LastAction: 0.5, policy.Command: 0.5, policy.Contact: 0.5,
	policy.Constant: 1, policy.Elsewhere: 1,
}

// sensed are the quantities that can be noisy: the others are known to whoever builds the observation.
var sensed = map[policy.Quantity]bool{
	policy.BaseVelocity: true, policy.AngularVelocity: true, policy.Gravity: true, policy.RollPitch: true,
	policy.JointPosition: true, policy.JointVelocity: true,
}

// block is a quantity of the current step. Its slots are neighbours, or nearly.
type block struct {
	quantity policy.Quantity
	slots    []int
}

// examination compares tables with what was recorded.
type examination struct {
	*rebuilder
	recorded *table
	noise    float64
	blocks   []block

	knownOrders []order

	// Of each slot: the differences that are rounding, the spread as Slot has it, and how far the rebuilt value ranges.
	tolerance, spread, moves []float64
}

// measure learns the blocks, the tolerances and the spreads.
func (e *examination) measure(rebuilt *table) {
	for i, s := range e.slots[:e.current] {
		if s.Quantity == policy.Elsewhere || e.lacks[s.Quantity] != "" {
			continue
		}
		at := slices.IndexFunc(e.blocks, func(b block) bool { return b.quantity == s.Quantity })
		if at < 0 {
			at = len(e.blocks)
			e.blocks = append(e.blocks, block{quantity: s.Quantity})
		}
		e.blocks[at].slots = append(e.blocks[at].slots, i)
	}
	n := len(e.slots)
	e.tolerance, e.spread, e.moves = make([]float64, n), make([]float64, n), make([]float64, n)
	for i, s := range e.slots {
		varies, largest := deviation(e.recorded, i)
		// Positions were rounded before the default pose was subtracted: of up to 2 rad.
		e.tolerance[i] = equal + 8*e.rollout.Rounding*max(largest, 2*s.Scale)
		e.spread[i] = max(varies, usual[s.Quantity]*s.Scale)
		e.moves[i], _ = deviation(rebuilt, i)
	}
}

// deviation returns the standard deviation of a column and its largest magnitude.
func deviation(t *table, column int) (deviation, largest float64) {
	n, sum, squares := 0.0, 0.0, 0.0
	for i := range t.rows {
		v := t.at(i, column)
		if math.IsNaN(v) {
			continue
		}
		n, sum, squares, largest = n+1, sum+v, squares+v*v, max(largest, math.Abs(v))
	}
	if n == 0 {
		return 0, 0
	}
	return math.Sqrt(max(squares/n-sum*sum/n/n, 0)), largest
}

// still says whether a block hardly moves: then a wrong order, sign, frame or delay would hardly show.
func (e *examination) still(b block) bool {
	if !sensed[b.quantity] && b.quantity != policy.LastAction {
		return false
	}
	for _, i := range b.slots {
		if e.moves[i] > e.noise*usual[b.quantity]*e.slots[i].Scale {
			return false
		}
	}
	return true
}

// difference is recorded less something, in one slot or more, over all steps that are known.
type difference struct {
	n            int
	squares, max float64
}

func (d difference) rms() float64 {
	if d.n == 0 {
		return 0
	}
	return math.Sqrt(d.squares / float64(d.n))
}

// compare compares one slot.
func (e *examination) compare(t *table, slot int) (d difference) {
	for i := range t.rows {
		d.add(e.recorded.at(i, slot) - t.at(i, slot))
	}
	return d
}

// add adds what differs in one step; NaN is not known.
func (d *difference) add(v float64) {
	if !math.IsNaN(v) {
		d.n++
		d.squares += v * v
		d.max = max(d.max, math.Abs(v))
	}
}

// fits says whether a difference in a slot is rounding, or noise.
func (e *examination) fits(d difference, slot int) bool {
	return d.max <= e.tolerance[slot] || sensed[e.slots[slot].Quantity] && d.rms() <= e.noise*e.spread[slot]
}

// score is how a block compares.
type score struct {
	unit  float64 // Mean square of the differences, each in parts of its slot's spread.
	worst float64 // That of the worst slot.
	// bad is from 0, equal, to 1: what of the recorded values' variance and the difference's is the latter's.
	bad   float64
	exact bool // No difference is more than rounding.
	fits  bool
}

func (e *examination) score(compare func(slot int) difference, slots []int) score {
	s := score{exact: true, fits: true}
	n := 0
	for _, i := range slots {
		d := compare(i)
		if d.n == 0 {
			continue
		}
		n++
		square := d.squares / float64(d.n)
		variance := e.spread[i] * e.spread[i]
		s.unit += square / variance
		s.worst = max(s.worst, square/variance)
		s.bad += square / (square + variance)
		s.exact = s.exact && d.max <= e.tolerance[i]
		s.fits = s.fits && e.fits(d, i)
	}
	if n > 0 {
		s.unit, s.bad = s.unit/float64(n), s.bad/float64(n)
	}
	return s
}
