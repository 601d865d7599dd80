package clock

import "time"

// Throttle limits reports of events to one per period, with the number of events since the last report. The zero value reports every
// event. It belongs to one goroutine.
type Throttle struct {
	// Period is the minimum time between two reports.
	Period time.Duration
	last   time.Time
	held   int
}

// Add counts n events, which may be 0. If a report is due, total is the number of events since the last report; otherwise it is 0.
func (t *Throttle) Add(n int) (total int) {
	t.held += n
	if t.held == 0 {
		return 0
	}
	now := time.Now()
	if !t.last.IsZero() && now.Sub(t.last) < t.Period {
		return 0
	}
	t.last = now
	return t.Flush()
}

// Flush returns the number of events since the last report and resets it.
func (t *Throttle) Flush() (total int) {
	total, t.held = t.held, 0
	return total
}
