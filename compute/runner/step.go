package runner

import (
	"errors"
	"fmt"
	"math"
	"time"

	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/wire"
)

// SkipReason is why a step led to no action.
type SkipReason string

// The reasons.
const (
	// NoObservation: no observation has arrived yet.
	NoObservation SkipReason = "no_observation"
	// NotNew: no observation has arrived since the last step.
	NotNew SkipReason = "not_new"
	// Malformed: the newest frame did not decode, or was not newer than the one before.
	Malformed SkipReason = "malformed"
	// Invalid: the observation does not fit the robot, or has values that are not finite.
	Invalid SkipReason = "invalid"
	// UnknownTime: the robot's time is unknown, so that observations have no age and commands no stamp.
	UnknownTime SkipReason = "clock"
	// Transport: receiving observations failed.
	Transport SkipReason = "transport"
	// Stale: the observation was too old, or its time lies in the future.
	Stale SkipReason = "stale"
	// BuildFailed: the builder returned an error.
	BuildFailed SkipReason = "build"
	// InferenceFailed: the model returned an error.
	InferenceFailed SkipReason = "inference"
	// NotFinite: the model's output has NaN or infinite values.
	NotFinite SkipReason = "not_finite"
	// SendFailed: sending the command failed.
	SendFailed SkipReason = "send"
	// Panicked: a part of the step panicked.
	Panicked SkipReason = "panic"
)

// clockTolerance is how far the clocks of two processes on one machine may differ.
const clockTolerance = time.Millisecond

// result is the outcome of one step.
type result struct {
	skipped SkipReason // Empty after an action.
	read    bool       // An observation was read.
	age     time.Duration
	clipped bool // The command was clipped to the joints' limits.
}

// step executes one step and records its outcome.
func (r *Runner) step(missed int) {
	start := time.Now()
	s, err := r.act()
	latency := time.Since(start)
	if s.skipped != "" && s.skipped != NoObservation && s.skipped != NotNew {
		if count := r.warnings.Add(1); count > 0 {
			r.log.Warn("no action", "count", count, "reason", s.skipped, "err", err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recorder.record(start, latency, missed, s, r.lastAction)
}

// act turns the newest observation into a command. The action is then in r.lastAction.
func (r *Runner) act() (s result, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.skipped, err = Panicked, fmt.Errorf("runner: panic: %v", p)
		}
		switch s.skipped {
		case Panicked, InferenceFailed, NotFinite:
			r.faulty = true
		}
	}()
	if s, err = r.observe(); err != nil {
		return s, err
	}
	if s.skipped, err = r.infer(); err != nil {
		return s, err
	}
	action := r.model.Output()
	s.clipped = r.setCommand(action)
	if err := r.link.Send(r.command); err != nil {
		s.skipped = SendFailed
		if errors.Is(err, client.ErrClock) {
			s.skipped = UnknownTime
		}
		return s, err
	}
	if r.observer != nil {
		r.observer(r.observation, r.navigation, r.model.Input(), action)
	}
	copy(r.lastAction, action)
	return s, nil
}

// observe reads the newest observation and checks its age. At the start of a session and after a fault it resets the policy.
func (r *Runner) observe() (s result, err error) {
	if s.age, err = r.link.Poll(r.observation); err != nil {
		s.skipped = r.pollReason(err)
		return s, err
	}
	s.read = true
	if !r.seen || r.observation.SessionID != r.sessionID || r.faulty {
		r.seen, r.sessionID = true, r.observation.SessionID
		r.reset()
		r.faulty = false
	}
	// A negative age is that of another clock, or of an invalid time.
	if s.age > r.maxAge || s.age < -clockTolerance {
		s.skipped = Stale
		return s, fmt.Errorf("runner: observation %d is %v old, expected 0 to %v", r.observation.Sequence, s.age, r.maxAge)
	}
	return s, nil
}

// infer computes the action from the observation.
func (r *Runner) infer() (SkipReason, error) {
	if err := r.builder.Build(r.model.Input(), r.observation, r.navigation, r.lastAction); err != nil {
		return BuildFailed, err
	}
	if err := r.model.Run(); err != nil {
		return InferenceFailed, err
	}
	for i, a := range r.model.Output() {
		if v := float64(a); math.IsNaN(v) || math.IsInf(v, 0) {
			return NotFinite, fmt.Errorf("runner: action[%d] is %v", i, a)
		}
	}
	return "", nil
}

// reset clears the state of the policy.
func (r *Runner) reset() {
	clear(r.lastAction)
	r.actions.Reset()
	r.builder.Reset()
	r.model.Reset()
}

// setCommand makes action the command and reports whether a target was clipped.
func (r *Runner) setCommand(action []float32) (clipped bool) {
	r.command.ObservationSequence = r.observation.Sequence
	r.actions.Targets(r.command.TargetRad, action)
	for i, joint := range r.policy.Robot.Joints {
		target := joint.Clamp(r.command.TargetRad[i])
		clipped = clipped || target != r.command.TargetRad[i]
		r.command.TargetRad[i] = target
	}
	return clipped
}

func (r *Runner) pollReason(err error) SkipReason {
	if errors.Is(err, client.ErrNoObservation) {
		if r.seen {
			return NotNew
		}
		return NoObservation
	}
	if _, ok := errors.AsType[wire.RejectReason](err); ok || errors.Is(err, client.ErrOutdated) {
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
