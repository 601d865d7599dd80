package server

import (
	"math"
	"time"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// Cause is why a command was refused. Frames that do not decode are counted under their wire.Cause instead.
type Cause string

// The causes, in the order in which a command is examined.
const (
	// Session: the command answers another life of the server, or none.
	Session Cause = "session"
	// Shape: not one value for each joint; for a feed-forward effort, none will do.
	Shape Cause = "shape"
	// NotFinite: a target or gain is NaN or infinite.
	NotFinite Cause = "not_finite"
	// Gain: a gain is negative or beyond message.MaxMagnitude.
	Gain Cause = "gain"
	// JointLimit: a target lies outside its joint's range.
	JointLimit Cause = "joint_limit"
	// EffortLimit: a feed-forward effort exceeds its joint's limit.
	EffortLimit Cause = "effort_limit"
	// Future: the command was made later than now.
	Future Cause = "future"
	// Stale: the command is older than the server accepts.
	Stale Cause = "stale"
	// Expired: the command's own expiry has passed.
	Expired Cause = "expired"
	// Superseded: nothing is wrong, but a newer command came with it or before it.
	Superseded Cause = "superseded"
	// Transport: the frame could not be received.
	Transport Cause = "transport"
)

// clockTolerance is how far the clocks of two processes on one machine may seem to differ.
const clockTolerance = time.Millisecond

// gate decides which commands may reach the backend.
type gate struct {
	robot     *robot.Robot
	sessionID uint64
	maxAge    time.Duration
}

// check returns the cause for refusing c, or "". A command that passes is safe to apply until gate.expiryNs.
func (g *gate) check(c *message.JointCommand, nowNs int64) Cause {
	switch n := len(g.robot.Joints); {
	case c.SessionID != g.sessionID:
		return Session
	case len(c.TargetRad) != n || len(c.Kp) != n || len(c.Kd) != n || len(c.FeedForwardNm) != 0 && len(c.FeedForwardNm) != n:
		return Shape
	case !allFinite(c.TargetRad) || !allFinite(c.Kp) || !allFinite(c.Kd) || !allFinite(c.FeedForwardNm):
		return NotFinite
	case c.Validate(g.robot) != nil:
		return Gain // All that is left of what Validate refuses.
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
	case c.MonotonicNs > nowNs+int64(clockTolerance):
		return Future
	// Not as a difference to the command's time, which may be anything and overflow.
	case c.MonotonicNs < nowNs-int64(g.maxAge):
		return Stale
	case nowNs > c.ExpiresNs:
		return Expired
	}
	return ""
}

// expiryNs returns until when a command that passed may be applied: its own expiry or the age limit, the earlier.
func (g *gate) expiryNs(c *message.JointCommand) int64 {
	return min(c.ExpiresNs, c.MonotonicNs+int64(g.maxAge))
}

func allFinite(values []float64) bool {
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
