package zmq

/*
#include <zmq.h>
*/
import "C"

import "unsafe"

// Message is one part of a message, in libzmq's memory. The zero value is empty. A Message must not be copied, and must be closed.
type Message struct {
	m    C.zmq_msg_t
	open bool
}

func (m *Message) init() {
	if !m.open {
		C.zmq_msg_init(&m.m)
		m.open = true
	}
}

// Close frees the memory. m is empty then, and may be used again.
func (m *Message) Close() {
	if m.open {
		C.zmq_msg_close(&m.m)
		m.open = false
	}
}

// Bytes returns the part in its memory, valid until m receives another part or is closed.
func (m *Message) Bytes() []byte {
	n := int(C.zmq_msg_size(&m.m))
	if n == 0 {
		return []byte{}
	}
	return unsafe.Slice((*byte)(C.zmq_msg_data(&m.m)), n)
}

// Fill sets m to a copy of b.
func (m *Message) Fill(b []byte) error {
	m.Close()
	if rc, err := C.zmq_msg_init_size(&m.m, C.size_t(len(b))); rc != 0 {
		return asError(err)
	}
	m.open = true
	copy(m.Bytes(), b)
	return nil
}

// Move moves the part of from to m. from is empty then.
func (m *Message) Move(from *Message) {
	m.init()
	C.zmq_msg_move(&m.m, &from.m)
}

// Connection identifies the connection on which the message arrived; it is -1 if libzmq does not know. A later connection may have
// the number of one that has ended.
func (m *Message) Connection() int { return int(C.zmq_msg_get(&m.m, C.ZMQ_SRCFD)) }

// Receive sets m to the next part, without blocking. The error is ErrAgain if there is none.
func (s *Socket) Receive(m *Message) error {
	m.init()
	for {
		n, err := C.zmq_msg_recv(&m.m, s.p, C.ZMQ_DONTWAIT)
		if interrupted, err := outcome(n, err); !interrupted {
			return err
		}
	}
}

// SendMessage sends the part of m, which m keeps: both share the memory. scratch is a message for the use of this call. It does not
// block; the error is ErrAgain if m cannot be sent now.
func (s *Socket) SendMessage(m, scratch *Message) error {
	scratch.init()
	if rc, err := C.zmq_msg_copy(&scratch.m, &m.m); rc != 0 {
		return asError(err)
	}
	for {
		n, err := C.zmq_msg_send(&scratch.m, s.p, C.ZMQ_DONTWAIT)
		if interrupted, err := outcome(n, err); !interrupted {
			return err
		}
	}
}
