// Package v1 encodes and decodes version 1.0 of the wire format, for programs that were written for the Python predecessor and
// access a robot over TCP. The format has no inertial measurements, velocities, contacts, sessions, sequences and expiries, so
// its observations are not sufficient for a policy.
//
// A message is a multipart message of ZeroMQ. Arrays are raw, little-endian, in C order. J is the number of joints; H and W are
// the rows and columns of all images:
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
// The metadata is an object with {"shape": [...], "dtype": "float32" or "uint8"} for each array, by its name. An observation also
// has camera_height, camera_width and timestamp_ns, a joint command timestamp_ns and observation_timestamp_ns. Times are of the
// wall clock. Unknown fields are ignored.
//
// Decoders accept any input. They read within the frames only, allocate at most the bounds of hal/robot and hal/message, and
// return a [RejectReason] for each malformed message. They are stricter than the predecessor: the topic must match completely, and
// each field named above must exist once.
//
// The package must never import transport (hal/bus), servers, clients or inference.
package v1

import (
	"krabby.dev/krabby/hal/message"
)

const (
	// Topic is the first frame of an observation. Subscribers subscribe to it.
	Topic = "observation"
	// Version is the second frame of an observation.
	Version = "1.0"

	// ObservationFrames is the number of frames of an observation.
	ObservationFrames = 8
	// CommandFrames is the number of frames of a joint command.
	CommandFrames = 2

	// MaxMetadataBytes is the maximum size of the JSON of a message.
	MaxMetadataBytes = 4096
)

// RejectReason is the reason for rejecting a message. It is an error, and a key of counters.
type RejectReason string

// The reasons, in the order in which a message is checked.
const (
	// RejectFrames: wrong number of frames.
	RejectFrames RejectReason = "frames"
	// RejectTopic: wrong topic, or a part of Topic.
	RejectTopic RejectReason = "topic"
	// RejectVersion: wrong version.
	RejectVersion RejectReason = "version"
	// RejectMetadata: invalid JSON, or a field is missing, duplicate or of a wrong type.
	RejectMetadata RejectReason = "metadata"
	// RejectShape: an array has wrong elements or dimensions, or an encoder was given images of different sizes.
	RejectShape RejectReason = "shape"
	// RejectLength: an array does not have the size of its shape.
	RejectLength RejectReason = "length"
	// RejectNotFinite: a position of a joint is NaN or infinite.
	RejectNotFinite RejectReason = "not_finite"
)

// RejectReasons returns all reasons, in the order in which a message is checked.
func RejectReasons() []RejectReason {
	return []RejectReason{RejectFrames, RejectTopic, RejectVersion, RejectMetadata, RejectShape, RejectLength, RejectNotFinite}
}

// Error makes a RejectReason an error.
func (r RejectReason) Error() string { return "malformed version 1 message: " + string(r) }

// Observation is an observation of version 1. The stamps of its images are 0.
type Observation struct {
	// TimestampNs is when the sensors were read, in ns since the Unix epoch.
	TimestampNs int64
	// PositionRad is one value per joint.
	PositionRad []float64
	// RGB1, RGB2, Depth (m) and Confidence (0 to 1) have the same size, at least 1x1.
	RGB1, RGB2        message.ColorImage
	Depth, Confidence message.ScalarImage
}

// JointCommand is a joint command of version 1.
type JointCommand struct {
	// TimestampNs is when the command was made, in ns since the Unix epoch.
	TimestampNs int64
	// ObservationTimestampNs is TimestampNs of the observation that the command answers.
	ObservationTimestampNs int64
	// TargetRad is one value per joint.
	TargetRad []float64
}
