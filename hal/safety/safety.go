// Package safety decides what may reach a robot's joints: it refuses commands that are malformed, old or out of bounds,
// moves the target that is written no faster than each joint may turn, and falls back to holding, damping and stopping
// where commands, observations or writes fail.
//
// A [Gate] is always in one of five states. What is written at a tick:
//
//	state    written at each tick                       leaves it when
//	idle     nothing                                    a command is accepted: active; EStop: stopped
//	active   the command's gains and feed-forward       the command expires: hold; DampAfter later: damp
//	         effort; a target that moves to the
//	         command's at the slew limit
//	hold     the last output again                      DampAfter since the expiry: damp; a command is accepted: active
//	damp     kp 0, DampKd, the last target, no          a command is accepted: active
//	         feed-forward effort
//	stopped  as damp                                    Reset, while no fault lasts: damp
//
// In active, hold and damp a [Fault] leads to stopped, and EStop does in every state; neither a command nor time leaves
// that. Active is always entered at the measured position, clamped to the joints' ranges: what is written moves from
// where the joints are, not from where they were once asked to be. docs/hal.md has every event in every state.
//
// Time comes in as arguments, in ns of the clock that stamps observations and commands. The package reads no clock and
// opens no socket, its ticks and judgements do not allocate, and it is not safe for concurrent use. It must never import
// transport, clocks, servers, backends or inference.
package safety

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"time"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// State is what a gate does with the joints; see the package's table.
type State uint8

// The states.
const (
	Idle State = iota
	Active
	Hold
	Damp
	Stopped
	states
)

// String returns the state's name in reports.
func (s State) String() string {
	return [states]string{"idle", "active", "hold", "damp", "stopped"}[s]
}

// Cause is why a command was refused.
type Cause string

// The causes, in the order in which a command is examined.
const (
	// Session: the command answers another life of the server, or none.
	Session Cause = "session"
	// Shape: not one value for each joint; for a feed-forward effort, none will do.
	Shape Cause = "shape"
	// NotFinite: a target, gain or feed-forward effort is NaN or infinite.
	NotFinite Cause = "not_finite"
	// Gain: a gain is negative or above its bound.
	Gain Cause = "gain"
	// JointLimit: a target lies outside its joint's range.
	JointLimit Cause = "joint_limit"
	// EffortLimit: a feed-forward effort exceeds its joint's limit.
	EffortLimit Cause = "effort_limit"
	// Future: the command was made later than now.
	Future Cause = "future"
	// Stale: the command is older than MaxCommandAge.
	Stale Cause = "stale"
	// Expired: the command's own expiry has passed.
	Expired Cause = "expired"
	// EStopped: the robot is stopped and was not reset.
	EStopped Cause = "stopped"
	// Blind: the robot was not read for MaxObservationAge.
	Blind = Cause(Unobserved)
	// Outside: a joint is measured too far outside its range.
	Outside = Cause(JointOutside)
	// ObservationUnknown: the command answers an observation that was not made.
	ObservationUnknown Cause = "observation_unknown"
	// ObservationOld: the command answers an observation older than MaxObservationAge.
	ObservationOld Cause = "observation_old"
	// Superseded: nothing is wrong, but a newer command was accepted, or this very one, or the robot was reset since.
	Superseded Cause = "superseded"
)

// Fault is why the robot was stopped. EStop takes any other word too.
type Fault string

// The faults that a gate finds itself, in the order in which they are looked for.
const (
	// Unobserved: the robot was not read for StopObservationAge.
	Unobserved Fault = "unobserved"
	// JointOutside: a joint was measured more than StopMarginRad outside its range.
	JointOutside Fault = "joint_outside"
	// WriteFailed: more than MaxWriteFailures writes in a row failed.
	WriteFailed Fault = "write"
	// ClockBack: the clock went back.
	ClockBack Fault = "clock"
	// Unnamed: EStop was called without a word.
	Unnamed Fault = "unnamed"
)

const (
	// clockTolerance is how far the clocks of two processes on one machine may seem to differ.
	clockTolerance = time.Millisecond
	// history is how many observations are remembered: MaxObservationAge at 5 kHz. At a higher rate commands are refused
	// earlier than they need be.
	history = 1024
)

// Report is what a gate has to say of itself.
type Report struct {
	// State is the state's name.
	State string `json:"state"`
	// TimeS is how long the gate has been in each state, in s, up to the time of the report.
	TimeS map[string]float64 `json:"time_s"`
	// Verdict is what became of the last command that was offered: accepted, a Cause, or nothing where there was none.
	Verdict string `json:"verdict"`
	// SlewLimited counts ticks at which a target was not yet the command's.
	SlewLimited uint64 `json:"slew_limited"`
	// StoppedBy is the fault that the stopped state is for, and otherwise empty.
	StoppedBy string `json:"stopped_by"`
	// Trips counts entries into stopped, by fault.
	Trips map[string]uint64 `json:"trips"`
	// ResetsRefused counts resets that were refused, by the fault that lasts.
	ResetsRefused map[string]uint64 `json:"resets_refused"`
}

// Gate is the safety gate of one robot. At each tick of a loop, call Observe where the robot could be read, Offer for
// each command that arrived, Tick, and Wrote where Tick gave something to write.
type Gate struct {
	robot  *robot.Robot
	config Config

	state  State
	fault  Fault // Why stopped.
	stopNs int64 // When a stop was last asked for, or found to be needed.

	started bool  // There has been an event, so that nowNs means something.
	nowNs   int64 // Of the last event.
	tickNs  int64 // Of the last Tick.

	observed    bool // The robot was read; with the next three.
	observedNs  int64
	measuredRad []float64
	outside     bool // A joint is measured too far outside its range.
	sequence    uint64
	times       [history]observation

	command  *message.JointCommand // The accepted one.
	expiryNs int64                 // Until when it is in force.
	ordered  bool                  // Commands must be newer than the next two.
	newestNs int64
	newest   uint64

	targetRad []float64             // What is written; moved by Tick in active alone.
	output    *message.JointCommand // Tick's result.
	failures  int                   // Writes in a row that failed.

	sinceNs       int64 // When the state was entered.
	spentNs       [states]int64
	verdict       string
	slewLimited   uint64
	trips         map[Fault]uint64
	resetsRefused map[Fault]uint64
}

// observation is when an observation was made.
type observation struct {
	sequence uint64
	ns       int64
}

// New returns an idle gate for r. The error names what makes no sense in the configuration or in the robot's limits.
func New(r *robot.Robot, config Config) (*Gate, error) {
	if err := config.validate(r); err != nil {
		return nil, err
	}
	return &Gate{
		robot:         r,
		config:        config,
		measuredRad:   make([]float64, len(r.Joints)),
		command:       message.NewJointCommand(r),
		targetRad:     append([]float64(nil), r.DefaultPoseRad...),
		output:        message.NewJointCommand(r),
		trips:         map[Fault]uint64{},
		resetsRefused: map[Fault]uint64{},
	}, nil
}

// State returns the state.
func (g *Gate) State() State { return g.state }

// StoppedBy returns the fault that the stopped state is for, or "" in another state.
func (g *Gate) StoppedBy() Fault { return g.fault }

// Observe takes what was just read from the robot. It says whether that counts as reading it: not where a position is
// missing or not finite, or where the observation is not newer than the last, or of the future.
func (g *Gate) Observe(o *message.Observation, nowNs int64) bool {
	now := g.at(nowNs)
	switch {
	case len(o.PositionRad) != len(g.robot.Joints) || !allFinite(o.PositionRad):
		return false
	case o.Sequence <= g.sequence || g.observed && o.MonotonicNs < g.observedNs:
		return false
	case o.MonotonicNs > add(now, int64(clockTolerance)):
		return false
	}
	g.observed, g.observedNs, g.sequence = true, o.MonotonicNs, o.Sequence
	g.times[o.Sequence%history] = observation{o.Sequence, o.MonotonicNs}
	copy(g.measuredRad, o.PositionRad)
	g.outside = false
	for i := range g.robot.Joints {
		g.outside = g.outside || g.isOutside(i)
	}
	return true
}

// isOutside says whether joint i is measured too far outside its range.
func (g *Gate) isOutside(i int) bool {
	joint, q := g.robot.Joints[i], g.measuredRad[i]
	return q < joint.LowerRad-g.config.StopMarginRad || q > joint.UpperRad+g.config.StopMarginRad
}

// Offer examines c and returns the cause for refusing it, or "". An accepted command is in force from the next Tick on,
// until its own expiry or until it is MaxCommandAge old. The gate keeps a copy.
func (g *Gate) Offer(c *message.JointCommand, nowNs int64) Cause {
	now := g.at(nowNs)
	if cause := g.check(c, now); cause != "" {
		g.verdict = string(cause)
		return cause
	}
	g.verdict = "accepted"
	if g.state != Active || now > g.expiryNs {
		for i, joint := range g.robot.Joints {
			g.targetRad[i] = joint.Clamp(g.measuredRad[i])
		}
	}
	g.command.CopyFrom(c)
	g.expiryNs = min(c.ExpiresNs, add(c.MonotonicNs, int64(g.config.MaxCommandAge)))
	g.ordered, g.newestNs, g.newest = true, c.MonotonicNs, c.Sequence
	g.enter(Active)
	return ""
}

// check returns the cause for refusing c, or "".
func (g *Gate) check(c *message.JointCommand, now int64) Cause {
	n := len(g.robot.Joints)
	switch {
	case c.SessionID != g.config.SessionID:
		return Session
	case len(c.TargetRad) != n || len(c.Kp) != n || len(c.Kd) != n || len(c.FeedForwardNm) != 0 && len(c.FeedForwardNm) != n:
		return Shape
	case !allFinite(c.TargetRad) || !allFinite(c.Kp) || !allFinite(c.Kd) || !allFinite(c.FeedForwardNm):
		return NotFinite
	}
	for i := range n {
		if c.Kp[i] < 0 || c.Kp[i] > g.config.MaxKp[i] || c.Kd[i] < 0 || c.Kd[i] > g.config.MaxKd[i] {
			return Gain
		}
	}
	for i, joint := range g.robot.Joints {
		if !joint.Contains(c.TargetRad[i]) {
			return JointLimit
		}
		if len(c.FeedForwardNm) != 0 && math.Abs(c.FeedForwardNm[i]) > joint.EffortLimitNm {
			return EffortLimit
		}
	}
	switch {
	case c.MonotonicNs > add(now, int64(clockTolerance)):
		return Future
	case sub(now, c.MonotonicNs) > int64(g.config.MaxCommandAge):
		return Stale
	case now > c.ExpiresNs:
		return Expired
	case g.state == Stopped:
		return EStopped
	case g.unobserved(now, g.config.MaxObservationAge):
		return Blind
	case g.outside:
		return Outside
	}
	switch made := g.times[c.ObservationSequence%history]; {
	case c.ObservationSequence == 0 || c.ObservationSequence > g.sequence:
		return ObservationUnknown
	// One that is not remembered is older than those that are.
	case made.sequence != c.ObservationSequence || sub(now, made.ns) > int64(g.config.MaxObservationAge):
		return ObservationOld
	case g.ordered && (c.MonotonicNs < g.newestNs || c.MonotonicNs == g.newestNs && c.Sequence <= g.newest):
		return Superseded
	}
	return ""
}

// Tick moves the gate on to now and returns what is to be written to the robot, or nil for nothing. The command is the
// gate's: it is good until the next Tick. Say with Wrote what came of it.
func (g *Gate) Tick(nowNs int64) *message.JointCommand {
	now := g.at(nowNs)
	step := min(sub(now, g.tickNs), int64(g.config.MaxStep))
	g.tickNs = now

	if expired := sub(now, g.expiryNs); (g.state == Active || g.state == Hold) && expired > 0 {
		if expired > int64(g.config.DampAfter) {
			g.enter(Damp)
		} else {
			g.enter(Hold)
		}
	}
	if g.state == Active || g.state == Hold || g.state == Damp {
		if g.unobserved(now, g.config.StopObservationAge) {
			g.stop(Unobserved)
		} else if g.outside {
			g.stop(JointOutside)
		}
	}

	switch g.state {
	case Idle:
		return nil
	case Active:
		g.move(time.Duration(step))
		g.write(g.command.Kp, g.command.Kd, g.command.FeedForwardNm)
	case Hold:
		g.write(g.command.Kp, g.command.Kd, g.command.FeedForwardNm)
	case Damp, Stopped:
		g.write(nil, g.config.DampKd, nil)
	}
	return g.output
}

// Last returns what is to be written when nobody will call Tick any more, so that the robot is not left with a position to
// hold: the joints are damped, in every state but idle, in which nothing was ever written. The state stays, for reports. The
// command is the gate's: it is good until the next Tick.
func (g *Gate) Last() *message.JointCommand {
	if g.state == Idle {
		return nil
	}
	g.write(nil, g.config.DampKd, nil)
	return g.output
}

// move moves the target towards the command's for so long.
func (g *Gate) move(step time.Duration) {
	// Whether the robot took a write that failed is not known, so the same target is written until one succeeds: from
	// there the next one is within the limit either way.
	if g.failures > 0 {
		return
	}
	limited := false
	for i, joint := range g.robot.Joints {
		most := g.config.SlewFraction * joint.VelocityLimitRadPerSec * step.Seconds()
		g.targetRad[i] += min(max(g.command.TargetRad[i]-g.targetRad[i], -most), most)
		limited = limited || g.targetRad[i] != g.command.TargetRad[i]
	}
	if limited {
		g.slewLimited++
	}
}

// write fills in the output. A kp of nil is 0, a feed-forward effort of nil is none.
func (g *Gate) write(kp, kd, feedForwardNm []float64) {
	o := g.output
	o.Sequence, o.SessionID, o.ObservationSequence = g.command.Sequence, g.config.SessionID, g.command.ObservationSequence
	o.MonotonicNs, o.ExpiresNs = g.command.MonotonicNs, g.expiryNs
	copy(o.TargetRad, g.targetRad)
	clear(o.Kp)
	copy(o.Kp, kp)
	copy(o.Kd, kd)
	o.FeedForwardNm = append(o.FeedForwardNm[:0], feedForwardNm...)
}

// Wrote says whether the robot took what Tick returned.
func (g *Gate) Wrote(ok bool) {
	switch {
	case g.state == Idle: // Nothing was to be written.
	case ok:
		g.failures = 0
	default:
		g.failures = min(g.failures, math.MaxInt-1) + 1
		if g.failures > g.config.MaxWriteFailures {
			g.stop(WriteFailed)
		}
	}
}

// StoppedNs returns when the robot was last stopped: by a fault, or by EStop, in which it may have been stopped already. In
// another state it means nothing.
func (g *Gate) StoppedNs() int64 { return g.stopNs }

// EStop stops the robot, in any state, until Reset. The first fault stays the one that the robot is stopped by. What
// holds a fault up, like a button that stays pressed, calls EStop for as long as it does.
func (g *Gate) EStop(fault Fault, nowNs int64) {
	g.stopNs = g.at(nowNs)
	if fault == "" {
		fault = Unnamed
	}
	g.stop(fault)
}

// Reset ends the stopped state; the joints stay damped until a command that was made after it is accepted. It returns
// a [*ResetError], and changes nothing, while a fault lasts: the robot was not read for MaxObservationAge, a joint is outside
// its range, or the last write failed. In another state there is nothing to do.
func (g *Gate) Reset(nowNs int64) error {
	now := g.at(nowNs)
	if g.state != Stopped {
		return nil
	}
	var err error
	var lasts Fault
	switch {
	case !g.observed:
		lasts, err = Unobserved, errors.New("the robot has not been read, expected it to be")
	case g.unobserved(now, g.config.MaxObservationAge):
		lasts, err = Unobserved, fmt.Errorf("the robot was read %v ago, expected at most %v",
			time.Duration(sub(now, g.observedNs)), g.config.MaxObservationAge)
	case g.outside:
		lasts, err = JointOutside, g.outsideError()
	case g.failures > 0:
		lasts, err = WriteFailed, fmt.Errorf("the last %d writes failed, expected the last one to succeed", g.failures)
	default:
		// A command on its way when the robot was reset was made for the time before.
		g.ordered, g.newestNs, g.newest = true, now, math.MaxUint64
		g.enter(Damp)
		return nil
	}
	g.resetsRefused[lasts]++
	return &ResetError{StoppedBy: g.fault, Fault: lasts, Reason: err}
}

// ResetError is why a reset was refused.
type ResetError struct {
	// StoppedBy is the fault that the robot is stopped by, and Fault the one that lasts.
	StoppedBy, Fault Fault
	// Reason says what is wrong with the robot.
	Reason error
}

func (e *ResetError) Error() string {
	return fmt.Sprintf("safety: reset refused, stopped by %s: %v", e.StoppedBy, e.Reason)
}

// Unwrap returns the reason.
func (e *ResetError) Unwrap() error { return e.Reason }

func (g *Gate) outsideError() error {
	for i, joint := range g.robot.Joints {
		if g.isOutside(i) {
			return fmt.Errorf("joint %s is at %.3f rad, expected %v to %v, or at most %v rad outside of that",
				joint.Name, g.measuredRad[i], joint.LowerRad, joint.UpperRad, g.config.StopMarginRad)
		}
	}
	return nil
}

// Report returns a copy of what there is to say, up to now.
func (g *Gate) Report(nowNs int64) Report {
	r := Report{
		State:         g.state.String(),
		TimeS:         map[string]float64{},
		Verdict:       g.verdict,
		SlewLimited:   g.slewLimited,
		StoppedBy:     string(g.fault),
		Trips:         maps.Collect(words(g.trips)),
		ResetsRefused: maps.Collect(words(g.resetsRefused)),
	}
	for s := range states {
		spent := g.spentNs[s]
		if s == g.state && g.started {
			spent = add(spent, max(sub(nowNs, g.sinceNs), 0))
		}
		if spent > 0 {
			r.TimeS[s.String()] = time.Duration(spent).Seconds()
		}
	}
	return r
}

// words makes the keys plain strings.
func words(counts map[Fault]uint64) func(yield func(string, uint64) bool) {
	return func(yield func(string, uint64) bool) {
		for fault, n := range counts {
			if !yield(string(fault), n) {
				return
			}
		}
	}
}

// at makes nowNs the time, and returns it. A clock that goes back is a fault: no age can be told any more.
func (g *Gate) at(nowNs int64) int64 {
	switch {
	case !g.started:
		g.started = true
		g.nowNs, g.tickNs, g.sinceNs = nowNs, nowNs, nowNs
	case nowNs >= g.nowNs:
		g.nowNs = nowNs
	case sub(g.nowNs, nowNs) <= int64(clockTolerance): // As if no time had passed.
	default:
		g.stay()
		g.nowNs, g.tickNs, g.sinceNs = nowNs, nowNs, nowNs
		// Nothing that was stamped before can be compared with what comes.
		g.observed, g.ordered = false, false
		g.stopNs = nowNs // In stopped this is one more stop, and in the new time.
		clear(g.times[:])
		if g.state != Idle {
			g.stop(ClockBack)
		}
	}
	return g.nowNs
}

// unobserved says whether the robot was not read for so long.
func (g *Gate) unobserved(now int64, age time.Duration) bool {
	return !g.observed || sub(now, g.observedNs) > int64(age)
}

// stop enters the stopped state, if it is another one.
func (g *Gate) stop(fault Fault) {
	if g.state == Stopped {
		return
	}
	if g.state == Idle && g.observed {
		for i, joint := range g.robot.Joints {
			g.targetRad[i] = joint.Clamp(g.measuredRad[i])
		}
	}
	g.trips[fault]++
	g.stopNs = g.nowNs
	g.enter(Stopped)
	g.fault = fault
}

// enter makes s the state.
func (g *Gate) enter(s State) {
	if s == g.state {
		return
	}
	g.stay()
	g.state, g.fault = s, ""
}

// stay adds the time since the state was entered to that spent in it.
func (g *Gate) stay() {
	g.spentNs[g.state] = add(g.spentNs[g.state], max(sub(g.nowNs, g.sinceNs), 0))
	g.sinceNs = g.nowNs
}

func allFinite(values []float64) bool {
	for _, v := range values {
		if !isFinite(v) {
			return false
		}
	}
	return true
}

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// add returns a + b, or the nearest number to it.
func add(a, b int64) int64 {
	switch sum := a + b; {
	case a > 0 && b > 0 && sum < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && sum >= 0:
		return math.MinInt64
	default:
		return sum
	}
}

// sub returns a - b, or the nearest number to it. Stamps may be anything, and ages must not wrap.
func sub(a, b int64) int64 {
	switch difference := a - b; {
	case a >= 0 && b < 0 && difference < 0:
		return math.MaxInt64
	case a < 0 && b >= 0 && difference >= 0:
		return math.MinInt64
	default:
		return difference
	}
}
