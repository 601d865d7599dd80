package bus

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/pebbe/zmq4"

	"krabby.dev/krabby/hal/bus/internal/ring"
)

// receiveQueue is how many messages may wait for the goroutine of a tcpReader, which receives them as they come.
const receiveQueue = 4

// tcpMessage is a received message: a frame, or a multipart message of which only the first part is here.
type tcpMessage struct {
	message   zmq4.Msg
	multipart bool
}

// check returns an error unless the message is a frame.
func (m *tcpMessage) check() error {
	if m.multipart {
		return ErrMultipart
	}
	return nil
}

func (m *tcpMessage) free() { m.message.Close() }

type (
	tcpRing  = ring.Ring[tcpMessage]
	tcpQueue = senderQueue[tcpMessage]
)

// tcpReader receives messages in a goroutine of its own, which never waits for the reader and alone uses the ZeroMQ socket.
type tcpReader struct {
	*tcpSocket
	ringOf  func(connection int) *tcpRing // Where a message of a connection belongs.
	free    func()                        // Frees the rings.
	news    chan struct{}                 // Holds an element if there may be a new frame.
	stopped chan struct{}
	stop    func()
	done    chan struct{}
	failure atomic.Pointer[error] // Ends the goroutine.
}

// newReader returns a reader; start starts its goroutine.
func (t *tcpTransport) newReader(kind zmq4.Type, binds bool, endpoint string, o *settings, options ...zmqOption) (*tcpReader, error) {
	s, err := t.open(kind, binds, endpoint, o, append(options, queueSize(receiveQueue))...)
	if err != nil {
		return nil, err
	}
	r := &tcpReader{tcpSocket: s, news: make(chan struct{}, 1), stopped: make(chan struct{}), done: make(chan struct{})}
	r.stop = sync.OnceFunc(func() { close(r.stopped) })
	return r, nil
}

func (r *tcpReader) start(ringOf func(connection int) *tcpRing, free func()) {
	r.ringOf, r.free = ringOf, free
	go r.run()
}

func (r *tcpReader) run() {
	defer close(r.done)
	var m zmq4.Msg
	defer m.Close()
	for !r.closing.Load() {
		r.reconnect()
		err := r.zmq.poll(pollInterval)
		for err == nil && !r.closing.Load() {
			if err = r.zmq.receive(&m); err == nil {
				r.store(&m, r.ringOf(m.Srcfd()))
			}
		}
		if err != nil && err != errAgain {
			failure := fmt.Errorf("bus: receiving: %w", err) // Not &err, which would make each err escape to the heap.
			r.failure.Store(&failure)
			r.notify()
			return
		}
	}
}

// store makes m the newest frame of a ring. It drops the other parts of a multipart message, and a frame that was sent again.
func (r *tcpReader) store(m *zmq4.Msg, to *tcpRing) {
	multipart := m.More()
	for more := multipart; more && r.zmq.receive(m) == nil; more = m.More() {
	}
	if newest := to.Newest(); !multipart && newest != nil && !newest.Value.multipart && bytes.Equal(newest.Frame, m.Bytes()) {
		return
	}
	slot := to.Acquire()
	if slot == nil {
		return // The reader holds more frames than WithReaders says.
	}
	slot.Value.message.Move(m)
	slot.Value.multipart = multipart
	to.Commit(slot, slot.Value.message.Bytes())
	r.notify()
}

func (r *tcpReader) notify() {
	select {
	case r.news <- struct{}{}:
	default:
	}
}

func (r *tcpReader) wait(ctx context.Context) error {
	if err := r.failure.Load(); err != nil {
		return *err
	}
	select {
	case <-r.news:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.stopped:
		return ErrClosed
	}
}

func (r *tcpReader) interrupt() {
	r.tcpSocket.interrupt()
	r.stop()
}

func (r *tcpReader) close() error {
	<-r.done
	r.free()
	return r.tcpSocket.close()
}

type tcpSubscriber struct {
	*tcpReader
	ring *tcpRing
	last uint64 // The number of the last frame that was read.
}

func (t *tcpTransport) newSubscriber(endpoint string, o *settings) (subscriber, error) {
	r, err := t.newReader(zmq4.SUB, false, endpoint, o, subscribe(""))
	if err != nil {
		return nil, err
	}
	s := &tcpSubscriber{tcpReader: r, ring: ring.New(o.readers+spareSlots, (*tcpMessage).free)}
	r.start(func(int) *tcpRing { return s.ring }, s.ring.Free)
	return s, nil
}

func (s *tcpSubscriber) take(f *Frame) error {
	slot := s.ring.Pin(s.last)
	if slot == nil {
		return ErrEmpty
	}
	s.last = slot.Number
	if err := slot.Value.check(); err != nil {
		slot.Unpin()
		return err
	}
	f.slot, f.bytes = slot, slot.Frame
	return nil
}

type tcpReceiver struct {
	*tcpReader
	queueReader[tcpMessage]
}

func (t *tcpTransport) newReceiver(endpoint string, o *settings) (receiver, error) {
	r, err := t.newReader(zmq4.PULL, true, endpoint, o)
	if err != nil {
		return nil, err
	}
	queues := &connectionQueues{}
	r.start(queues.ring, queues.free)
	return &tcpReceiver{r, queueReader[tcpMessage]{queues: &queues.queues}}, nil
}

func (r *tcpReceiver) take() ([]byte, error) { return r.takeFrom((*tcpMessage).check) }

// maxConnectionQueues is how many connections have a queue. A further one gets that of the connection that has been silent for longest.
const maxConnectionQueues = 64

// connectionQueues has a queue for each connection to a receiver, so that a flood of one does not displace the frames of another. It
// belongs to the goroutine of the tcpReader, except for queues.
type connectionQueues struct {
	queues   senderQueues[tcpMessage]
	known    []connectionQueue
	messages uint64 // So far.
}

type connectionQueue struct {
	connection int
	queue      *tcpQueue
	used       uint64 // The value of messages at the connection's last one.
}

// ring returns the ring of a connection.
func (q *connectionQueues) ring(connection int) *tcpRing {
	q.messages++
	oldest := 0
	for i := range q.known {
		c := &q.known[i]
		if c.connection == connection {
			c.used = q.messages
			return c.queue.ring
		}
		if c.used < q.known[oldest].used {
			oldest = i
		}
	}
	c := connectionQueue{connection, newSenderQueue((*tcpMessage).free), q.messages}
	if len(q.known) < maxConnectionQueues {
		q.known = append(q.known, c)
	} else {
		q.queues.remove(q.known[oldest].queue)
		q.known[oldest].queue.ring.Free()
		q.known[oldest] = c
	}
	q.queues.add(c.queue)
	return c.queue.ring
}

func (q *connectionQueues) free() {
	for i := range q.known {
		q.known[i].queue.ring.Free()
	}
}
