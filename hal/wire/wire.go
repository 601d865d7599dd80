// Package wire encodes messages as single frames of bytes and decodes them again: version 2 of the format. Version 1,
// the predecessor's, is package v1.
//
// A frame is a header of 64 bytes, a table of sections of 64 bytes each, and the sections: arrays, each at a multiple of
// 64 bytes from the start of the frame, all little-endian. What lies between them is 0. There is exactly one frame for
// each message.
//
//	offset  size  header
//	     0     4  magic "KRBY"
//	     4     1  major version, 2: another is refused
//	     5     1  minor version, 0: a greater one may have sections that are not known here, which are skipped
//	     6     1  kind: 1 observation, 2 joint command, 3 navigation command, 4 control request, 5 control reply
//	     7     1  number of sections, at most 32
//	     8     4  length of the frame in bytes
//	    12     4  CRC-32C of bytes 0 to 11 and of everything from byte 16 to the end of the table
//	    16     8  sequence
//	    24     8  session
//	    32     8  monotonic time, ns; of a control reply, when the request was received
//	    40     8  observation: wall time, ns; commands, control request: monotonic time of expiry, ns; control reply:
//	              monotonic time of sending, ns
//	    48     8  joint command: sequence of the observation that it answers; else 0
//	    56     8  0
//
//	offset  size  entry of the table; entries are in the order of their ids, which is that of the sections
//	     0     2  id
//	     2     1  type of the elements: 1 u8, 2 f32, 3 f64
//	     3     1  number of dimensions, 1 to 3
//	     4     4  offset of the section from the start of the frame
//	     8     4  length of the section in bytes
//	    12     4  CRC-32C of the section; 0 for images
//	    16    12  dimensions, u32[3]; those that are not used are 0
//	    28     4  0
//	    32     8  image: sequence; else 0
//	    40     8  image: monotonic time, ns; else 0
//	    48     8  image: rate, Hz, f64; else 0
//	    56     8  0
//
//	id  section            type  dimensions   in
//	 1  position           f64   J            observation
//	 2  velocity           f64   J            observation
//	 3  effort             f64   J            observation
//	 4  IMU                f64   10           observation: orientation w, x, y, z; angular velocity; linear acceleration
//	 5  contacts           u8    F            observation: 0 or 1
//	 6  base velocity      f64   3            observation, where known
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
//	80  status             u8    1            control reply: 0 done, or why not
//	81  state              u8    1 to 64      control reply: printable ASCII, as are the next
//	82  stopped by         u8    1 to 64      control reply, where stopped
//	83  fault              u8    1 to 64      control reply, where a reset was refused for it
//	84  reason             u8    1 to 256     control reply, likewise
//
// The pixels of images are not covered by a checksum: they are nearly all of a frame's bytes, a wrong one is no worse
// than the camera's noise, and whoever reads them in place would pay for reading them twice. Their sizes, times and
// places are in the table, which is covered.
//
// Decoding trusts nothing: it reads only within the frame, allocates only what fits the bounds of hal/robot and
// hal/message, and answers every malformed frame with a [Cause]. It says nothing about the values themselves; that is the
// messages' Validate. Decoded images borrow their pixels from the frame.
//
// It must never import transport (hal/bus), servers, clients or inference.
package wire

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"slices"

	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

const (
	// Major and Minor are the version of the format that is written here.
	Major = 2
	Minor = 0

	// MaxSections bounds the number of sections of a frame, known or not.
	MaxSections = 32
	// MaxFrameBytes is the size of the largest frame that is read: four of the largest images, and room for the rest.
	MaxFrameBytes = 2*(3+4)*message.MaxImagePixels + 1<<16
	// MaxCommandBytes is the size of the largest frame of a command that is written.
	MaxCommandBytes = headerBytes + 4*entryBytes + 4*8*robot.MaxJoints
	// MaxControlBytes is the size of the largest control request or reply that a bus should take. Those of this version are
	// at most a quarter of that.
	MaxControlBytes = 4096

	headerBytes = 64
	entryBytes  = 64
	alignment   = 64

	magic = "KRBY"
)

// Cause is why a frame was refused. It is an error and a key for counters.
type Cause string

// The causes. The header is examined first, up to Checksum in this order; then entry after entry, each with its section.
const (
	// Short: fewer bytes than a header.
	Short Cause = "short"
	// Magic: the frame is not one of ours.
	Magic Cause = "magic"
	// Version: a major version that this code does not speak.
	Version Cause = "version"
	// Kind: another kind of message than the one asked for.
	Kind Cause = "kind"
	// Length: the frame is not as long as its header or its sections say, or longer than any may be.
	Length Cause = "length"
	// Checksum: bytes of the header, the table or a section changed on the way.
	Checksum Cause = "checksum"
	// Section: a section is missing, twice, out of order, not known in this minor version, or one too many.
	Section Cause = "section"
	// Shape: elements or dimensions that the section cannot have or, to an encoder, slices that disagree.
	Shape Cause = "shape"
	// Layout: a section does not lie where it belongs.
	Layout Cause = "layout"
	// Reserved: something that must be 0 is not.
	Reserved Cause = "reserved"
	// Value: a contact that is neither 0 nor 1, or a text with other characters than printable ones of ASCII.
	Value Cause = "value"
)

// Causes returns all causes.
func Causes() []Cause {
	return []Cause{Short, Magic, Version, Kind, Length, Checksum, Section, Shape, Layout, Reserved, Value}
}

// Error makes a Cause an error.
func (c Cause) Error() string { return "malformed frame: " + string(c) }

type kind byte

const (
	kindObservation kind = 1
	kindCommand     kind = 2
	kindNavigation  kind = 3
	kindRequest     kind = 4
	kindReply       kind = 5
)

type element byte

const (
	u8  element = 1
	f32 element = 2
	f64 element = 3
)

func (e element) bytes() uint64 { return [4]uint64{0, 1, 4, 8}[e&3] }

// spec is what a section must be.
type spec struct {
	id       uint16
	element  element
	rank     int
	least    [3]uint32
	most     [3]uint32
	required bool
	image    bool // Has a stamp and no checksum.
}

// The sections of each kind, by id. The index in these tables is that in a frame's sections.
const (
	position = iota
	velocity
	effort
	imu
	contacts
	baseVelocity
	rgb1
	rgb2
	depth
	confidence
	observationSections

	target          = 0
	kp              = 1
	kd              = 2
	feedForward     = 3
	commandSections = 4

	velocityCommand    = 0
	navigationSections = 1

	operation       = 0
	requestSections = 1

	status        = 0
	state         = 1
	stoppedBy     = 2
	fault         = 3
	reason        = 4
	replySections = 5

	imuValues = 4 + 3 + 3
)

var (
	observationSpecs = [observationSections]spec{
		position:     joints(1, true),
		velocity:     joints(2, true),
		effort:       joints(3, true),
		imu:          vector(4, imuValues, true),
		contacts:     {id: 5, element: u8, rank: 1, most: [3]uint32{robot.MaxFeet}, required: true},
		baseVelocity: vector(6, 3, false),
		rgb1:         image(16, u8, 3),
		rgb2:         image(17, u8, 3),
		depth:        image(18, f32, 2),
		confidence:   image(19, f32, 2),
	}
	commandSpecs = [commandSections]spec{
		target:      joints(32, true),
		kp:          joints(33, true),
		kd:          joints(34, true),
		feedForward: joints(35, false),
	}
	navigationSpecs = [navigationSections]spec{velocityCommand: vector(48, 3, true)}
	requestSpecs    = [requestSections]spec{operation: octets(64, 1, true)}
	replySpecs      = [replySections]spec{
		status:    octets(80, 1, true),
		state:     octets(81, message.MaxControlWord, true),
		stoppedBy: octets(82, message.MaxControlWord, false),
		fault:     octets(83, message.MaxControlWord, false),
		reason:    octets(84, message.MaxControlReason, false),
	}

	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func joints(id uint16, required bool) spec {
	return spec{id: id, element: f64, rank: 1, most: [3]uint32{robot.MaxJoints}, required: required}
}

func vector(id uint16, n uint32, required bool) spec {
	return spec{id: id, element: f64, rank: 1, least: [3]uint32{n}, most: [3]uint32{n}, required: required}
}

// octets is 1 to most bytes.
func octets(id uint16, most uint32, required bool) spec {
	return spec{id: id, element: u8, rank: 1, least: [3]uint32{1}, most: [3]uint32{most}, required: required}
}

func image(id uint16, e element, rank int) spec {
	s := spec{id: id, element: e, rank: rank, image: true}
	s.least, s.most = [3]uint32{1, 1}, [3]uint32{message.MaxImageSide, message.MaxImageSide}
	if rank == 3 {
		s.least[2], s.most[2] = 3, 3
	}
	return s
}

// header is the fixed part of a frame that belongs to the message.
type header struct {
	sequence    uint64
	sessionID   uint64
	monotonicNs int64
	otherNs     int64 // Wall time, expiry or time of sending.
	observation uint64
}

// section is a section of a frame, on its way in or out. Absent ones have no rank.
type section struct {
	rank  int
	dims  [3]uint32
	stamp message.ImageStamp
	body  []byte // Only when decoding.
}

func (s *section) present() bool { return s.rank != 0 }

// bytes is the size of a section whose dimensions are within bounds.
func (s *section) bytes(e element) uint64 {
	n := e.bytes()
	for _, d := range s.dims[:s.rank] {
		n *= uint64(d)
	}
	return n
}

func align(n uint64) uint64 { return (n + alignment - 1) &^ (alignment - 1) }

// open examines a frame completely, so that what follows may read the sections without further checks, and fills in
// those that are known.
func open(frame []byte, want kind, specs []spec, known []section) (header, error) {
	le := binary.LittleEndian
	switch {
	case len(frame) < len(magic):
		return header{}, Short
	case string(frame[:4]) != magic:
		return header{}, Magic
	case len(frame) < headerBytes:
		return header{}, Short
	case frame[4] != Major:
		return header{}, Version
	case kind(frame[6]) != want:
		return header{}, Kind
	case len(frame) > MaxFrameBytes || uint64(le.Uint32(frame[8:])) != uint64(len(frame)):
		return header{}, Length
	}
	n := int(frame[7])
	end := headerBytes + n*entryBytes // Of the table, and then of the sections so far.
	switch {
	case n > MaxSections:
		return header{}, Section
	case end > len(frame):
		return header{}, Length
	case le.Uint32(frame[12:]) != headerChecksum(frame[:end]):
		return header{}, Checksum
	case le.Uint64(frame[56:]) != 0 || want != kindCommand && le.Uint64(frame[48:]) != 0:
		return header{}, Reserved
	}
	last, next := -1, 0 // The id before, and the first spec that may still come.
	at := uint64(end)
	for i := range n {
		entry := frame[headerBytes+i*entryBytes:][:entryBytes]
		id := le.Uint16(entry)
		if int(id) <= last {
			return header{}, Section
		}
		last = int(id)
		offset, length := uint64(le.Uint32(entry[4:])), uint64(le.Uint32(entry[8:]))
		if start := align(at); offset != start || start+length > uint64(len(frame)) {
			return header{}, Layout
		}
		if !zero(frame[at:offset]) {
			return header{}, Reserved
		}
		at = offset + length
		for next < len(specs) && specs[next].id < id {
			if specs[next].required {
				return header{}, Section
			}
			next++
		}
		if next == len(specs) || specs[next].id != id {
			if frame[5] == Minor {
				return header{}, Section
			}
			continue
		}
		if err := known[next].open(&specs[next], entry, frame[offset:at:at]); err != nil {
			return header{}, err
		}
		next++
	}
	for ; next < len(specs); next++ {
		if specs[next].required {
			return header{}, Section
		}
	}
	if at != uint64(len(frame)) {
		return header{}, Length
	}
	return header{
		sequence:    le.Uint64(frame[16:]),
		sessionID:   le.Uint64(frame[24:]),
		monotonicNs: int64(le.Uint64(frame[32:])),
		otherNs:     int64(le.Uint64(frame[40:])),
		observation: le.Uint64(frame[48:]),
	}, nil
}

// open examines an entry of the table and its section, and takes from it what is particular to the section.
func (s *section) open(want *spec, entry, body []byte) error {
	le := binary.LittleEndian
	if element(entry[2]) != want.element || int(entry[3]) != want.rank {
		return Shape
	}
	s.rank = want.rank
	for i := range s.dims {
		s.dims[i] = le.Uint32(entry[16+4*i:])
		if s.dims[i] < want.least[i] || s.dims[i] > want.most[i] {
			return Shape
		}
	}
	if want.image && uint64(s.dims[0])*uint64(s.dims[1]) > message.MaxImagePixels || s.bytes(want.element) != uint64(len(body)) {
		return Shape
	}
	if le.Uint32(entry[28:]) != 0 || le.Uint64(entry[56:]) != 0 {
		return Reserved
	}
	checksum := le.Uint32(entry[12:])
	if want.image {
		if checksum != 0 {
			return Reserved
		}
		s.stamp = message.ImageStamp{
			Sequence:    le.Uint64(entry[32:]),
			MonotonicNs: int64(le.Uint64(entry[40:])),
			RateHz:      math.Float64frombits(le.Uint64(entry[48:])),
		}
	} else {
		if !zero(entry[32:56]) {
			return Reserved
		}
		if checksum != crc32.Checksum(body, castagnoli) {
			return Checksum
		}
	}
	s.body = body
	return nil
}

// headerChecksum covers the header and the table, which head is, except for the checksum itself.
func headerChecksum(head []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[:12], castagnoli), castagnoli, head[16:])
}

func zero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}

// size returns the size of the frame that the sections make, and how many there are.
func size(specs []spec, sections []section) (bytes uint64, n int) {
	for i := range sections {
		if sections[i].present() {
			n++
		}
	}
	bytes = uint64(headerBytes + n*entryBytes)
	for i := range sections {
		if sections[i].present() {
			bytes = align(bytes) + sections[i].bytes(specs[i].element)
		}
	}
	return bytes, n
}

// begin appends the header and the table of a frame to dst, with room for all of the frame; put then appends the
// sections, in order.
func begin(dst []byte, k kind, h header, specs []spec, sections []section) []byte {
	le := binary.LittleEndian
	frameBytes, n := size(specs, sections)
	b := slices.Grow(dst, int(frameBytes))
	b = append(b, magic...)
	b = append(b, Major, Minor, byte(k), byte(n))
	b = le.AppendUint32(b, uint32(frameBytes))
	b = le.AppendUint32(b, 0) // The checksum; see seal.
	b = le.AppendUint64(b, h.sequence)
	b = le.AppendUint64(b, h.sessionID)
	b = le.AppendUint64(b, uint64(h.monotonicNs))
	b = le.AppendUint64(b, uint64(h.otherNs))
	b = le.AppendUint64(b, h.observation)
	b = le.AppendUint64(b, 0)
	at := uint64(headerBytes + n*entryBytes)
	for i := range sections {
		s := &sections[i]
		if !s.present() {
			continue
		}
		at = align(at)
		length := s.bytes(specs[i].element)
		b = le.AppendUint16(b, specs[i].id)
		b = append(b, byte(specs[i].element), byte(s.rank))
		b = le.AppendUint32(b, uint32(at))
		b = le.AppendUint32(b, uint32(length))
		b = le.AppendUint32(b, 0) // The checksum; see seal.
		for _, d := range s.dims {
			b = le.AppendUint32(b, d)
		}
		b = le.AppendUint32(b, 0)
		b = le.AppendUint64(b, s.stamp.Sequence)
		b = le.AppendUint64(b, uint64(s.stamp.MonotonicNs))
		b = le.AppendUint64(b, math.Float64bits(s.stamp.RateHz))
		b = le.AppendUint64(b, 0)
		at += length
	}
	return b
}

// pad appends zeros until the frame that begins at start is as long as a section needs to begin.
func pad(b []byte, start int) []byte {
	var zeros [alignment]byte
	n := len(b) - start
	return append(b, zeros[:align(uint64(n))-uint64(n)]...)
}

// putFloats appends a section of numbers.
func putFloats(b []byte, start int, values []float64) []byte {
	b = pad(b, start)
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b
}

// seal writes the checksums of a complete frame: those of the small sections into the table, and that of the header and
// the table into the header. The frame must be well formed.
func seal(frame []byte) {
	le := binary.LittleEndian
	n := int(frame[7])
	for i := range n {
		entry := frame[headerBytes+i*entryBytes:][:entryBytes]
		if id := le.Uint16(entry); id >= observationSpecs[rgb1].id && id <= observationSpecs[confidence].id {
			continue
		}
		offset, length := le.Uint32(entry[4:]), le.Uint32(entry[8:])
		le.PutUint32(entry[12:], crc32.Checksum(frame[offset:][:length], castagnoli))
	}
	le.PutUint32(frame[12:], headerChecksum(frame[:headerBytes+n*entryBytes]))
}

func takeFloats(dst []float64, body []byte) {
	for i := range dst {
		dst[i] = math.Float64frombits(binary.LittleEndian.Uint64(body[8*i:]))
	}
}
