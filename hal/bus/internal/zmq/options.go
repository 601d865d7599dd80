package zmq

/*
#include <stdlib.h>
#include <zmq.h>

static int krabby_set_int(void *socket, int option, int value) {
	return zmq_setsockopt(socket, option, &value, sizeof value);
}

static int krabby_set_int64(void *socket, int option, long long value) {
	int64_t v = value;
	return zmq_setsockopt(socket, option, &v, sizeof v);
}
*/
import "C"

import (
	"time"
	"unsafe"
)

// Option is an option of a socket and its value.
type Option struct {
	set func(socket unsafe.Pointer) (C.int, error)
}

func integer(name C.int, value int) Option {
	return Option{func(socket unsafe.Pointer) (C.int, error) {
		rc, err := C.krabby_set_int(socket, name, C.int(value))
		return rc, err
	}}
}

func milliseconds(name C.int, d time.Duration) Option { return integer(name, int(d.Milliseconds())) }

func text(name C.int, value string) Option {
	return Option{func(socket unsafe.Pointer) (C.int, error) {
		s := C.CString(value)
		defer C.free(unsafe.Pointer(s))
		rc, err := C.zmq_setsockopt(socket, name, unsafe.Pointer(s), C.size_t(len(value)))
		return rc, err
	}}
}

// Set sets options. Most take effect only for later calls of Bind and Connect.
func (s *Socket) Set(options ...Option) error {
	for _, o := range options {
		if rc, err := o.set(s.p); rc != 0 {
			return asError(err)
		}
	}
	return nil
}

// Conflate keeps only the newest message, which must have one part (ZMQ_CONFLATE).
func Conflate() Option { return integer(C.ZMQ_CONFLATE, 1) }

// Linger is how long unsent messages are kept after Close (ZMQ_LINGER).
func Linger(d time.Duration) Option { return milliseconds(C.ZMQ_LINGER, d) }

// SendQueue limits the messages that wait for each peer (ZMQ_SNDHWM).
func SendQueue(messages int) Option { return integer(C.ZMQ_SNDHWM, messages) }

// ReceiveQueue limits the messages of each peer that wait for the reader (ZMQ_RCVHWM).
func ReceiveQueue(messages int) Option { return integer(C.ZMQ_RCVHWM, messages) }

// SendBuffer is the size of the operating system's buffer (ZMQ_SNDBUF).
func SendBuffer(bytes int) Option { return integer(C.ZMQ_SNDBUF, bytes) }

// ReceiveBuffer is the size of the operating system's buffer (ZMQ_RCVBUF).
func ReceiveBuffer(bytes int) Option { return integer(C.ZMQ_RCVBUF, bytes) }

// MaxMessage limits the size of a received part; the sender of a larger one is disconnected (ZMQ_MAXMSGSIZE).
func MaxMessage(bytes int) Option {
	return Option{func(socket unsafe.Pointer) (C.int, error) {
		rc, err := C.krabby_set_int64(socket, C.ZMQ_MAXMSGSIZE, C.longlong(bytes))
		return rc, err
	}}
}

// Immediate sends to complete connections only (ZMQ_IMMEDIATE).
func Immediate() Option { return integer(C.ZMQ_IMMEDIATE, 1) }

// ReconnectInterval is how long after the end of a connection the socket connects again (ZMQ_RECONNECT_IVL).
func ReconnectInterval(d time.Duration) Option { return milliseconds(C.ZMQ_RECONNECT_IVL, d) }

// MaxReconnectInterval limits how far the interval doubles (ZMQ_RECONNECT_IVL_MAX).
func MaxReconnectInterval(d time.Duration) Option { return milliseconds(C.ZMQ_RECONNECT_IVL_MAX, d) }

// HandshakeTimeout limits the duration of a handshake (ZMQ_HANDSHAKE_IVL).
func HandshakeTimeout(d time.Duration) Option { return milliseconds(C.ZMQ_HANDSHAKE_IVL, d) }

// HeartbeatInterval is the interval of heartbeats (ZMQ_HEARTBEAT_IVL).
func HeartbeatInterval(d time.Duration) Option { return milliseconds(C.ZMQ_HEARTBEAT_IVL, d) }

// HeartbeatTimeout is how long a heartbeat may remain unanswered (ZMQ_HEARTBEAT_TIMEOUT).
func HeartbeatTimeout(d time.Duration) Option { return milliseconds(C.ZMQ_HEARTBEAT_TIMEOUT, d) }

// MaxRetransmit is how long the operating system repeats unacknowledged bytes (ZMQ_TCP_MAXRT).
func MaxRetransmit(d time.Duration) Option { return milliseconds(C.ZMQ_TCP_MAXRT, d) }

// Subscribe subscribes to messages that begin with topic (ZMQ_SUBSCRIBE).
func Subscribe(topic string) Option { return text(C.ZMQ_SUBSCRIBE, topic) }

// CurveServer makes the socket a server of CURVE (ZMQ_CURVE_SERVER).
func CurveServer() Option { return integer(C.ZMQ_CURVE_SERVER, 1) }

// CurvePublicKey is the socket's own public key (ZMQ_CURVE_PUBLICKEY).
func CurvePublicKey(z85 string) Option { return text(C.ZMQ_CURVE_PUBLICKEY, z85) }

// CurveSecretKey is the socket's own secret key (ZMQ_CURVE_SECRETKEY).
func CurveSecretKey(z85 string) Option { return text(C.ZMQ_CURVE_SECRETKEY, z85) }

// CurveServerKey is the public key of the server (ZMQ_CURVE_SERVERKEY).
func CurveServerKey(z85 string) Option { return text(C.ZMQ_CURVE_SERVERKEY, z85) }

// ZAPDomain is the domain of the socket in authentication requests (ZMQ_ZAP_DOMAIN).
func ZAPDomain(domain string) Option { return text(C.ZMQ_ZAP_DOMAIN, domain) }
