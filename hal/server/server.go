// Package server is the robot's side of the hardware abstraction layer: at a fixed rate it reads a backend, publishes the
// observation, and writes the joint command that its safety gate derives from the commands received. All commands reach the
// joints through this package; package safety has the states of the gate and its output in each.
//
// No message and no error of the backend or the transport ends the loop: each is counted by its reason and dropped.
//
// It must not import concrete backends, clients or inference.
package server

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"krabby.dev/krabby/hal/backend"
	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/safety"
)

// Publisher sends observation frames; *bus.Publisher is one. No method blocks.
type Publisher interface {
	bus.ConnectionCounter
	// Acquire returns memory of length 0 and at least the given capacity for the next frame.
	Acquire(bytes int) ([]byte, error)
	// Publish sends frame, which may lie outside the memory of Acquire; Publish does not keep it then. The error is
	// bus.ErrPinned while readers hold all of the publisher's memory.
	Publish(frame []byte) error
}

// Receiver receives command frames; *bus.Receiver is one.
type Receiver interface {
	bus.ConnectionCounter
	// TryReceive returns the next frame, valid until the next call, or bus.ErrEmpty. It does not block.
	TryReceive() ([]byte, error)
}

// link is one way to reach clients.
type link struct {
	out Publisher
	in  Receiver
}

// Option configures a Server.
type Option func(*Server)

// WithRate sets the rate of the loop in Hz; the default is 100.
func WithRate(hz float64) Option { return func(s *Server) { s.rateHz = hz } }

// WithSafety sets the limits of the safety gate; the default is safety.Defaults. Its session is ignored.
func WithSafety(config safety.Config) Option { return func(s *Server) { s.safety = config } }

// WithSession sets the session id; the default is random.
func WithSession(id uint64) Option { return func(s *Server) { s.sessionID = id } }

// WithLink adds a link to that of New, for example a TCP endpoint. The server publishes on all links and accepts commands from
// all; it writes frames directly into the memory of the first.
func WithLink(out Publisher, in Receiver) Option {
	return func(s *Server) { s.links = append(s.links, link{out, in}) }
}

// WithV1 adds a link for clients of version 1 of the wire format. For a robot without cameras the server publishes black images
// of height rows and width columns.
func WithV1(out MultipartPublisher, in MultipartReceiver, height, width int) Option {
	return func(s *Server) { s.v1 = newV1Link(out, in, height, width) }
}

// WithV1Gains sets the gains of commands of version 1, which state none, one value per joint; the default is the robot's gains. With a
// policy they are the policy's, which the gate allows.
func WithV1Gains(kp, kd []float64) Option { return func(s *Server) { s.v1Kp, s.v1Kd = kp, kd } }

// WithClock sets the clock that stamps observations and judges commands; the default is the machine's monotonic clock. Clients
// must use the same one.
func WithClock(c clock.Source) Option { return func(s *Server) { s.clock = c } }

// WithMeters calls step with the duration of each step, and commandAge with the age of each command that the gate accepts. Both
// run in the loop and must not block.
func WithMeters(step, commandAge func(time.Duration)) Option {
	return func(s *Server) { s.meterStep, s.meterCommandAge = step, commandAge }
}

// WithLogger sets the logger; the default discards.
func WithLogger(log *slog.Logger) Option { return func(s *Server) { s.log = log } }

// Server is the loop around one backend.
type Server struct {
	robot      *robot.Robot
	backend    *backend.Lifecycle
	links      []link
	v1         *v1Link   // Nil without clients of version 1.
	v1Kp, v1Kd []float64 // Gains of their commands.
	control    Responder // Nil without a control link.
	clock      clock.Source
	safety     safety.Config
	sessionID  uint64
	rateHz     float64
	log        *slog.Logger

	meterStep, meterCommandAge func(time.Duration)

	// Used by the goroutine of the loop only.
	observation *message.Observation
	sequence    uint64
	scratch     []byte                // A frame, while the first link has no memory.
	incoming    *message.JointCommand // The command being decoded.
	unwritten   bool                  // The gate accepted a command, and no write of it has succeeded.
	state       safety.State          // Of the gate, at the last step.
	warnings    warnings

	mu    sync.Mutex // Guards gate and stats.
	gate  *safety.Gate
	stats Stats
}

// New returns a server for r on b. It publishes to out and receives commands from in. The error names an invalid option.
func New(r *robot.Robot, b *backend.Lifecycle, out Publisher, in Receiver, opts ...Option) (*Server, error) {
	s := &Server{
		robot:     r,
		backend:   b,
		links:     []link{{out, in}},
		v1Kp:      r.Kp,
		v1Kd:      r.Kd,
		clock:     clock.New(),
		safety:    safety.Defaults(r),
		sessionID: newSessionID(),
		rateHz:    100,
		log:       slog.New(slog.DiscardHandler),

		meterStep:       func(time.Duration) {},
		meterCommandAge: func(time.Duration) {},

		observation: message.NewObservation(r),
		incoming:    message.NewJointCommand(r),
		stats:       newStats(),
	}
	for _, opt := range opts {
		opt(s)
	}
	s.warnings = newWarnings(s.log)
	if !(s.rateHz > 0 && s.rateHz <= 10_000) {
		return nil, fmt.Errorf("server: rate of %v Hz: expected more than 0 and at most 10000", s.rateHz)
	}
	if kp, kd, n := len(s.v1Kp), len(s.v1Kd), len(r.Joints); kp != n || kd != n {
		return nil, fmt.Errorf("server: gains of version 1: found %d and %d values, expected %d of each", kp, kd, n)
	}
	s.safety.SessionID = s.sessionID
	var err error
	if s.gate, err = safety.New(r, s.safety); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	if lowest := float64(time.Second) / float64(s.safety.MaxCommandAge); s.rateHz < lowest {
		return nil, fmt.Errorf("server: rate of %v Hz: expected at least %v: a command waits for the next step, and may be %v old",
			s.rateHz, lowest, s.safety.MaxCommandAge)
	}
	return s, nil
}

// newSessionID returns a random id other than 0.
func newSessionID() uint64 {
	var b [8]byte
	rand.Read(b[:]) // Never fails.
	return binary.LittleEndian.Uint64(b[:]) | 1
}

// Run activates the backend, runs the loop and answers control requests until ctx is done, and then deactivates the backend.
// Call it once; a simulation calls Activate, Step and Deactivate instead. The error is the backend's.
func (s *Server) Run(ctx context.Context) error {
	return s.run(ctx, clock.NewPacer(time.Duration(float64(time.Second)/s.rateHz)))
}

func (s *Server) run(ctx context.Context, pacer *clock.Pacer) error {
	if err := s.Activate(ctx); err != nil {
		return err
	}
	var control sync.WaitGroup
	control.Go(func() { s.ServeControl(ctx) })
	defer control.Wait()
	clock.RunLoop(ctx, pacer, s.log, func(missed int) {
		start := time.Now()
		s.step(ctx, missed)
		s.meterStep(time.Since(start))
	})
	return s.Deactivate(ctx)
}

// Activate activates the backend if it is inactive.
func (s *Server) Activate(ctx context.Context) error {
	if s.backend.State() == backend.Active {
		return nil
	}
	if err := s.backend.Activate(ctx); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	return nil
}

// Step is one step of the loop: PublishObservation and then ApplyCommands. A simulation, whose clock advances between the steps, calls
// it from one goroutine, after Activate and before Deactivate.
func (s *Server) Step(ctx context.Context) { s.step(ctx, 0) }

func (s *Server) step(ctx context.Context, missed int) {
	s.count(func(st *Stats) {
		st.Steps++
		st.MissedDeadlines += uint64(missed)
	})
	s.PublishObservation(ctx)
	s.ApplyCommands(ctx)
}

const (
	// shutdownAttempts is how often the shutdown command is written, shutdownTimeout how long all attempts may take.
	shutdownAttempts = 3
	shutdownTimeout  = 100 * time.Millisecond
)

// Deactivate brings the robot into the safe state, although ctx may be done: it writes the gate's shutdown command, which damps
// the joints, and deactivates the backend. It writes no command if the gate has never written one. The error says what failed;
// the robot may then hold its last position.
func (s *Server) Deactivate(ctx context.Context) error {
	err := errors.Join(s.shutdown(ctx), s.backend.Deactivate(ctx))
	if err != nil {
		err = fmt.Errorf("server: deactivating the robot, which may hold its last position: %w", err)
		s.log.Error("deactivation failed: the robot may hold its last position", "err", err)
	}
	return err
}

// shutdown writes the shutdown command.
func (s *Server) shutdown(ctx context.Context) error {
	s.mu.Lock()
	output := s.gate.ShutdownCommand()
	s.mu.Unlock()
	if output == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	var err error
	for range shutdownAttempts {
		if err = s.backend.Write(ctx, output); err == nil {
			return nil
		}
		s.count(func(st *Stats) { st.WriteErrors++ })
	}
	return err
}

// EStop stops the robot: the joints are damped from the next step on until Reset. reason appears in the report. It may be called
// at any time from any goroutine.
func (s *Server) EStop(reason safety.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate.EStop(reason, s.clock.NowNs())
}

// Reset ends a stop; the joints stay damped until the gate accepts a command. The error names a fault that persists, and then the
// robot stays stopped. It may be called at any time from any goroutine.
func (s *Server) Reset() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gate.Reset(s.clock.NowNs())
}
