package server

import (
	"context"
	"errors"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/wire"
)

// PublishObservation is the first half of a Step: it reads the backend and publishes the observation if it is valid. It returns the
// sequence number of the observation, or 0 if none was published.
func (s *Server) PublishObservation(ctx context.Context) (sequence uint64) {
	o := s.observation
	monotonicNs, wallNs := s.clock.NowNs(), time.Now().UnixNano()
	memory := s.place(o)
	if err := s.backend.Read(ctx, o); err != nil {
		s.unpublished("read", err)
		return 0
	}
	if err := o.Validate(s.robot); err != nil {
		s.unpublished("invalid", err)
		o.Resize(len(s.robot.Joints), len(s.robot.Feet))
		o.RGB1.Clear()
		o.RGB2.Clear()
		o.Depth.Clear()
		o.Confidence.Clear()
		return 0
	}
	s.sequence++
	o.Sequence, o.SessionID = s.sequence, s.sessionID
	o.MonotonicNs, o.WallNs = monotonicNs, wallNs
	if !s.observe(o) {
		s.unpublished("invalid", errClock)
		return 0
	}
	frame, err := wire.EncodeInPlace(memory, o)
	if err != nil {
		s.unpublished("invalid", err)
		return 0
	}
	for i := range s.links {
		if s.published(s.links[i].out.Publish(frame), "transport") {
			sequence = s.sequence
		}
	}
	if s.v1 != nil && s.published(s.v1.publish(o), "v1") {
		sequence = s.sequence
	}
	if sequence != 0 {
		s.count(func(st *Stats) { st.Published++ })
	}
	return sequence
}

// published counts the result of publishing on one link and reports success.
func (s *Server) published(err error, reason string) bool {
	switch {
	case err == nil:
		return true
	case errors.Is(err, bus.ErrPinned):
		reason = "pinned"
	}
	s.unpublished(reason, err)
	return false
}

// place returns memory for the next frame. Images that keep their size lie in it, so that the backend writes them there.
func (s *Server) place(o *message.Observation) []byte {
	bytes, err := wire.ObservationSize(o)
	var memory []byte
	if err == nil {
		memory, err = s.links[0].out.Acquire(bytes)
	}
	if err != nil { // Publish counts it.
		if cap(s.scratch) < bytes {
			s.scratch = make([]byte, 0, bytes)
		}
		memory = s.scratch[:0]
	}
	// After an error images have memory of their own, and are copied.
	_ = wire.PrepareInPlace(memory[:cap(memory)], o)
	return memory
}

func (s *Server) unpublished(reason string, err error) {
	s.count(func(st *Stats) { st.Unpublished[reason]++ })
	s.warnings.warn("observation not published", "reason", reason, "err", err)
}

// errClock is the only reason for which a gate rejects a valid observation.
var errClock = errors.New("the clock went back")

func (s *Server) observe(o *message.Observation) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gate.Observe(o, s.clock.NowNs())
}
