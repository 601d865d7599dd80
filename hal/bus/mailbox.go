package bus

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"
)

// Publisher offers frames to any number of subscribers.
type Publisher struct {
	*socket
	ring      *ring // Over inproc.
	slot      *slot // That Acquire gave, if any.
	memory    []byte
	reference [8]byte
}

// NewPublisher returns a publisher that is bound to endpoint, for example "inproc://observation".
func (c *Context) NewPublisher(endpoint string, opts ...Option) (*Publisher, error) {
	p := &Publisher{}
	var err error
	p.socket, err = c.newSocket(pub, true, endpoint, []option{conflate()}, opts, func(o *settings, at *point) {
		if at != nil {
			p.ring = newRing(o.readers + 2)
			at.ring.Store(p.ring)
		}
	})
	if err != nil {
		return nil, err
	}
	if p.point == nil {
		p.resend = newResend(p.socket)
	}
	return p, nil
}

// Acquire returns memory for the next frame, of no length and at least so many bytes of capacity, aligned to 64 bytes. It
// is the caller's until Publish; a frame that is written into it is published without being copied, over inproc. The error
// is [ErrPinned] where subscribers hold every slot. It does not block.
func (p *Publisher) Acquire(bytes int) ([]byte, error) {
	if err := p.acquire(); err != nil {
		return nil, err
	}
	defer p.release()
	if p.ring == nil {
		if len(p.memory) < bytes {
			p.memory = alignedBytes(bytes)
		}
		return p.memory[:0], nil
	}
	if !p.take(bytes) {
		return nil, ErrPinned
	}
	return p.slot.memory[:0], nil
}

// take makes p.slot one of so many bytes, if there is one.
func (p *Publisher) take(bytes int) bool {
	if p.slot != nil {
		p.slot.grow(bytes)
		return true
	}
	p.slot = p.ring.acquire(bytes)
	return p.slot != nil
}

// Publish makes frame the newest one for every subscriber; without subscribers it goes nowhere. It copies frame, unless it
// lies at the beginning of what Acquire returned. It does not block. The error is [ErrPinned] where subscribers hold every
// slot: the frame is then dropped, and counted.
func (p *Publisher) Publish(frame []byte) error {
	if err := p.acquire(); err != nil {
		return err
	}
	defer p.release()
	if p.ring == nil {
		return p.resend.send(frame)
	}
	if p.slot == nil || len(frame) == 0 || unsafe.SliceData(frame) != unsafe.SliceData(p.slot.memory) {
		if !p.take(len(frame)) {
			p.ring.dropped.Add(1)
			return ErrPinned
		}
		copy(p.slot.memory, frame)
	}
	p.ring.commit(p.slot, p.slot.memory[:len(frame):len(frame)])
	p.slot = nil
	binary.LittleEndian.PutUint64(p.reference[:], p.ring.newest.Load())
	// ZeroMQ looks for new subscribers only now and then while sending; this makes it look now, so that a subscriber is
	// woken by the first frame that is published after it came.
	p.zmq.settle()
	return p.send(p.reference[:], false)
}

// Dropped counts frames that were dropped because subscribers held every slot. It may be called at any time from any
// goroutine.
func (p *Publisher) Dropped() uint64 {
	if p.ring == nil {
		return 0
	}
	return p.ring.dropped.Load()
}

// Frame is a frame that was received, in memory that is not its own. The zero value has none. A Frame must not be
// copied, and must be released once it is not needed, or it holds a slot of its publisher for ever.
type Frame struct {
	bytes []byte
	slot  *slot
}

// Bytes returns the frame. It holds, and must not be written to, until Release, or until the Frame is received into again.
func (f *Frame) Bytes() []byte { return f.bytes }

// Set makes the frame b, which is the caller's. It is for those that play a bus.
func (f *Frame) Set(b []byte) {
	f.Release()
	f.bytes = b
}

// Release gives the frame back. Further calls do nothing.
func (f *Frame) Release() {
	f.bytes = nil
	if f.slot != nil {
		f.slot.unpin()
		f.slot = nil
	}
}

// Subscriber reads the newest frame of a publisher.
type Subscriber struct {
	*socket
	ring *ring
	last uint64 // The number of the last frame that was read from it.
}

// NewSubscriber returns a subscriber that is connected to the publisher at endpoint. It gets what is published from then
// on.
func (c *Context) NewSubscriber(endpoint string, opts ...Option) (*Subscriber, error) {
	s := &Subscriber{}
	var err error
	readers := 0
	s.socket, err = c.newSocket(sub, false, endpoint, append(readerOptions(endpoint), subscribe("")), opts, func(o *settings, at *point) {
		readers = o.readers
		if at != nil {
			s.ring = at.ring.Load()
			s.last = s.ring.last()
		}
	})
	if err != nil {
		return nil, err
	}
	if s.point == nil {
		s.ring = newRing(readers + 2)
		s.pump = startPump(s.socket, func(int) *ring { return s.ring }, s.ring.free)
	}
	return s, nil
}

// TryReceive makes f the newest frame that has not been read yet; the error is [ErrEmpty] where there is none. What f held
// is released in any case. It does not block.
func (s *Subscriber) TryReceive(f *Frame) error {
	if err := s.acquire(); err != nil {
		return err
	}
	defer s.release()
	return s.take(f)
}

func (s *Subscriber) take(f *Frame) error {
	f.Release()
	if s.point != nil {
		if r := s.point.ring.Load(); r != s.ring { // It was bound again.
			s.ring, s.last = r, 0
		}
	}
	slot := s.ring.pin(s.last)
	if slot == nil {
		return ErrEmpty
	}
	s.last = slot.number
	if slot.bad {
		slot.unpin()
		return ErrParts
	}
	f.slot, f.bytes = slot, slot.frame
	return nil
}

// Receive makes f the newest frame that has not been read yet, waiting for one until ctx is done. The error is then ctx's;
// it is [ErrClosed] once the socket is closed. What f held is released in any case.
func (s *Subscriber) Receive(ctx context.Context, f *Frame) error {
	if err := s.acquire(); err != nil {
		return err
	}
	defer s.release()
	for {
		if err := s.take(f); err != ErrEmpty {
			return err
		}
		if err := s.wait(ctx); err != nil {
			return err
		}
	}
}

// wait waits until there may be a frame in a mailbox. Over inproc it takes the word of it, and waits for at most a slice. The
// caller owns the socket.
func (s *socket) wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closing.Load() {
		return ErrClosed
	}
	if s.pump != nil {
		return s.pump.wait(ctx)
	}
	most := slice
	if deadline, ok := ctx.Deadline(); ok {
		most = min(most, time.Until(deadline))
	}
	if s.binds {
		return s.sleep(most)
	}
	bound, err := s.follow()
	if err != nil {
		return err
	}
	if !bound {
		time.Sleep(min(most, time.Millisecond))
		return nil
	}
	return s.sleep(most)
}

// sleep waits for the word of a frame over inproc, and takes it.
func (s *socket) sleep(most time.Duration) error {
	if err := s.zmq.wait(most); err != nil {
		return fmt.Errorf("bus: waiting for a frame: %w", err)
	}
	// What counts is in the ring. The reference says only that something new is there, and waits for its reader no longer.
	for {
		// Small enough for libzmq to keep it in the message itself, so that there is nothing to give back.
		if err := s.zmq.receive(&s.word); err == errAgain {
			return nil
		} else if err != nil {
			return receiveError(err)
		}
	}
}

func receiveError(err error) error {
	switch err {
	case nil:
		return nil
	case errAgain:
		return ErrEmpty
	}
	return fmt.Errorf("bus: receiving: %w", err)
}

// Sender sends frames to one receiver.
type Sender struct {
	*socket
	outlet    *outlet // Over inproc.
	reference [8]byte
}

// NewSender returns a sender that is connected to the receiver at endpoint.
func (c *Context) NewSender(endpoint string, opts ...Option) (*Sender, error) {
	s := &Sender{}
	var err error
	s.socket, err = c.newSocket(push, false, endpoint, []option{conflate(), onlyConnected()}, opts, func(_ *settings, at *point) {
		if at == nil {
			return
		}
		s.outlet = &outlet{ring: newRing(3)} // Its receiver holds one.
		outlets := []*outlet{s.outlet}
		if others := at.outlets.Load(); others != nil {
			outlets = append(outlets, *others...)
		}
		at.outlets.Store(&outlets)
	})
	if err != nil {
		return nil, err
	}
	if s.point == nil {
		s.resend = newResend(s.socket)
	}
	return s, nil
}

// Send makes frame this sender's newest one at the receiver. It does not block and does not keep frame. The error is
// [ErrNoPeer] where there is no receiver.
func (s *Sender) Send(frame []byte) error {
	if err := s.acquire(); err != nil {
		return err
	}
	defer s.release()
	if s.point == nil {
		return s.resend.send(frame)
	}
	bound, err := s.follow()
	if err != nil {
		return err
	}
	if !bound {
		return ErrNoPeer
	}
	slot := s.outlet.ring.acquire(len(frame))
	if slot == nil {
		s.outlet.ring.dropped.Add(1)
		return ErrPinned // Cannot be: one is the newest, one is read, one is left.
	}
	copy(slot.memory, frame)
	s.outlet.ring.commit(slot, slot.memory[:len(frame):len(frame)])
	binary.LittleEndian.PutUint64(s.reference[:], s.outlet.ring.newest.Load())
	return s.send(s.reference[:], false)
}

// Close closes the socket within 100 ms. Further calls do nothing.
func (s *Sender) Close() error {
	err := s.socket.Close()
	if s.point == nil {
		return err
	}
	s.context.mu.Lock()
	defer s.context.mu.Unlock()
	var left []*outlet
	for _, o := range *s.point.outlets.Load() {
		if o != s.outlet {
			left = append(left, o)
		}
	}
	s.point.outlets.Store(&left)
	return err
}

// Receiver reads the newest frames of senders: one frame of each sender that has a new one.
type Receiver struct {
	*socket
	outlets *atomic.Pointer[[]*outlet]
	next    int    // The outlet to look at first, so that none is left out.
	memory  []byte // What was read.
}

// NewReceiver returns a receiver that is bound to endpoint.
func (c *Context) NewReceiver(endpoint string, opts ...Option) (*Receiver, error) {
	s, err := c.newSocket(pull, true, endpoint, readerOptions(endpoint), opts, nil)
	if err != nil {
		return nil, err
	}
	if s.point != nil {
		return &Receiver{socket: s, outlets: &s.point.outlets}, nil
	}
	p := &peers{}
	s.pump = startPump(s, p.ring, p.free)
	return &Receiver{socket: s, outlets: &p.outlets}, nil
}

// TryReceive returns the newest frame of a sender that has not been read yet, or [ErrEmpty]. It does not block. The frame
// holds until the next call.
func (r *Receiver) TryReceive() ([]byte, error) {
	if err := r.acquire(); err != nil {
		return nil, err
	}
	defer r.release()
	return r.take()
}

func (r *Receiver) take() ([]byte, error) {
	outlets := r.outlets.Load()
	if outlets == nil {
		return nil, ErrEmpty
	}
	for i := range *outlets {
		at := (r.next + i) % len(*outlets)
		o := (*outlets)[at]
		slot := o.ring.pin(o.seen)
		if slot == nil {
			continue
		}
		o.seen, r.next = slot.number, at+1
		// A copy, so that a receiver needs no Frame. Commands are small.
		r.memory = append(r.memory[:0], slot.frame...)
		bad := slot.bad
		slot.unpin()
		if bad {
			return nil, ErrParts
		}
		return r.memory, nil
	}
	return nil, ErrEmpty
}

// Receive returns the newest frame of a sender that has not been read yet, waiting for one until ctx is done. The error is
// then ctx's; it is [ErrClosed] once the socket is closed. The frame holds until the next call.
func (r *Receiver) Receive(ctx context.Context) ([]byte, error) {
	if err := r.acquire(); err != nil {
		return nil, err
	}
	defer r.release()
	for {
		if frame, err := r.take(); err != ErrEmpty {
			return frame, err
		}
		if err := r.wait(ctx); err != nil {
			return nil, err
		}
	}
}
