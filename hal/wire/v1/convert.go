package v1

import (
	"math"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// FromMessage converts m to version 1. The images of o borrow from those of m. An image that m does not have is 0 everywhere, as in
// messages of the predecessor. It has the size of the other images, or height x width if m has no images.
func (o *Observation) FromMessage(m *message.Observation, height, width int) {
	o.TimestampNs = m.WallNs
	o.PositionRad = append(o.PositionRad[:0], m.PositionRad...)
	switch {
	case m.RGB1.Present():
		height, width = m.RGB1.Height, m.RGB1.Width
	case m.RGB2.Present():
		height, width = m.RGB2.Height, m.RGB2.Width
	case m.Depth.Present():
		height, width = m.Depth.Height, m.Depth.Width
	case m.Confidence.Present():
		height, width = m.Confidence.Height, m.Confidence.Width
	}
	fromColor(&o.RGB1, &m.RGB1, height, width)
	fromColor(&o.RGB2, &m.RGB2, height, width)
	fromScalar(&o.Depth, &m.Depth, height, width)
	fromScalar(&o.Confidence, &m.Confidence, height, width)
}

// fromColor makes i borrow the pixels of from, or sets them to 0 if from is absent.
func fromColor(i, from *message.ColorImage, height, width int) {
	if from.Present() {
		i.Height, i.Width, i.Pixels = from.Height, from.Width, from.Pixels
		return
	}
	i.Resize(height, width)
	clear(i.Pixels)
}

// fromScalar makes i borrow the values of from, or sets them to 0 if from is absent.
func fromScalar(i, from *message.ScalarImage, height, width int) {
	if from.Present() {
		i.Height, i.Width, i.Values = from.Height, from.Width, from.Values
		return
	}
	i.Resize(height, width)
	clear(i.Values)
}

// ToMessage converts c to a command for r, with the default gains of r. Version 1 has no session, sequence and expiry, and its
// times are of another machine's wall clock. In m, the expiry is never, and the others are 0; the caller sets them.
func (c *JointCommand) ToMessage(m *message.JointCommand, r *robot.Robot) {
	m.Sequence, m.SessionID, m.ObservationSequence = 0, 0, 0
	m.MonotonicNs, m.ExpiresNs = 0, math.MaxInt64
	m.TargetRad = append(m.TargetRad[:0], c.TargetRad...)
	m.Kp = append(m.Kp[:0], r.Kp...)
	m.Kd = append(m.Kd[:0], r.Kd...)
	m.FeedForwardNm = m.FeedForwardNm[:0]
}
