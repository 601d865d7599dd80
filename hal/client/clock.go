package client

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"krabby.dev/krabby/hal/message"
)

// ErrClock is returned if the server's time is not known. It is needed for the age of an observation and the stamp of a command.
var ErrClock = errors.New("client: the server's time is not known")

const (
	// exchanges is the number of requests for an estimate.
	exchanges = 8
	// syncInterval is the time between estimates, retryInterval after a failed one, and minSyncInterval the minimum.
	syncInterval, retryInterval, minSyncInterval = 2 * time.Second, 100 * time.Millisecond, 20 * time.Millisecond
	// driftPerNs is the maximum drift between two clocks: 50 ppm each, as for the worst crystals of computers.
	driftPerNs = 100e-6
	// maxDrift is the drift after which an estimate is invalid. It is the clock tolerance of the safety gate.
	maxDrift = time.Millisecond
	// maxRoundTrip is the maximum round trip of an estimate. The error is at most half of it.
	maxRoundTrip = 50 * time.Millisecond
)

// ClockEstimate is an estimate of a server's clock.
type ClockEstimate struct {
	// SessionID is the session of the server.
	SessionID uint64
	// Offset is the server's time minus the local time.
	Offset time.Duration
	// RoundTrip is the round trip time of the exchange that the estimate is from.
	RoundTrip time.Duration
	// Age is the time since the exchange.
	Age time.Duration
	// Bound is the maximum error: half the round trip, and the possible drift since the exchange.
	Bound time.Duration
	// Jumps counts estimates of one session that contradict the previous one, because a clock stood still or jumped.
	Jumps uint64
}

// Clock estimates the time of a server on another machine. It implements clock.Source.
//
// It requests the server's time several times, and uses the exchange with the shortest round trip (Cristian's algorithm, with the
// four timestamps of NTP): the request was sent at t1 and the reply received at t4 on the local clock; the request was received
// at t2 and the reply sent at t3 on the server's clock. The server's clock is ahead by
//
//	((t2-t1) + (t3-t4)) / 2 ± half the round trip (t4-t1) - (t3-t2)
//
// The error is (f-b)/2 for a forward delay f and a backward delay b: the estimate is late if the forward delay is longer.
//
// A stamp of a command is not in the future for the server. It would be, if the error, at most f/2, exceeded the command's own
// forward delay and the gate's tolerance of 1 ms together: if a command were more than twice as fast, and 2 ms faster, than the
// fastest exchange. In the exchange with the shortest round trip neither delay contains queueing, so f is about the delay of a
// command. An average would include the queueing of slow exchanges.
//
// The time of a session does not go back, unless a clock jumps. An estimate is valid for one session, and until the clocks may
// have drifted apart by 1 ms, which is for 10 s. Run estimates every 2 s, and immediately if an estimate is missing. A Clock is
// safe for concurrent use.
type Clock struct {
	control *Control

	interval, retry time.Duration
	needed          chan struct{} // Has an element if an estimate is missing.
	syncMu          sync.Mutex    // Serializes Synchronize.

	mu       sync.Mutex    // Guards the fields below.
	valid    bool          // There is an estimate of the current session.
	estimate ClockEstimate // Without Age and Bound.
	atNs     int64         // Local time of the estimate.
	lastNs   int64         // Last returned time.
}

// NewClock returns a clock that requests the server's time by control. It has no estimate before Synchronize or Run.
func NewClock(control *Control) *Clock {
	return &Clock{
		control: control, interval: syncInterval, retry: retryInterval, needed: make(chan struct{}, 1), lastNs: math.MinInt64,
	}
}

// Run estimates the server's time repeatedly until ctx is done.
func (c *Clock) Run(ctx context.Context) {
	for ctx.Err() == nil {
		wait := c.interval
		if c.Synchronize(ctx) != nil {
			wait = c.retry
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(minSyncInterval): // Callers without an estimate ask at a high rate.
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait - minSyncInterval):
		case <-c.needed:
		}
	}
}

// Synchronize estimates the server's time now. After an error, the previous estimate stays valid, unless the server was restarted.
func (c *Clock) Synchronize(ctx context.Context) error {
	c.syncMu.Lock()
	defer c.syncMu.Unlock()
	var best ClockEstimate
	var bestNs int64
	found := 0
	for range exchanges {
		a, e, err := c.control.attempt(ctx, message.ControlRequest{Operation: message.ReadClock})
		if err != nil {
			return fmt.Errorf("%w: %w", ErrClock, err)
		}
		c.invalidateUnless(a.SessionID)
		if found > 0 && a.SessionID != best.SessionID {
			found = 0 // The server was restarted since the last exchange.
		}
		processing := a.SentNs - a.ReceivedNs // By the server. Negative also if it overflows.
		roundTrip := time.Duration((e.receivedNs - e.sentNs) - processing)
		if a.SentNs < a.ReceivedNs || processing < 0 || roundTrip < 0 {
			continue // One of the clocks jumped.
		}
		if found == 0 || roundTrip < best.RoundTrip {
			best = ClockEstimate{SessionID: a.SessionID, Offset: time.Duration(a.ReceivedNs-e.sentNs) - roundTrip/2, RoundTrip: roundTrip}
			bestNs = e.receivedNs
		}
		found++
	}
	if found == 0 {
		return fmt.Errorf("%w: no consistent exchange among %d", ErrClock, exchanges)
	}
	if best.RoundTrip > maxRoundTrip {
		return fmt.Errorf("%w: found a round trip of %v in the best of %d exchanges, expected at most %v", ErrClock, best.RoundTrip, exchanges, maxRoundTrip)
	}
	c.set(best, bestNs)
	return nil
}

// invalidateUnless invalidates the estimate if it is of another session.
func (c *Clock) invalidateUnless(sessionID uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.estimate.SessionID != sessionID {
		c.valid = false
	}
}

// set sets the estimate, which was made at a local time.
func (c *Clock) set(e ClockEstimate, atNs int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.Jumps = c.estimate.Jumps
	previous := c.estimate
	switch {
	case previous.SessionID != e.SessionID:
		c.lastNs = math.MinInt64
	case (e.Offset - previous.Offset).Abs() > bound(e.RoundTrip, 0)+bound(previous.RoundTrip, time.Duration(atNs-c.atNs)):
		c.lastNs = math.MinInt64
		e.Jumps++
	}
	c.valid, c.estimate, c.atNs = true, e, atNs
}

// bound returns the maximum error of an estimate at an age.
func bound(roundTrip, age time.Duration) time.Duration { return (roundTrip+1)/2 + drift(age) }

// drift returns the maximum drift in a time.
func drift(age time.Duration) time.Duration { return time.Duration(float64(age) * driftPerNs) }

// Estimate returns the current estimate. The error is [ErrClock] if it is missing or too old.
func (c *Clock) Estimate() (ClockEstimate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.estimateAt(c.control.local.NowNs())
}

// estimateAt returns the estimate at a local time. The caller holds mu.
func (c *Clock) estimateAt(localNs int64) (ClockEstimate, error) {
	if !c.valid {
		return ClockEstimate{}, fmt.Errorf("%w: no estimate was made yet", ErrClock)
	}
	e := c.estimate
	e.Age = max(time.Duration(localNs-c.atNs), 0)
	e.Bound = bound(e.RoundTrip, e.Age)
	if drift(e.Age) > maxDrift {
		return e, fmt.Errorf("%w: the last estimate is %v old, and the clocks may have drifted apart by more than %v", ErrClock, e.Age.Round(time.Millisecond), maxDrift)
	}
	return e, nil
}

// NowNs returns the estimated time of the server, or the local time before the first estimate, in ns.
func (c *Clock) NowNs() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.serverNs(c.control.local.NowNs())
}

// SessionNowNs returns the estimated time of the server of a session, in ns. The error is [ErrClock] if the estimate is missing,
// too old, or of another session.
func (c *Clock) SessionNowNs(sessionID uint64) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	localNs := c.control.local.NowNs()
	e, err := c.estimateAt(localNs)
	if err == nil && e.SessionID != sessionID {
		err = fmt.Errorf("%w: found a message of session %d, expected %d", ErrClock, sessionID, e.SessionID)
	}
	if err != nil {
		select {
		case c.needed <- struct{}{}:
		default:
		}
		return 0, err
	}
	return c.serverNs(localNs), nil
}

// serverNs returns the server's time at a local time. The caller holds mu.
func (c *Clock) serverNs(localNs int64) int64 {
	if !c.valid {
		return localNs
	}
	c.lastNs = max(c.lastNs, localNs+int64(c.estimate.Offset))
	return c.lastNs
}
