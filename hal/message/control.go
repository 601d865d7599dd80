package message

import (
	"strconv"
	"time"
)

// Operation is what a control request asks for. The numbers are those of the wire.
type Operation uint8

// The operations.
const (
	// ReadClock asks for nothing but what every reply says: the time, the session and the state.
	ReadClock Operation = 1
	// EStop stops the robot until a reset. It is never refused.
	EStop Operation = 2
	// Reset ends a stop, unless a fault lasts.
	Reset Operation = 3
)

// String returns the operation's name in counters.
func (o Operation) String() string {
	switch o {
	case ReadClock:
		return "clock"
	case EStop:
		return "e_stop"
	case Reset:
		return "reset"
	}
	return "unknown"
}

// ResetValidity is how long after the reply that a reset is asked for on the reset has force: ExpiresNs is that much after
// its SentNs. So it tells what its sender knew.
const ResetValidity = time.Second

// ControlStatus is what became of a control request. The numbers are those of the wire.
type ControlStatus uint8

// What can become of a control request.
const (
	// Done: what was asked for is so.
	Done ControlStatus = 0
	// UnknownOperation: the server does not know what was asked for.
	UnknownOperation ControlStatus = 1
	// OtherSession: the reset is for another life of the server.
	OtherSession ControlStatus = 2
	// RequestExpired: the reset came after its time, or the robot was stopped once more since its sender asked for the state.
	RequestExpired ControlStatus = 3
	// FaultLasts: the reset was refused because of a fault, which the reply names.
	FaultLasts ControlStatus = 4
)

// String returns the status as a key of counters.
func (s ControlStatus) String() string {
	switch s {
	case Done:
		return "done"
	case UnknownOperation:
		return "operation"
	case OtherSession:
		return "session"
	case RequestExpired:
		return "expired"
	case FaultLasts:
		return "fault"
	}
	return strconv.Itoa(int(s))
}

// ControlRequest asks a server for the time, a stop or a reset.
type ControlRequest struct {
	// Sequence counts the requests of a client, from 1; the reply has it too.
	Sequence uint64
	// SessionID is the life of the server that a reset is for; 0 for other operations.
	SessionID uint64
	// MonotonicNs is when the request was sent, in ns of the client's monotonic clock. It is for the client alone.
	MonotonicNs int64
	// ExpiresNs is when a reset loses its force, in ns of the server's monotonic clock: ResetValidity after the SentNs of the
	// reply that its sender acts on. A stop after that reply is not ended. It is 0 for other operations.
	ExpiresNs int64

	Operation Operation
}

// ControlReply answers a ControlRequest. What it says of the robot is so after the operation.
type ControlReply struct {
	// Sequence is that of the request.
	Sequence uint64
	// SessionID names the life of the server.
	SessionID uint64
	// ReceivedNs is when the request was received, in ns of the server's monotonic clock.
	ReceivedNs int64
	// SentNs is when the reply was sent, on the same clock.
	SentNs int64

	Status ControlStatus
	// State is that of the safety gate, and StoppedBy the fault that it is stopped by, if it is.
	State, StoppedBy string
	// Fault is what a reset was refused for, and Reason the same in words; otherwise they are empty.
	Fault, Reason string
}

// The bounds of a reply's texts, in bytes of printable ASCII.
const (
	MaxControlWord   = 64 // State, StoppedBy and Fault.
	MaxControlReason = 256
)
