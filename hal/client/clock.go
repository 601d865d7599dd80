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

// ErrClock says that the server's time is not known, so that neither the age of an observation can be told nor a command
// be stamped.
var ErrClock = errors.New("client: the server's time is not known")

const (
	// exchanges is how many requests an estimate is made of.
	exchanges = 8
	// syncEvery is the time between estimates, retryEvery that after one that failed, and syncLeast the least.
	syncEvery, retryEvery, syncLeast = 2 * time.Second, 100 * time.Millisecond, 20 * time.Millisecond
	// driftPerNs is how much two clocks may drift apart: 50 ppm each is as bad as the crystals of computers are.
	driftPerNs = 100e-6
	// maxDrift is how far they may have drifted apart since an estimate for it to count: the tolerance of the gate.
	maxDrift = time.Millisecond
	// maxRoundTrip is that of the slowest exchange that an estimate is made of. Times could be wrong by half of it.
	maxRoundTrip = 50 * time.Millisecond
)

// Estimate is what a Clock knows.
type Estimate struct {
	// SessionID names the life of the server that it is of.
	SessionID uint64
	// Offset is what the server's clock shows more than the local one.
	Offset time.Duration
	// RoundTrip is how long the exchange took that it is from.
	RoundTrip time.Duration
	// Age is how long ago that was.
	Age time.Duration
	// Bound is how far the server's time may be from what is taken for it: half the round trip, and what clocks may have
	// drifted apart since.
	Bound time.Duration
	// Jumps counts estimates of one session that contradicted the one before: one of the clocks stood still or jumped.
	Jumps uint64
}

// Clock tells the time of a server on another machine, as a clock.Source. It asks for it some times in a row and believes
// the exchange with the least round trip (Cristian's algorithm, with the four times of NTP): sent at t1 and answered at t4
// by the local clock, received at t2 and sent back at t3 by the server's. The server's clock is then ahead by
//
//	((t2-t1) + (t3-t4)) / 2, give or take half the round trip (t4-t1) - (t3-t2)
//
// because all that is not known is how the round trip divides into the way there, f, and the way back, b. The error is
// (f-b)/2: the server's time seems later than it is where the way there took longer.
//
// A command's stamp does not seem to be of the future to the server. It could only if the error, at most f/2, were more
// than the command's own way there and the gate's tolerance of 1 ms together: if commands were more than twice as fast, and
// 2 ms, as the fastest of the exchanges. The least round trip is the one in which neither way had to wait, so it is the
// commands' own way, or quicker. An average would not do: one exchange that waited for 20 ms on its way there would move
// all stamps by a part of that.
//
// Within an estimate's session the time does not go back. An estimate holds for one session, and until the clocks may
// have drifted apart by 1 ms, which is 10 s; Run makes a new one every 2 s, and at once where it is missed. A Clock is
// safe for concurrent use.
type Clock struct {
	control *Control

	every, retry time.Duration
	missed       chan struct{} // Has something where an estimate is needed.
	rounds       sync.Mutex    // Held by Synchronise.

	mu       sync.Mutex // Guards the rest.
	known    bool
	estimate Estimate // Without Age and Bound.
	atNs     int64    // When it was made, by the local clock.
	lastNs   int64    // What was told last.
}

// NewClock returns a clock that asks by control. It knows nothing before Synchronise or Run.
func NewClock(control *Control) *Clock {
	return &Clock{control: control, every: syncEvery, retry: retryEvery, missed: make(chan struct{}, 1), lastNs: math.MinInt64}
}

// Run makes estimates until ctx is done.
func (c *Clock) Run(ctx context.Context) {
	for ctx.Err() == nil {
		wait := c.every
		if c.Synchronise(ctx) != nil {
			wait = c.retry
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(syncLeast): // Those who miss it do so at a high rate.
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait - syncLeast):
		case <-c.missed:
		}
	}
}

// Synchronise makes an estimate now. After an error that before holds for as long as it does, unless the server was
// started again.
func (c *Clock) Synchronise(ctx context.Context) error {
	c.rounds.Lock()
	defer c.rounds.Unlock()
	var best Estimate
	var bestNs int64
	found := 0
	for range exchanges {
		a, e, err := c.control.once(ctx, message.ControlRequest{Operation: message.ReadClock})
		if err != nil {
			return fmt.Errorf("%w: %w", ErrClock, err)
		}
		c.keepOnly(a.SessionID)
		if found > 0 && a.SessionID != best.SessionID {
			found = 0 // It was started again in between.
		}
		taken := a.SentNs - a.ReceivedNs // By the server. Less than 0 also where it is more than there are numbers.
		roundTrip := time.Duration((e.receivedNs - e.sentNs) - taken)
		if a.SentNs < a.ReceivedNs || taken < 0 || roundTrip < 0 {
			continue // The server took longer than it took: one of the clocks jumped.
		}
		if found == 0 || roundTrip < best.RoundTrip {
			best = Estimate{SessionID: a.SessionID, Offset: time.Duration(a.ReceivedNs-e.sentNs) - roundTrip/2, RoundTrip: roundTrip}
			bestNs = e.receivedNs
		}
		found++
	}
	if found == 0 {
		return fmt.Errorf("%w: found no exchange that makes sense among %d", ErrClock, exchanges)
	}
	if best.RoundTrip > maxRoundTrip {
		return fmt.Errorf("%w: found a round trip of %v in the best of %d exchanges, expected at most %v", ErrClock, best.RoundTrip, exchanges, maxRoundTrip)
	}
	c.set(best, bestNs)
	return nil
}

// keepOnly forgets an estimate of another session.
func (c *Clock) keepOnly(sessionID uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.estimate.SessionID != sessionID {
		c.known = false
	}
}

// set makes e what is known.
func (c *Clock) set(e Estimate, atNs int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.Jumps = c.estimate.Jumps
	before := c.estimate
	switch {
	case before.SessionID != e.SessionID:
		c.lastNs = math.MinInt64
	case (e.Offset - before.Offset).Abs() > bound(e.RoundTrip, 0)+bound(before.RoundTrip, time.Duration(atNs-c.atNs)):
		c.lastNs = math.MinInt64
		e.Jumps++
	}
	c.known, c.estimate, c.atNs = true, e, atNs
}

// bound is how far an estimate of so long ago may be off.
func bound(roundTrip, age time.Duration) time.Duration { return (roundTrip+1)/2 + drift(age) }

func drift(age time.Duration) time.Duration { return time.Duration(float64(age) * driftPerNs) }

// Estimate returns what is known. The error is ErrClock where that is not enough to tell the time.
func (c *Clock) Estimate() (Estimate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.estimateAt(c.control.local.NowNs())
}

func (c *Clock) estimateAt(localNs int64) (Estimate, error) {
	if !c.known {
		return Estimate{}, fmt.Errorf("%w: no estimate was made yet", ErrClock)
	}
	e := c.estimate
	e.Age = max(time.Duration(localNs-c.atNs), 0)
	e.Bound = bound(e.RoundTrip, e.Age)
	if drift(e.Age) > maxDrift {
		return e, fmt.Errorf("%w: the last estimate was made %v ago, in which clocks may drift apart by more than %v", ErrClock, e.Age.Round(time.Millisecond), maxDrift)
	}
	return e, nil
}

// NowNs returns what the server's clock shows as far as that is known: before the first estimate, what the local one does.
func (c *Clock) NowNs() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tell(c.control.local.NowNs())
}

// SessionNowNs returns what the server's clock shows, if it is that of a session. The error is ErrClock where it is not
// known, or of another session.
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
		case c.missed <- struct{}{}:
		default:
		}
		return 0, err
	}
	return c.tell(localNs), nil
}

// tell returns the server's time. The caller holds mu.
func (c *Clock) tell(localNs int64) int64 {
	if !c.known {
		return localNs
	}
	c.lastNs = max(c.lastNs, localNs+int64(c.estimate.Offset))
	return c.lastNs
}
