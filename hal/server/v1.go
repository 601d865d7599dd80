package server

import (
	"errors"
	"math"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/safety"
	"krabby.dev/krabby/hal/wire/v1"
)

// PartsPublisher takes observations of version 1; *bus.PartsPublisher is one. It does not block and does not keep parts.
type PartsPublisher interface {
	Publish(parts [][]byte) error
}

// PartsReceiver gives commands of version 1 without blocking, and bus.ErrEmpty where there is none; *bus.PartsReceiver is
// one. The parts hold until the next call.
type PartsReceiver interface {
	TryReceive() ([][]byte, error)
}

// v1Link serves clients of the predecessor. Their commands name the observation that they answer by its wall time and know
// no session: the link remembers what it published, and so can tell.
type v1Link struct {
	out           PartsPublisher
	in            PartsReceiver
	height, width int

	encoder     v1.Encoder
	observation v1.Observation
	command     v1.JointCommand
	commands    uint64
	made        [remembered]madeAt // By sequence.
	newest      uint64
}

// madeAt is when an observation was made.
type madeAt struct {
	sequence            uint64
	wallNs, monotonicNs int64
}

// remembered is how many observations a command of version 1 can answer: more than the gate lets it.
const remembered = 1024

func newV1Link(out PartsPublisher, in PartsReceiver, height, width int) *v1Link {
	return &v1Link{out: out, in: in, height: height, width: width}
}

func (l *v1Link) publish(o *message.Observation) error {
	l.observation.From(o, l.height, l.width)
	parts, err := l.encoder.Observation(&l.observation)
	if err != nil {
		return err
	}
	if err := l.out.Publish(parts); err != nil {
		return err
	}
	l.newest = o.Sequence
	l.made[o.Sequence%remembered] = madeAt{o.Sequence, o.WallNs, o.MonotonicNs}
	return nil
}

// answered returns the observation that was made at a wall time, the newest if there are several.
func (l *v1Link) answered(wallNs int64) (madeAt, bool) {
	for back := range min(l.newest, remembered) {
		if m := l.made[(l.newest-back)%remembered]; m.sequence != 0 && m.wallNs == wallNs {
			return m, true
		}
	}
	return madeAt{}, false
}

// receiveV1 offers what arrived as version 1 to the gate. Such a command was made, as far as anybody can tell, when its
// observation was: clocks of other machines are not believed.
func (s *Server) receiveV1() {
	const limit = 256 // They may have queued up; the newest is last.
	l := s.v1
	for range limit {
		parts, err := l.in.TryReceive()
		if errors.Is(err, bus.ErrEmpty) {
			return
		}
		if err != nil {
			s.refused(Transport, err)
			return
		}
		if err := v1.DecodeJointCommand(&l.command, parts); err != nil {
			cause, _ := errors.AsType[v1.Cause](err)
			s.refused("v1_"+string(cause), err)
			continue
		}
		made, known := l.answered(l.command.ObservationTimestampNs)
		if !known {
			s.refused(string(safety.ObservationUnknown), nil)
			continue
		}
		l.command.To(s.incoming, s.robot)
		l.commands++
		s.incoming.Sequence, s.incoming.SessionID, s.incoming.ObservationSequence = l.commands, s.sessionID, made.sequence
		s.incoming.MonotonicNs, s.incoming.ExpiresNs = made.monotonicNs, math.MaxInt64
		s.judge()
	}
}
