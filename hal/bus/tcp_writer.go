package bus

import (
	"sync"
	"time"

	"krabby.dev/krabby/hal/bus/internal/ring"
	"krabby.dev/krabby/hal/bus/internal/zmq"
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
	last    zmq.Message
	scratch zmq.Message
}

func (t *tcpTransport) newWriter(kind zmq.Kind, binds bool, endpoint string, o *settings, options ...zmq.Option) (*tcpWriter, error) {
	s, err := t.open(kind, binds, endpoint, o, append(options, zmq.Conflate())...)
	if err != nil {
		return nil, err
	}
	w := &tcpWriter{tcpSocket: s}
	w.timer = time.AfterFunc(time.Hour, w.resend)
	w.timer.Stop()
	return w, nil
}

func (w *tcpWriter) send(frame []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reconnect()
	err := w.last.Fill(frame)
	if err == nil {
		// So that the first frame after a subscriber connected reaches it.
		w.zmq.ProcessEvents()
		err = w.zmq.SendMessage(&w.last, &w.scratch)
	}
	if err == nil {
		w.timer.Reset(resendAfter)
	}
	return sendError(err)
}

// resend sends the last frame again. An error has no effect: the frame was sent before.
func (w *tcpWriter) resend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		_ = w.zmq.SendMessage(&w.last, &w.scratch)
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
	memory []byte
}

func (t *tcpTransport) newPublisher(endpoint string, o *settings) (publisher, error) {
	w, err := t.newWriter(zmq.Pub, true, endpoint, o)
	if err != nil {
		return nil, err
	}
	return &tcpPublisher{tcpWriter: w}, nil
}

func (p *tcpPublisher) acquire(bytes int) ([]byte, error) {
	p.memory = ring.Grow(p.memory, bytes)
	return p.memory[:0], nil
}

func (p *tcpPublisher) publish(frame []byte) error { return p.send(frame) }

// dropped returns 0: readers of other processes hold no slots.
func (*tcpPublisher) dropped() uint64 { return 0 }

func (t *tcpTransport) newSender(endpoint string, o *settings) (sender, error) {
	w, err := t.newWriter(zmq.Push, false, endpoint, o, zmq.Immediate())
	if err != nil {
		return nil, err
	}
	return w, nil
}
