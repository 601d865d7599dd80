package v1

import (
	"encoding/binary"
	"math"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// Encoder encodes messages. It reuses its memory for the next message.
type Encoder struct {
	frames     [][]byte
	topic      []byte
	version    []byte
	metadata   []byte
	positions  []byte
	depth      []byte
	confidence []byte
}

// EncodeObservation returns the frames of o. They are valid until the next call and until o changes, because they share the pixels
// of o. The error is [RejectShape] if images differ in size or exceed the bounds, or [RejectNotFinite].
func (e *Encoder) EncodeObservation(o *Observation) ([][]byte, error) {
	height, width := o.RGB1.Height, o.RGB1.Width
	if !fits(height, width, len(o.RGB1.Pixels), 3) || !fits(height, width, len(o.RGB2.Pixels), 3) ||
		!fits(height, width, len(o.Depth.Values), 1) || !fits(height, width, len(o.Confidence.Values), 1) ||
		o.RGB2.Height != height || o.Depth.Height != height || o.Confidence.Height != height ||
		o.RGB2.Width != width || o.Depth.Width != width || o.Confidence.Width != width {
		return nil, RejectShape
	}
	if err := e.encodePositions(o.PositionRad); err != nil {
		return nil, err
	}
	e.depth = o.Depth.AppendTo(e.depth[:0])
	e.confidence = o.Confidence.AppendTo(e.confidence[:0])
	b := append(e.metadata[:0], '{')
	b = appendArray(b, namePositions, float32Type, len(o.PositionRad))
	b = appendArray(b, nameRGB1, uint8Type, height, width, 3)
	b = appendArray(b, nameRGB2, uint8Type, height, width, 3)
	b = appendArray(b, nameDepth, float32Type, height, width)
	b = appendArray(b, nameConfidence, float32Type, height, width)
	b = appendInteger(b, nameHeight, int64(height))
	b = appendInteger(b, nameWidth, int64(width))
	e.metadata = appendEnd(appendInteger(b, nameTimestamp, o.TimestampNs))
	e.topic, e.version = append(e.topic[:0], Topic...), append(e.version[:0], Version...)
	e.frames = append(e.frames[:0], e.topic, e.version, e.metadata, e.positions, o.RGB1.Pixels, o.RGB2.Pixels, e.depth, e.confidence)
	return e.frames, nil
}

// EncodeJointCommand returns the frames of c. They are valid until the next call. The error is [RejectShape] or
// [RejectNotFinite].
func (e *Encoder) EncodeJointCommand(c *JointCommand) ([][]byte, error) {
	if err := e.encodePositions(c.TargetRad); err != nil {
		return nil, err
	}
	b := appendArray(append(e.metadata[:0], '{'), namePositions, float32Type, len(c.TargetRad))
	b = appendInteger(b, nameTimestamp, c.TimestampNs)
	e.metadata = appendEnd(appendInteger(b, nameObservationTimestamp, c.ObservationTimestampNs))
	e.frames = append(e.frames[:0], e.metadata, e.positions)
	return e.frames, nil
}

// encodePositions sets the frame of positions.
func (e *Encoder) encodePositions(values []float64) error {
	if len(values) == 0 || len(values) > robot.MaxJoints {
		return RejectShape
	}
	e.positions = e.positions[:0]
	for _, v := range values {
		if !finite(float32(v)) { // False for values that overflow float32, too.
			return RejectNotFinite
		}
		e.positions = binary.LittleEndian.AppendUint32(e.positions, math.Float32bits(float32(v)))
	}
	return nil
}

// fits reports whether an image has a valid size, and its number of values.
func fits(height, width, values, channels int) bool {
	return height >= 1 && height <= message.MaxImageSide && width >= 1 && width <= message.MaxImageSide &&
		height*width <= message.MaxImagePixels && values == height*width*channels
}
