// Package runner is the control loop: at absolute deadlines it takes the newest observation, asks the policy for an
// action and sends it as a joint command. One observation leads to at most one action. Whatever is missing, old or
// malformed leads to none, and is counted by its cause; the robot's server then holds, and after a while damps.
//
// Nor does a fault of the policy end the loop. After a panic, an error of the model or an output that is not finite,
// nobody knows what the policy remembers, so before its next step all of it is forgotten, as in a new session: a policy
// that always fails never acts, and one that failed once begins anew. What Go cannot recover from, such as a crash inside
// of an inference engine's library, ends the process.
//
// The loop itself does not allocate beyond what its parts do. It must never import servers, backends or an inference
// engine: it knows a model only as an interface.
package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"sync"
	"time"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/wire"
)

// Link is the connection to the robot; *client.Client is one.
type Link interface {
	// Poll reads the newest unread observation, valid for the robot, into o and returns its age, without blocking. The
	// error is client.ErrNone where there is none.
	Poll(o *message.Observation) (age time.Duration, err error)
	// Send sends cmd without blocking. It must not keep cmd.
	Send(cmd *message.JointCommand) error
}

// Builder turns an observation into the input of a model; *joystick.Builder is one.
type Builder interface {
	// Build fills dst, which is the model's input.
	//
	// Where it fails the step must not count: nothing of it may be in what the builder remembers.
	Build(dst []float32, o *message.Observation, command message.NavigationCommand, lastAction []float32) error
}

// Model computes an action; *onnx.Session is one. Where a model or a builder has a method Reset too, that makes it forget,
// when the robot's side begins anew and after a fault of the policy.
type Model interface {
	Input() []float32
	Output() []float32
	Run() error
}

// Cause is why a tick led to no action.
type Cause string

// The causes.
const (
	// NoObservation: none has ever arrived.
	NoObservation Cause = "no_observation"
	// NotNew: none has arrived since the last tick.
	NotNew Cause = "not_new"
	// Malformed: the newest frame did not decode, or was not newer than the one before.
	Malformed Cause = "malformed"
	// Invalid: the observation does not fit the robot, or has values that are not finite.
	Invalid Cause = "invalid"
	// UnknownTime: the robot's time is not known, so that neither the age of an observation can be told nor a command sent.
	UnknownTime Cause = "clock"
	// Transport: observations could not be received.
	Transport Cause = "transport"
	// Stale: the observation was older than the loop accepts, or was made later than now.
	Stale Cause = "stale"
	// BuildFailed: the model's input could not be built.
	BuildFailed Cause = "build"
	// InferenceFailed: the model returned an error.
	InferenceFailed Cause = "inference"
	// NotFinite: the model's output had NaN or infinite values.
	NotFinite Cause = "not_finite"
	// SendFailed: the command could not be sent.
	SendFailed Cause = "send"
	// Panicked: a part of the step panicked.
	Panicked Cause = "panic"
)

// clockTolerance is how far the clocks of two processes on one machine may seem to differ.
const clockTolerance = time.Millisecond

// Option configures a Runner.
type Option func(*Runner)

// WithRate sets the rate of the loop in Hz; the default is the policy's.
func WithRate(hz float64) Option { return func(r *Runner) { r.rateHz = hz } }

// WithCommand sets the navigation command to follow; the default is to stand.
func WithCommand(c message.NavigationCommand) Option { return func(r *Runner) { r.navigation = c } }

// WithMaxObservationAge sets how old an observation may be to be acted on; the default is 100 ms.
func WithMaxObservationAge(d time.Duration) Option { return func(r *Runner) { r.maxAge = d } }

// WithLogger sets the logger; the default is to log nothing.
func WithLogger(log *slog.Logger) Option { return func(r *Runner) { r.log = log } }

// Runner is the loop around one policy.
type Runner struct {
	policy     *policy.Policy
	link       Link
	builder    Builder
	model      Model
	rateHz     float64
	navigation message.NavigationCommand
	maxAge     time.Duration
	log        *slog.Logger
	observer   Observer // May be nil.

	// The loop's own; its goroutine alone uses them.
	observation *message.Observation
	command     *message.JointCommand
	lastAction  []float32
	seen        bool
	sessionID   uint64
	faulty      bool // The policy failed, and what it remembers must be forgotten.
	missLog     clock.Throttle
	failureLog  clock.Throttle

	mu       sync.Mutex // Guards recorder.
	recorder recorder
}

// New returns a loop that drives p's robot over link. The error says which part does not fit.
func New(p *policy.Policy, link Link, builder Builder, model Model, opts ...Option) (*Runner, error) {
	actions := len(p.DefaultPoseRad) // One a joint of the policy, which need not drive all of the robot's.
	r := &Runner{
		policy:      p,
		link:        link,
		builder:     builder,
		model:       model,
		rateHz:      p.ControlRateHz,
		maxAge:      100 * time.Millisecond,
		log:         slog.New(slog.DiscardHandler),
		observation: message.NewObservation(p.Robot),
		command:     message.NewJointCommand(p.Robot),
		lastAction:  make([]float32, actions),
		missLog:     clock.Throttle{Period: time.Second},
		failureLog:  clock.Throttle{Period: time.Second},
		recorder:    newRecorder(actions),
	}
	for _, opt := range opts {
		opt(r)
	}
	if !(r.rateHz > 0 && r.rateHz <= 1000) {
		return nil, fmt.Errorf("runner: rate of %v Hz: expected more than 0 and at most 1000", r.rateHz)
	}
	if r.maxAge <= 0 {
		return nil, fmt.Errorf("runner: greatest observation age of %v: expected more than 0", r.maxAge)
	}
	if err := r.navigation.Validate(); err != nil {
		return nil, fmt.Errorf("runner: navigation command: %w", err)
	}
	if n := len(model.Input()); n != p.Observation.Size {
		return nil, fmt.Errorf("runner: model input of %d values: expected %d", n, p.Observation.Size)
	}
	if n := len(model.Output()); n != actions {
		return nil, fmt.Errorf("runner: model output of %d values: expected %d", n, actions)
	}
	return r, nil
}

// Run runs the loop until ctx is done, with its goroutine locked to its thread. Call it once, or Turn instead.
func (r *Runner) Run(ctx context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r.run(ctx, clock.NewPacer(time.Duration(float64(time.Second)/r.rateHz)))
}

func (r *Runner) run(ctx context.Context, pacer *clock.Pacer) {
	defer func() { r.logMissed(r.missLog.Flush()) }()
	for {
		missed, err := pacer.Wait(ctx)
		if err != nil {
			return
		}
		r.logMissed(r.missLog.Add(missed))
		r.tick(missed)
	}
}

// logMissed logs that so many deadlines were missed since it last did.
func (r *Runner) logMissed(count int) {
	if count > 0 {
		r.log.Warn("missed deadlines", "count", count)
	}
}

// Turn is one turn of the loop, now: for a simulation, of which the time passes between the turns. The rate and the
// latency that are recorded are the wall clock's all the same. It belongs to one goroutine, and to a loop that does not
// Run.
func (r *Runner) Turn() { r.tick(0) }

// Stats returns a copy of what was recorded. It may be called at any time from any goroutine.
func (r *Runner) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.recorder.stats()
}

// tick does one step and records what came of it.
func (r *Runner) tick(missed int) {
	start := time.Now()
	s, err := r.step()
	latency := time.Since(start)
	if s.cause != "" && s.cause != NoObservation && s.cause != NotNew {
		if count := r.failureLog.Add(1); count > 0 {
			r.log.Warn("no action", "count", count, "cause", s.cause, "err", err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recorder.record(start, latency, missed, s, r.lastAction)
}

// step is what came of one tick.
type step struct {
	cause   Cause // Empty where there was an action.
	read    bool  // An observation was read.
	age     time.Duration
	clipped bool // The command was clipped to the joints' limits.
}

// step turns the newest observation into a command. The action is then in r.lastAction.
func (r *Runner) step() (s step, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.cause, err = Panicked, fmt.Errorf("runner: panic: %v", p)
		}
		switch s.cause {
		case Panicked, InferenceFailed, NotFinite:
			r.faulty = true
		}
	}()
	s.age, err = r.link.Poll(r.observation)
	if err != nil {
		s.cause = r.pollCause(err)
		return s, err
	}
	s.read = true
	if !r.seen || r.observation.SessionID != r.sessionID || r.faulty {
		r.seen, r.sessionID = true, r.observation.SessionID
		// The policy's memory belongs to the life of the robot it acted on.
		r.forget()
		r.faulty = false
	}
	// An age below zero is of a clock that is not ours, or of a time that no clock shows.
	if s.age > r.maxAge || s.age < -clockTolerance {
		s.cause = Stale
		return s, fmt.Errorf("runner: observation %d is %v old, expected 0 to %v", r.observation.Sequence, s.age, r.maxAge)
	}
	if err := r.builder.Build(r.model.Input(), r.observation, r.navigation, r.lastAction); err != nil {
		s.cause = BuildFailed
		return s, err
	}
	if err := r.model.Run(); err != nil {
		s.cause = InferenceFailed
		return s, err
	}
	action := r.model.Output()
	for i, a := range action {
		if v := float64(a); math.IsNaN(v) || math.IsInf(v, 0) {
			s.cause = NotFinite
			return s, fmt.Errorf("runner: action[%d] is %v", i, a)
		}
	}
	s.clipped = r.fill(action)
	if err := r.link.Send(r.command); err != nil {
		s.cause = SendFailed
		if errors.Is(err, client.ErrClock) {
			s.cause = UnknownTime
		}
		return s, err
	}
	if r.observer != nil {
		r.observer(r.observation, r.navigation, r.model.Input(), action)
	}
	copy(r.lastAction, action)
	return s, nil
}

// forget makes the policy begin anew.
func (r *Runner) forget() {
	clear(r.lastAction)
	for _, part := range []any{r.builder, r.model} {
		if p, ok := part.(interface{ Reset() }); ok {
			p.Reset()
		}
	}
}

// fill makes action the command and says whether a target had to be clipped.
func (r *Runner) fill(action []float32) (clipped bool) {
	r.command.ObservationSequence = r.observation.Sequence
	r.policy.Targets(r.command.TargetRad, action)
	for i, joint := range r.policy.Robot.Joints {
		target := joint.Clamp(r.command.TargetRad[i])
		clipped = clipped || target != r.command.TargetRad[i]
		r.command.TargetRad[i] = target
	}
	return clipped
}

func (r *Runner) pollCause(err error) Cause {
	if errors.Is(err, client.ErrNone) {
		if r.seen {
			return NotNew
		}
		return NoObservation
	}
	if _, ok := errors.AsType[wire.Cause](err); ok || errors.Is(err, client.ErrOld) {
		return Malformed
	}
	if _, ok := errors.AsType[*message.FieldError](err); ok {
		return Invalid
	}
	if errors.Is(err, client.ErrClock) {
		return UnknownTime
	}
	return Transport
}
