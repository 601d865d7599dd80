package safety

import (
	"math"
	"time"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

const (
	// clockTolerance is the largest apparent difference between the clocks of two processes on one machine.
	clockTolerance = time.Millisecond
	// historyLength is the number of observations that a command may answer: MaxObservationAge at 5 kHz. At a higher rate,
	// commands are rejected for an earlier age.
	historyLength = 1024
)

// Gate is the safety gate of one robot. At each tick of a loop, call Observe if the robot was read, Offer for each received
// command, Tick, and ReportWrite if Tick returned an output.
type Gate struct {
	robot  *robot.Robot
	config Config

	state  State
	fault  Fault // The reason for the stop; empty in other states.
	stopNs int64 // When a stop was last requested or a fault last detected.

	started bool  // nowNs is valid.
	nowNs   int64 // Time of the last event.
	tickNs  int64 // Time of the last Tick.

	observed     bool // An observation was accepted; the next fields are from the last one.
	observedNs   int64
	sequence     uint64
	measuredRad  []float64
	jointOutside bool // A joint is measured too far outside its range.
	history      [historyLength]observation

	command       *message.JointCommand // The last accepted command.
	expiryNs      int64                 // End of its validity.
	ordered       bool                  // A command must be newer than the next two fields.
	orderNs       int64
	orderSequence uint64

	targetRad []float64             // Target of the output. Tick moves it in active only.
	output    *message.JointCommand // Result of Tick.
	failures  int                   // Consecutive failed writes.

	enteredNs      int64 // When the state was entered.
	spentNs        [stateCount]int64
	verdict        string
	slewLimited    uint64
	trips          map[Fault]uint64
	resetsRejected map[Fault]uint64
}

// observation is the time of an observation.
type observation struct {
	sequence uint64
	ns       int64
}

// New returns an idle gate for r. The error names the first invalid field of the configuration or of the robot.
func New(r *robot.Robot, config Config) (*Gate, error) {
	if err := config.validate(r); err != nil {
		return nil, err
	}
	return &Gate{
		robot:          r,
		config:         config,
		measuredRad:    make([]float64, len(r.Joints)),
		command:        message.NewJointCommand(r),
		targetRad:      append([]float64(nil), r.DefaultPoseRad...),
		output:         message.NewJointCommand(r),
		trips:          map[Fault]uint64{},
		resetsRejected: map[Fault]uint64{},
	}, nil
}

// Observe passes an observation to the gate and reports whether it was accepted. An observation is not accepted if a position
// is missing or not finite, if it is not newer than the last one, or if its time is later than now.
func (g *Gate) Observe(o *message.Observation, nowNs int64) bool {
	now := g.advance(nowNs)
	switch {
	case len(o.PositionRad) != len(g.robot.Joints) || !allFinite(o.PositionRad):
		return false
	case o.Sequence <= g.sequence || g.observed && o.MonotonicNs < g.observedNs:
		return false
	case o.MonotonicNs > add(now, int64(clockTolerance)):
		return false
	}
	g.observed, g.observedNs, g.sequence = true, o.MonotonicNs, o.Sequence
	g.history[o.Sequence%historyLength] = observation{o.Sequence, o.MonotonicNs}
	copy(g.measuredRad, o.PositionRad)
	g.jointOutside = false
	for i := range g.robot.Joints {
		g.jointOutside = g.jointOutside || g.isOutside(i)
	}
	return true
}

// isOutside reports whether joint i is measured too far outside its range.
func (g *Gate) isOutside(i int) bool {
	joint, q := g.robot.Joints[i], g.measuredRad[i]
	return q < joint.LowerRad-g.config.StopMarginRad || q > joint.UpperRad+g.config.StopMarginRad
}

// unobserved reports whether the last observation is older than maxAge.
func (g *Gate) unobserved(now int64, maxAge time.Duration) bool {
	return !g.observed || sub(now, g.observedNs) > int64(maxAge)
}

// Tick moves the gate on to now and returns the command to write to the robot, or nil for none. The command belongs to the
// gate and is valid until the next Tick. Call ReportWrite with the result of the write.
func (g *Gate) Tick(nowNs int64) *message.JointCommand {
	now := g.advance(nowNs)
	elapsed := min(sub(now, g.tickNs), int64(g.config.MaxStep))
	g.tickNs = now

	g.expire(now)
	g.detectFaults(now)

	switch g.state {
	case Idle:
		return nil
	case Active:
		g.slew(time.Duration(elapsed))
		g.setOutput(g.command.Kp, g.command.Kd, g.command.FeedForwardNm)
	case Hold:
		g.setOutput(g.command.Kp, g.command.Kd, g.command.FeedForwardNm)
	case Damp, Stopped:
		g.setOutput(nil, g.config.DampKd, nil)
	}
	return g.output
}

// ShutdownCommand returns the command to write after the last Tick, so that the robot does not keep holding a position: it
// damps the joints, in every state but idle. It returns nil in idle, in which nothing was written. The state does not change.
// The command belongs to the gate and is valid until the next Tick.
func (g *Gate) ShutdownCommand() *message.JointCommand {
	if g.state == Idle {
		return nil
	}
	g.setOutput(nil, g.config.DampKd, nil)
	return g.output
}

// ReportWrite reports the result of writing the output of Tick: the error of the backend, or nil.
func (g *Gate) ReportWrite(err error) {
	switch {
	case g.state == Idle: // There was no output.
	case err == nil:
		g.failures = 0
	default:
		g.failures = min(g.failures, math.MaxInt-1) + 1
		if g.failures > g.config.MaxWriteFailures {
			g.stop(FaultWrite)
		}
	}
}

// slew moves the target of the output towards the command's, as far as the slew limit allows in the elapsed time.
func (g *Gate) slew(elapsed time.Duration) {
	// The robot may or may not have received a failed write. The same target is written until a write succeeds, so that the
	// next target is within the slew limit in both cases.
	if g.failures > 0 {
		return
	}
	limited := false
	for i, joint := range g.robot.Joints {
		limit := g.config.SlewFraction * joint.VelocityLimitRadPerSec * elapsed.Seconds()
		g.targetRad[i] += min(max(g.command.TargetRad[i]-g.targetRad[i], -limit), limit)
		limited = limited || g.targetRad[i] != g.command.TargetRad[i]
	}
	if limited {
		g.slewLimited++
	}
}

// targetMeasured sets the target of the output to the measured position, clamped to the joints' ranges.
func (g *Gate) targetMeasured() {
	for i, joint := range g.robot.Joints {
		g.targetRad[i] = joint.Clamp(g.measuredRad[i])
	}
}

// setOutput fills the output. A nil kp is 0; a nil feed-forward effort is none.
func (g *Gate) setOutput(kp, kd, feedForwardNm []float64) {
	o := g.output
	o.Sequence, o.SessionID, o.ObservationSequence = g.command.Sequence, g.config.SessionID, g.command.ObservationSequence
	o.MonotonicNs, o.ExpiresNs = g.command.MonotonicNs, g.expiryNs
	copy(o.TargetRad, g.targetRad)
	clear(o.Kp)
	copy(o.Kp, kp)
	copy(o.Kd, kd)
	o.FeedForwardNm = append(o.FeedForwardNm[:0], feedForwardNm...)
}
