package server

import (
	"context"
	"errors"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/safety"
	"krabby.dev/krabby/hal/wire"
)

// Remote is the fault of a stop by a control request.
const Remote safety.Fault = "remote"

// Responder receives control requests and sends the replies; *bus.Responder is one.
type Responder interface {
	bus.ConnectionCounter
	// Receive waits for the next request until ctx is done. The request is valid until the next call. The error is bus.ErrMultipart
	// for a message that is not a request.
	Receive(ctx context.Context) ([]byte, error)
	// Reply answers the last request. It does not block and does not keep frame.
	Reply(frame []byte) error
}

// ControlStats are the counters of control requests.
type ControlStats struct {
	// Requests counts answered requests, by operation: clock, e_stop, reset or unknown.
	Requests map[string]uint64 `json:"requests"`
	// Rejected counts requests that were answered with a rejection, by message.ControlStatus: operation, session, expired or
	// fault; and messages that were dropped, by wire.RejectReason, Multipart, Oversize or Transport.
	Rejected map[string]uint64 `json:"rejected"`
}

// WithControl adds a link for requests: clock, stop and reset. Run answers them; a simulation that calls Step runs ServeControl.
func WithControl(in Responder) Option { return func(s *Server) { s.control = in } }

// ServeControl answers control requests, one after the other, until ctx is done. It runs in a goroutine of its own beside that of
// Step. It counts and drops a message that is not a request.
func (s *Server) ServeControl(ctx context.Context) {
	if s.control == nil {
		return
	}
	warnings := newWarnings(s.log)
	reject := func(reason string, err error) {
		s.count(func(st *Stats) { st.Control.Rejected[reason]++ })
		warnings.warn("control request rejected", "reason", reason, "err", err)
	}
	var reply []byte
	for {
		frame, err := s.control.Receive(ctx)
		receivedNs := s.clock.NowNs()
		switch {
		case ctx.Err() != nil || errors.Is(err, bus.ErrClosed):
			return
		case errors.Is(err, bus.ErrMultipart):
			reject(Multipart, err)
			continue
		case err != nil:
			reject(Transport, err)
			// A permanent error must not take the processor from the loop.
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return
			}
			continue
		}
		var q message.ControlRequest
		if err := wire.DecodeControlRequest(&q, frame); err != nil {
			reason, _ := errors.AsType[wire.RejectReason](err)
			reject(string(reason), err)
			continue
		}
		a, ended, err := s.answer(&q, receivedNs)
		switch {
		case a.Status != message.Done:
			reject(a.Status.String(), err)
		case ended != "":
			s.log.Info("reset by a control request", "stopped_by", ended)
		}
		a.SentNs = s.clock.NowNs()
		if reply, err = wire.AppendControlReply(reply[:0], a); err == nil {
			err = s.control.Reply(reply)
		}
		if err != nil && !errors.Is(err, bus.ErrClosed) {
			reject(Transport, err)
		}
	}
}

// answer executes q and returns the reply. ended is the fault of the stop that a reset ended; err is the reason for a rejection.
func (s *Server) answer(q *message.ControlRequest, receivedNs int64) (a *message.ControlReply, ended safety.Fault, err error) {
	a = &message.ControlReply{Sequence: q.Sequence, SessionID: s.sessionID, ReceivedNs: receivedNs}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Control.Requests[q.Operation.String()]++
	now := s.clock.NowNs()
	by := s.gate.StoppedBy()
	switch q.Operation {
	case message.ReadClock:
	case message.EStop:
		s.gate.EStop(Remote, now)
	case message.Reset:
		if a.Status, err = s.reset(q, now); a.Status == message.Done {
			ended = by
		}
		if lasts, ok := errors.AsType[*safety.ResetError](err); ok {
			a.Fault, a.Reason = string(lasts.Fault), lasts.Reason.Error()
		}
	default:
		a.Status = message.UnknownOperation
	}
	a.State, a.StoppedBy = s.gate.State().String(), string(s.gate.StoppedBy())
	return a, ended, err
}

// reset ends a stop for a request of this session that has not expired. The sender must have known of the stop: a request that
// was queued or repeated must not end a later stop. The caller holds mu.
func (s *Server) reset(q *message.ControlRequest, now int64) (message.ControlStatus, error) {
	switch {
	case q.SessionID != s.sessionID:
		return message.OtherSession, nil
	case now > q.ExpiresNs:
		return message.RequestExpired, nil
	}
	// The time up to which the sender knew of stops; it cannot lie in the future.
	knownNs := q.ExpiresNs - int64(message.ResetValidity)
	if knownNs > now || s.gate.State() == safety.Stopped && s.gate.StoppedNs() > knownNs {
		return message.RequestExpired, nil
	}
	if err := s.gate.Reset(now); err != nil {
		return message.FaultActive, err
	}
	return message.Done, nil
}
