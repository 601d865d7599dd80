// Package client is the controller's side of the hardware abstraction layer. A [Client] reads the newest observation with its age,
// and sends joint commands with the stamps that the server's safety gate checks. A [Control] requests the state, a stop or a
// reset. A [Clock] synchronizes with the clock of a server on another machine.
//
// The package must never import servers, backends or inference.
package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/wire"
)

var (
	// ErrNoObservation is returned if there is no new observation since the last one that was read.
	ErrNoObservation = errors.New("client: no new observation")
	// ErrOutdated is returned if the received observation is not newer than the last one.
	ErrOutdated = errors.New("client: observation is not newer than the last one")
	// ErrNoSession is returned for a command before the first observation, from which the client learns the session.
	ErrNoSession = errors.New("client: unknown session: no observation was read yet")
)

// Subscriber receives observation frames. *bus.Subscriber implements it.
type Subscriber interface {
	bus.ConnectionCounter
	// TryReceive sets f to the newest unread frame, without blocking. The error is bus.ErrEmpty if there is none.
	TryReceive(f *bus.Frame) error
	// Receive sets f to the newest unread frame, and waits for one until ctx is done.
	Receive(ctx context.Context, f *bus.Frame) error
}

// Sender sends command frames. *bus.Sender implements it.
type Sender interface {
	bus.ConnectionCounter
	// Send sends a frame without blocking. It must not retain frame.
	Send(frame []byte) error
}

// Stats are the counters of a client since New.
type Stats struct {
	// Observations counts valid observations that were read.
	Observations uint64 `json:"observations"`
	// Skipped counts published observations that newer ones replaced before they were read.
	Skipped uint64 `json:"skipped"`
	// Rejected counts rejected observations by reason: a wire.RejectReason, multipart, oversize, invalid, old, clock or transport.
	Rejected map[string]uint64 `json:"rejected"`
	// Connections counts the TCP connections to the server.
	Connections bus.Connections `json:"connections"`
	// Sent counts sent commands.
	Sent uint64 `json:"sent"`
	// Unsent counts commands that could not be sent.
	Unsent uint64 `json:"unsent"`
}

// Option configures a Client.
type Option func(*Client)

// WithValidity sets the time after which a sent command expires. The default is 100 ms.
func WithValidity(d time.Duration) Option { return func(c *Client) { c.validity = d } }

// WithClock sets the clock for ages and stamps, which must be the server's. The default is the machine's monotonic clock. For a
// server on another machine, use a [*Clock]: while it is not synchronized with the server's session, observations are rejected
// and commands are not sent, with ErrClock.
func WithClock(source clock.Source) Option { return func(c *Client) { c.clock = source } }

// WithMaxAge sets the maximum age of the newest observation for Health.Alive. The default is 200 ms.
func WithMaxAge(age time.Duration) Option { return func(c *Client) { c.maxAge = age } }

// WithMeter calls age with the age of each valid observation that was read. It must not block.
func WithMeter(age func(time.Duration)) Option { return func(c *Client) { c.meterAge = age } }

// Health is the state of the link to the server.
type Health struct {
	// Alive reports whether the age of the newest observation is at most the maximum. It is false if the server's time is not known.
	Alive bool `json:"alive"`
	// SessionID and Sequence identify the newest observation that was read. They are 0 before the first one.
	SessionID uint64 `json:"session_id"`
	Sequence  uint64 `json:"sequence"`
	// Age is the age of that observation; 0 if the server's time is not known.
	Age time.Duration `json:"age_ns"`
	// Restarts counts changes of the session.
	Restarts uint64 `json:"restarts"`
}

// Client reads the observations of one server and sends commands to it. It is safe for concurrent use. Goroutines that read share
// one stream: each observation is delivered to one of them.
//
// The images of an observation borrow memory of the bus, which the bus cannot reuse meanwhile. They are valid until the next read
// into the same *message.Observation, or until Release.
type Client struct {
	robot      *robot.Robot
	subscriber Subscriber
	sender     Sender
	clock      clock.Source
	validity   time.Duration
	maxAge     time.Duration
	meterAge   func(time.Duration)

	readLock chan struct{} // Locked by an element, also while waiting for an observation. Guards spare.
	spare    *bus.Frame    // Receives the next frame.

	borrowMu sync.Mutex                          // Guards borrowed.
	borrowed map[*message.Observation]*bus.Frame // The frames that observations borrow from.

	sendMu       sync.Mutex // Guards sender and the next two fields.
	sequence     uint64     // Of the last command.
	commandFrame []byte

	mu         sync.Mutex // Guards the fields below.
	observed   bool       // An observation was accepted; the next fields are from the last one.
	health     Health     // Without Alive and Age.
	observedNs int64
	stats      Stats
}

// New returns a client for r that reads from subscriber and sends to sender, which is nil for a client that only reads.
func New(r *robot.Robot, subscriber Subscriber, sender Sender, opts ...Option) *Client {
	c := &Client{
		robot:        r,
		subscriber:   subscriber,
		sender:       sender,
		clock:        clock.New(),
		validity:     100 * time.Millisecond,
		maxAge:       200 * time.Millisecond,
		meterAge:     func(time.Duration) {},
		readLock:     make(chan struct{}, 1),
		spare:        new(bus.Frame),
		borrowed:     map[*message.Observation]*bus.Frame{},
		commandFrame: make([]byte, 0, wire.MaxCommandBytes),
		stats:        Stats{Rejected: map[string]uint64{}},
	}
	for _, opt := range opts {
		opt(c)
	}
	return c
}

// Poll reads the newest unread observation into o and returns its age, without blocking.
//
// The error is [ErrNoObservation] if there is none or another goroutine is waiting for it, [ErrOutdated], [ErrClock], a
// wire.RejectReason for a malformed frame, a *message.FieldError for an invalid observation, or an error of the transport. After
// ErrNoObservation, o is unchanged; after other errors, its contents are unspecified.
func (c *Client) Poll(o *message.Observation) (age time.Duration, err error) {
	select {
	case c.readLock <- struct{}{}:
	default:
		return 0, ErrNoObservation
	}
	defer func() { <-c.readLock }()
	err = c.subscriber.TryReceive(c.spare)
	if errors.Is(err, bus.ErrEmpty) {
		return 0, ErrNoObservation
	}
	if err != nil {
		return 0, c.receiveFailed(err)
	}
	return c.read(o)
}

// Latest is Poll, but waits for an observation. The error is that of ctx if ctx is done first.
func (c *Client) Latest(ctx context.Context, o *message.Observation) (age time.Duration, err error) {
	select {
	case c.readLock <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-c.readLock }()
	if err := c.subscriber.Receive(ctx, c.spare); err != nil {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return 0, c.receiveFailed(err)
	}
	return c.read(o)
}

// Release returns the memory of the images of o to the bus. The images must not be used afterwards. Call it for observations that
// are not read into again. It does not wait for goroutines that read.
func (c *Client) Release(o *message.Observation) {
	c.borrowMu.Lock()
	defer c.borrowMu.Unlock()
	if f := c.borrowed[o]; f != nil {
		f.Release()
		delete(c.borrowed, o)
	}
}

// receiveFailed counts an error of the subscriber, and returns it.
func (c *Client) receiveFailed(err error) error {
	reason := "transport"
	if errors.Is(err, bus.ErrMultipart) {
		reason = "multipart"
	}
	return c.reject(reason, err)
}

// read decodes and validates the received frame. The caller holds readLock.
func (c *Client) read(o *message.Observation) (time.Duration, error) {
	if err := wire.DecodeObservation(o, c.spare.Bytes()); err != nil {
		c.spare.Release()
		reason, _ := errors.AsType[wire.RejectReason](err)
		return 0, c.reject(string(reason), err)
	}
	// o borrows from the received frame now, and no longer from its previous one.
	c.spare = c.borrow(o, c.spare)
	c.spare.Release()
	if err := o.Validate(c.robot); err != nil {
		return 0, c.reject("invalid", fmt.Errorf("client: observation %d: %w", o.Sequence, err))
	}
	return c.accept(o)
}

// borrow records that o borrows from f. It returns the previous frame of o, or a new one.
func (c *Client) borrow(o *message.Observation, f *bus.Frame) *bus.Frame {
	c.borrowMu.Lock()
	defer c.borrowMu.Unlock()
	previous := c.borrowed[o]
	c.borrowed[o] = f
	if previous == nil {
		previous = new(bus.Frame)
	}
	return previous
}

// accept records a valid observation if it is newer than the last one, and returns its age.
func (c *Client) accept(o *message.Observation) (time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	newSession := o.SessionID != c.health.SessionID
	if c.observed && !newSession && o.Sequence <= c.health.Sequence {
		c.stats.Rejected["old"]++
		return 0, ErrOutdated
	}
	now, err := c.nowNs(o.SessionID)
	switch {
	case err != nil:
		c.stats.Rejected["clock"]++
		return 0, err
	case c.observed && newSession:
		c.health.Restarts++
	case c.observed:
		c.stats.Skipped += o.Sequence - c.health.Sequence - 1
	}
	c.observed, c.health.SessionID, c.health.Sequence, c.observedNs = true, o.SessionID, o.Sequence, o.MonotonicNs
	c.stats.Observations++
	age := time.Duration(now - o.MonotonicNs)
	c.meterAge(age)
	return age, nil
}

// sessionClock is a clock that is synchronized with a session. *Clock implements it.
type sessionClock interface {
	SessionNowNs(sessionID uint64) (int64, error)
}

// nowNs returns the time of the server of a session, in ns.
func (c *Client) nowNs(sessionID uint64) (int64, error) {
	if s, ok := c.clock.(sessionClock); ok {
		return s.SessionNowNs(sessionID)
	}
	return c.clock.NowNs(), nil
}

// Health returns the state of the link to the server.
func (c *Client) Health() Health {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.health
	if !c.observed {
		return h
	}
	if now, err := c.nowNs(h.SessionID); err == nil {
		h.Age = time.Duration(now - c.observedNs)
		h.Alive = h.Age.Abs() <= c.maxAge // A time in the future is of another clock.
	}
	return h
}

// Send sends cmd without blocking. It sets the sequence, the session of the last observation, the time and the expiry; the caller
// sets the other fields. The error is [ErrNoSession], [ErrClock], a wire.RejectReason or an error of the transport.
func (c *Client) Send(cmd *message.JointCommand) error {
	c.sendMu.Lock()
	defer c.sendMu.Unlock()
	c.mu.Lock()
	observed, sessionID := c.observed, c.health.SessionID
	c.mu.Unlock()
	if !observed {
		return c.unsent(ErrNoSession)
	}
	now, err := c.nowNs(sessionID)
	if err != nil {
		return c.unsent(err)
	}
	cmd.Sequence = c.sequence + 1
	cmd.SessionID = sessionID
	cmd.MonotonicNs = now
	cmd.ExpiresNs = cmd.MonotonicNs + int64(c.validity)
	frame, err := wire.AppendJointCommand(c.commandFrame[:0], cmd)
	if err != nil {
		return c.unsent(fmt.Errorf("client: encoding a command: %w", err))
	}
	if err := c.sender.Send(frame); err != nil {
		return c.unsent(fmt.Errorf("client: sending a command: %w", err))
	}
	c.sequence++
	c.count(func(st *Stats) { st.Sent++ })
	return nil
}

// Stats returns a copy of the counters.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	stats := c.stats
	stats.Rejected = maps.Clone(stats.Rejected)
	stats.Connections = c.subscriber.Connections()
	if n := stats.Connections.Oversize; n > 0 {
		stats.Rejected["oversize"] = n // The socket rejected them.
	}
	if c.sender != nil {
		stats.Connections = stats.Connections.Add(c.sender.Connections())
	}
	return stats
}

// count changes the counters.
func (c *Client) count(f func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.stats)
}

// reject counts a rejected observation, and returns err.
func (c *Client) reject(reason string, err error) error {
	c.count(func(st *Stats) { st.Rejected[reason]++ })
	return err
}

// unsent counts a command that could not be sent, and returns err.
func (c *Client) unsent(err error) error {
	c.count(func(st *Stats) { st.Unsent++ })
	return err
}
