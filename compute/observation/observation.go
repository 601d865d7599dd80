// Package observation builds the observation of a policy from its manifest: terms with clip, scale and offset, and a history
// of steps. docs/manifest.md defines the terms.
//
// It must never import inference engines, transport, servers, clients or the packages that provide slots.
package observation

import (
	"errors"
	"fmt"
	"math"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/message"
)

// Provider provides the slots of an observation: terms that follow neither from the robot's joints nor from its inertial
// unit.
type Provider interface {
	// Provide writes the slots of the current step into frame, which has all terms of the step in order; slots are 0. An error
	// fails the step.
	Provide(frame []float32, o *message.Observation, command message.NavigationCommand) error
	// Reset clears the provider's state, before the first step of a session.
	Reset()
}

// Option configures a Builder.
type Option func(*Builder)

// WithProvider sets the provider of slots, which an observation with slots requires. Others ignore it.
func WithProvider(p Provider) Option { return func(b *Builder) { b.provider = p } }

// Builder builds the observations of one policy. It has the history of the steps before, so it is for one control loop and
// one goroutine at a time.
type Builder struct {
	terms    []term
	size     int
	frame    []float32 // Nil where the frame is the beginning of the observation.
	raw      []float64 // The raw values of one term.
	current  []span
	history  []history
	start    string // Of the history.
	after    bool   // A step enters the history after its use.
	provider Provider
	imu      *imu
	gaits    []*gait
	stateful bool // The observation is more than the terms.

	robotJoints, robotFeet, actions int
	needsVelocity, needsContacts    bool

	sessionID uint64
	started   bool // The session has a step.
}

// span is a part of the frame and its place in the observation.
type span struct{ from, size, to int }

// New returns a builder for p. The error is a *policy.Error if the observation has slots and there is no provider.
func New(p *policy.Policy, opts ...Option) (*Builder, error) {
	l := p.ObservationLayout()
	b := &Builder{
		size: l.Size, robotJoints: len(p.Robot.Joints), robotFeet: len(p.Robot.Feet), actions: len(p.DefaultPoseRad), imu: newIMU(p.IMU),
	}
	for _, opt := range opts {
		opt(b)
	}
	switch {
	case p.Observation.Provider == "":
		b.provider = nil
	case b.provider == nil:
		return nil, &policy.Error{File: p.Dir, Field: "observation.provider", Err: fmt.Errorf("%q provides no slots here", p.Observation.Provider)}
	}
	widest := 0
	for i := range p.Observation.Terms {
		b.addTerm(p, &p.Observation.Terms[i], l.Terms[i])
		widest = max(widest, l.Terms[i].Size)
	}
	b.raw = make([]float64, widest)
	b.fuse()
	b.addHistory(p, l)
	b.stateful = len(b.gaits) > 0 || b.provider != nil || len(b.history) > 0
	return b, nil
}

// Size returns the number of values of an observation.
func (b *Builder) Size() int { return b.size }

// Build writes an observation to dst, which has Size values. lastAction is the last output of the policy, in its order. An
// observation with a new session ID starts a new history and a new gait.
//
// Build fails if a slice has the wrong length, if the base velocity is needed and unknown, since zeros in its place would
// mislead the policy, and if the provider fails. A step that fails does not enter the history. Build does not check values,
// and does not allocate unless it fails.
func (b *Builder) Build(dst []float32, o *message.Observation, command message.NavigationCommand, lastAction []float32) error {
	if len(dst) != b.size || len(o.PositionRad) != b.robotJoints || len(o.VelocityRadPerSec) != b.robotJoints || len(lastAction) != b.actions ||
		b.needsContacts && len(o.Contacts) != b.robotFeet || b.needsVelocity && !o.BaseVelocityKnown {
		return fmt.Errorf("observation: %w", b.unfit(dst, o, lastAction))
	}
	if !b.started || o.SessionID != b.sessionID {
		b.Reset()
		b.sessionID = o.SessionID
	}
	frame := b.frame
	if frame == nil {
		frame = dst
	}
	if !b.stateful {
		b.writeTerms(frame, o, &command, lastAction)
		b.started = true
		return nil
	}
	for _, g := range b.gaits {
		g.stand(command)
	}
	b.writeTerms(frame, o, &command, lastAction)
	if b.provider != nil {
		if err := b.provider.Provide(frame[:b.frameSize()], o, command); err != nil {
			return fmt.Errorf("observation: %w", err)
		}
	}
	b.assemble(dst, frame)
	for _, g := range b.gaits {
		g.advance()
	}
	b.started = true
	return nil
}

// Reset clears the history and the gait. The next step is the first.
func (b *Builder) Reset() {
	b.started = false
	for i := range b.history {
		clear(b.history[i].values)
	}
	for _, g := range b.gaits {
		g.reset()
	}
	if b.provider != nil {
		b.provider.Reset()
	}
}

// frameSize returns the number of values of one step.
func (b *Builder) frameSize() int {
	return b.terms[len(b.terms)-1].end
}

// unfit returns why a step does not fit: the first buffer of another length, or that the robot does not measure its velocity.
func (b *Builder) unfit(dst []float32, o *message.Observation, lastAction []float32) error {
	for _, buffer := range [...]struct {
		name            string
		found, expected int
	}{
		{"observation buffer", len(dst), b.size},
		{"joint positions", len(o.PositionRad), b.robotJoints},
		{"joint velocities", len(o.VelocityRadPerSec), b.robotJoints},
		{"last action", len(lastAction), b.actions},
		{"contacts", len(o.Contacts), b.robotFeet},
	} {
		if buffer.found != buffer.expected && (b.needsContacts || buffer.name != "contacts") {
			return fmt.Errorf("%s: found %d values, expected %d", buffer.name, buffer.found, buffer.expected)
		}
	}
	return errors.New("base velocity not found in the observation: use a robot or simulator that measures it")
}

// CheckCommand returns a *message.FieldError if a value of c is not finite or outside the policy's ranges.
func CheckCommand(p *policy.Policy, c message.NavigationCommand) error {
	if err := c.Validate(); err != nil {
		return err
	}
	for _, f := range []struct {
		field string
		value float64
		valid *policy.Range
	}{
		{"vx_mps", c.VxMps, p.CommandRanges.VxMps},
		{"vy_mps", c.VyMps, p.CommandRanges.VyMps},
		{"yaw_rate_rad_per_sec", c.YawRateRadPerSec, p.CommandRanges.YawRateRadPerSec},
	} {
		if f.valid == nil || f.value >= f.valid[0] && f.value <= f.valid[1] {
			continue
		}
		expected := fmt.Sprintf("%v to %v", f.valid[0], f.valid[1])
		if f.valid[0] == f.valid[1] {
			expected = fmt.Sprintf("%v: the policy takes no other", f.valid[0])
		}
		return &message.FieldError{Field: f.field, Found: fmt.Sprint(f.value), Expected: expected}
	}
	return nil
}

// ProjectedGravity returns the unit vector in the direction of gravity, in the frame of a base with the orientation q
// (w, x, y, z). q may have any norm but 0.
func ProjectedGravity(q [4]float64) [3]float64 {
	x, y, z := projectedGravity(&q)
	return [3]float64{x, y, z}
}

func projectedGravity(q *[4]float64) (gx, gy, gz float64) {
	w, x, y, z := q[0], q[1], q[2], q[3]
	// The third row of the rotation matrix is the world's z axis in the base frame. Gravity points the other way.
	n := -1 / (w*w + x*x + y*y + z*z)
	return n * 2 * (x*z - w*y), n * 2 * (y*z + w*x), n * (w*w - x*x - y*y + z*z)
}

// RollPitchYaw returns the intrinsic Z-Y'-X” angles in rad of a base with the orientation q (w, x, y, z): yaw about z, then
// pitch about the new y, then roll about the new x. q may have any norm but 0.
func RollPitchYaw(q [4]float64) (roll, pitch, yaw float64) {
	w, x, y, z := q[0], q[1], q[2], q[3]
	n := w*w + x*x + y*y + z*z
	roll = math.Atan2(2*(w*x+y*z), w*w-x*x-y*y+z*z)
	pitch = math.Asin(min(max(2*(w*y-z*x)/n, -1), 1))
	yaw = math.Atan2(2*(w*z+x*y), w*w+x*x-y*y-z*z)
	return roll, pitch, yaw
}
