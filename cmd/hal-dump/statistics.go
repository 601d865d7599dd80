package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"krabby.dev/krabby/cmd/internal/endpoint"
	"krabby.dev/krabby/hal/message"
)

// statistics describe a stream. Ages have three significant digits.
type statistics struct {
	DurationS    float64 `json:"duration_s"`
	Observations uint64  `json:"observations"`
	// RateHz is the mean rate from the first observation to the last; 0 before the second.
	RateHz   float64 `json:"rate_hz"`
	AgeUs    ages    `json:"age_us"`
	AgeClock string  `json:"age_clock"`
	// Gaps counts gaps in the sequence, Missed the observations in them. Nil for version 1, which has no sequence.
	Gaps   *uint64 `json:"gaps,omitempty"`
	Missed *uint64 `json:"missed,omitempty"`
	// Restarts counts changes of the session. Nil for version 1.
	Restarts *uint64 `json:"restarts,omitempty"`
	// Rejected counts the other messages, by reason.
	Rejected map[string]uint64 `json:"rejected"`
}

type ages struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// meter collects statistics.
type meter struct {
	stats             statistics
	ages              *hdrhistogram.Histogram // In ns.
	first, last       time.Time
	session, sequence uint64
}

// newMeter returns a meter for a stream with or without sequence numbers.
func newMeter(sequences bool) *meter {
	m := &meter{ages: hdrhistogram.New(1, int64(time.Minute), 3)}
	if sequences {
		m.stats.Gaps, m.stats.Missed, m.stats.Restarts = new(uint64), new(uint64), new(uint64)
	}
	return m
}

// add records an observation that was read at a time.
func (m *meter) add(o *message.Observation, at time.Time, age time.Duration, clock string) {
	if m.stats.Observations == 0 {
		m.first = at
	}
	m.last = at
	// A clock that is behind gives a negative age; ages above a minute count as one minute.
	_ = m.ages.RecordValue(int64(min(max(age, 0), time.Minute)))
	m.stats.AgeClock = clock
	if m.stats.Gaps != nil && m.stats.Observations > 0 {
		switch {
		case o.SessionID != m.session:
			*m.stats.Restarts++
		case o.Sequence > m.sequence+1:
			*m.stats.Gaps++
			*m.stats.Missed += o.Sequence - m.sequence - 1
		}
	}
	m.session, m.sequence = o.SessionID, o.Sequence
	m.stats.Observations++
}

// result returns the statistics of a stream over the watched time.
func (m *meter) result(watched time.Duration, rejected map[string]uint64) *statistics {
	s := &m.stats
	s.DurationS, s.Rejected = watched.Seconds(), rejected
	if between := m.last.Sub(m.first); between > 0 {
		s.RateHz = float64(s.Observations-1) / between.Seconds()
	}
	at := func(quantile float64) float64 { return micros(time.Duration(m.ages.ValueAtQuantile(quantile))) }
	s.AgeUs = ages{at(50), at(99), micros(time.Duration(m.ages.Max()))}
	return s
}

// text writes the statistics over several lines.
func (s *statistics) text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "observations\t%d in %.2f s\n", s.Observations, s.DurationS)
	fmt.Fprintf(t, "rate\t%.2f Hz\n", s.RateHz)
	fmt.Fprintf(t, "age\tp50 %.3f ms, p99 %.3f ms, max %.3f ms by the %s clock\n", s.AgeUs.P50/1000, s.AgeUs.P99/1000, s.AgeUs.Max/1000, s.AgeClock)
	if s.Gaps != nil {
		fmt.Fprintf(t, "gaps\t%d, of %d observations\n", *s.Gaps, *s.Missed)
		fmt.Fprintf(t, "restarts\t%d\n", *s.Restarts)
	}
	fmt.Fprintf(t, "rejected\t%s\n", endpoint.Counts(s.Rejected))
	return t.Flush()
}
