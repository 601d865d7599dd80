// Package wire encodes messages as single frames of bytes and decodes them again.
//
// A frame is a header of 16 bytes and a payload, all little-endian:
//
//	offset  size  field
//	     0     4  magic "KRBY"
//	     4     1  version, 2
//	     5     1  kind: 1 observation, 2 joint command
//	     6     1  number of joints J, at most 64
//	     7     1  number of feet F, at most 32; 0 in a joint command
//	     8     4  length of the payload in bytes
//	    12     4  CRC-32C of bytes 0 to 11 and of the payload
//
//	observation: sequence u64, session u64, monotonic ns i64, wall ns i64, position f64[J] (rad), velocity f64[J] (rad/s),
//	  effort f64[J] (N·m), orientation f64[4] (w, x, y, z), angular velocity f64[3] (rad/s), linear acceleration f64[3]
//	  (m/s²), base velocity f64[3] (m/s), contacts u32 (bit i is foot i, the others are 0)
//	joint command: sequence u64, session u64, observation sequence u64, monotonic ns i64, expires ns i64, target f64[J]
//	  (rad), kp f64[J] (N·m/rad), kd f64[J] (N·m·s/rad)
//
// Decoding trusts nothing: it reads only within the frame, allocates only what fits MaxJoints and MaxFeet, and answers
// every malformed frame with a [Cause]. It says nothing about the values themselves; that is the messages' Validate.
//
// It must never import transport (hal/bus), servers, clients or inference.
package wire

import (
	"encoding/binary"
	"hash/crc32"
	"math"

	"krabby.dev/krabby/hal/message"
)

const (
	// MaxJoints and MaxFeet bound what a frame may carry.
	MaxJoints = 64
	MaxFeet   = 32
	// MaxFrameBytes is the size of the largest frame.
	MaxFrameBytes = headerBytes + observationFixedBytes + observationJointBytes*MaxJoints

	headerBytes           = 16
	observationFixedBytes = 4*8 + (4+3+3+3)*8 + 4
	observationJointBytes = 3 * 8
	commandFixedBytes     = 5 * 8
	commandJointBytes     = 3 * 8

	version = 2

	kindObservation = 1
	kindCommand     = 2

	magic = "KRBY"
)

// Cause is why a frame was refused. It is an error and a key for counters.
type Cause string

// The causes, in the order in which a frame is examined.
const (
	// Short: fewer bytes than a header.
	Short Cause = "short"
	// Magic: the frame is not one of ours.
	Magic Cause = "magic"
	// Version: a version that this code does not speak.
	Version Cause = "version"
	// Kind: another kind of message than the one asked for.
	Kind Cause = "kind"
	// Shape: numbers of joints or feet out of bounds or, to an encoder, slices that disagree.
	Shape Cause = "shape"
	// Length: the payload is not as long as the header and the shape say.
	Length Cause = "length"
	// Checksum: the bytes changed on the way.
	Checksum Cause = "checksum"
)

// Causes returns all causes, in the order in which a frame is examined.
func Causes() []Cause {
	return []Cause{Short, Magic, Version, Kind, Shape, Length, Checksum}
}

// Error makes a Cause an error.
func (c Cause) Error() string { return "malformed frame: " + string(c) }

// AppendObservation appends the frame of o to dst and returns the extended buffer. The error is [Shape] where the
// slices of o disagree or exceed the bounds; dst is then returned as it was. It allocates only when dst is too small.
func AppendObservation(dst []byte, o *message.Observation) ([]byte, error) {
	joints, feet := len(o.PositionRad), len(o.Contacts)
	if joints > MaxJoints || feet > MaxFeet || len(o.VelocityRadPerSec) != joints || len(o.EffortNm) != joints {
		return dst, Shape
	}
	start := len(dst)
	b := appendHeader(dst, kindObservation, joints, feet, observationFixedBytes+observationJointBytes*joints)
	b = binary.LittleEndian.AppendUint64(b, o.Sequence)
	b = binary.LittleEndian.AppendUint64(b, o.SessionID)
	b = binary.LittleEndian.AppendUint64(b, uint64(o.MonotonicNs))
	b = binary.LittleEndian.AppendUint64(b, uint64(o.WallNs))
	b = appendFloats(b, o.PositionRad)
	b = appendFloats(b, o.VelocityRadPerSec)
	b = appendFloats(b, o.EffortNm)
	b = appendFloats(b, o.IMU.Orientation[:])
	b = appendFloats(b, o.IMU.AngularVelocityRadPerSec[:])
	b = appendFloats(b, o.IMU.LinearAccelerationMps2[:])
	b = appendFloats(b, o.BaseVelocityMps[:])
	var contacts uint32
	for i, touches := range o.Contacts {
		if touches {
			contacts |= 1 << i
		}
	}
	b = binary.LittleEndian.AppendUint32(b, contacts)
	seal(b[start:])
	return b, nil
}

// DecodeObservation decodes frame into o, reusing its memory: decoding frames of one shape allocates only once. The
// error is a [Cause]; o is then unchanged.
func DecodeObservation(o *message.Observation, frame []byte) error {
	joints, feet, err := open(frame, kindObservation, observationFixedBytes, observationJointBytes)
	if err != nil {
		return err
	}
	contacts := binary.LittleEndian.Uint32(frame[len(frame)-4:])
	if uint64(contacts)>>feet != 0 {
		return Shape
	}
	o.Resize(joints, feet)
	p := frame[headerBytes:]
	o.Sequence, p = takeUint64(p)
	o.SessionID, p = takeUint64(p)
	o.MonotonicNs, p = takeInt64(p)
	o.WallNs, p = takeInt64(p)
	p = takeFloats(o.PositionRad, p)
	p = takeFloats(o.VelocityRadPerSec, p)
	p = takeFloats(o.EffortNm, p)
	p = takeFloats(o.IMU.Orientation[:], p)
	p = takeFloats(o.IMU.AngularVelocityRadPerSec[:], p)
	p = takeFloats(o.IMU.LinearAccelerationMps2[:], p)
	takeFloats(o.BaseVelocityMps[:], p)
	for i := range o.Contacts {
		o.Contacts[i] = contacts>>i&1 == 1
	}
	return nil
}

// AppendJointCommand appends the frame of c to dst and returns the extended buffer. The error is [Shape] where the
// slices of c disagree or exceed the bounds; dst is then returned as it was. It allocates only when dst is too small.
func AppendJointCommand(dst []byte, c *message.JointCommand) ([]byte, error) {
	joints := len(c.TargetRad)
	if joints > MaxJoints || len(c.Kp) != joints || len(c.Kd) != joints {
		return dst, Shape
	}
	start := len(dst)
	b := appendHeader(dst, kindCommand, joints, 0, commandFixedBytes+commandJointBytes*joints)
	b = binary.LittleEndian.AppendUint64(b, c.Sequence)
	b = binary.LittleEndian.AppendUint64(b, c.SessionID)
	b = binary.LittleEndian.AppendUint64(b, c.ObservationSequence)
	b = binary.LittleEndian.AppendUint64(b, uint64(c.MonotonicNs))
	b = binary.LittleEndian.AppendUint64(b, uint64(c.ExpiresNs))
	b = appendFloats(b, c.TargetRad)
	b = appendFloats(b, c.Kp)
	b = appendFloats(b, c.Kd)
	seal(b[start:])
	return b, nil
}

// DecodeJointCommand decodes frame into c, reusing its memory: decoding frames of one shape allocates only once. The
// error is a [Cause]; c is then unchanged.
func DecodeJointCommand(c *message.JointCommand, frame []byte) error {
	joints, feet, err := open(frame, kindCommand, commandFixedBytes, commandJointBytes)
	if err != nil {
		return err
	}
	if feet != 0 {
		return Shape
	}
	c.Resize(joints)
	p := frame[headerBytes:]
	c.Sequence, p = takeUint64(p)
	c.SessionID, p = takeUint64(p)
	c.ObservationSequence, p = takeUint64(p)
	c.MonotonicNs, p = takeInt64(p)
	c.ExpiresNs, p = takeInt64(p)
	p = takeFloats(c.TargetRad, p)
	p = takeFloats(c.Kp, p)
	takeFloats(c.Kd, p)
	return nil
}

func appendHeader(b []byte, kind byte, joints, feet, payloadBytes int) []byte {
	b = append(b, magic...)
	b = append(b, version, kind, byte(joints), byte(feet))
	b = binary.LittleEndian.AppendUint32(b, uint32(payloadBytes))
	return binary.LittleEndian.AppendUint32(b, 0) // The checksum; see seal.
}

// seal writes the checksum of a complete frame into its header.
func seal(frame []byte) {
	binary.LittleEndian.PutUint32(frame[12:], checksum(frame))
}

// checksum covers the header too: a flipped bit in the shape must not pass where it happens to fit.
func checksum(frame []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli) // Returns the shared table; no allocation.
	return crc32.Update(crc32.Update(0, table, frame[:12]), table, frame[headerBytes:])
}

// open examines a frame completely, so that what follows may read the payload without further checks.
func open(frame []byte, kind byte, fixedBytes, jointBytes int) (joints, feet int, err error) {
	switch {
	case len(frame) < headerBytes:
		return 0, 0, Short
	case string(frame[:4]) != magic:
		return 0, 0, Magic
	case frame[4] != version:
		return 0, 0, Version
	case frame[5] != kind:
		return 0, 0, Kind
	}
	joints, feet = int(frame[6]), int(frame[7])
	if joints > MaxJoints || feet > MaxFeet {
		return 0, 0, Shape
	}
	payloadBytes := fixedBytes + jointBytes*joints
	if len(frame) != headerBytes+payloadBytes || binary.LittleEndian.Uint32(frame[8:]) != uint32(payloadBytes) {
		return 0, 0, Length
	}
	if binary.LittleEndian.Uint32(frame[12:]) != checksum(frame) {
		return 0, 0, Checksum
	}
	return joints, feet, nil
}

func appendFloats(b []byte, values []float64) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b
}

func takeUint64(p []byte) (uint64, []byte) { return binary.LittleEndian.Uint64(p), p[8:] }

func takeInt64(p []byte) (int64, []byte) { return int64(binary.LittleEndian.Uint64(p)), p[8:] }

func takeFloats(dst []float64, p []byte) []byte {
	for i := range dst {
		dst[i] = math.Float64frombits(binary.LittleEndian.Uint64(p[8*i:]))
	}
	return p[8*len(dst):]
}
