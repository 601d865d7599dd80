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
	// ControlTimeout is how long a Control tries to get an answer at most, whatever its context says.
	ControlTimeout = 5 * time.Second
	// attemptTimeout is how long it waits for one reply before it asks again.
	attemptTimeout = 250 * time.Millisecond
)

// Requester sends a frame and waits for the reply until ctx is done; *bus.Requester is one. The reply holds until the next
// call.
type Requester interface {
	Request(ctx context.Context, frame []byte) ([]byte, error)
}

// RefusedError says that a server answered, and did not do what it was asked for.
type RefusedError struct{ Reply message.ControlReply }

func (e *RefusedError) Error() string {
	if e.Reply.Status == message.FaultLasts {
		return fmt.Sprintf("client: reset refused, stopped by %s, and %s lasts: %s", e.Reply.StoppedBy, e.Reply.Fault, e.Reply.Reason)
	}
	why := "status " + e.Reply.Status.String()
	switch e.Reply.Status {
	case message.UnknownOperation:
		why = "the server does not know the operation"
	case message.OtherSession:
		why = "the server was started again meanwhile"
	case message.RequestExpired:
		why = "it took too long on its way, or the robot was stopped once more meanwhile"
	}
	return "client: request refused: " + why
}

// Control asks a server for its time and state, for a stop and for a reset. It is safe for concurrent use: one asks after
// the other, so a stop may have to wait for the end of another request, 250 ms where the server does not answer. Who wants
// to be sure uses a Control of its own for stops.
type Control struct {
	out   Requester
	local clock.Source

	asking   chan struct{} // Held by who asks. It guards the next two.
	sequence uint64
	frame    []byte
}

// NewControl returns a control that asks by out.
func NewControl(out Requester) *Control {
	return &Control{out: out, local: clock.New(), asking: make(chan struct{}, 1)}
}

// State asks for the server's session and the state of its safety gate, until there is an answer or ctx is done.
func (c *Control) State(ctx context.Context) (message.ControlReply, error) {
	return c.ask(ctx, message.ControlRequest{Operation: message.ReadClock})
}

// EStop stops the robot, and asks until it is answered or ctx is done. After an error nobody knows whether it is stopped.
func (c *Control) EStop(ctx context.Context) (message.ControlReply, error) {
	return c.ask(ctx, message.ControlRequest{Operation: message.EStop})
}

// Reset ends a stop; the joints stay damped until the next good command, which a policy that still runs sends at once. The
// error is a [*RefusedError] where a fault lasts. After another one nobody knows whether the robot is still stopped.
func (c *Control) Reset(ctx context.Context) (message.ControlReply, error) {
	// Only a reset for this life of the server counts, and only for stops until now: none ends a stop that comes after it.
	now, err := c.State(ctx)
	if err != nil {
		return now, err
	}
	return c.ask(ctx, message.ControlRequest{
		Operation: message.Reset, SessionID: now.SessionID, ExpiresNs: now.SentNs + int64(message.ResetValidity),
	})
}

// ask asks again and again. All operations may be done twice.
func (c *Control) ask(ctx context.Context, q message.ControlRequest) (message.ControlReply, error) {
	ctx, cancel := context.WithTimeout(ctx, ControlTimeout)
	defer cancel()
	var last error // Of the attempt before.
	for {
		a, _, err := c.once(ctx, q)
		switch {
		case err == nil && a.Status != message.Done:
			return a, &RefusedError{a}
		case err == nil:
			return a, nil
		case !errors.Is(err, bus.ErrNoPeer) && !errors.Is(err, bus.ErrNoReply):
			if ctx.Err() != nil && last != nil {
				// The time was over before this attempt began.
				err = last
			}
			return a, err
		case ctx.Err() != nil:
			return a, err
		}
		last = err
	}
}

// exchange is when a request was sent and its reply received, by the local clock.
type exchange struct{ sentNs, receivedNs int64 }

// once asks once.
func (c *Control) once(ctx context.Context, q message.ControlRequest) (a message.ControlReply, e exchange, err error) {
	select {
	case c.asking <- struct{}{}:
	case <-ctx.Done():
		return a, e, fmt.Errorf("client: waiting for another request: %w", ctx.Err())
	}
	defer func() { <-c.asking }()
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	c.sequence++
	q.Sequence = c.sequence
	e.sentNs = c.local.NowNs()
	q.MonotonicNs = e.sentNs
	c.frame = wire.AppendControlRequest(c.frame[:0], &q)
	frame, err := c.out.Request(ctx, c.frame)
	e.receivedNs = c.local.NowNs()
	if err != nil {
		return a, e, fmt.Errorf("client: asking for %s: %w", q.Operation, err)
	}
	if err := wire.DecodeControlReply(&a, frame); err != nil {
		return a, e, fmt.Errorf("client: asking for %s: %w", q.Operation, err)
	}
	if a.Sequence != q.Sequence {
		return a, e, fmt.Errorf("client: asking for %s: found the reply to request %d, expected that to %d", q.Operation, a.Sequence, q.Sequence)
	}
	return a, e, nil
}
