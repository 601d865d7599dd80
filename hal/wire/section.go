package wire

import (
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

const (
	headerBytes = 64
	entryBytes  = 64
	alignment   = 64

	magic = "KRBY"
)

type kind byte

const (
	kindObservation kind = 1
	kindCommand     kind = 2
	kindNavigation  kind = 3
	kindRequest     kind = 4
	kindReply       kind = 5
)

// element is the type of the elements of a section.
type element byte

const (
	u8  element = 1
	f32 element = 2
	f64 element = 3
)

func (e element) bytes() uint64 { return [4]uint64{0, 1, 4, 8}[e&3] }

// header is the part of the header that belongs to the message.
type header struct {
	sequence    uint64
	sessionID   uint64
	monotonicNs int64
	otherNs     int64 // Wall time, expiry or time of sending.
	observation uint64
}

// section is one section of a frame. An absent section has rank 0.
type section struct {
	rank  int
	dims  [3]uint32
	stamp message.ImageStamp
	body  []byte // Set by decoding only.
}

func (s *section) present() bool { return s.rank != 0 }

// bytes returns the size of a section with valid dimensions.
func (s *section) bytes(e element) uint64 {
	n := e.bytes()
	for _, d := range s.dims[:s.rank] {
		n *= uint64(d)
	}
	return n
}

// spec is the specification of a section: its element, its number of dimensions, and the bounds of each dimension.
type spec struct {
	id       uint16
	element  element
	rank     int
	min, max [3]uint32
	required bool
	image    bool // Has a stamp and no checksum.
}

// The indices of sections in the tables below, which are in the order of ids.
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

// The sections of each kind of message.
var (
	observationSpecs = [observationSections]spec{
		position:     joints(1, true),
		velocity:     joints(2, true),
		effort:       joints(3, true),
		imu:          vector(4, imuValues, true),
		contacts:     {id: 5, element: u8, rank: 1, max: [3]uint32{robot.MaxFeet}, required: true},
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
		state:     octets(81, message.MaxControlNameBytes, true),
		stoppedBy: octets(82, message.MaxControlNameBytes, false),
		fault:     octets(83, message.MaxControlNameBytes, false),
		reason:    octets(84, message.MaxControlReasonBytes, false),
	}
)

// joints specifies one number per joint.
func joints(id uint16, required bool) spec {
	return spec{id: id, element: f64, rank: 1, max: [3]uint32{robot.MaxJoints}, required: required}
}

// vector specifies n numbers.
func vector(id uint16, n uint32, required bool) spec {
	return spec{id: id, element: f64, rank: 1, min: [3]uint32{n}, max: [3]uint32{n}, required: required}
}

// octets specifies 1 to n bytes.
func octets(id uint16, n uint32, required bool) spec {
	return spec{id: id, element: u8, rank: 1, min: [3]uint32{1}, max: [3]uint32{n}, required: required}
}

// image specifies an optional image: of scalars with rank 2, of colors with rank 3.
func image(id uint16, e element, rank int) spec {
	s := spec{id: id, element: e, rank: rank, image: true}
	s.min, s.max = [3]uint32{1, 1}, [3]uint32{message.MaxImageSide, message.MaxImageSide}
	if rank == 3 {
		s.min[2], s.max[2] = 3, 3
	}
	return s
}

func align(n uint64) uint64 { return (n + alignment - 1) &^ (alignment - 1) }
