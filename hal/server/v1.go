package server

import (
	"errors"
	"math"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/safety"
	v1 "krabby.dev/krabby/hal/wire/v1"
)

// MultipartPublisher sends observations of version 1; *bus.MultipartPublisher is one. Publish does not block and does not keep parts.
type MultipartPublisher interface {
	bus.ConnectionCounter
	Publish(parts [][]byte) error
}

// MultipartReceiver receives commands of version 1; *bus.MultipartReceiver is one.
type MultipartReceiver interface {
	bus.ConnectionCounter
	// TryReceive returns the parts of the next message, valid until the next call, or bus.ErrEmpty. It does not block.
	TryReceive() ([][]byte, error)
}

// v1Link serves clients of version 1. Their commands name the observation that they answer by its wall time and have no session:
// the link stores the times of published observations to identify it.
type v1Link struct {
	out           MultipartPublisher
	in            MultipartReceiver
	height, width int

	encoder     v1.Encoder
	observation v1.Observation
	command     v1.JointCommand
	commands    uint64
	made        [remembered]madeAt // By sequence.
	newest      uint64
}

// madeAt has the times of one observation.
type madeAt struct {
	sequence            uint64
	wallNs, monotonicNs int64
}

// remembered is the number of stored observations, more than the gate's limit of age allows to answer.
const remembered = 1024

func newV1Link(out MultipartPublisher, in MultipartReceiver, height, width int) *v1Link {
	return &v1Link{out: out, in: in, height: height, width: width}
}

func (l *v1Link) publish(o *message.Observation) error {
	l.observation.FromMessage(o, l.height, l.width)
	parts, err := l.encoder.EncodeObservation(&l.observation)
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

// answered returns the newest observation with a wall time.
func (l *v1Link) answered(wallNs int64) (madeAt, bool) {
	for back := range min(l.newest, remembered) {
		if m := l.made[(l.newest-back)%remembered]; m.sequence != 0 && m.wallNs == wallNs {
			return m, true
		}
	}
	return madeAt{}, false
}

// receiveV1 offers the received commands of version 1 to the gate. Their time is that of the observation that they answer: a clock of
// another machine cannot be compared.
func (s *Server) receiveV1() {
	const limit = 256 // The queue may be long; the newest command is last.
	l := s.v1
	for range limit {
		parts, err := l.in.TryReceive()
		if errors.Is(err, bus.ErrEmpty) {
			return
		}
		if err != nil {
			s.reject(Transport, err)
			return
		}
		if err := v1.DecodeJointCommand(&l.command, parts); err != nil {
			reason, _ := errors.AsType[v1.RejectReason](err)
			s.reject("v1_"+string(reason), err)
			continue
		}
		made, known := l.answered(l.command.ObservationTimestampNs)
		if !known {
			s.reject(string(safety.RejectObservationUnknown), nil)
			continue
		}
		l.command.ToMessage(s.incoming, s.robot)
		copy(s.incoming.Kp, s.v1Kp)
		copy(s.incoming.Kd, s.v1Kd)
		l.commands++
		s.incoming.Sequence, s.incoming.SessionID, s.incoming.ObservationSequence = l.commands, s.sessionID, made.sequence
		s.incoming.MonotonicNs, s.incoming.ExpiresNs = made.monotonicNs, math.MaxInt64
		s.judge()
	}
}
