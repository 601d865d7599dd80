package bus

// The calls of libzmq that a mailbox needs, without an allocation in any that is made for each frame. Bindings that can
// be had copy each frame that they receive, and allocate several times to do so.

/*
#include <errno.h>
#include <stdlib.h>
#include <zmq.h>

static int krabby_wait(void *socket, long timeout_ms) {
	zmq_pollitem_t item = {socket, 0, ZMQ_POLLIN, 0};
	return zmq_poll(&item, 1, timeout_ms);
}

static int krabby_get_int(void *socket, int option) {
	int value = 0;
	size_t size = sizeof value;
	return zmq_getsockopt(socket, option, &value, &size) == 0 ? value : -1;
}

static int krabby_set_int(void *socket, int option, int value) {
	return zmq_setsockopt(socket, option, &value, sizeof value);
}

// Only the libzmq that is built here tells it.
#ifndef ZMQ_PROTOCOL_ERROR_ZMTP_MESSAGE_SIZE
#define ZMQ_PROTOCOL_ERROR_ZMTP_MESSAGE_SIZE 0
#endif

static int krabby_set_int64(void *socket, int option, long long value) {
	int64_t v = value;
	return zmq_setsockopt(socket, option, &v, sizeof v);
}
*/
import "C"

import (
	"errors"
	"syscall"
	"time"
	"unsafe"
)

// kind is the type of a ZeroMQ socket.
type kind C.int

const (
	pub    kind = C.ZMQ_PUB
	sub    kind = C.ZMQ_SUB
	push   kind = C.ZMQ_PUSH
	pull   kind = C.ZMQ_PULL
	rep    kind = C.ZMQ_REP
	pair   kind = C.ZMQ_PAIR
	dealer kind = C.ZMQ_DEALER
	router kind = C.ZMQ_ROUTER
)

// event is something that happened to a connection.
type event uint16

const (
	accepted      event = C.ZMQ_EVENT_ACCEPTED
	connected     event = C.ZMQ_EVENT_CONNECTED
	connecting    event = C.ZMQ_EVENT_CONNECT_RETRIED // It will be connected, after a while.
	disconnected  event = C.ZMQ_EVENT_DISCONNECTED
	refusedByKey  event = C.ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
	brokeProtocol event = C.ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL // In the handshake or later.
	noHandshake   event = C.ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL
	stopped       event = C.ZMQ_EVENT_MONITOR_STOPPED
)

// What comes with brokeProtocol.
const (
	messageSize    = C.ZMQ_PROTOCOL_ERROR_ZMTP_MESSAGE_SIZE // 0 where libzmq does not tell it.
	wrongKey       = C.ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC
	wrongVouch     = C.ZMQ_PROTOCOL_ERROR_ZMTP_KEY_EXCHANGE
	otherMechanism = C.ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH
)

// zmqError makes an error number of libzmq, which has some of its own, an error.
func zmqError(err error) error {
	if errno, ok := err.(syscall.Errno); ok {
		return errors.New(C.GoString(C.zmq_strerror(C.int(errno))))
	}
	return err
}

type zmqContext struct{ p unsafe.Pointer }

func newZMQContext() (zmqContext, error) {
	p, err := C.zmq_ctx_new()
	if p == nil {
		return zmqContext{}, zmqError(err)
	}
	return zmqContext{p}, nil
}

// term ends the context. Every socket must have been closed.
func (c zmqContext) term() error {
	for {
		if rc, err := C.zmq_ctx_term(c.p); rc == 0 {
			return nil
		} else if err != syscall.EINTR {
			return zmqError(err)
		}
	}
}

func (c zmqContext) socket(k kind) (*zmqSocket, error) {
	p, err := C.zmq_socket(c.p, C.int(k))
	if p == nil {
		return nil, zmqError(err)
	}
	return &zmqSocket{p: p}, nil
}

// zmqSocket is a socket of libzmq, for one goroutine at a time.
type zmqSocket struct{ p unsafe.Pointer }

func (s *zmqSocket) close() error {
	if rc, err := C.zmq_close(s.p); rc != 0 {
		return zmqError(err)
	}
	return nil
}

func (s *zmqSocket) attach(f func(*C.char) (C.int, error), endpoint string) error {
	e := C.CString(endpoint)
	defer C.free(unsafe.Pointer(e))
	if rc, err := f(e); rc != 0 {
		return zmqError(err)
	}
	return nil
}

func (s *zmqSocket) bind(endpoint string) error {
	return s.attach(func(e *C.char) (C.int, error) {
		rc, err := C.zmq_bind(s.p, e)
		return rc, err
	}, endpoint)
}

func (s *zmqSocket) unbind(endpoint string) error {
	return s.attach(func(e *C.char) (C.int, error) {
		rc, err := C.zmq_unbind(s.p, e)
		return rc, err
	}, endpoint)
}

func (s *zmqSocket) connect(endpoint string) error {
	return s.attach(func(e *C.char) (C.int, error) {
		rc, err := C.zmq_connect(s.p, e)
		return rc, err
	}, endpoint)
}

func (s *zmqSocket) disconnect(endpoint string) error {
	return s.attach(func(e *C.char) (C.int, error) {
		rc, err := C.zmq_disconnect(s.p, e)
		return rc, err
	}, endpoint)
}

// monitor makes libzmq send what happens to connections to an inproc endpoint, until unmonitor; stopped is the last.
func (s *zmqSocket) monitor(endpoint string) error {
	const events = accepted | connected | connecting | disconnected | refusedByKey | brokeProtocol | noHandshake | stopped
	return s.attach(func(e *C.char) (C.int, error) {
		rc, err := C.zmq_socket_monitor(s.p, e, C.int(events))
		return rc, err
	}, endpoint)
}

func (s *zmqSocket) unmonitor() error {
	if rc, err := C.zmq_socket_monitor(s.p, nil, 0); rc != 0 {
		return zmqError(err)
	}
	return nil
}

// lastEndpoint returns the endpoint that the socket is bound to, with the port that the system chose.
func (s *zmqSocket) lastEndpoint() (string, error) {
	buffer := make([]byte, 256)
	size := C.size_t(len(buffer))
	if rc, err := C.zmq_getsockopt(s.p, C.ZMQ_LAST_ENDPOINT, unsafe.Pointer(&buffer[0]), &size); rc != 0 {
		return "", zmqError(err)
	}
	return string(buffer[:max(size, 1)-1]), nil
}

// option is an option of a socket and its value.
type option struct {
	name    C.int
	value   int
	text    string // Instead of value, where isText.
	isText  bool
	isInt64 bool
}

func conflate() option              { return option{name: C.ZMQ_CONFLATE, value: 1} }
func linger(d time.Duration) option { return option{name: C.ZMQ_LINGER, value: int(d.Milliseconds())} }
func highWater(frames int) []option {
	return []option{{name: C.ZMQ_SNDHWM, value: frames}, {name: C.ZMQ_RCVHWM, value: frames}}
}
func maxMessage(bytes int) option { return option{name: C.ZMQ_MAXMSGSIZE, value: bytes, isInt64: true} }
func buffers(bytes int) []option {
	return []option{{name: C.ZMQ_SNDBUF, value: bytes}, {name: C.ZMQ_RCVBUF, value: bytes}}
}
func onlyConnected() option { return option{name: C.ZMQ_IMMEDIATE, value: 1} }
func reconnect(first, most int) []option {
	return []option{{name: C.ZMQ_RECONNECT_IVL, value: first}, {name: C.ZMQ_RECONNECT_IVL_MAX, value: most}}
}
func handshake(most time.Duration) option {
	return option{name: C.ZMQ_HANDSHAKE_IVL, value: int(most.Milliseconds())}
}
func subscribe(prefix string) option {
	return option{name: C.ZMQ_SUBSCRIBE, text: prefix, isText: true}
}
func curveServer() option { return option{name: C.ZMQ_CURVE_SERVER, value: 1} }
func curvePublicKey(z85 string) option {
	return option{name: C.ZMQ_CURVE_PUBLICKEY, text: z85, isText: true}
}
func curveSecretKey(z85 string) option {
	return option{name: C.ZMQ_CURVE_SECRETKEY, text: z85, isText: true}
}
func curveServerKey(z85 string) option {
	return option{name: C.ZMQ_CURVE_SERVERKEY, text: z85, isText: true}
}
func zapDomain(domain string) option {
	return option{name: C.ZMQ_ZAP_DOMAIN, text: domain, isText: true}
}
func heartbeat(every, dead time.Duration) []option {
	return []option{
		{name: C.ZMQ_HEARTBEAT_IVL, value: int(every.Milliseconds())},
		{name: C.ZMQ_HEARTBEAT_TIMEOUT, value: int(dead.Milliseconds())},
		// While what was sent before is stuck there are no heartbeats, but the system knows what is not acknowledged.
		{name: C.ZMQ_TCP_MAXRT, value: int(dead.Milliseconds())},
	}
}

func (s *zmqSocket) set(options ...option) error {
	for _, o := range options {
		var rc C.int
		var err error
		switch {
		case o.isText:
			text := C.CString(o.text)
			rc, err = C.zmq_setsockopt(s.p, o.name, unsafe.Pointer(text), C.size_t(len(o.text)))
			C.free(unsafe.Pointer(text))
		case o.isInt64:
			rc, err = C.krabby_set_int64(s.p, o.name, C.longlong(o.value))
		default:
			rc, err = C.krabby_set_int(s.p, o.name, C.int(o.value))
		}
		if rc != 0 {
			return zmqError(err)
		}
	}
	return nil
}

// settle makes the socket notice what happened to its connections.
func (s *zmqSocket) settle() { C.krabby_get_int(s.p, C.ZMQ_EVENTS) }

// more says whether the message of which a part was just received has another.
func (s *zmqSocket) more() bool { return C.krabby_get_int(s.p, C.ZMQ_RCVMORE) == 1 }

// send sends b, without blocking. errAgain says that it could not be sent now.
func (s *zmqSocket) send(b []byte, more bool) error {
	flags := C.int(C.ZMQ_DONTWAIT)
	if more {
		flags |= C.ZMQ_SNDMORE
	}
	from := b
	if len(from) == 0 {
		from = []byte{0}
	}
	for {
		// In this form cgo looks at the bytes alone, and not at what they may be part of.
		n, err := C.zmq_send(s.p, unsafe.Pointer(&from[0]), C.size_t(len(b)), flags)
		if interrupted, err := outcome(n, err); !interrupted {
			return err
		}
	}
}

// outcome says of a call that does not block whether a signal interrupted it, so that it is to be made again, and else how
// it ended.
func outcome(n C.int, err error) (interrupted bool, _ error) {
	switch {
	case n >= 0:
		return false, nil
	case err == syscall.EINTR:
		return true, nil
	case err == syscall.EAGAIN:
		return false, errAgain
	}
	return false, zmqError(err)
}

// errAgain says that there is nothing to receive, or nobody to send to.
var errAgain = errors.New("bus: try again")

// wait waits until there is something to receive, for at most so long, and may return earlier.
func (s *zmqSocket) wait(most time.Duration) error {
	// Never 0 ms, which would not wait at all.
	if rc, err := C.krabby_wait(s.p, C.long(max(most.Milliseconds(), 1))); rc < 0 && err != syscall.EINTR {
		return zmqError(err)
	}
	return nil
}

// zmqMessage is a part of a message in libzmq's memory. It must not be copied, and must be closed.
type zmqMessage struct {
	m    C.zmq_msg_t
	open bool
}

// init makes m a part without bytes, unless it is one already.
func (m *zmqMessage) init() {
	if !m.open {
		C.zmq_msg_init(&m.m)
		m.open = true
	}
}

// receive makes m the next part, without blocking. errAgain says that there is none.
func (s *zmqSocket) receive(m *zmqMessage) error {
	m.init()
	for {
		n, err := C.zmq_msg_recv(&m.m, s.p, C.ZMQ_DONTWAIT)
		if interrupted, err := outcome(n, err); !interrupted {
			return err
		}
	}
}

// bytes returns the part where it lies. It holds until m receives or is closed.
func (m *zmqMessage) bytes() []byte {
	n := int(C.zmq_msg_size(&m.m))
	if n == 0 {
		return []byte{}
	}
	return unsafe.Slice((*byte)(C.zmq_msg_data(&m.m)), n)
}

// fill makes m a copy of b.
func (m *zmqMessage) fill(b []byte) error {
	m.close()
	if rc, err := C.zmq_msg_init_size(&m.m, C.size_t(len(b))); rc != 0 {
		return zmqError(err)
	}
	m.open = true
	copy(m.bytes(), b)
	return nil
}

// sendMessage sends what m has, which m keeps: the memory is shared. It does not block.
func (s *zmqSocket) sendMessage(m, scratch *zmqMessage) error {
	scratch.init()
	if rc, err := C.zmq_msg_copy(&scratch.m, &m.m); rc != 0 {
		return zmqError(err)
	}
	for {
		n, err := C.zmq_msg_send(&scratch.m, s.p, C.ZMQ_DONTWAIT)
		if interrupted, err := outcome(n, err); !interrupted {
			return err
		}
	}
}

// take makes m what from was, and from empty.
func (m *zmqMessage) take(from *zmqMessage) {
	m.init()
	C.zmq_msg_move(&m.m, &from.m)
}

// connection tells the connections apart over which messages came; -1 where libzmq does not know. Two that do not exist
// at the same time may be the same to it.
func (m *zmqMessage) connection() int { return int(C.zmq_msg_get(&m.m, C.ZMQ_SRCFD)) }

func (m *zmqMessage) close() {
	if m.open {
		C.zmq_msg_close(&m.m)
		m.open = false
	}
}

// curveKeypair makes a new pair of keys, in Z85.
func curveKeypair() (public, secret string, err error) {
	var p, s [41]C.char
	if rc, err := C.zmq_curve_keypair(&p[0], &s[0]); rc != 0 {
		return "", "", zmqError(err)
	}
	return C.GoString(&p[0]), C.GoString(&s[0]), nil
}

// curvePublic returns the public key that belongs to a secret one, in Z85.
func curvePublic(secret string) (string, error) {
	var p [41]C.char
	s := C.CString(secret)
	defer C.free(unsafe.Pointer(s))
	if rc, err := C.zmq_curve_public(&p[0], s); rc != 0 {
		return "", zmqError(err)
	}
	return C.GoString(&p[0]), nil
}

// z85Decode returns the 32 bytes of a key.
func z85Decode(key string) (raw [32]byte, ok bool) {
	if len(key) != 40 {
		return raw, false
	}
	s := C.CString(key)
	defer C.free(unsafe.Pointer(s))
	ok = C.zmq_z85_decode((*C.uint8_t)(unsafe.Pointer(&raw[0])), s) != nil
	return raw, ok
}
