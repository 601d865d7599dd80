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

// ApplyCommands is the second half of a Step: it offers the received commands to the gate and writes the gate's output.
func (s *Server) ApplyCommands(ctx context.Context) {
	s.receive()
	output, state := s.next()
	if s.unwritten && state != safety.Active {
		s.unwritten = false
		s.reject(Unwritten, nil)
	}
	if output == nil {
		return
	}
	err := s.backend.Write(ctx, output)
	s.reportWrite(err)
	if err != nil {
		s.warnings.warn("backend write failed", "err", err)
	}
}

// receive offers the received commands of all links to the gate.
func (s *Server) receive() {
	for i := range s.links {
		s.receiveFrom(s.links[i].in)
	}
	if s.v1 != nil {
		s.receiveV1()
	}
}

func (s *Server) receiveFrom(in Receiver) {
	const limit = 16 // A mailbox holds one frame per sender; the limit bounds the time that many senders can take of a step.
	for range limit {
		frame, err := in.TryReceive()
		if errors.Is(err, bus.ErrEmpty) {
			return
		}
		if errors.Is(err, bus.ErrMultipart) {
			s.reject(Multipart, err)
			continue
		}
		if err != nil {
			s.reject(Transport, err)
			return
		}
		if err := wire.DecodeJointCommand(s.incoming, frame); err != nil {
			reason := Transport
			if r, ok := errors.AsType[wire.RejectReason](err); ok {
				reason = string(r)
			}
			s.reject(reason, err)
			continue
		}
		s.judge()
	}
}

// judge offers the incoming command to the gate and counts the result.
func (s *Server) judge() {
	if reason := s.offer(s.incoming); reason != "" {
		s.reject(string(reason), nil)
		return
	}
	s.meterCommandAge(time.Duration(s.clock.NowNs() - s.incoming.MonotonicNs))
	if s.unwritten {
		s.reject(string(safety.RejectSuperseded), nil)
	}
	s.unwritten = true
}

func (s *Server) offer(c *message.JointCommand) safety.RejectReason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gate.Offer(c, s.clock.NowNs())
}

// next advances the gate and returns its output, or nil, and its state.
func (s *Server) next() (output *message.JointCommand, state safety.State) {
	s.mu.Lock()
	output = s.gate.Tick(s.clock.NowNs())
	state = s.gate.State()
	by, from := s.gate.StoppedBy(), s.state
	s.state = state
	switch {
	case state == from:
	case state == safety.Hold:
		s.stats.Holds++
	case state == safety.Damp && from != safety.Stopped:
		s.stats.Damps++
	}
	s.mu.Unlock()
	if state != from {
		s.transition(state, by)
	}
	return output, state
}

// transition logs a new state of the gate: a stop always, the others as warnings.
func (s *Server) transition(to safety.State, by safety.Fault) {
	switch to {
	case safety.Stopped:
		s.log.Error("stopped: damping the joints until a reset", "by", by)
	case safety.Hold:
		s.warnings.warn("command expired: holding the last output")
	case safety.Damp:
		s.warnings.warn("damping the joints until the next good command")
	}
}

func (s *Server) reportWrite(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate.ReportWrite(err)
	switch {
	case err != nil:
		s.stats.WriteErrors++
	case s.unwritten:
		s.stats.Applied++
		s.unwritten = false
	}
}

func (s *Server) reject(reason string, err error) {
	s.count(func(st *Stats) { st.Rejected[reason]++ })
	s.warnings.warn("command rejected", "reason", reason, "sequence", s.incoming.Sequence, "err", err)
}
