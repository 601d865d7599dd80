// Package wire encodes messages as frames, and decodes them. It implements version 2 of the wire format; package v1 implements
// version 1.
//
// A frame is a header of 64 bytes, a table with one entry of 64 bytes per section, and the sections. A section is an array,
// aligned to 64 bytes from the start of the frame. Numbers are little-endian, padding is 0. Each message has exactly one
// encoding.
//
//	offset  size  header
//	     0     4  magic "KRBY"
//	     4     1  major version, 2: others are rejected
//	     5     1  minor version, 0: unknown sections are skipped in greater versions, and rejected in this one
//	     6     1  kind: 1 observation, 2 joint command, 3 navigation command, 4 control request, 5 control reply
//	     7     1  number of sections, at most 32
//	     8     4  length of the frame in bytes
//	    12     4  CRC-32C of bytes 0 to 11, and of all bytes from 16 to the end of the table
//	    16     8  sequence
//	    24     8  session
//	    32     8  monotonic time, ns; control reply: when the request was received
//	    40     8  observation: wall time, ns; commands, control request: monotonic time of expiry, ns; control reply:
//	              monotonic time of sending, ns
//	    48     8  joint command: sequence of the observation that it answers; others: 0
//	    56     8  0
//
//	offset  size  entry of the table; entries and sections are in ascending order of their ids
//	     0     2  id
//	     2     1  type of the elements: 1 u8, 2 f32, 3 f64
//	     3     1  number of dimensions, 1 to 3
//	     4     4  offset of the section from the start of the frame
//	     8     4  length of the section in bytes
//	    12     4  CRC-32C of the section; 0 for images
//	    16    12  dimensions, u32[3]; unused ones are 0
//	    28     4  0
//	    32     8  image: sequence; others: 0
//	    40     8  image: monotonic time, ns; others: 0
//	    48     8  image: rate, Hz, f64; others: 0
//	    56     8  0
//
//	id  section            type  dimensions   message
//	 1  position           f64   J            observation
//	 2  velocity           f64   J            observation
//	 3  effort             f64   J            observation
//	 4  IMU                f64   10           observation: orientation w, x, y, z; angular velocity; linear acceleration
//	 5  contacts           u8    F            observation: 0 or 1
//	 6  base velocity      f64   3            observation, if known
//	16  rgb 1              u8    H, W, 3      observation, optional
//	17  rgb 2              u8    H, W, 3      observation, optional
//	18  depth              f32   H, W         observation, optional
//	19  confidence         f32   H, W         observation, optional
//	32  target             f64   J            joint command
//	33  kp                 f64   J            joint command
//	34  kd                 f64   J            joint command
//	35  feed-forward       f64   J            joint command, optional
//	48  velocity           f64   3            navigation command: vx, vy, yaw rate
//	64  operation          u8    1            control request: 1 clock, 2 e-stop, 3 reset
//	80  status             u8    1            control reply: 0 done, others: reason for not doing it
//	81  state              u8    1 to 64      control reply: printable ASCII, as are the next sections
//	82  stopped by         u8    1 to 64      control reply, if stopped
//	83  fault              u8    1 to 64      control reply, if a reset was rejected: active fault
//	84  reason             u8    1 to 256     control reply, if a reset was rejected: description
//
// Checksums do not cover the pixels of images: pixels are most of a frame, a wrong pixel is like camera noise, and readers in
// place would read all pixels twice. The checksum of the table covers the sizes, stamps and offsets of images.
//
// Decoders accept any input. They read within the frame only, allocate at most the bounds of hal/robot and hal/message, and
// return a [RejectReason] for each malformed frame. Validate of the messages checks their values. Decoded images borrow their
// pixels from the frame.
//
// The package must never import transport (hal/bus), servers, clients or inference.
package wire

import (
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// The version of the format.
const (
	Major = 2
	Minor = 0
)

// The bounds of frames.
const (
	// MaxSections is the maximum number of sections of a frame, including unknown ones.
	MaxSections = 32
	// MaxFrameBytes is the maximum size of a decoded frame: four of the largest images, and room for the rest.
	MaxFrameBytes = 2*(3+4)*message.MaxImagePixels + 1<<16
	// MaxCommandBytes is the maximum size of an encoded command.
	MaxCommandBytes = headerBytes + 4*entryBytes + 4*8*robot.MaxJoints
	// MaxControlBytes is the maximum size of a control request or reply that a bus should receive. This version encodes at most a
	// quarter of it.
	MaxControlBytes = 4096
)

// RejectReason is the reason for rejecting a frame. It is an error, and a key of counters.
type RejectReason string

// The reasons. A decoder checks the header first, in this order up to RejectChecksum, and then each entry with its section.
const (
	// RejectShort: the frame is shorter than a header.
	RejectShort RejectReason = "short"
	// RejectMagic: the frame does not begin with the magic number.
	RejectMagic RejectReason = "magic"
	// RejectVersion: the major version is not supported.
	RejectVersion RejectReason = "version"
	// RejectKind: the frame contains another kind of message.
	RejectKind RejectReason = "kind"
	// RejectLength: the frame does not have the length in its header or of its sections, or is larger than MaxFrameBytes.
	RejectLength RejectReason = "length"
	// RejectChecksum: the header, the table or a section is corrupt.
	RejectChecksum RejectReason = "checksum"
	// RejectSection: a section is missing, duplicate, out of order or unknown in this minor version, or there are too many.
	RejectSection RejectReason = "section"
	// RejectShape: a section has wrong elements or dimensions, or an encoder was given slices of different lengths.
	RejectShape RejectReason = "shape"
	// RejectLayout: a section is not at its offset.
	RejectLayout RejectReason = "layout"
	// RejectReserved: a reserved field or padding is not 0.
	RejectReserved RejectReason = "reserved"
	// RejectValue: a contact is neither 0 nor 1, or a text is not printable ASCII.
	RejectValue RejectReason = "value"
)

// RejectReasons returns all reasons.
func RejectReasons() []RejectReason {
	return []RejectReason{
		RejectShort, RejectMagic, RejectVersion, RejectKind, RejectLength, RejectChecksum,
		RejectSection, RejectShape, RejectLayout, RejectReserved, RejectValue,
	}
}

// Error makes a RejectReason an error.
func (r RejectReason) Error() string { return "malformed frame: " + string(r) }
