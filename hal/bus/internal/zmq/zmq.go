// Package zmq is the binding of libzmq that package bus needs. Sending and receiving allocate nothing: other bindings copy
// each received message, and allocate several times to do so.
//
// A Context may be used from any goroutine, a Socket by one goroutine at a time.
package zmq

/*
#include <errno.h>
#include <stdlib.h>
#include <zmq.h>

static int krabby_poll(void *socket, long timeout_ms) {
	zmq_pollitem_t item = {socket, 0, ZMQ_POLLIN, 0};
	return zmq_poll(&item, 1, timeout_ms);
}

static int krabby_get_int(void *socket, int option) {
	int value = 0;
	size_t size = sizeof value;
	return zmq_getsockopt(socket, option, &value, &size) == 0 ? value : -1;
}
*/
import "C"

import (
	"errors"
	"syscall"
	"time"
	"unsafe"
)

// Kind is the type of a socket.
type Kind C.int

// The types of sockets.
const (
	Pub    Kind = C.ZMQ_PUB
	Sub    Kind = C.ZMQ_SUB
	Push   Kind = C.ZMQ_PUSH
	Pull   Kind = C.ZMQ_PULL
	Rep    Kind = C.ZMQ_REP
	Pair   Kind = C.ZMQ_PAIR
	Dealer Kind = C.ZMQ_DEALER
	Router Kind = C.ZMQ_ROUTER
)

// ErrAgain is returned if there is no message to receive, or no peer to send to.
var ErrAgain = errors.New("zmq: resource temporarily unavailable")

// asError converts an error number, of which libzmq has some of its own.
func asError(err error) error {
	if errno, ok := err.(syscall.Errno); ok {
		return errors.New(C.GoString(C.zmq_strerror(C.int(errno))))
	}
	return err
}

// outcome returns whether a signal interrupted a call that does not block, so that the caller repeats it, and otherwise its error.
func outcome(n C.int, err error) (interrupted bool, _ error) {
	switch {
	case n >= 0:
		return false, nil
	case err == syscall.EINTR:
		return true, nil
	case err == syscall.EAGAIN:
		return false, ErrAgain
	}
	return false, asError(err)
}

// Context owns sockets, and connects those of inproc endpoints.
type Context struct{ p unsafe.Pointer }

// NewContext returns a context without sockets.
func NewContext() (Context, error) {
	p, err := C.zmq_ctx_new()
	if p == nil {
		return Context{}, asError(err)
	}
	return Context{p}, nil
}

// Term ends the context. Close all sockets before.
func (c Context) Term() error {
	for {
		if rc, err := C.zmq_ctx_term(c.p); rc == 0 {
			return nil
		} else if err != syscall.EINTR {
			return asError(err)
		}
	}
}

// Socket returns a new socket.
func (c Context) Socket(k Kind) (*Socket, error) {
	p, err := C.zmq_socket(c.p, C.int(k))
	if p == nil {
		return nil, asError(err)
	}
	return &Socket{p: p}, nil
}

// Socket is a socket of libzmq.
type Socket struct{ p unsafe.Pointer }

// Close closes the socket.
func (s *Socket) Close() error {
	if rc, err := C.zmq_close(s.p); rc != 0 {
		return asError(err)
	}
	return nil
}

func withEndpoint(endpoint string, f func(*C.char) (C.int, error)) error {
	e := C.CString(endpoint)
	defer C.free(unsafe.Pointer(e))
	if rc, err := f(e); rc != 0 {
		return asError(err)
	}
	return nil
}

// Bind binds the socket.
func (s *Socket) Bind(endpoint string) error {
	return withEndpoint(endpoint, func(e *C.char) (C.int, error) {
		rc, err := C.zmq_bind(s.p, e)
		return rc, err
	})
}

// Unbind frees an endpoint.
func (s *Socket) Unbind(endpoint string) error {
	return withEndpoint(endpoint, func(e *C.char) (C.int, error) {
		rc, err := C.zmq_unbind(s.p, e)
		return rc, err
	})
}

// Connect connects the socket.
func (s *Socket) Connect(endpoint string) error {
	return withEndpoint(endpoint, func(e *C.char) (C.int, error) {
		rc, err := C.zmq_connect(s.p, e)
		return rc, err
	})
}

// Disconnect ends the connection to an endpoint.
func (s *Socket) Disconnect(endpoint string) error {
	return withEndpoint(endpoint, func(e *C.char) (C.int, error) {
		rc, err := C.zmq_disconnect(s.p, e)
		return rc, err
	})
}

// LastEndpoint returns the endpoint that the socket is bound to, with the port that the system chose.
func (s *Socket) LastEndpoint() (string, error) {
	buffer := make([]byte, 256)
	size := C.size_t(len(buffer))
	if rc, err := C.zmq_getsockopt(s.p, C.ZMQ_LAST_ENDPOINT, unsafe.Pointer(&buffer[0]), &size); rc != 0 {
		return "", asError(err)
	}
	return string(buffer[:max(size, 1)-1]), nil
}

// ProcessEvents updates the socket's state: libzmq looks for new and closed connections only now and then while it sends.
func (s *Socket) ProcessEvents() { C.krabby_get_int(s.p, C.ZMQ_EVENTS) }

// Poll waits for a message, for at least a millisecond and at most timeout, and may return earlier.
func (s *Socket) Poll(timeout time.Duration) error {
	// A timeout of 0 ms would not wait.
	if rc, err := C.krabby_poll(s.p, C.long(max(timeout.Milliseconds(), 1))); rc < 0 && err != syscall.EINTR {
		return asError(err)
	}
	return nil
}

// Send sends a copy of one part, without blocking. more says that the message has another part. The error is ErrAgain if it cannot
// be sent now.
func (s *Socket) Send(part []byte, more bool) error {
	flags := C.int(C.ZMQ_DONTWAIT)
	if more {
		flags |= C.ZMQ_SNDMORE
	}
	from := part
	if len(from) == 0 {
		from = []byte{0}
	}
	for {
		// In this form cgo checks the bytes only, not the memory around them.
		n, err := C.zmq_send(s.p, unsafe.Pointer(&from[0]), C.size_t(len(part)), flags)
		if interrupted, err := outcome(n, err); !interrupted {
			return err
		}
	}
}

// More reports whether the message of the last received part has another part.
func (s *Socket) More() bool { return C.krabby_get_int(s.p, C.ZMQ_RCVMORE) == 1 }
