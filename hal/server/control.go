package server

import (
	"context"
	"errors"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/safety"
	"krabby.dev/krabby/hal/wire"
)

// Remote is the fault of a stop that a control request asked for.
const Remote safety.Fault = "remote"

// Responder gives control requests and takes the replies to them; *bus.Responder is one.
type Responder interface {
	// Receive returns the next request, waiting for it until ctx is done, or bus.ErrParts for a message that is none. The
	// request holds until the next call.
	Receive(ctx context.Context) ([]byte, error)
	// Reply answers the request that was received last. It does not block and does not keep frame.
	Reply(frame []byte) error
}

// ControlStats are the counters of control requests.
type ControlStats struct {
	// Requests counts those that were answered, by operation: clock, e_stop, reset or unknown.
	Requests map[string]uint64 `json:"requests"`
	// Refused counts those that were answered with a refusal, by what message.ControlStatus says of it: operation, session,
	// expired or fault; and messages that were dropped, by wire.Cause, Frames, Oversize or Transport.
	Refused map[string]uint64 `json:"refused"`
}

// WithControl adds a way to ask for the time, a stop and a reset. Run answers what comes there; beside Turn, ServeControl
// does.
func WithControl(in Responder) Option { return func(s *Server) { s.control = in } }

// ServeControl answers control requests, one after the other, until ctx is done. It is for a goroutine of its own beside
// that of Turn. A message that is no request is counted and dropped.
func (s *Server) ServeControl(ctx context.Context) {
	if s.control == nil {
		return
	}
	throttle := clock.Throttle{Period: time.Second}
	refused := func(cause string, err error) {
		s.count(func(st *Stats) { st.Control.Refused[cause]++ })
		if count := throttle.Add(1); count > 0 {
			s.log.Warn("control request refused", "cause", cause, "err", err, "held_back", count-1)
		}
	}
	var reply []byte
	for {
		frame, err := s.control.Receive(ctx)
		receivedNs := s.clock.NowNs()
		switch {
		case ctx.Err() != nil || errors.Is(err, bus.ErrClosed):
			return
		case errors.Is(err, bus.ErrParts):
			refused(Frames, err)
			continue
		case err != nil:
			refused(Transport, err)
			// What fails once may fail for ever, and must not take the machine from the loop.
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return
			}
			continue
		}
		var q message.ControlRequest
		if err := wire.DecodeControlRequest(&q, frame); err != nil {
			cause, _ := errors.AsType[wire.Cause](err)
			refused(string(cause), err)
			continue
		}
		a, ended, err := s.answer(&q, receivedNs)
		switch {
		case a.Status != message.Done:
			refused(a.Status.String(), err)
		case ended != "":
			s.log.Info("reset by a control request", "stopped_by", ended)
		}
		a.SentNs = s.clock.NowNs()
		if reply, err = wire.AppendControlReply(reply[:0], a); err == nil {
			err = s.control.Reply(reply)
		}
		if err != nil && !errors.Is(err, bus.ErrClosed) {
			refused(Transport, err)
		}
	}
}

// answer does what q asks for. The error is why it did not; ended is the fault of the stop that it ended, if it did.
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

// reset ends a stop for a request. It must be for this life of the server and in time, and its sender must have known of the
// stop: one that lay in a queue, or is sent again, must not end a stop that came after it. The caller holds mu.
func (s *Server) reset(q *message.ControlRequest, now int64) (message.ControlStatus, error) {
	switch {
	case q.SessionID != s.sessionID:
		return message.OtherSession, nil
	case now > q.ExpiresNs:
		return message.RequestExpired, nil
	}
	// Up to when the sender knew of stops. Nobody knows what is to come.
	knownNs := q.ExpiresNs - int64(message.ResetValidity)
	if knownNs > now || s.gate.State() == safety.Stopped && s.gate.StoppedNs() > knownNs {
		return message.RequestExpired, nil
	}
	if err := s.gate.Reset(now); err != nil {
		return message.FaultLasts, err
	}
	return message.Done, nil
}
