// Package server is the robot's side of the hardware abstraction layer: it reads a backend at a fixed rate, publishes
// what it read, and writes what its safety gate makes of the commands that arrive. This is the one place through which
// commands reach joints; package safety has the states that it can be in and what is written in each.
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
	"runtime"
	"sync"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/safety"
	"krabby.dev/krabby/hal/wire"
)

// Backend is a robot, real or simulated. The server calls it from one goroutine.
type Backend interface {
	// Read fills the sensor fields of o, whose slices fit the robot and hold what the last Read left in them. The
	// server fills sequence, session and times. After an error o is not used. Read must not block for longer than a
	// fraction of the server's period.
	//
	// An image that is not touched is published again. A new one is written after its Resize, which gives memory in the
	// frame that is to be published, so that pixels are not copied; the pixels of before are already published, and must
	// not be written to.
	Read(ctx context.Context, o *message.Observation) error
	// Write applies c, which comes from the server's gate, until the next call. The server writes at every tick once
	// there is something to apply. A joint whose Kp is 0 is damped by its Kd: its target means nothing, and the backend
	// must not drive it there. Write must not keep or change c. The last write of a server damps all joints.
	Write(ctx context.Context, c *message.JointCommand) error
}

// Publisher takes observation frames; *bus.Publisher is one. Neither method blocks.
type Publisher interface {
	// Acquire returns memory of no length and at least so many bytes of capacity, for the next frame.
	Acquire(bytes int) ([]byte, error)
	// Publish takes frame, which need not lie in what Acquire returned, and does not keep it if it does not. The error is
	// bus.ErrPinned where its readers hold all of its memory.
	Publish(frame []byte) error
}

// Receiver gives command frames without blocking, and bus.ErrEmpty where there is none; *bus.Receiver is one. A frame
// holds until the next call.
type Receiver interface {
	TryReceive() ([]byte, error)
}

// link is one way to reach clients.
type link struct {
	out Publisher
	in  Receiver
}

// Stats are the server's counters since New.
type Stats struct {
	// Ticks counts turns of the loop.
	Ticks uint64 `json:"ticks"`
	// MissedDeadlines counts deadlines that the loop did not keep.
	MissedDeadlines uint64 `json:"missed_deadlines"`
	// Published counts observations that were published, on one link at least.
	Published uint64 `json:"published"`
	// Unpublished counts ticks without an observation, by cause: read or invalid; and observations that a link did not
	// take: pinned, where its readers hold all memory, transport, or v1, where version 1 cannot say it.
	Unpublished map[string]uint64 `json:"unpublished"`
	// Applied counts commands that passed the gate and of which a write to the backend succeeded.
	Applied uint64 `json:"applied"`
	// Refused counts the other commands by safety.Cause, wire.Cause, v1.Cause (as v1_frames and so on), Frames, Oversize (or
	// v1_oversize), Transport or Unwritten.
	Refused map[string]uint64 `json:"refused"`
	// Holds counts how often a command expired with no newer one to follow, and its last output was held.
	Holds uint64 `json:"holds"`
	// Damps counts how often that went on for so long that the joints were damped.
	Damps uint64 `json:"damps"`
	// WriteErrors counts writes that the backend refused.
	WriteErrors uint64 `json:"write_errors"`
	// Connections are those of all links, where they are over TCP.
	Connections bus.Connections `json:"connections"`
	// Control is of the requests for the time, a stop or a reset.
	Control ControlStats `json:"control"`
	// Safety is the gate's own report.
	Safety safety.Report `json:"safety"`
}

// What a command is refused for beside the causes of the gate and of the wire.
const (
	// Transport: the frame could not be received.
	Transport = "transport"
	// Frames: a message of another number of parts than one.
	Frames = "frames"
	// Oversize: a frame was larger than any may be, and its sender was disconnected.
	Oversize = "oversize"
	// Unwritten: the command passed the gate, but was over before a write of it succeeded.
	Unwritten = "unwritten"
)

// Option configures a Server.
type Option func(*Server)

// WithRate sets the rate of the loop in Hz; the default is 100.
func WithRate(hz float64) Option { return func(s *Server) { s.rateHz = hz } }

// WithSafety sets what the safety gate holds the robot to, except for the session; the default is safety.Defaults.
func WithSafety(config safety.Config) Option { return func(s *Server) { s.safety = config } }

// WithSession sets the session id; the default is a random one.
func WithSession(id uint64) Option { return func(s *Server) { s.sessionID = id } }

// WithLink adds a way to reach clients beside that of New, for example a TCP endpoint. Observations go to all of them, and
// commands come from all; frames are written straight into the memory of the first.
func WithLink(out Publisher, in Receiver) Option {
	return func(s *Server) { s.links = append(s.links, link{out, in}) }
}

// WithV1 adds a way to reach clients that speak version 1 of the wire format. Where the robot has no images, they get black
// ones of so many rows and columns.
func WithV1(out PartsPublisher, in PartsReceiver, height, width int) Option {
	return func(s *Server) { s.v1 = newV1Link(out, in, height, width) }
}

// WithClock sets the clock by which observations are stamped and commands judged; the default is the machine's monotonic
// clock. Clients must have the same.
func WithClock(c clock.Source) Option { return func(s *Server) { s.clock = c } }

// WithMeters calls tick with how long each turn of the loop took, and commandAge with the age of each command that passed
// the gate. Both run in the loop and must not block.
func WithMeters(tick, commandAge func(time.Duration)) Option {
	return func(s *Server) { s.meterTick, s.meterCommandAge = tick, commandAge }
}

// WithLogger sets the logger; the default is to log nothing.
func WithLogger(log *slog.Logger) Option { return func(s *Server) { s.log = log } }

// Server is the loop around one backend.
type Server struct {
	robot     *robot.Robot
	backend   Backend
	links     []link
	v1        *v1Link   // Nil without one.
	control   Responder // Nil without one.
	clock     clock.Source
	safety    safety.Config
	sessionID uint64
	rateHz    float64
	log       *slog.Logger

	meterTick, meterCommandAge func(time.Duration)

	// The loop's own; its goroutine alone uses them.
	observation *message.Observation
	sequence    uint64
	scratch     []byte                // For a frame where the first link has no memory for it.
	incoming    *message.JointCommand // Scratch for decoding.
	unwritten   bool                  // A command passed the gate, and no write of it succeeded yet.
	state       safety.State          // Of the gate, at the last tick.
	throttle    clock.Throttle
	missLog     clock.Throttle

	mu    sync.Mutex // Guards gate and stats.
	gate  *safety.Gate
	stats Stats
}

// New returns a server for r on backend, which publishes to out and takes commands from in. The error names an option
// that makes no sense.
func New(r *robot.Robot, backend Backend, out Publisher, in Receiver, opts ...Option) (*Server, error) {
	s := &Server{
		robot:     r,
		backend:   backend,
		links:     []link{{out, in}},
		clock:     clock.New(),
		safety:    safety.Defaults(r),
		sessionID: newSessionID(),
		rateHz:    100,
		log:       slog.New(slog.DiscardHandler),

		meterTick:       func(time.Duration) {},
		meterCommandAge: func(time.Duration) {},

		observation: message.NewObservation(r),
		incoming:    message.NewJointCommand(r),
		throttle:    clock.Throttle{Period: time.Second},
		missLog:     clock.Throttle{Period: time.Second},
		stats: Stats{
			Unpublished: map[string]uint64{}, Refused: map[string]uint64{},
			Control: ControlStats{Requests: map[string]uint64{}, Refused: map[string]uint64{}},
		},
	}
	for _, opt := range opts {
		opt(s)
	}
	if !(s.rateHz > 0 && s.rateHz <= 10_000) {
		return nil, fmt.Errorf("server: rate of %v Hz: expected more than 0 and at most 10000", s.rateHz)
	}
	s.safety.SessionID = s.sessionID
	var err error
	if s.gate, err = safety.New(r, s.safety); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	if lowest := float64(time.Second) / float64(s.safety.MaxCommandAge); s.rateHz < lowest {
		return nil, fmt.Errorf("server: rate of %v Hz: expected at least %v: a command waits for the next tick, and may be %v old",
			s.rateHz, lowest, s.safety.MaxCommandAge)
	}
	return s, nil
}

// newSessionID returns a number that is not 0 and that no other life of a server has.
func newSessionID() uint64 {
	var b [8]byte
	rand.Read(b[:]) // Never fails.
	return binary.LittleEndian.Uint64(b[:]) | 1
}

// Run runs the loop, with its goroutine locked to its thread, and answers control requests beside it, until ctx is done. Then
// it damps the joints, if a command was ever accepted. Call it once, or Turn instead.
func (s *Server) Run(ctx context.Context) {
	var control sync.WaitGroup
	control.Go(func() { s.ServeControl(ctx) })
	defer control.Wait()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s.run(ctx, clock.NewPacer(time.Duration(float64(time.Second)/s.rateHz)))
}

func (s *Server) run(ctx context.Context, pacer *clock.Pacer) {
	defer func() { s.logMissed(s.missLog.Flush()) }()
	for {
		missed, err := pacer.Wait(ctx)
		if err != nil {
			s.Finish(ctx)
			return
		}
		s.logMissed(s.missLog.Add(missed))
		start := time.Now()
		s.tick(ctx, missed)
		s.meterTick(time.Since(start))
	}
}

// logMissed logs that so many deadlines were missed since it last did.
func (s *Server) logMissed(count int) {
	if count > 0 {
		s.log.Warn("missed deadlines", "count", count)
	}
}

// Turn is one turn of the loop, now: for a simulation, of which the time passes between the turns and not with the wall
// clock. It belongs to one goroutine, and to a server that does not Run. After the last one comes Finish, where something
// stays behind that could be left holding a position.
func (s *Server) Turn(ctx context.Context) { s.tick(ctx, 0) }

const (
	// finishAttempts is how often the last write is tried, and finishWithin how long all of them may take.
	finishAttempts = 3
	finishWithin   = 100 * time.Millisecond
)

// Finish makes the last write to the backend: it damps the joints, so that the robot is not left holding the last position
// that it was told. Where no command was ever accepted, and nobody stopped the robot, nothing was written and nothing is.
// It does so although ctx is done. Run does it by itself.
func (s *Server) Finish(ctx context.Context) {
	s.mu.Lock()
	output := s.gate.Last()
	s.mu.Unlock()
	if output == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	var err error
	for range finishAttempts {
		if err = s.backend.Write(ctx, output); err == nil {
			return
		}
		s.count(func(st *Stats) { st.WriteErrors++ })
	}
	s.log.Error("the joints could not be damped at the end: the robot may hold the last position that it was told", "err", err)
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

// EStop stops the robot, for a reason that the report will name: the joints are damped from the next write on, which is
// at most a period away, until Reset. It may be called at any time from any goroutine.
func (s *Server) EStop(reason safety.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate.EStop(reason, s.clock.NowNs())
}

// Reset ends a stop; the joints stay damped until the next good command. The error says which fault lasts, and then the
// robot stays stopped. It may be called at any time from any goroutine.
func (s *Server) Reset() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gate.Reset(s.clock.NowNs())
}

// Stats returns a copy of the counters. It may be called at any time from any goroutine.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Unpublished = maps.Clone(stats.Unpublished)
	stats.Refused = maps.Clone(stats.Refused)
	stats.Control = ControlStats{maps.Clone(stats.Control.Requests), maps.Clone(stats.Control.Refused)}
	stats.Safety = s.gate.Report(s.clock.NowNs())
	var sockets []any
	for _, l := range s.links {
		sockets = append(sockets, l.out, l.in)
		addOversize(stats.Refused, Oversize, l.in)
	}
	if s.v1 != nil {
		sockets = append(sockets, s.v1.out, s.v1.in)
		addOversize(stats.Refused, "v1_"+Oversize, s.v1.in)
	}
	if s.control != nil {
		sockets = append(sockets, s.control)
		addOversize(stats.Control.Refused, Oversize, s.control)
	}
	stats.Connections = bus.ConnectionsOf(sockets...)
	return stats
}

// addOversize counts what a receiver refused by itself.
func addOversize(refused map[string]uint64, cause string, in any) {
	if n := bus.ConnectionsOf(in).Oversize; n > 0 {
		refused[cause] += n
	}
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
	memory := s.place(o)
	if err := s.backend.Read(ctx, o); err != nil {
		s.unpublished("read", err)
		return
	}
	if err := o.Validate(s.robot); err != nil {
		s.unpublished("invalid", err)
		o.Resize(len(s.robot.Joints), len(s.robot.Feet))
		o.RGB1.Clear()
		o.RGB2.Clear()
		o.Depth.Clear()
		o.Confidence.Clear()
		return
	}
	s.sequence++
	o.Sequence, o.SessionID = s.sequence, s.sessionID
	o.MonotonicNs, o.WallNs = monotonicNs, wallNs
	if !s.observe(o) {
		s.unpublished("invalid", errClock)
		return
	}
	frame, err := wire.FillObservation(memory, o)
	if err != nil {
		s.unpublished("invalid", err)
		return
	}
	published := false
	for i := range s.links {
		published = s.published(s.links[i].out.Publish(frame), "transport") || published
	}
	if s.v1 != nil {
		published = s.published(s.v1.publish(o), "v1") || published
	}
	if published {
		s.count(func(st *Stats) { st.Published++ })
	}
}

// published counts what came of publishing on one link, and says whether it went well.
func (s *Server) published(err error, cause string) bool {
	switch {
	case err == nil:
		return true
	case errors.Is(err, bus.ErrPinned):
		cause = "pinned"
	}
	s.unpublished(cause, err)
	return false
}

// place returns memory for the next frame, into which the backend's images go if they keep their sizes.
func (s *Server) place(o *message.Observation) []byte {
	bytes, err := wire.ObservationBytes(o)
	var memory []byte
	if err == nil {
		memory, err = s.links[0].out.Acquire(bytes)
	}
	if err != nil { // What it is counts when it is published.
		if cap(s.scratch) < bytes {
			s.scratch = make([]byte, 0, bytes)
		}
		memory = s.scratch[:0]
	}
	// An error means that images get memory of their own, and are copied.
	_ = wire.PlaceObservation(memory[:cap(memory)], o)
	return memory
}

func (s *Server) unpublished(cause string, err error) {
	s.count(func(st *Stats) { st.Unpublished[cause]++ })
	s.warn("no observation published", "cause", cause, "err", err)
}

// errClock is all that a gate can have against an observation that is valid.
var errClock = errors.New("the clock went back")

func (s *Server) observe(o *message.Observation) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gate.Observe(o, s.clock.NowNs())
}

// command takes the commands that arrived and writes what the gate makes of them.
func (s *Server) command(ctx context.Context) {
	s.receive()
	output, state := s.next()
	if s.unwritten && state != safety.Active {
		s.unwritten = false
		s.refused(Unwritten, nil)
	}
	if output == nil {
		return
	}
	err := s.backend.Write(ctx, output)
	s.wrote(err == nil)
	if err != nil {
		s.warn("backend refused a write", "err", err)
	}
}

// receive offers what arrived to the gate.
func (s *Server) receive() {
	for i := range s.links {
		s.receiveFrom(s.links[i].in)
	}
	if s.v1 != nil {
		s.receiveV1()
	}
}

func (s *Server) receiveFrom(in Receiver) {
	const limit = 16 // A mailbox holds one frame a sender; this bounds what a crowd of senders can take of a tick.
	for range limit {
		frame, err := in.TryReceive()
		if errors.Is(err, bus.ErrEmpty) {
			return
		}
		if errors.Is(err, bus.ErrParts) {
			s.refused(Frames, err)
			continue
		}
		if err != nil {
			s.refused(Transport, err)
			return
		}
		if err := wire.DecodeJointCommand(s.incoming, frame); err != nil {
			cause := Transport
			if c, ok := errors.AsType[wire.Cause](err); ok {
				cause = string(c)
			}
			s.refused(cause, err)
			continue
		}
		s.judge()
	}
}

// judge offers the command that came in to the gate, and counts what becomes of it.
func (s *Server) judge() {
	if cause := s.offer(s.incoming); cause != "" {
		s.refused(string(cause), nil)
		return
	}
	s.meterCommandAge(time.Duration(s.clock.NowNs() - s.incoming.MonotonicNs))
	if s.unwritten {
		s.refused(string(safety.Superseded), nil)
	}
	s.unwritten = true
}

func (s *Server) offer(c *message.JointCommand) safety.Cause {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gate.Offer(c, s.clock.NowNs())
}

// next moves the gate on and returns what to write, if anything, and the state that it is in.
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

// transition logs that the state is another one. A stop is always said, the rest as often as other warnings.
func (s *Server) transition(to safety.State, by safety.Fault) {
	switch to {
	case safety.Stopped:
		s.log.Error("stopped: damping the joints until a reset", "by", by)
	case safety.Hold:
		s.warn("command expired: holding the last output")
	case safety.Damp:
		s.warn("damping the joints until the next good command")
	}
}

func (s *Server) wrote(ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate.Wrote(ok)
	switch {
	case !ok:
		s.stats.WriteErrors++
	case s.unwritten:
		s.stats.Applied++
		s.unwritten = false
	}
}

func (s *Server) refused(cause string, err error) {
	s.count(func(st *Stats) { st.Refused[cause]++ })
	s.warn("command refused", "cause", cause, "sequence", s.incoming.Sequence, "err", err)
}

// warn logs at most once a second, then with the number of the warnings held back before; the counters have what they were.
func (s *Server) warn(msg string, args ...any) {
	switch count := s.throttle.Add(1); count {
	case 0:
	case 1:
		s.log.Warn(msg, args...)
	default:
		s.log.Warn(msg, append(args, "held_back", count-1)...)
	}
}
