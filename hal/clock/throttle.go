package clock

import "time"

// Throttle keeps what happens at every tick from flooding a log: it lets one of the events through a period, with the
// number of those that it stands for. The zero value lets everything through. It belongs to one goroutine.
type Throttle struct {
	// Period is the least time between two times at which something is let through.
	Period time.Duration
	last   time.Time
	held   int
}

// Add counts n more events, which may be none. Where it is time to speak of them, total is how many there were since it
// last was; it is 0 otherwise.
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

// Flush returns how many events were held back since some were last let through, and forgets them.
func (t *Throttle) Flush() (total int) {
	total, t.held = t.held, 0
	return total
}
