package runner

import (
	"maps"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Stats are the counters of a loop. Steps = Actions + the sum of Skipped.
type Stats struct {
	// RateHz is the measured rate of steps, in Hz; 0 before the second step.
	RateHz float64 `json:"rate_measured_hz"`
	// Steps counts steps of the loop.
	Steps uint64 `json:"steps"`
	// ObservationsRead counts the steps at which a valid observation was read.
	ObservationsRead uint64 `json:"observations_read"`
	// Actions counts the steps that led to a command.
	Actions uint64 `json:"actions"`
	// Skipped counts the other steps by reason.
	Skipped map[SkipReason]uint64 `json:"skipped"`
	// Clipped counts commands that were clipped to the joints' limits.
	Clipped uint64 `json:"clipped"`
	// MissedDeadlines counts deadlines that the loop missed.
	MissedDeadlines uint64 `json:"missed_deadlines"`
	// StepLatency is the time from the wake-up to the sent command, over steps with an action.
	StepLatency Quantiles `json:"step_latency_us"`
	// ObservationAge is the age of observations when the loop read them.
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

// ActionSummary summarises the sent actions before scaling and clipping.
type ActionSummary struct {
	// Finite is true if every output of the model was finite. Others are not sent.
	Finite bool `json:"finite"`
	// Min and Max are the extremes over all values of all actions.
	Min float32 `json:"min"`
	Max float32 `json:"max"`
	// First and Last are the first and the last action, one value per joint; empty without an action.
	First []float32 `json:"first"`
	Last  []float32 `json:"last"`
	// Distinct counts the actions that differ from the one before, including the first.
	Distinct uint64 `json:"distinct"`
}

// recorder collects Stats. Recording allocates only at the first step of each reason.
type recorder struct {
	counters    Stats // Without rate, quantiles, First and Last.
	first, last time.Time
	latency     *hdrhistogram.Histogram // In ns.
	age         *hdrhistogram.Histogram // In ns.
	firstAction []float32
	lastAction  []float32
}

func newRecorder(joints int) recorder {
	const (
		longest = int64(time.Minute) // Longer durations count as this.
		digits  = 3
	)
	return recorder{
		counters:    Stats{Skipped: map[SkipReason]uint64{}, Action: ActionSummary{Finite: true}},
		latency:     hdrhistogram.New(1, longest, digits),
		age:         hdrhistogram.New(1, longest, digits),
		firstAction: make([]float32, joints),
		lastAction:  make([]float32, joints),
	}
}

func (r *recorder) record(start time.Time, latency time.Duration, missed int, s result, action []float32) {
	c := &r.counters
	if c.Steps == 0 {
		r.first = start
	}
	r.last = start
	c.Steps++
	c.MissedDeadlines += uint64(missed)
	if s.read {
		c.ObservationsRead++
		observe(r.age, s.age)
	}
	if s.skipped != "" {
		c.Skipped[s.skipped]++
		c.Action.Finite = c.Action.Finite && s.skipped != NotFinite
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
	s.Skipped = maps.Clone(s.Skipped)
	s.Action.First, s.Action.Last = []float32{}, []float32{}
	if s.Actions > 0 {
		s.Action.First, s.Action.Last = slices.Clone(r.firstAction), slices.Clone(r.lastAction)
	}
	if elapsed := r.last.Sub(r.first); elapsed > 0 {
		s.RateHz = float64(s.Steps-1) / elapsed.Seconds()
	}
	s.StepLatency, s.ObservationAge = quantiles(r.latency), quantiles(r.age)
	return s
}

func observe(h *hdrhistogram.Histogram, d time.Duration) {
	// The only error is a value out of range, which min and max exclude.
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
