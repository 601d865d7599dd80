// Package client is the controller's side of the hardware abstraction layer: it gives the newest observation with its
// age and sends commands, stamped so that the server can judge them.
//
// It must never import servers, backends or inference.
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
	// ErrNone says that no observation has arrived since the last one that was read.
	ErrNone = errors.New("client: no new observation")
	// ErrOld says that an observation arrived that is not newer than the last one.
	ErrOld = errors.New("client: observation is not newer than the last one")
	// ErrNoSession says that a command was to be sent before any observation told the server's session.
	ErrNoSession = errors.New("client: no observation yet, so no session to send a command to")
)

// Subscriber gives observation frames; *bus.Subscriber is one.
type Subscriber interface {
	// TryReceive makes f the newest unread frame, without blocking; the error is bus.ErrEmpty where there is none.
	TryReceive(f *bus.Frame) error
	// Receive makes f the newest unread frame and waits for it until ctx is done.
	Receive(ctx context.Context, f *bus.Frame) error
}

// Sender takes command frames without blocking; *bus.Sender is one. It must not keep frame.
type Sender interface {
	Send(frame []byte) error
}

// Stats are the client's counters since New.
type Stats struct {
	// Observations counts observations that were read and valid.
	Observations uint64 `json:"observations"`
	// Skipped counts observations that the server published and newer ones replaced before they were read.
	Skipped uint64 `json:"skipped"`
	// Refused counts the other observations by cause: a wire.Cause, frames, oversize, invalid, old, clock or transport.
	Refused map[string]uint64 `json:"refused"`
	// Connections are those to the server, over TCP.
	Connections bus.Connections `json:"connections"`
	// Sent counts commands that were sent.
	Sent uint64 `json:"sent"`
	// Unsent counts commands that could not be sent.
	Unsent uint64 `json:"unsent"`
}

// Option configures a Client.
type Option func(*Client)

// WithValidity sets how long after it was sent a command expires; the default is 100 ms.
func WithValidity(d time.Duration) Option { return func(c *Client) { c.validity = d } }

// WithClock sets the clock by which ages are told and commands stamped; the default is the machine's monotonic clock. It
// must be the server's. For a server on another machine that is a [*Clock]: while it does not know the time of the server's
// session, observations are refused and no command is sent, with ErrClock.
func WithClock(source clock.Source) Option { return func(c *Client) { c.clock = source } }

// WithMaxAge sets how old the newest observation may be for the link to count as alive; the default is 200 ms.
func WithMaxAge(age time.Duration) Option { return func(c *Client) { c.maxAge = age } }

// WithMeter calls age with the age of each observation that was read and valid. It must not block.
func WithMeter(age func(time.Duration)) Option { return func(c *Client) { c.meterAge = age } }

// Health is how the link to the server is.
type Health struct {
	// Alive says that the newest observation is not too old, nor as far in the future. Where the time is not known it is not.
	Alive bool `json:"alive"`
	// SessionID and Sequence are those of the newest observation that was read; 0 before any.
	SessionID uint64 `json:"session_id"`
	Sequence  uint64 `json:"sequence"`
	// Age is how long ago it was made; 0 where the time is not known.
	Age time.Duration `json:"age_ns"`
	// Restarts counts how often the server was another one than before.
	Restarts uint64 `json:"restarts"`
}

// Client reads observations of one server and sends commands to it. It is safe for concurrent use: goroutines that read
// share one stream, of which each observation goes to one of them.
//
// The images of an observation that was read lie in the memory of the bus. They hold until the same *message.Observation is
// read into again, or is released; until then the bus cannot use that memory.
type Client struct {
	robot    *robot.Robot
	in       Subscriber
	out      Sender
	clock    clock.Source
	validity time.Duration
	maxAge   time.Duration
	meterAge func(time.Duration)

	// reading is held by who reads, also while it waits. It guards spare.
	reading chan struct{}
	spare   *bus.Frame // What is received into.

	holding sync.Mutex                          // Guards held.
	held    map[*message.Observation]*bus.Frame // What observations lie in.

	sending      sync.Mutex // Guards the next two and out.
	sequence     uint64     // Of the last command.
	commandFrame []byte

	mu     sync.Mutex // Guards the rest.
	seen   bool
	health Health // Of the last observation; Alive and Age are not kept.
	madeNs int64
	stats  Stats
}

// New returns a client for r that reads from in and sends to out.
func New(r *robot.Robot, in Subscriber, out Sender, opts ...Option) *Client {
	c := &Client{
		robot:        r,
		in:           in,
		out:          out,
		clock:        clock.New(),
		validity:     100 * time.Millisecond,
		maxAge:       200 * time.Millisecond,
		meterAge:     func(time.Duration) {},
		reading:      make(chan struct{}, 1),
		spare:        new(bus.Frame),
		held:         map[*message.Observation]*bus.Frame{},
		commandFrame: make([]byte, 0, wire.MaxCommandBytes),
		stats:        Stats{Refused: map[string]uint64{}},
	}
	for _, opt := range opts {
		opt(c)
	}
	return c
}

// Poll reads the newest observation that has not been read yet into o and returns its age, without blocking.
//
// The error is [ErrNone] where there is none or another goroutine waits for it, [ErrOld] for one that is not newer than the
// last, [ErrClock], a wire.Cause for a malformed frame, a *message.FieldError for one that does not fit the robot, or the transport's.
// After ErrNone o is as it was; after another error its contents are unspecified.
func (c *Client) Poll(o *message.Observation) (age time.Duration, err error) {
	select {
	case c.reading <- struct{}{}:
	default:
		return 0, ErrNone
	}
	defer func() { <-c.reading }()
	err = c.in.TryReceive(c.spare)
	if errors.Is(err, bus.ErrEmpty) {
		return 0, ErrNone
	}
	if err != nil {
		return 0, c.notReceived(err)
	}
	return c.read(o)
}

// Latest is Poll, but waits for an observation until ctx is done. The error is then ctx's.
func (c *Client) Latest(ctx context.Context, o *message.Observation) (age time.Duration, err error) {
	select {
	case c.reading <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-c.reading }()
	if err := c.in.Receive(ctx, c.spare); err != nil {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return 0, c.notReceived(err)
	}
	return c.read(o)
}

// Release gives the memory back that o's images lie in; they must not be used afterwards. It is for an observation that is
// not read into again. It does not wait for those who read.
func (c *Client) Release(o *message.Observation) {
	c.holding.Lock()
	defer c.holding.Unlock()
	if f := c.held[o]; f != nil {
		f.Release()
		delete(c.held, o)
	}
}

func (c *Client) notReceived(err error) error {
	cause := "transport"
	if errors.Is(err, bus.ErrParts) {
		cause = "frames"
	}
	return c.refused(cause, err)
}

// read makes o what was received. The caller holds reading.
func (c *Client) read(o *message.Observation) (time.Duration, error) {
	if err := wire.DecodeObservation(o, c.spare.Bytes()); err != nil {
		c.spare.Release()
		cause, _ := errors.AsType[wire.Cause](err)
		return 0, c.refused(string(cause), err)
	}
	// From here on o lies in what was received, and no longer in what it was in before.
	c.spare = c.hold(o, c.spare)
	c.spare.Release()
	if err := o.Validate(c.robot); err != nil {
		return 0, c.refused("invalid", fmt.Errorf("client: observation %d: %w", o.Sequence, err))
	}
	return c.accept(o)
}

// hold makes f what o lies in, and returns what it lay in before, or a new frame.
func (c *Client) hold(o *message.Observation, f *bus.Frame) *bus.Frame {
	c.holding.Lock()
	defer c.holding.Unlock()
	before := c.held[o]
	c.held[o] = f
	if before == nil {
		before = new(bus.Frame)
	}
	return before
}

// accept takes note of an observation that is valid, if it is newer than the last.
func (c *Client) accept(o *message.Observation) (time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	another := o.SessionID != c.health.SessionID
	if c.seen && !another && o.Sequence <= c.health.Sequence {
		c.stats.Refused["old"]++
		return 0, ErrOld
	}
	now, err := c.nowNs(o.SessionID)
	switch {
	case err != nil:
		c.stats.Refused["clock"]++
		return 0, err
	case c.seen && another:
		c.health.Restarts++
	case c.seen:
		c.stats.Skipped += o.Sequence - c.health.Sequence - 1
	}
	c.seen, c.health.SessionID, c.health.Sequence, c.madeNs = true, o.SessionID, o.Sequence, o.MonotonicNs
	c.stats.Observations++
	age := time.Duration(now - o.MonotonicNs)
	c.meterAge(age)
	return age, nil
}

// sessionClock is a clock that may not know the time of a server's life.
type sessionClock interface {
	SessionNowNs(sessionID uint64) (int64, error)
}

// nowNs returns the time of a server's life.
func (c *Client) nowNs(sessionID uint64) (int64, error) {
	if s, ok := c.clock.(sessionClock); ok {
		return s.SessionNowNs(sessionID)
	}
	return c.clock.NowNs(), nil
}

// Health says how the link to the server is. It may be called at any time from any goroutine.
func (c *Client) Health() Health {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.health
	if !c.seen {
		return h
	}
	if now, err := c.nowNs(h.SessionID); err == nil {
		h.Age = time.Duration(now - c.madeNs)
		h.Alive = h.Age.Abs() <= c.maxAge // One of the future is not of this clock.
	}
	return h
}

// Send sends cmd without blocking. It fills in the sequence, the session of the last observation, the time and the
// expiry; the rest is the caller's. The error is [ErrNoSession], [ErrClock], a wire.Cause or the transport's.
func (c *Client) Send(cmd *message.JointCommand) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	c.mu.Lock()
	seen, sessionID := c.seen, c.health.SessionID
	c.mu.Unlock()
	if !seen {
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
	if err := c.out.Send(frame); err != nil {
		return c.unsent(fmt.Errorf("client: sending a command: %w", err))
	}
	c.sequence++
	c.count(func(st *Stats) { st.Sent++ })
	return nil
}

// Stats returns a copy of the counters. It may be called at any time from any goroutine.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	stats := c.stats
	stats.Refused = maps.Clone(stats.Refused)
	stats.Connections = bus.ConnectionsOf(c.in, c.out)
	if n := bus.ConnectionsOf(c.in).Oversize; n > 0 {
		stats.Refused["oversize"] = n // The socket refused them by itself.
	}
	return stats
}

func (c *Client) count(f func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.stats)
}

func (c *Client) refused(cause string, err error) error {
	c.count(func(st *Stats) { st.Refused[cause]++ })
	return err
}

func (c *Client) unsent(err error) error {
	c.count(func(st *Stats) { st.Unsent++ })
	return err
}
