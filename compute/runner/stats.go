package runner

import (
	"maps"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Stats is what a loop recorded. Ticks = Actions + the sum of NoAction.
type Stats struct {
	// RateHz is the measured rate of ticks, in Hz; 0 before the second tick.
	RateHz float64 `json:"rate_measured_hz"`
	// Ticks counts turns of the loop.
	Ticks uint64 `json:"ticks"`
	// ObservationsRead counts the ticks at which a valid observation was read.
	ObservationsRead uint64 `json:"observations_read"`
	// Actions counts the ticks that led to a command.
	Actions uint64 `json:"actions"`
	// NoAction counts the other ticks by cause.
	NoAction map[Cause]uint64 `json:"no_action"`
	// Clipped counts commands that had to be clipped to the joints' limits.
	Clipped uint64 `json:"clipped"`
	// MissedDeadlines counts deadlines that the loop did not keep.
	MissedDeadlines uint64 `json:"missed_deadlines"`
	// StepLatency is the time from waking up to having sent the command, over ticks with an action.
	StepLatency Quantiles `json:"step_latency_us"`
	// ObservationAge is the age of observations when they were read.
	ObservationAge Quantiles `json:"observation_age_us"`
	// Action summarises the policy's output.
	Action ActionSummary `json:"action"`
}

// Quantiles of a duration, in µs, to three significant digits.
type Quantiles struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// ActionSummary summarises the actions that were sent, as the policy gave them: neither scaled nor clipped.
type ActionSummary struct {
	// Finite says whether every output of the model was finite; those that were not were not sent.
	Finite bool `json:"finite"`
	// Min and Max are the extremes over all values of all actions.
	Min float32 `json:"min"`
	Max float32 `json:"max"`
	// First and Last are the first and the last action, one value a joint; empty where there was none.
	First []float32 `json:"first"`
	Last  []float32 `json:"last"`
	// Distinct counts the actions that differ from the one before, the first among them.
	Distinct uint64 `json:"distinct"`
}

// recorder collects Stats. Recording does not allocate, but for the first tick of each cause.
type recorder struct {
	counters    Stats // All but rate, quantiles and what holds memory.
	first, last time.Time
	latency     *hdrhistogram.Histogram // In ns.
	age         *hdrhistogram.Histogram // In ns.
	firstAction []float32
	lastAction  []float32
}

func newRecorder(joints int) recorder {
	const (
		longest = int64(time.Minute) // Whatever takes longer counts as this.
		digits  = 3
	)
	return recorder{
		counters:    Stats{NoAction: map[Cause]uint64{}, Action: ActionSummary{Finite: true}},
		latency:     hdrhistogram.New(1, longest, digits),
		age:         hdrhistogram.New(1, longest, digits),
		firstAction: make([]float32, joints),
		lastAction:  make([]float32, joints),
	}
}

func (r *recorder) record(start time.Time, latency time.Duration, missed int, s step, action []float32) {
	c := &r.counters
	if c.Ticks == 0 {
		r.first = start
	}
	r.last = start
	c.Ticks++
	c.MissedDeadlines += uint64(missed)
	if s.read {
		c.ObservationsRead++
		observe(r.age, s.age)
	}
	if s.cause != "" {
		c.NoAction[s.cause]++
		c.Action.Finite = c.Action.Finite && s.cause != NotFinite
		return
	}
	if s.clipped {
		c.Clipped++
	}
	observe(r.latency, latency)
	if c.Actions == 0 {
		copy(r.firstAction, action)
		c.Action.Min, c.Action.Max = slices.Min(action), slices.Max(action)
	}
	if c.Actions == 0 || !slices.Equal(r.lastAction, action) {
		c.Action.Distinct++
	}
	c.Action.Min = min(c.Action.Min, slices.Min(action))
	c.Action.Max = max(c.Action.Max, slices.Max(action))
	copy(r.lastAction, action)
	c.Actions++
}

func (r *recorder) stats() Stats {
	s := r.counters
	s.NoAction = maps.Clone(s.NoAction)
	s.Action.First, s.Action.Last = []float32{}, []float32{}
	if s.Actions > 0 {
		s.Action.First, s.Action.Last = slices.Clone(r.firstAction), slices.Clone(r.lastAction)
	}
	if elapsed := r.last.Sub(r.first); elapsed > 0 {
		s.RateHz = float64(s.Ticks-1) / elapsed.Seconds()
	}
	s.StepLatency, s.ObservationAge = quantiles(r.latency), quantiles(r.age)
	return s
}

func observe(h *hdrhistogram.Histogram, d time.Duration) {
	// The only error is a value out of range, and it cannot be.
	_ = h.RecordValue(min(max(int64(d), 0), h.HighestTrackableValue()))
}

func quantiles(h *hdrhistogram.Histogram) Quantiles {
	us := func(ns int64) float64 { return float64(ns) / float64(time.Microsecond) }
	return Quantiles{
		P50:  us(h.ValueAtPercentile(50)),
		P90:  us(h.ValueAtPercentile(90)),
		P99:  us(h.ValueAtPercentile(99)),
		P999: us(h.ValueAtPercentile(99.9)),
		Max:  us(h.Max()),
	}
}
