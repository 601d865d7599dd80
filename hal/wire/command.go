package wire

import (
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// AppendJointCommand appends the frame of c to dst, and returns the extended buffer. It returns dst and [RejectShape] if the
// slices of c differ in length or exceed the bounds. It allocates only if dst is too small.
func AppendJointCommand(dst []byte, c *message.JointCommand) ([]byte, error) {
	n := len(c.TargetRad)
	if n > robot.MaxJoints || len(c.Kp) != n || len(c.Kd) != n || len(c.FeedForwardNm) != 0 && len(c.FeedForwardNm) != n {
		return dst, RejectShape
	}
	var s [commandSections]section
	for i := range s {
		s[i] = section{rank: 1, dims: [3]uint32{uint32(n)}}
	}
	if len(c.FeedForwardNm) == 0 {
		s[feedForward] = section{}
	}
	start := len(dst)
	h := header{sequence: c.Sequence, sessionID: c.SessionID, monotonicNs: c.MonotonicNs, otherNs: c.ExpiresNs, observation: c.ObservationSequence}
	b := appendHeader(dst, kindCommand, h, commandSpecs[:], s[:])
	b = appendFloats(b, start, c.TargetRad)
	b = appendFloats(b, start, c.Kp)
	b = appendFloats(b, start, c.Kd)
	if s[feedForward].present() {
		b = appendFloats(b, start, c.FeedForwardNm)
	}
	setChecksums(b[start:])
	return b, nil
}

// DecodeJointCommand decodes frame into c. It reuses the memory of c, and allocates only if that is too small. If the error is
// not nil, it is a [RejectReason], and c is unchanged.
func DecodeJointCommand(c *message.JointCommand, frame []byte) error {
	var s [commandSections]section
	h, err := parseFrame(frame, kindCommand, commandSpecs[:], s[:])
	if err != nil {
		return err
	}
	joints := s[target].dims[0]
	if s[kp].dims[0] != joints || s[kd].dims[0] != joints || s[feedForward].present() && (joints == 0 || s[feedForward].dims[0] != joints) {
		return RejectShape
	}
	c.Sequence, c.SessionID, c.ObservationSequence = h.sequence, h.sessionID, h.observation
	c.MonotonicNs, c.ExpiresNs = h.monotonicNs, h.otherNs
	c.Resize(int(joints))
	readFloats(c.TargetRad, s[target].body)
	readFloats(c.Kp, s[kp].body)
	readFloats(c.Kd, s[kd].body)
	if s[feedForward].present() {
		c.ResizeFeedForward(int(joints))
		readFloats(c.FeedForwardNm, s[feedForward].body)
	}
	return nil
}

// AppendNavigationCommand appends the frame of c to dst, and returns the extended buffer. It allocates only if dst is too small.
func AppendNavigationCommand(dst []byte, c *message.NavigationCommand) []byte {
	s := [navigationSections]section{velocityCommand: {rank: 1, dims: [3]uint32{3}}}
	start := len(dst)
	h := header{sequence: c.Sequence, sessionID: c.SessionID, monotonicNs: c.MonotonicNs, otherNs: c.ExpiresNs}
	b := appendHeader(dst, kindNavigation, h, navigationSpecs[:], s[:])
	b = appendFloats(b, start, []float64{c.VxMps, c.VyMps, c.YawRateRadPerSec})
	setChecksums(b[start:])
	return b
}

// DecodeNavigationCommand decodes frame into c, without allocations. If the error is not nil, it is a [RejectReason], and c is
// unchanged.
func DecodeNavigationCommand(c *message.NavigationCommand, frame []byte) error {
	var s [navigationSections]section
	h, err := parseFrame(frame, kindNavigation, navigationSpecs[:], s[:])
	if err != nil {
		return err
	}
	var v [3]float64
	readFloats(v[:], s[velocityCommand].body)
	*c = message.NavigationCommand{
		Sequence: h.sequence, SessionID: h.sessionID, MonotonicNs: h.monotonicNs, ExpiresNs: h.otherNs,
		VxMps: v[0], VyMps: v[1], YawRateRadPerSec: v[2],
	}
	return nil
}
