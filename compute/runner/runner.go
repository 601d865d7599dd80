// Package runner is the control loop: at absolute deadlines it reads the newest observation, runs the policy and sends the action as
// a joint command. One observation leads to at most one action. A missing, old or malformed observation leads to none and is counted
// by its reason; the robot's server then holds, and after a while damps the joints.
//
// A fault of the policy does not end the loop. After a panic, an error of the model or an output that is not finite, the policy's
// state is undefined; the loop resets it before the next step, as at the start of a session. A crash inside the library of an
// inference engine ends the process.
//
// The loop itself does not allocate. It must not import servers, backends or an inference engine: it uses models through an
// interface.
package runner

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
)

// Link is the connection to the robot; *client.Client is one.
type Link interface {
	// Poll reads the newest unread observation into o and returns its age. It does not block. The error is client.ErrNoObservation if there
	// is no new observation.
	Poll(o *message.Observation) (age time.Duration, err error)
	// Send sends cmd. It does not block and does not keep cmd.
	Send(cmd *message.JointCommand) error
}

// Builder computes the input of a model from an observation; *observation.Builder is one.
type Builder interface {
	// Build fills dst, the model's input. After an error the builder's state is as before the call.
	Build(dst []float32, o *message.Observation, command message.NavigationCommand, lastAction []float32) error
	// Reset clears the builder's state, such as a history of observations.
	Reset()
}

// Model computes an action; *onnx.Session is one.
type Model interface {
	// Input is the memory of the observation, Output that of the action.
	Input() []float32
	Output() []float32
	// Run computes Output from Input and the model's state.
	Run() error
	// Reset clears the model's state, such as that of a recurrent network.
	Reset()
}

// Observer is called after each action, in the loop: with the observation, the navigation command, the model's input and the action.
// It must not keep its arguments and must return soon.
type Observer func(o *message.Observation, command message.NavigationCommand, input, action []float32)

// Option configures a Runner.
type Option func(*Runner)

// WithRate sets the rate of the loop in Hz; the default is the policy's.
func WithRate(hz float64) Option { return func(r *Runner) { r.rateHz = hz } }

// WithCommand sets the navigation command to follow; the default is to stand.
func WithCommand(c message.NavigationCommand) Option { return func(r *Runner) { r.navigation = c } }

// WithMaxObservationAge sets the largest age of an observation that leads to an action; the default is 100 ms.
func WithMaxObservationAge(d time.Duration) Option { return func(r *Runner) { r.maxAge = d } }

// WithLogger sets the logger; the default discards.
func WithLogger(log *slog.Logger) Option { return func(r *Runner) { r.log = log } }

// WithObserver sets the observer of actions; the default is none.
func WithObserver(o Observer) Option { return func(r *Runner) { r.observer = o } }

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
	observer   Observer // Nil for none.

	// Used by the goroutine of the loop only.
	observation *message.Observation
	command     *message.JointCommand
	lastAction  []float32
	actions     *policy.ActionProcessor
	seen        bool // An observation has been read.
	sessionID   uint64
	faulty      bool // The policy failed: reset it before the next step.
	warnings    clock.Throttle

	mu       sync.Mutex // Guards recorder.
	recorder recorder
}

// New returns a loop that drives p's robot over link. The error names what does not fit together.
func New(p *policy.Policy, link Link, builder Builder, model Model, opts ...Option) (*Runner, error) {
	actions := len(p.DefaultPoseRad) // One per joint of the policy, which may drive a part of the robot's.
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
		actions:     policy.NewActionProcessor(p),
		warnings:    clock.Throttle{Period: time.Second},
		recorder:    newRecorder(actions),
	}
	r.command.Kp, r.command.Kd = p.RobotGains()
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

// Run runs the loop until ctx is done. Call it once; a simulation calls Step instead.
func (r *Runner) Run(ctx context.Context) {
	r.run(ctx, clock.NewPacer(time.Duration(float64(time.Second)/r.rateHz)))
}

func (r *Runner) run(ctx context.Context, pacer *clock.Pacer) {
	clock.RunLoop(ctx, pacer, r.log, r.step)
}

// Step is one step of the loop, for a simulation whose clock advances between the steps. Rate and latency are recorded by the wall
// clock. It belongs to one goroutine.
func (r *Runner) Step() { r.step(0) }

// Stats returns a copy of the counters. It may be called at any time from any goroutine.
func (r *Runner) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.recorder.stats()
}
