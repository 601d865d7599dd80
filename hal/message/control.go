package message

import (
	"strconv"
	"time"
)

// Operation is the operation that a control request asks for. The numbers are part of the wire format.
type Operation uint8

// The operations.
const (
	// ReadClock requests a reply only: the server's time, session and state.
	ReadClock Operation = 1
	// EStop stops the robot until a reset. It is never rejected.
	EStop Operation = 2
	// Reset ends a stop, unless a fault is active.
	Reset Operation = 3
)

var operationNames = map[Operation]string{ReadClock: "clock", EStop: "e_stop", Reset: "reset"}

// String returns the name of the operation in counters.
func (o Operation) String() string {
	if name, ok := operationNames[o]; ok {
		return name
	}
	return "unknown"
}

// ResetValidity is the time from SentNs of the reply that the sender of a reset acts on to ExpiresNs of the reset. By ExpiresNs the
// server can detect a stop after that reply, which the reset must not end.
const ResetValidity = time.Second

// ControlStatus is the result of a control request. The numbers are part of the wire format.
type ControlStatus uint8

// The results of a control request.
const (
	// Done: the operation was carried out, or there was nothing to do.
	Done ControlStatus = 0
	// UnknownOperation: the server does not implement the operation.
	UnknownOperation ControlStatus = 1
	// OtherSession: the reset is for another session.
	OtherSession ControlStatus = 2
	// RequestExpired: the reset arrived after its expiry, or the robot was stopped again after the reply that the sender acts on.
	RequestExpired ControlStatus = 3
	// FaultActive: the reset was rejected because of an active fault. The reply names it.
	FaultActive ControlStatus = 4
)

var statusNames = map[ControlStatus]string{
	Done: "done", UnknownOperation: "operation", OtherSession: "session", RequestExpired: "expired", FaultActive: "fault",
}

// String returns the name of the status in counters, or its number if it is not known.
func (s ControlStatus) String() string {
	if name, ok := statusNames[s]; ok {
		return name
	}
	return strconv.Itoa(int(s))
}

// ControlRequest asks a server for its time, a stop or a reset.
type ControlRequest struct {
	// Sequence counts the requests of a client, from 1. The reply repeats it.
	Sequence uint64
	// SessionID is the session that a reset is for; 0 for other operations.
	SessionID uint64
	// MonotonicNs is when the request was sent, in ns of the client's monotonic clock. Only the client uses it.
	MonotonicNs int64
	// ExpiresNs is when a reset expires, in ns of the server's monotonic clock: ResetValidity after SentNs of the reply that its
	// sender acts on. The reset does not end a stop after that reply. It is 0 for other operations.
	ExpiresNs int64

	Operation Operation
}

// ControlReply answers a ControlRequest. It describes the robot after the operation.
type ControlReply struct {
	// Sequence is that of the request.
	Sequence uint64
	// SessionID is the session of the server.
	SessionID uint64
	// ReceivedNs is when the request was received, in ns of the server's monotonic clock.
	ReceivedNs int64
	// SentNs is when the reply was sent, on the same clock.
	SentNs int64

	Status ControlStatus
	// State is the state of the safety gate. StoppedBy is the fault that stopped the robot, or empty.
	State, StoppedBy string
	// Fault is the active fault for which a reset was rejected, and Reason its description. Both are empty otherwise.
	Fault, Reason string
}

// The maximum lengths of the texts of a reply, in bytes of printable ASCII.
const (
	// MaxControlNameBytes is for State, StoppedBy and Fault.
	MaxControlNameBytes = 64
	// MaxControlReasonBytes is for Reason.
	MaxControlReasonBytes = 256
)
