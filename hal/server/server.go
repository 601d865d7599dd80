// Package server is the robot's side of the hardware abstraction layer: it reads a backend at a fixed rate, publishes
// what it read, and applies the newest command that its safety gate lets through. This is the one place through which
// commands reach joints.
//
// The server is always in one of three states:
//
//	state    what the joints do                      leaves it when
//	idle     nothing was ever written to the backend a command passes the gate: active
//	active   the newest accepted command             the command expires: holding
//	holding  the last accepted command, kept up      a command passes the gate: active
//
// No message and no error of the backend or the transport ends the loop: each is counted by its cause and dropped.
//
// It must never import backends, clients or inference.
package server

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/wire"
)

// Backend is a robot, real or simulated. The server calls it from one goroutine.
type Backend interface {
	// Read fills the sensor fields of o, whose slices fit the robot and hold what the last Read left in them. The
	// server fills sequence, session and times. After an error o is not used. Read must not block for longer than a
	// fraction of the server's period.
	Read(ctx context.Context, o *message.Observation) error
	// Write applies c, which passed the server's gate, until the next call. The server writes at every tick once there
	// is something to apply. Write must not keep or change c.
	Write(ctx context.Context, c *message.JointCommand) error
}

// Publisher takes observation frames; *bus.Publisher is one. It must not keep frame.
type Publisher interface {
	Publish(frame []byte) error
}

// Receiver gives command frames without blocking, and bus.ErrEmpty where there is none; *bus.Receiver is one.
type Receiver interface {
	TryReceive() ([]byte, error)
}

// Stats are the server's counters since New.
type Stats struct {
	// Ticks counts turns of the loop.
	Ticks uint64 `json:"ticks"`
	// MissedDeadlines counts deadlines that the loop did not keep.
	MissedDeadlines uint64 `json:"missed_deadlines"`
	// Published counts observations that were published.
	Published uint64 `json:"published"`
	// Unpublished counts ticks without a published observation, by cause: read, invalid or transport.
	Unpublished map[string]uint64 `json:"unpublished"`
	// Applied counts commands that passed the gate and were written to the backend.
	Applied uint64 `json:"applied"`
	// Refused counts the other commands by Cause or wire.Cause.
	Refused map[string]uint64 `json:"refused"`
	// Holds counts how often a command expired with no newer one to follow.
	Holds uint64 `json:"holds"`
	// WriteErrors counts writes that the backend refused.
	WriteErrors uint64 `json:"write_errors"`
}

// Option configures a Server.
type Option func(*Server)

// WithRate sets the rate of the loop in Hz; the default is 100.
func WithRate(hz float64) Option { return func(s *Server) { s.rateHz = hz } }

// WithMaxCommandAge sets how old a command may be, both when it arrives and while it is applied; the default is 100 ms.
func WithMaxCommandAge(age time.Duration) Option { return func(s *Server) { s.gate.maxAge = age } }

// WithSession sets the session id; the default is a random one.
func WithSession(id uint64) Option { return func(s *Server) { s.gate.sessionID = id } }

// WithLogger sets the logger; the default is to log nothing.
func WithLogger(log *slog.Logger) Option { return func(s *Server) { s.log = log } }

// Server is the loop around one backend.
type Server struct {
	backend Backend
	out     Publisher
	in      Receiver
	clock   *clock.Clock
	gate    gate
	rateHz  float64
	log     *slog.Logger

	// The loop's own; its goroutine alone uses them.
	observation *message.Observation
	sequence    uint64
	frame       []byte
	incoming    *message.JointCommand // Scratch for decoding.
	candidate   *message.JointCommand // The newest command of this tick.
	current     *message.JointCommand // What is applied; meaningful unless idle.
	state       state
	throttle    clock.Throttle

	mu    sync.Mutex // Guards stats.
	stats Stats
}

type state int

const (
	idle state = iota
	active
	holding
)

// New returns a server for r on backend, which publishes to out and takes commands from in. The error names an option
// that makes no sense.
func New(r *robot.Robot, backend Backend, out Publisher, in Receiver, opts ...Option) (*Server, error) {
	s := &Server{
		backend:     backend,
		out:         out,
		in:          in,
		clock:       clock.New(),
		gate:        gate{robot: r, maxAge: 100 * time.Millisecond, sessionID: newSessionID()},
		rateHz:      100,
		log:         slog.New(slog.DiscardHandler),
		observation: message.NewObservation(r),
		incoming:    message.NewJointCommand(r),
		candidate:   message.NewJointCommand(r),
		current:     message.NewJointCommand(r),
		throttle:    clock.Throttle{Period: time.Second},
		stats:       Stats{Unpublished: map[string]uint64{}, Refused: map[string]uint64{}},
	}
	for _, opt := range opts {
		opt(s)
	}
	if !(s.rateHz > 0 && s.rateHz <= 10_000) {
		return nil, fmt.Errorf("server: rate of %v Hz: expected more than 0 and at most 10000", s.rateHz)
	}
	if s.gate.maxAge <= 0 {
		return nil, fmt.Errorf("server: greatest command age of %v: expected more than 0", s.gate.maxAge)
	}
	return s, nil
}

// newSessionID returns a number that is not 0 and that no other life of a server has.
func newSessionID() uint64 {
	var b [8]byte
	rand.Read(b[:]) // Never fails.
	return binary.LittleEndian.Uint64(b[:]) | 1
}

// Run runs the loop until ctx is done. Call it once.
func (s *Server) Run(ctx context.Context) {
	pacer := clock.NewPacer(time.Duration(float64(time.Second) / s.rateHz))
	for {
		missed, err := pacer.Wait(ctx)
		if err != nil {
			return
		}
		s.tick(ctx, missed)
	}
}

// tick is one turn of the loop.
func (s *Server) tick(ctx context.Context, missed int) {
	s.count(func(st *Stats) {
		st.Ticks++
		st.MissedDeadlines += uint64(missed)
	})
	s.publish(ctx)
	s.command(ctx)
}

// Stats returns a copy of the counters. It may be called at any time from any goroutine.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Unpublished = maps.Clone(stats.Unpublished)
	stats.Refused = maps.Clone(stats.Refused)
	return stats
}

func (s *Server) count(f func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.stats)
}

// publish reads the backend and publishes what it read, if it is fit to be acted on.
func (s *Server) publish(ctx context.Context) {
	o := s.observation
	monotonicNs, wallNs := s.clock.NowNs(), time.Now().UnixNano()
	if err := s.backend.Read(ctx, o); err != nil {
		s.unpublished("read", err)
		return
	}
	if err := o.Validate(s.gate.robot); err != nil {
		s.unpublished("invalid", err)
		o.Resize(len(s.gate.robot.Joints), len(s.gate.robot.Feet))
		return
	}
	s.sequence++
	o.Sequence, o.SessionID = s.sequence, s.gate.sessionID
	o.MonotonicNs, o.WallNs = monotonicNs, wallNs
	frame, err := wire.AppendObservation(s.frame[:0], o)
	s.frame = frame // Grows with the first image.
	if err == nil {
		err = s.out.Publish(frame)
	}
	if err != nil {
		s.unpublished("transport", err)
		return
	}
	s.count(func(st *Stats) { st.Published++ })
}

func (s *Server) unpublished(cause string, err error) {
	s.count(func(st *Stats) { st.Unpublished[cause]++ })
	s.warn("no observation published", "cause", cause, "err", err)
}

// command takes the newest command, if any, and writes what the state calls for.
func (s *Server) command(ctx context.Context) {
	accepted := s.newest()
	nowNs := s.clock.NowNs()
	switch {
	case accepted:
		s.current, s.candidate = s.candidate, s.current
		s.state = active
	case s.state == active && nowNs > s.gate.expiryNs(s.current):
		s.state = holding
		s.count(func(st *Stats) { st.Holds++ })
		s.warn("command expired: holding the last target", "age", time.Duration(nowNs-s.current.MonotonicNs))
	}
	if s.state == idle {
		return
	}
	if err := s.backend.Write(ctx, s.current); err != nil {
		s.count(func(st *Stats) { st.WriteErrors++ })
		s.warn("backend refused a write", "err", err)
		return
	}
	if accepted {
		s.count(func(st *Stats) { st.Applied++ })
	}
}

// newest takes what arrived and says whether it left a command that passed the gate in s.candidate.
func (s *Server) newest() bool {
	const limit = 16 // A mailbox holds one frame a sender; this bounds what a crowd of senders can take of a tick.
	found := false
	for range limit {
		frame, err := s.in.TryReceive()
		if errors.Is(err, bus.ErrEmpty) {
			return found
		}
		if err != nil {
			s.refused(string(Transport), err)
			return found
		}
		if err := wire.DecodeJointCommand(s.incoming, frame); err != nil {
			cause := Transport
			if c, ok := errors.AsType[wire.Cause](err); ok {
				cause = Cause(c)
			}
			s.refused(string(cause), err)
			continue
		}
		if cause := s.gate.check(s.incoming, s.clock.NowNs()); cause != "" {
			s.refused(string(cause), nil)
			continue
		}
		if s.state != idle && s.incoming.MonotonicNs < s.current.MonotonicNs {
			s.refused(string(Superseded), nil)
			continue
		}
		if found {
			s.refused(string(Superseded), nil)
			if s.incoming.MonotonicNs < s.candidate.MonotonicNs {
				continue
			}
		}
		s.incoming, s.candidate = s.candidate, s.incoming
		found = true
	}
	return found
}

func (s *Server) refused(cause string, err error) {
	s.count(func(st *Stats) { st.Refused[cause]++ })
	s.warn("command refused", "cause", cause, "sequence", s.incoming.Sequence, "err", err)
}

// warn logs at most once a second; the counters have the rest.
func (s *Server) warn(msg string, args ...any) {
	if s.throttle.Allow() {
		s.log.Warn(msg, args...)
	}
}
