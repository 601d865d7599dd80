package zmq

/*
#include <zmq.h>

// Only the libzmq that this repository builds reports it.
#ifndef ZMQ_PROTOCOL_ERROR_ZMTP_MESSAGE_SIZE
#define ZMQ_PROTOCOL_ERROR_ZMTP_MESSAGE_SIZE 0
#endif
*/
import "C"

import "encoding/binary"

// EventKind is what happened to a connection.
type EventKind uint16

// The events of a monitor.
const (
	Accepted        EventKind = C.ZMQ_EVENT_ACCEPTED
	Connected       EventKind = C.ZMQ_EVENT_CONNECTED
	ConnectRetried  EventKind = C.ZMQ_EVENT_CONNECT_RETRIED
	Disconnected    EventKind = C.ZMQ_EVENT_DISCONNECTED
	AuthFailed      EventKind = C.ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
	ProtocolFailed  EventKind = C.ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL // During the handshake or later; Value is the violation.
	HandshakeFailed EventKind = C.ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL
	MonitorStopped  EventKind = C.ZMQ_EVENT_MONITOR_STOPPED
)

// Values of ProtocolFailed.
const (
	MessageSize       = C.ZMQ_PROTOCOL_ERROR_ZMTP_MESSAGE_SIZE // 0 with a libzmq that does not report it.
	Cryptographic     = C.ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC
	KeyExchange       = C.ZMQ_PROTOCOL_ERROR_ZMTP_KEY_EXCHANGE
	MechanismMismatch = C.ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH
)

// Event is an event of a connection.
type Event struct {
	Kind  EventKind
	Value uint32
}

// Monitor makes libzmq send the events of the socket to an inproc endpoint, from which a Pair socket receives them with
// ReceiveEvent. MonitorStopped is the last event.
func (s *Socket) Monitor(endpoint string) error {
	const events = Accepted | Connected | ConnectRetried | Disconnected | AuthFailed | ProtocolFailed | HandshakeFailed | MonitorStopped
	return withEndpoint(endpoint, func(e *C.char) (C.int, error) {
		rc, err := C.zmq_socket_monitor(s.p, e, C.int(events))
		return rc, err
	})
}

// Unmonitor ends Monitor.
func (s *Socket) Unmonitor() error {
	if rc, err := C.zmq_socket_monitor(s.p, nil, 0); rc != 0 {
		return asError(err)
	}
	return nil
}

// ReceiveEvent returns the next event of a monitor, without blocking. The error is ErrAgain if there is none. m is a message for the
// use of this call.
func (s *Socket) ReceiveEvent(m *Message) (e Event, err error) {
	if err := s.Receive(m); err != nil {
		return Event{}, err
	}
	if b := m.Bytes(); len(b) == 6 {
		e = Event{EventKind(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint32(b[2:])}
	}
	for s.More() && s.Receive(m) == nil { // The endpoint.
	}
	return e, nil
}
