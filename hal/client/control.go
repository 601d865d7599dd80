package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/wire"
)

const (
	// ControlTimeout is the maximum duration of a call of a Control, even if its context has no or a later deadline.
	ControlTimeout = 5 * time.Second
	// attemptTimeout is the time to wait for a reply before the request is repeated.
	attemptTimeout = 250 * time.Millisecond
)

// Requester sends request frames. *bus.Requester implements it.
type Requester interface {
	// Request sends a frame and waits for the reply until ctx is done. The reply is valid until the next call.
	Request(ctx context.Context, frame []byte) ([]byte, error)
}

// RejectedError is the error of a request that the server answered and rejected.
type RejectedError struct {
	// Reply is the reply of the server.
	Reply message.ControlReply
}

// Error describes the reason.
func (e *RejectedError) Error() string {
	if e.Reply.Status == message.FaultActive {
		return fmt.Sprintf("client: reset rejected, stopped by %s, active fault %s: %s", e.Reply.StoppedBy, e.Reply.Fault, e.Reply.Reason)
	}
	reason := "status " + e.Reply.Status.String()
	switch e.Reply.Status {
	case message.UnknownOperation:
		reason = "operation unknown to the server"
	case message.OtherSession:
		reason = "the server was restarted meanwhile"
	case message.RequestExpired:
		reason = "it expired in transit, or the robot was stopped again meanwhile"
	}
	return "client: request rejected: " + reason
}

// Control requests the state of a server, a stop or a reset. Its methods repeat a request until there is a reply, until ctx is
// done, or for [ControlTimeout].
//
// It is safe for concurrent use. Requests are serialized: a stop may wait for another request, for up to 250 ms if the server does
// not reply. Use a separate Control for stops to avoid that.
type Control struct {
	requester Requester
	local     clock.Source

	lock     chan struct{} // Locked by an element. Guards requester and the next two fields.
	sequence uint64
	frame    []byte
}

// NewControl returns a control that sends requests by requester.
func NewControl(requester Requester) *Control {
	return &Control{requester: requester, local: clock.New(), lock: make(chan struct{}, 1)}
}

// State returns the session of the server and the state of its safety gate.
func (c *Control) State(ctx context.Context) (message.ControlReply, error) {
	return c.request(ctx, message.ControlRequest{Operation: message.ReadClock})
}

// EStop stops the robot. After an error, the robot may be stopped or not.
func (c *Control) EStop(ctx context.Context) (message.ControlReply, error) {
	return c.request(ctx, message.ControlRequest{Operation: message.EStop})
}

// Reset ends a stop. The joints stay damped until the next accepted command, which a running policy sends immediately. The error
// is a [*RejectedError] if a fault is active. After other errors, the robot may be stopped or not.
func (c *Control) Reset(ctx context.Context) (message.ControlReply, error) {
	// The reset is for this session and for stops up to now: it must not end a later stop.
	now, err := c.State(ctx)
	if err != nil {
		return now, err
	}
	return c.request(ctx, message.ControlRequest{
		Operation: message.Reset, SessionID: now.SessionID, ExpiresNs: now.SentNs + int64(message.ResetValidity),
	})
}

// request repeats a request until there is a reply. All operations are idempotent.
func (c *Control) request(ctx context.Context, q message.ControlRequest) (message.ControlReply, error) {
	ctx, cancel := context.WithTimeout(ctx, ControlTimeout)
	defer cancel()
	var last error // Of the previous attempt.
	for {
		a, _, err := c.attempt(ctx, q)
		switch {
		case err == nil && a.Status != message.Done:
			return a, &RejectedError{Reply: a}
		case err == nil:
			return a, nil
		case !errors.Is(err, bus.ErrNoPeer) && !errors.Is(err, bus.ErrNoReply):
			if ctx.Err() != nil && last != nil {
				// This attempt did not send a request.
				err = last
			}
			return a, err
		case ctx.Err() != nil:
			return a, err
		}
		last = err
	}
}

// exchange has the times of a request and its reply, on the local clock.
type exchange struct{ sentNs, receivedNs int64 }

// attempt sends a request once.
func (c *Control) attempt(ctx context.Context, q message.ControlRequest) (a message.ControlReply, e exchange, err error) {
	select {
	case c.lock <- struct{}{}:
	case <-ctx.Done():
		return a, e, fmt.Errorf("client: waiting for another request: %w", ctx.Err())
	}
	defer func() { <-c.lock }()
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	c.sequence++
	q.Sequence = c.sequence
	e.sentNs = c.local.NowNs()
	q.MonotonicNs = e.sentNs
	c.frame = wire.AppendControlRequest(c.frame[:0], &q)
	frame, err := c.requester.Request(ctx, c.frame)
	e.receivedNs = c.local.NowNs()
	if err != nil {
		return a, e, fmt.Errorf("client: request %s: %w", q.Operation, err)
	}
	if err := wire.DecodeControlReply(&a, frame); err != nil {
		return a, e, fmt.Errorf("client: request %s: %w", q.Operation, err)
	}
	if a.Sequence != q.Sequence {
		return a, e, fmt.Errorf("client: request %s: found the reply to request %d, expected that to %d", q.Operation, a.Sequence, q.Sequence)
	}
	return a, e, nil
}
