// Package v1 encodes and decodes version 1.0 of the wire format, so that programs written for the Python predecessor can
// talk to a robot over TCP unchanged. It is for them alone: it carries no inertial measurements, velocities, contacts,
// sessions, sequences or expiries, so nothing that it says of a robot is enough for a policy.
//
// A message has several frames. Arrays are raw, little-endian, in C order; J is the number of joints, H and W are rows
// and columns of all images:
//
//	observation                             joint command
//	0  "observation"                        0  JSON metadata
//	1  "1.0"                                1  joint_positions, f32[J], rad
//	2  JSON metadata
//	3  joint_positions, f32[J], rad
//	4  rgb_camera_1, u8[H, W, 3]
//	5  rgb_camera_2, u8[H, W, 3]
//	6  depth_map, f32[H, W], m
//	7  confidence_map, f32[H, W]
//
// The metadata is an object. For each array it has, by the array's name, {"shape": [...], "dtype": "float32" or
// "uint8"}. An observation has camera_height, camera_width and timestamp_ns besides, a joint command timestamp_ns and
// observation_timestamp_ns; times are of the wall clock. Fields that are not known are skipped.
//
// Decoding trusts nothing: it reads only within the frames, allocates only what fits the bounds of hal/robot and
// hal/message, and answers every malformed message with a [Cause]. It is stricter than the predecessor: the topic must be
// whole, and no field that is named above may be missing or there twice.
//
// It must never import transport (hal/bus), servers, clients or inference.
package v1

import (
	"encoding/binary"
	"math"
	"slices"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

const (
	// Topic and Version are the first two frames of an observation. A subscriber subscribes to Topic.
	Topic   = "observation"
	Version = "1.0"

	// ObservationFrames and CommandFrames are the numbers of frames of the messages.
	ObservationFrames = 8
	CommandFrames     = 2

	// MaxMetadataBytes bounds the JSON of a message.
	MaxMetadataBytes = 4096
)

// Cause is why a message was refused. It is an error and a key for counters.
type Cause string

// The causes, in the order in which a message is examined.
const (
	// Frames: another number of frames.
	Frames Cause = "frames"
	// BadTopic: another topic, or only the beginning of ours.
	BadTopic Cause = "topic"
	// BadVersion: another version.
	BadVersion Cause = "version"
	// Metadata: not the JSON that is expected.
	Metadata Cause = "metadata"
	// Shape: elements or dimensions that an array cannot have or, to an encoder, that disagree.
	Shape Cause = "shape"
	// Length: an array has not the bytes of its shape.
	Length Cause = "length"
	// NotFinite: a joint's position is NaN or infinite.
	NotFinite Cause = "not_finite"
)

// Causes returns all causes, in the order in which a message is examined.
func Causes() []Cause {
	return []Cause{Frames, BadTopic, BadVersion, Metadata, Shape, Length, NotFinite}
}

// Error makes a Cause an error.
func (c Cause) Error() string { return "malformed version 1 message: " + string(c) }

// Observation is all that an observation of version 1 says. The stamps of its images are 0.
type Observation struct {
	// TimestampNs is when the sensors were read, in ns since the Unix epoch.
	TimestampNs int64
	// PositionRad is one value a joint.
	PositionRad []float64
	// RGB1, RGB2, Depth (m) and Confidence (0 to 1) have the same size, which is at least 1x1.
	RGB1, RGB2        message.ColorImage
	Depth, Confidence message.ScalarImage
}

// JointCommand is all that a joint command of version 1 says.
type JointCommand struct {
	// TimestampNs is when the command was made, in ns since the Unix epoch.
	TimestampNs int64
	// ObservationTimestampNs is TimestampNs of the observation that it answers.
	ObservationTimestampNs int64
	// TargetRad is one value a joint.
	TargetRad []float64
}

// From makes o what version 1 can say of m. Images are borrowed from m. One that m has not is black, or 0 everywhere, as
// the predecessor sends it, in the size of the others; height and width are the size where m has none.
func (o *Observation) From(m *message.Observation, height, width int) {
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

func fromColor(i, from *message.ColorImage, height, width int) {
	if from.Present() {
		i.Height, i.Width, i.Pixels = from.Height, from.Width, from.Pixels
		return
	}
	i.Resize(height, width)
	clear(i.Pixels)
}

func fromScalar(i, from *message.ScalarImage, height, width int) {
	if from.Present() {
		i.Height, i.Width, i.Values = from.Height, from.Width, from.Values
		return
	}
	i.Resize(height, width)
	clear(i.Values)
}

// To makes m what c asks of r: the targets with r's default gains. Version 1 says nothing of sessions, sequences and expiry,
// and its times are of another machine's wall clock: they are 0, and never, and the caller's to judge.
func (c *JointCommand) To(m *message.JointCommand, r *robot.Robot) {
	m.Sequence, m.SessionID, m.ObservationSequence = 0, 0, 0
	m.MonotonicNs, m.ExpiresNs = 0, math.MaxInt64
	m.TargetRad = append(m.TargetRad[:0], c.TargetRad...)
	m.Kp = append(m.Kp[:0], r.Kp...)
	m.Kd = append(m.Kd[:0], r.Kd...)
	m.FeedForwardNm = m.FeedForwardNm[:0]
}

// Encoder encodes messages into memory that it keeps for the next.
type Encoder struct {
	frames    [][]byte
	topic     []byte
	version   []byte
	metadata  []byte
	positions []byte
	depth     []byte
	other     []byte
}

// Observation returns the frames of o. They hold until the next call and until o changes: pixels of cameras are o's. The
// error is [Shape] where images differ in size or exceed the bounds, and [NotFinite].
func (e *Encoder) Observation(o *Observation) ([][]byte, error) {
	height, width := o.RGB1.Height, o.RGB1.Width
	if !fits(height, width, len(o.RGB1.Pixels), 3) || !fits(height, width, len(o.RGB2.Pixels), 3) ||
		!fits(height, width, len(o.Depth.Values), 1) || !fits(height, width, len(o.Confidence.Values), 1) ||
		o.RGB2.Height != height || o.Depth.Height != height || o.Confidence.Height != height ||
		o.RGB2.Width != width || o.Depth.Width != width || o.Confidence.Width != width {
		return nil, Shape
	}
	if err := e.putPositions(o.PositionRad); err != nil {
		return nil, err
	}
	e.depth = o.Depth.AppendTo(e.depth[:0])
	e.other = o.Confidence.AppendTo(e.other[:0])
	b := append(e.metadata[:0], '{')
	b = appendArray(b, namePositions, float32Type, len(o.PositionRad))
	b = appendArray(b, nameRGB1, uint8Type, height, width, 3)
	b = appendArray(b, nameRGB2, uint8Type, height, width, 3)
	b = appendArray(b, nameDepth, float32Type, height, width)
	b = appendArray(b, nameConfidence, float32Type, height, width)
	b = appendInteger(b, nameHeight, int64(height))
	b = appendInteger(b, nameWidth, int64(width))
	e.metadata = end(appendInteger(b, nameTimestamp, o.TimestampNs))
	e.topic, e.version = append(e.topic[:0], Topic...), append(e.version[:0], Version...)
	e.frames = append(e.frames[:0], e.topic, e.version, e.metadata, e.positions, o.RGB1.Pixels, o.RGB2.Pixels, e.depth, e.other)
	return e.frames, nil
}

// JointCommand returns the frames of c. They hold until the next call. The error is [Shape] or [NotFinite].
func (e *Encoder) JointCommand(c *JointCommand) ([][]byte, error) {
	if err := e.putPositions(c.TargetRad); err != nil {
		return nil, err
	}
	b := appendArray(append(e.metadata[:0], '{'), namePositions, float32Type, len(c.TargetRad))
	b = appendInteger(b, nameTimestamp, c.TimestampNs)
	e.metadata = end(appendInteger(b, nameObservationTimestamp, c.ObservationTimestampNs))
	e.frames = append(e.frames[:0], e.metadata, e.positions)
	return e.frames, nil
}

func (e *Encoder) putPositions(values []float64) error {
	if len(values) == 0 || len(values) > robot.MaxJoints {
		return Shape
	}
	e.positions = e.positions[:0]
	for _, v := range values {
		if !finite(float32(v)) { // Also what float32 cannot hold.
			return NotFinite
		}
		e.positions = binary.LittleEndian.AppendUint32(e.positions, math.Float32bits(float32(v)))
	}
	return nil
}

// DecodeObservation decodes frames into o, reusing its memory; only the metadata is allocated anew. Images
// are not copied but borrow their pixels from frames, as those of package wire do.
//
// The error is a [Cause]; o is then unchanged.
func DecodeObservation(o *Observation, frames [][]byte) error {
	switch {
	case len(frames) != ObservationFrames:
		return Frames
	case string(frames[0]) != Topic:
		return BadTopic
	case string(frames[1]) != Version:
		return BadVersion
	}
	m, err := parseObservation(frames[2])
	if err != nil {
		return err
	}
	height, width := *m.Height, *m.Width
	if height < 1 || height > message.MaxImageSide || width < 1 || width > message.MaxImageSide || height*width > message.MaxImagePixels {
		return Shape
	}
	joints, err := m.Positions.joints()
	if err != nil {
		return err
	}
	if !m.RGB1.is(uint8Type, height, width, 3) || !m.RGB2.is(uint8Type, height, width, 3) ||
		!m.Depth.is(float32Type, height, width) || !m.Confidence.is(float32Type, height, width) {
		return Shape
	}
	pixels := int(height * width)
	if len(frames[3]) != 4*joints || len(frames[4]) != 3*pixels || len(frames[5]) != 3*pixels ||
		len(frames[6]) != 4*pixels || len(frames[7]) != 4*pixels {
		return Length
	}
	if o.PositionRad, err = takePositions(o.PositionRad, frames[3]); err != nil {
		return err
	}
	o.TimestampNs = *m.TimestampNs
	o.RGB1.Borrow(int(height), int(width), frames[4])
	o.RGB2.Borrow(int(height), int(width), frames[5])
	o.Depth.Borrow(int(height), int(width), frames[6])
	o.Confidence.Borrow(int(height), int(width), frames[7])
	return nil
}

// DecodeJointCommand decodes frames into c, reusing its memory; only the metadata is allocated anew. The
// error is a [Cause]; c is then unchanged.
func DecodeJointCommand(c *JointCommand, frames [][]byte) error {
	if len(frames) != CommandFrames {
		return Frames
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
		return Length
	}
	if c.TargetRad, err = takePositions(c.TargetRad, frames[1]); err != nil {
		return err
	}
	c.TimestampNs, c.ObservationTimestampNs = *m.TimestampNs, *m.ObservationTimestampNs
	return nil
}

// takePositions returns the values of b in the memory of dst. After an error it returns dst as it was.
func takePositions(dst []float64, b []byte) ([]float64, error) {
	for at := 0; at < len(b); at += 4 {
		if !finite(math.Float32frombits(binary.LittleEndian.Uint32(b[at:]))) {
			return dst, NotFinite
		}
	}
	n := len(b) / 4
	dst = slices.Grow(dst[:0], n)[:n]
	for i := range dst {
		dst[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
	}
	return dst, nil
}

func fits(height, width, values, channels int) bool {
	return height >= 1 && height <= message.MaxImageSide && width >= 1 && width <= message.MaxImageSide &&
		height*width <= message.MaxImagePixels && values == height*width*channels
}

func finite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
