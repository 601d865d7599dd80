package bus

import (
	"fmt"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/pebbe/zmq4"

	"krabby.dev/krabby/hal/bus/internal/ring"
)

// resendAfter is longer than the period of a stream of 20 Hz, of which nothing is sent twice.
const resendAfter = 60 * time.Millisecond

// tcpWriter sends frames, and the last of them once more if no newer one follows soon. libzmq drops a frame at a socket with
// ZMQ_CONFLATE while its own thread takes the one before, which may last until that thread gets a processor. In a stream the next
// frame replaces it, but the last frame would be lost. The reader drops a frame that it receives twice.
type tcpWriter struct {
	*tcpSocket
	timer *time.Timer

	mu      sync.Mutex // Guards the rest, and the use of zmq.
	closed  bool
	buffers []*zmq4.Buffer
	last    zmq4.Msg
	scratch zmq4.Msg
}

func (t *tcpTransport) newWriter(kind zmq4.Type, binds bool, endpoint string, o *settings, options ...zmqOption) (*tcpWriter, error) {
	s, err := t.open(kind, binds, endpoint, o, append(options, conflate)...)
	if err != nil {
		return nil, err
	}
	w := &tcpWriter{tcpSocket: s}
	w.timer = time.AfterFunc(time.Hour, w.resend)
	w.timer.Stop()
	return w, nil
}

// acquire returns a buffer of at least the given size, which no message uses. One buffer has the last frame, and each reader that has not
// received its frame completely uses at most one more.
func (w *tcpWriter) acquire(bytes int) (*zmq4.Buffer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := slices.IndexFunc(w.buffers, func(b *zmq4.Buffer) bool { return !b.InUse() })
	if at >= 0 && len(w.buffers[at].Bytes()) >= bytes {
		return w.buffers[at], nil
	}
	b, err := zmq4.NewBuffer(ring.Grow(nil, max(bytes, 1)))
	if err != nil {
		return nil, fmt.Errorf("bus: memory for a frame of %d bytes: %w", bytes, err)
	}
	if at < 0 {
		w.buffers = append(w.buffers, b)
	} else {
		w.buffers[at] = b
	}
	return b, nil
}

// publish sends the first bytes of a buffer, which stays in use until a newer frame was sent.
func (w *tcpWriter) publish(b *zmq4.Buffer, bytes int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reconnect()
	err := w.last.SetBuffer(b, bytes)
	if err == nil {
		// So that the first frame after a subscriber connected reaches it.
		w.zmq.processEvents()
		err = w.zmq.sendShared(&w.last, &w.scratch)
	}
	if err == nil {
		w.timer.Reset(resendAfter)
	}
	return sendError(err)
}

// send sends a copy of a frame.
func (w *tcpWriter) send(frame []byte) error {
	b, err := w.acquire(len(frame))
	if err != nil {
		return err
	}
	copy(b.Bytes(), frame)
	return w.publish(b, len(frame))
}

// resend sends the last frame again. An error has no effect: the frame was sent before.
func (w *tcpWriter) resend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		_ = w.zmq.sendShared(&w.last, &w.scratch)
	}
}

func (w *tcpWriter) close() error {
	w.timer.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.last.Close()
	w.scratch.Close()
	return w.tcpSocket.close()
}

type tcpPublisher struct {
	*tcpWriter
	next *zmq4.Buffer // Of the last acquire; nil after publish.
}

func (t *tcpTransport) newPublisher(endpoint string, o *settings) (publisher, error) {
	w, err := t.newWriter(zmq4.PUB, true, endpoint, o)
	if err != nil {
		return nil, err
	}
	return &tcpPublisher{tcpWriter: w}, nil
}

func (p *tcpPublisher) acquire(bytes int) ([]byte, error) {
	if p.next == nil || len(p.next.Bytes()) < bytes {
		b, err := p.tcpWriter.acquire(bytes)
		if err != nil {
			return nil, err
		}
		p.next = b
	}
	return p.next.Bytes()[:0], nil
}

func (p *tcpPublisher) publish(frame []byte) error {
	b := p.next
	p.next = nil
	if b == nil || len(frame) == 0 || unsafe.SliceData(frame) != unsafe.SliceData(b.Bytes()) {
		return p.send(frame)
	}
	return p.tcpWriter.publish(b, len(frame))
}

// dropped returns 0: readers of other processes hold no slots.
func (*tcpPublisher) dropped() uint64 { return 0 }

func (t *tcpTransport) newSender(endpoint string, o *settings) (sender, error) {
	w, err := t.newWriter(zmq4.PUSH, false, endpoint, o, immediate)
	if err != nil {
		return nil, err
	}
	return w, nil
}
