package bus

import (
	"fmt"
	"sync"
	"time"
)

// resend sends frames over TCP, and the last of them once more where no newer one follows soon. libzmq drops a frame at a
// socket with ZMQ_CONFLATE if its own thread is just taking the one before, which may last while that thread has to wait
// for a processor; in a stream nobody notices, but the last frame would be missing for good. The pump at the other end
// knows a frame that comes twice.
type resend struct {
	socket  *socket
	mu      sync.Mutex // Guards the rest, and the use of zmq.
	zmq     *zmqSocket // Nil once closed.
	last    zmqMessage
	scratch zmqMessage
	timer   *time.Timer
}

// resendAfter is longer than the period of a stream of 20 Hz, which so never sends anything twice.
const resendAfter = 60 * time.Millisecond

func newResend(s *socket) *resend {
	r := &resend{socket: s, zmq: s.zmq}
	r.timer = time.AfterFunc(time.Hour, r.again)
	r.timer.Stop()
	return r
}

// send sends a copy of frame, without blocking.
func (r *resend) send(frame []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.socket.rejoin(r.zmq)
	err := r.last.fill(frame)
	if err == nil {
		// ZeroMQ looks for new subscribers only now and then while sending; this makes it look now.
		r.zmq.settle()
		err = r.zmq.sendMessage(&r.last, &r.scratch)
	}
	switch err {
	case nil:
		r.timer.Reset(resendAfter)
		return nil
	case errAgain:
		return ErrNoPeer
	}
	return fmt.Errorf("bus: sending: %w", err)
}

func (r *resend) again() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.zmq != nil {
		_ = r.zmq.sendMessage(&r.last, &r.scratch) // Nobody is there to be told.
	}
}

// close ends the use of the socket.
func (r *resend) close() {
	r.timer.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.zmq = nil
	r.last.close()
	r.scratch.close()
}
