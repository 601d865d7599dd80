package safety

import (
	"math"

	"krabby.dev/krabby/hal/message"
)

// Offer checks c and returns the reason for rejecting it, or "" if it was accepted. An accepted command is in force from the
// next Tick until its expiry, or until it is MaxCommandAge old. The gate keeps a copy.
func (g *Gate) Offer(c *message.JointCommand, nowNs int64) RejectReason {
	now := g.advance(nowNs)
	if reason := g.check(c, now); reason != "" {
		g.verdict = string(reason)
		return reason
	}
	g.verdict = "accepted"
	if g.state != Active || now > g.expiryNs {
		g.targetMeasured()
	}
	g.command.CopyFrom(c)
	g.expiryNs = min(c.ExpiresNs, add(c.MonotonicNs, int64(g.config.MaxCommandAge)))
	g.requireNewer(c.MonotonicNs, c.Sequence)
	g.enter(Active)
	return ""
}

// requireNewer makes the gate reject commands that are not newer than a time and, at that time, a sequence.
func (g *Gate) requireNewer(ns int64, sequence uint64) {
	g.ordered, g.orderNs, g.orderSequence = true, ns, sequence
}

// check returns the reason for rejecting c, or "".
func (g *Gate) check(c *message.JointCommand, now int64) RejectReason {
	if reason := g.checkValues(c); reason != "" {
		return reason
	}
	switch {
	case c.MonotonicNs > add(now, int64(clockTolerance)):
		return RejectFuture
	case sub(now, c.MonotonicNs) > int64(g.config.MaxCommandAge):
		return RejectStale
	case now > c.ExpiresNs:
		return RejectExpired
	case g.state == Stopped:
		return RejectStopped
	case g.unobserved(now, g.config.MaxObservationAge):
		return RejectUnobserved
	case g.jointOutside:
		return RejectJointOutside
	}
	switch answered := g.history[c.ObservationSequence%historyLength]; {
	case c.ObservationSequence == 0 || c.ObservationSequence > g.sequence:
		return RejectObservationUnknown
	// An observation that left the history is older than those in it.
	case answered.sequence != c.ObservationSequence || sub(now, answered.ns) > int64(g.config.MaxObservationAge):
		return RejectObservationOld
	case g.ordered && (c.MonotonicNs < g.orderNs || c.MonotonicNs == g.orderNs && c.Sequence <= g.orderSequence):
		return RejectSuperseded
	}
	return ""
}

// checkValues returns the reason for rejecting the session or the values of c, or "".
func (g *Gate) checkValues(c *message.JointCommand) RejectReason {
	n := len(g.robot.Joints)
	switch {
	case c.SessionID != g.config.SessionID:
		return RejectSession
	case len(c.TargetRad) != n || len(c.Kp) != n || len(c.Kd) != n || len(c.FeedForwardNm) != 0 && len(c.FeedForwardNm) != n:
		return RejectShape
	case !allFinite(c.TargetRad) || !allFinite(c.Kp) || !allFinite(c.Kd) || !allFinite(c.FeedForwardNm):
		return RejectNotFinite
	}
	for i := range n {
		if c.Kp[i] < 0 || c.Kp[i] > g.config.MaxKp[i] || c.Kd[i] < 0 || c.Kd[i] > g.config.MaxKd[i] {
			return RejectGain
		}
	}
	for i, joint := range g.robot.Joints {
		if !joint.Contains(c.TargetRad[i]) {
			return RejectJointLimit
		}
		if len(c.FeedForwardNm) != 0 && math.Abs(c.FeedForwardNm[i]) > joint.EffortLimitNm {
			return RejectEffortLimit
		}
	}
	return ""
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
