package bus

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"github.com/pebbe/zmq4"

	"krabby.dev/krabby/hal/bus/internal/ring"
)

// acquireMemory returns a slot with memory of at least the given size, or nil if readers pin all slots.
func acquireMemory(r *inprocRing, bytes int) *inprocSlot {
	slot := r.Acquire()
	if slot != nil {
		slot.Value.bytes = ring.Grow(slot.Value.bytes, bytes)
	}
	return slot
}

// commit makes the first bytes of the slot's memory the newest frame, and wakes the reader.
func (s *inprocSocket) commit(r *inprocRing, slot *inprocSlot, bytes int, word *[8]byte) error {
	r.Commit(slot, slot.Value.bytes[:bytes:bytes])
	binary.LittleEndian.PutUint64(word[:], slot.Number)
	return sendError(s.zmq.send(word[:], false))
}

type inprocPublisher struct {
	*inprocSocket
	ring        *inprocRing
	slot        *inprocSlot // Of the last acquire; nil after publish.
	word        [8]byte
	pinnedDrops atomic.Uint64
}

func (t *inprocTransport) newPublisher(endpoint string, o *settings) (publisher, error) {
	p := &inprocPublisher{ring: ring.New[inprocMemory](o.readers+spareSlots, nil)}
	var err error
	p.inprocSocket, err = t.open(zmq4.PUB, true, endpoint, func(e *inprocEndpoint) { e.ring.Store(p.ring) }, conflate)
	return p, err
}

func (p *inprocPublisher) acquire(bytes int) ([]byte, error) {
	if p.slot == nil {
		p.slot = acquireMemory(p.ring, bytes)
	} else {
		p.slot.Value.bytes = ring.Grow(p.slot.Value.bytes, bytes)
	}
	if p.slot == nil {
		return nil, ErrPinned
	}
	return p.slot.Value.bytes[:0], nil
}

func (p *inprocPublisher) publish(frame []byte) error {
	if p.slot == nil || len(frame) == 0 || unsafe.SliceData(frame) != unsafe.SliceData(p.slot.Value.bytes) {
		memory, err := p.acquire(len(frame))
		if err != nil {
			p.pinnedDrops.Add(1)
			return err
		}
		copy(memory[:len(frame)], frame)
	}
	slot := p.slot
	p.slot = nil
	// So that the first frame after a subscriber connected wakes it.
	p.zmq.processEvents()
	return p.commit(p.ring, slot, len(frame), &p.word)
}

func (p *inprocPublisher) dropped() uint64 { return p.pinnedDrops.Load() }

type inprocSubscriber struct {
	*inprocSocket
	ring *inprocRing
	last uint64 // The number of the last frame that was read.
}

func (t *inprocTransport) newSubscriber(endpoint string, _ *settings) (subscriber, error) {
	s := &inprocSubscriber{}
	var err error
	s.inprocSocket, err = t.open(zmq4.SUB, false, endpoint, func(e *inprocEndpoint) {
		s.ring = e.ring.Load()
		s.last = s.ring.Last()
	}, conflate, subscribe(""))
	return s, err
}

func (s *inprocSubscriber) take(f *Frame) error {
	if r := s.shared.ring.Load(); r != s.ring { // The endpoint was bound again.
		s.ring, s.last = r, 0
	}
	slot := s.ring.Pin(s.last)
	if slot == nil {
		return ErrEmpty
	}
	s.last = slot.Number
	f.slot, f.bytes = slot, slot.Frame
	return nil
}

type inprocSender struct {
	*inprocSocket
	queue *inprocQueue
	word  [8]byte
}

func (t *inprocTransport) newSender(endpoint string, _ *settings) (sender, error) {
	s := &inprocSender{queue: newSenderQueue[inprocMemory](nil)}
	var err error
	s.inprocSocket, err = t.open(zmq4.PUSH, false, endpoint, func(e *inprocEndpoint) { e.queues.add(s.queue) }, conflate, immediate)
	return s, err
}

func (s *inprocSender) send(frame []byte) error {
	bound, err := s.follow()
	if err != nil {
		return err
	}
	if !bound {
		return ErrNoPeer
	}
	slot := acquireMemory(s.queue.ring, len(frame))
	if slot == nil {
		return ErrPinned // The ring has a slot for the newest frame, one for the reader and one more.
	}
	copy(slot.Value.bytes, frame)
	return s.commit(s.queue.ring, slot, len(frame), &s.word)
}

func (s *inprocSender) close() error {
	err := s.inprocSocket.close()
	s.transport.mu.Lock()
	defer s.transport.mu.Unlock()
	s.shared.queues.remove(s.queue)
	return err
}

type inprocReceiver struct {
	*inprocSocket
	queueReader[inprocMemory]
}

func (t *inprocTransport) newReceiver(endpoint string, _ *settings) (receiver, error) {
	s, err := t.open(zmq4.PULL, true, endpoint, func(*inprocEndpoint) {}, conflate)
	if err != nil {
		return nil, err
	}
	return &inprocReceiver{s, queueReader[inprocMemory]{queues: &s.shared.queues}}, nil
}

func (r *inprocReceiver) take() ([]byte, error) {
	return r.takeFrom(func(*inprocMemory) error { return nil })
}
