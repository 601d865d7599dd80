package safety

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// State is a state of the gate. The package comment has the table of states and transitions.
type State uint8

// The states.
const (
	Idle State = iota
	Active
	Hold
	Damp
	Stopped
	stateCount
)

// String returns the name of the state in reports.
func (s State) String() string {
	return [stateCount]string{"idle", "active", "hold", "damp", "stopped"}[s]
}

// State returns the state.
func (g *Gate) State() State { return g.state }

// StoppedBy returns the fault that stopped the robot, or "" in other states than Stopped.
func (g *Gate) StoppedBy() Fault { return g.fault }

// StoppedNs returns when the robot was last stopped, by a fault or by EStop. A later EStop counts too. The value is
// meaningful in Stopped only.
func (g *Gate) StoppedNs() int64 { return g.stopNs }

// expire leads from active and hold to hold or damp when the command has expired.
func (g *Gate) expire(now int64) {
	expired := sub(now, g.expiryNs)
	switch {
	case g.state != Active && g.state != Hold || expired <= 0:
	case expired > int64(g.config.DampAfter):
		g.enter(Damp)
	default:
		g.enter(Hold)
	}
}

// detectFaults leads from active, hold and damp to stopped when an observation is missing or out of range. ReportWrite detects
// failed writes, and advance a clock that went back.
func (g *Gate) detectFaults(now int64) {
	switch {
	case g.state == Idle || g.state == Stopped:
	case g.unobserved(now, g.config.StopObservationAge):
		g.stop(FaultUnobserved)
	case g.jointOutside:
		g.stop(FaultJointOutside)
	}
}

// EStop stops the robot in any state, until Reset. StoppedBy keeps the first fault. The source of a lasting fault, such as a
// pressed button, calls EStop repeatedly while it lasts.
func (g *Gate) EStop(fault Fault, nowNs int64) {
	g.stopNs = g.advance(nowNs)
	if fault == "" {
		fault = FaultUnnamed
	}
	g.stop(fault)
}

// Reset leads from stopped to damp. The joints stay damped until a command is accepted that is newer than the reset. Reset
// returns a [*ResetError] and changes nothing while a fault is active: the last observation is older than MaxObservationAge, a
// joint is outside its range, or the last write failed. In other states it does nothing.
func (g *Gate) Reset(nowNs int64) error {
	now := g.advance(nowNs)
	if g.state != Stopped {
		return nil
	}
	if fault, reason := g.activeFault(now); reason != nil {
		g.resetsRejected[fault]++
		return &ResetError{StoppedBy: g.fault, Fault: fault, Reason: reason}
	}
	g.requireNewer(now, math.MaxUint64)
	g.enter(Damp)
	return nil
}

// activeFault returns the fault that prevents a reset, and its description; or "" and nil.
func (g *Gate) activeFault(now int64) (Fault, error) {
	switch {
	case !g.observed:
		return FaultUnobserved, errors.New("the robot has not been read yet")
	case g.unobserved(now, g.config.MaxObservationAge):
		return FaultUnobserved, fmt.Errorf("the robot was read %v ago, expected at most %v",
			time.Duration(sub(now, g.observedNs)), g.config.MaxObservationAge)
	case g.jointOutside:
		return FaultJointOutside, g.outsideError()
	case g.failures > 0:
		return FaultWrite, fmt.Errorf("the last %d writes failed, expected the last one to succeed", g.failures)
	}
	return "", nil
}

func (g *Gate) outsideError() error {
	for i, joint := range g.robot.Joints {
		if g.isOutside(i) {
			return fmt.Errorf("joint %s is at %.3f rad, expected %v to %v, or at most %v rad outside of that",
				joint.Name, g.measuredRad[i], joint.LowerRad, joint.UpperRad, g.config.StopMarginRad)
		}
	}
	return nil
}

// ResetError is the error of a rejected reset.
type ResetError struct {
	// StoppedBy is the fault that stopped the robot. Fault is the active fault.
	StoppedBy, Fault Fault
	// Reason describes the active fault.
	Reason error
}

// Error names the fault that stopped the robot, and describes the active fault.
func (e *ResetError) Error() string {
	return fmt.Sprintf("safety: reset rejected, stopped by %s: %v", e.StoppedBy, e.Reason)
}

// Unwrap returns the reason.
func (e *ResetError) Unwrap() error { return e.Reason }

// stop enters stopped, unless the gate is stopped already.
func (g *Gate) stop(fault Fault) {
	if g.state == Stopped {
		return
	}
	if g.state == Idle && g.observed {
		g.targetMeasured()
	}
	g.trips[fault]++
	g.stopNs = g.nowNs
	g.enter(Stopped)
	g.fault = fault
}

// enter changes the state to s.
func (g *Gate) enter(s State) {
	if s == g.state {
		return
	}
	g.addSpent()
	g.state, g.fault = s, ""
}
