package v1

import (
	"encoding/binary"
	"math"
	"slices"

	"krabby.dev/krabby/hal/message"
)

// DecodeObservation decodes frames into o. It reuses the memory of o, and allocates memory for the metadata only. Images borrow
// their pixels from frames, as with package wire.
//
// If the error is not nil, it is a [RejectReason], and o is unchanged.
func DecodeObservation(o *Observation, frames [][]byte) error {
	switch {
	case len(frames) != ObservationFrames:
		return RejectFrames
	case string(frames[0]) != Topic:
		return RejectTopic
	case string(frames[1]) != Version:
		return RejectVersion
	}
	m, err := parseObservation(frames[2])
	if err != nil {
		return err
	}
	height, width := *m.Height, *m.Width
	if height < 1 || height > message.MaxImageSide || width < 1 || width > message.MaxImageSide || height*width > message.MaxImagePixels {
		return RejectShape
	}
	joints, err := m.Positions.joints()
	if err != nil {
		return err
	}
	if !m.RGB1.is(uint8Type, height, width, 3) || !m.RGB2.is(uint8Type, height, width, 3) ||
		!m.Depth.is(float32Type, height, width) || !m.Confidence.is(float32Type, height, width) {
		return RejectShape
	}
	pixels := int(height * width)
	if len(frames[3]) != 4*joints || len(frames[4]) != 3*pixels || len(frames[5]) != 3*pixels ||
		len(frames[6]) != 4*pixels || len(frames[7]) != 4*pixels {
		return RejectLength
	}
	if o.PositionRad, err = decodePositions(o.PositionRad, frames[3]); err != nil {
		return err
	}
	o.TimestampNs = *m.TimestampNs
	o.RGB1.Borrow(int(height), int(width), frames[4])
	o.RGB2.Borrow(int(height), int(width), frames[5])
	o.Depth.Borrow(int(height), int(width), frames[6])
	o.Confidence.Borrow(int(height), int(width), frames[7])
	return nil
}

// DecodeJointCommand decodes frames into c. It reuses the memory of c, and allocates memory for the metadata only. If the error is
// not nil, it is a [RejectReason], and c is unchanged.
func DecodeJointCommand(c *JointCommand, frames [][]byte) error {
	if len(frames) != CommandFrames {
		return RejectFrames
	}
	m, err := parseCommand(frames[0])
	if err != nil {
		return err
	}
	joints, err := m.Positions.joints()
	if err != nil {
		return err
	}
	if len(frames[1]) != 4*joints {
		return RejectLength
	}
	if c.TargetRad, err = decodePositions(c.TargetRad, frames[1]); err != nil {
		return err
	}
	c.TimestampNs, c.ObservationTimestampNs = *m.TimestampNs, *m.ObservationTimestampNs
	return nil
}

// decodePositions returns the values of b, in the memory of dst if it suffices. After an error, dst is unchanged.
func decodePositions(dst []float64, b []byte) ([]float64, error) {
	for i := 0; i < len(b); i += 4 {
		if !finite(math.Float32frombits(binary.LittleEndian.Uint32(b[i:]))) {
			return dst, RejectNotFinite
		}
	}
	n := len(b) / 4
	dst = slices.Grow(dst[:0], n)[:n]
	for i := range dst {
		dst[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
	}
	return dst, nil
}

func finite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
