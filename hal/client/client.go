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
	// TryReceive returns the newest unread frame, or bus.ErrEmpty, without blocking.
	TryReceive() ([]byte, error)
	// Receive returns the newest unread frame and waits for it until ctx is done.
	Receive(ctx context.Context) ([]byte, error)
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
	// Refused counts the other observations by cause: a wire.Cause, invalid, old or transport.
	Refused map[string]uint64 `json:"refused"`
	// Sent counts commands that were sent.
	Sent uint64 `json:"sent"`
	// Unsent counts commands that could not be sent.
	Unsent uint64 `json:"unsent"`
}

// Option configures a Client.
type Option func(*Client)

// WithValidity sets how long after it was sent a command expires; the default is 100 ms.
func WithValidity(d time.Duration) Option { return func(c *Client) { c.validity = d } }

// Client reads observations of one server and sends commands to it. Its methods belong to one goroutine, except for
// Stats.
type Client struct {
	robot    *robot.Robot
	in       Subscriber
	out      Sender
	clock    *clock.Clock
	validity time.Duration

	sessionID    uint64 // Of the last observation; with seen.
	observation  uint64 // Its sequence.
	seen         bool
	sequence     uint64 // Of the last command.
	commandFrame []byte

	mu    sync.Mutex // Guards stats.
	stats Stats
}

// New returns a client for r that reads from in and sends to out.
func New(r *robot.Robot, in Subscriber, out Sender, opts ...Option) *Client {
	c := &Client{
		robot:        r,
		in:           in,
		out:          out,
		clock:        clock.New(),
		validity:     100 * time.Millisecond,
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
// The error is [ErrNone] where there is none, [ErrOld] for one that is not newer than the last, a wire.Cause for a
// malformed frame, a *message.FieldError for one that does not fit the robot, or the transport's. After an error the
// contents of o are unspecified.
func (c *Client) Poll(o *message.Observation) (age time.Duration, err error) {
	frame, err := c.in.TryReceive()
	if errors.Is(err, bus.ErrEmpty) {
		return 0, ErrNone
	}
	if err != nil {
		return 0, c.refused("transport", err)
	}
	return c.read(o, frame)
}

// Latest is Poll, but waits for an observation until ctx is done. The error is then ctx's.
func (c *Client) Latest(ctx context.Context, o *message.Observation) (age time.Duration, err error) {
	frame, err := c.in.Receive(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return 0, c.refused("transport", err)
	}
	return c.read(o, frame)
}

func (c *Client) read(o *message.Observation, frame []byte) (time.Duration, error) {
	if err := wire.DecodeObservation(o, frame); err != nil {
		cause, _ := errors.AsType[wire.Cause](err)
		return 0, c.refused(string(cause), err)
	}
	if err := o.Validate(c.robot); err != nil {
		return 0, c.refused("invalid", fmt.Errorf("client: observation %d: %w", o.Sequence, err))
	}
	var skipped uint64
	if c.seen && o.SessionID == c.sessionID {
		if o.Sequence <= c.observation {
			return 0, c.refused("old", ErrOld)
		}
		skipped = o.Sequence - c.observation - 1
	}
	c.seen, c.sessionID, c.observation = true, o.SessionID, o.Sequence
	c.count(func(st *Stats) {
		st.Observations++
		st.Skipped += skipped
	})
	return time.Duration(c.clock.NowNs() - o.MonotonicNs), nil
}

// Send sends cmd without blocking. It fills in the sequence, the session of the last observation, the time and the
// expiry; the rest is the caller's. The error is [ErrNoSession], a wire.Cause or the transport's.
func (c *Client) Send(cmd *message.JointCommand) error {
	if !c.seen {
		return c.unsent(ErrNoSession)
	}
	cmd.Sequence = c.sequence + 1
	cmd.SessionID = c.sessionID
	cmd.MonotonicNs = c.clock.NowNs()
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
