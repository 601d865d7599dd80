package bus

import "context"

// Publisher offers frames to any number of subscribers.
type Publisher struct{ *socket[publisher] }

// NewPublisher returns a publisher that is bound to endpoint, for example "inproc://observation".
func (c *Context) NewPublisher(endpoint string, opts ...Option) (*Publisher, error) {
	s, err := open(c, true, endpoint, opts, transport.newPublisher)
	if err != nil {
		return nil, err
	}
	return &Publisher{s}, nil
}

// Acquire returns memory for the next frame, of length 0 and at least the given capacity, aligned to 64 bytes. It is the caller's
// until Publish, which publishes a frame that was written into it without a copy; read it afterwards only through a subscriber. The
// error is [ErrPinned] if subscribers hold every slot. It does not block.
func (p *Publisher) Acquire(bytes int) ([]byte, error) {
	if err := p.acquire(); err != nil {
		return nil, err
	}
	defer p.release()
	return p.impl.acquire(bytes)
}

// Publish makes frame the newest one for every subscriber; without subscribers it is dropped. It copies frame unless frame begins
// where the memory of Acquire does. It does not block. The error is [ErrPinned] if subscribers hold every slot: the frame is dropped
// and counted.
func (p *Publisher) Publish(frame []byte) error {
	if err := p.acquire(); err != nil {
		return err
	}
	defer p.release()
	return p.impl.publish(frame)
}

// Dropped counts frames that were dropped because subscribers held every slot. It may be called at any time from any goroutine.
func (p *Publisher) Dropped() uint64 { return p.impl.dropped() }

// Frame is a received frame, in memory that it shares. The zero value is empty. A Frame must not be copied. Release it, because it
// holds a slot of its publisher.
type Frame struct {
	bytes []byte
	slot  pinned // Nil if the memory is not a slot's.
}

// pinned is a slot of a ring.
type pinned interface{ Unpin() }

// Bytes returns the frame. It must not be written to, and is valid until Release or until the Frame receives another frame.
func (f *Frame) Bytes() []byte { return f.bytes }

// Set sets the frame to b, which remains the caller's. It is for other implementations of a subscriber.
func (f *Frame) Set(b []byte) {
	f.Release()
	f.bytes = b
}

// Release returns the memory to the publisher. Further calls do nothing.
func (f *Frame) Release() {
	f.bytes = nil
	if f.slot != nil {
		f.slot.Unpin()
		f.slot = nil
	}
}

// Subscriber reads the newest frame of a publisher.
type Subscriber struct{ *socket[subscriber] }

// NewSubscriber returns a subscriber that is connected to the publisher at endpoint. It receives frames that are published later.
func (c *Context) NewSubscriber(endpoint string, opts ...Option) (*Subscriber, error) {
	s, err := open(c, false, endpoint, opts, transport.newSubscriber)
	if err != nil {
		return nil, err
	}
	return &Subscriber{s}, nil
}

// TryReceive sets f to the newest unread frame; the error is [ErrEmpty] if there is none. It releases what f held in any case. It does
// not block.
func (s *Subscriber) TryReceive(f *Frame) error {
	if err := s.acquire(); err != nil {
		return err
	}
	defer s.release()
	f.Release()
	return s.impl.take(f)
}

// Receive sets f to the newest unread frame, and waits for one until ctx is done. The error is then ctx's; it is [ErrClosed] after the
// socket was closed. It releases what f held in any case.
func (s *Subscriber) Receive(ctx context.Context, f *Frame) error {
	if err := s.acquire(); err != nil {
		return err
	}
	defer s.release()
	f.Release()
	for {
		if err := s.impl.take(f); err != ErrEmpty {
			return err
		}
		if err := s.impl.wait(ctx); err != nil {
			return err
		}
	}
}

// Sender sends frames to one receiver.
type Sender struct{ *socket[sender] }

// NewSender returns a sender that is connected to the receiver at endpoint.
func (c *Context) NewSender(endpoint string, opts ...Option) (*Sender, error) {
	s, err := open(c, false, endpoint, opts, transport.newSender)
	if err != nil {
		return nil, err
	}
	return &Sender{s}, nil
}

// Send makes frame this sender's newest one at the receiver. It does not block and does not keep frame. The error is [ErrNoPeer] if
// there is no receiver.
func (s *Sender) Send(frame []byte) error {
	if err := s.acquire(); err != nil {
		return err
	}
	defer s.release()
	return s.impl.send(frame)
}

// Receiver reads the newest frames of senders: one frame of each sender that has a new one.
type Receiver struct{ *socket[receiver] }

// NewReceiver returns a receiver that is bound to endpoint.
func (c *Context) NewReceiver(endpoint string, opts ...Option) (*Receiver, error) {
	s, err := open(c, true, endpoint, opts, transport.newReceiver)
	if err != nil {
		return nil, err
	}
	return &Receiver{s}, nil
}

// TryReceive returns the newest unread frame of a sender, valid until the next call, or [ErrEmpty]. It does not block.
func (r *Receiver) TryReceive() ([]byte, error) {
	if err := r.acquire(); err != nil {
		return nil, err
	}
	defer r.release()
	return r.impl.take()
}

// Receive returns the newest unread frame of a sender, valid until the next call, and waits for one until ctx is done. The error is
// then ctx's; it is [ErrClosed] after the socket was closed.
func (r *Receiver) Receive(ctx context.Context) ([]byte, error) {
	if err := r.acquire(); err != nil {
		return nil, err
	}
	defer r.release()
	for {
		if frame, err := r.impl.take(); err != ErrEmpty {
			return frame, err
		}
		if err := r.impl.wait(ctx); err != nil {
			return nil, err
		}
	}
}
