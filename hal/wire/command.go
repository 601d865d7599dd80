package wire

import (
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// AppendJointCommand appends the frame of c to dst and returns the extended buffer. The error is [Shape] where the
// slices of c disagree or exceed the bounds; dst is then returned as it was. It allocates only when dst is too small.
func AppendJointCommand(dst []byte, c *message.JointCommand) ([]byte, error) {
	n := len(c.TargetRad)
	if n > robot.MaxJoints || len(c.Kp) != n || len(c.Kd) != n || len(c.FeedForwardNm) != 0 && len(c.FeedForwardNm) != n {
		return dst, Shape
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
	b := begin(dst, kindCommand, h, commandSpecs[:], s[:])
	b = putFloats(b, start, c.TargetRad)
	b = putFloats(b, start, c.Kp)
	b = putFloats(b, start, c.Kd)
	if s[feedForward].present() {
		b = putFloats(b, start, c.FeedForwardNm)
	}
	seal(b[start:])
	return b, nil
}

// DecodeJointCommand decodes frame into c, reusing its memory: decoding frames of one shape allocates only once. The
// error is a [Cause]; c is then unchanged.
func DecodeJointCommand(c *message.JointCommand, frame []byte) error {
	var s [commandSections]section
	h, err := open(frame, kindCommand, commandSpecs[:], s[:])
	if err != nil {
		return err
	}
	joints := s[target].dims[0]
	if s[kp].dims[0] != joints || s[kd].dims[0] != joints || s[feedForward].present() && (joints == 0 || s[feedForward].dims[0] != joints) {
		return Shape
	}
	c.Sequence, c.SessionID, c.ObservationSequence = h.sequence, h.sessionID, h.observation
	c.MonotonicNs, c.ExpiresNs = h.monotonicNs, h.otherNs
	c.Resize(int(joints))
	takeFloats(c.TargetRad, s[target].body)
	takeFloats(c.Kp, s[kp].body)
	takeFloats(c.Kd, s[kd].body)
	if s[feedForward].present() {
		c.ResizeFeedForward(int(joints))
		takeFloats(c.FeedForwardNm, s[feedForward].body)
	}
	return nil
}

// AppendNavigationCommand appends the frame of c to dst and returns the extended buffer. It allocates only when dst is
// too small.
func AppendNavigationCommand(dst []byte, c *message.NavigationCommand) []byte {
	s := [navigationSections]section{velocityCommand: {rank: 1, dims: [3]uint32{3}}}
	start := len(dst)
	h := header{sequence: c.Sequence, sessionID: c.SessionID, monotonicNs: c.MonotonicNs, otherNs: c.ExpiresNs}
	b := begin(dst, kindNavigation, h, navigationSpecs[:], s[:])
	b = putFloats(b, start, []float64{c.VxMps, c.VyMps, c.YawRateRadPerSec})
	seal(b[start:])
	return b
}

// DecodeNavigationCommand decodes frame into c, without allocating. The error is a [Cause]; c is then unchanged.
func DecodeNavigationCommand(c *message.NavigationCommand, frame []byte) error {
	var s [navigationSections]section
	h, err := open(frame, kindNavigation, navigationSpecs[:], s[:])
	if err != nil {
		return err
	}
	var v [3]float64
	takeFloats(v[:], s[velocityCommand].body)
	*c = message.NavigationCommand{
		Sequence: h.sequence, SessionID: h.sessionID, MonotonicNs: h.monotonicNs, ExpiresNs: h.otherNs,
		VxMps: v[0], VyMps: v[1], YawRateRadPerSec: v[2],
	}
	return nil
}
