// Package bus carries frames between the two sides of the hardware abstraction layer over ZeroMQ, as mailboxes: a
// reader finds the newest frame or none, never a queue of old ones. This holds in both directions, because every socket
// has ZMQ_CONFLATE set. A frame is one ZeroMQ message of one part. Linger is 0 and no send ever blocks, so that closing
// is quick in any state.
//
// # Ownership
//
// ZeroMQ sockets are not safe for use by two goroutines at once. A socket of this package belongs to whoever uses it
// now: it may be handed from one goroutine to another, but a call that meets another call in progress is refused with
// [ErrBusy], never queued and never run beside it. Close is the exception: it may be called at any time from anywhere,
// ends a Receive in progress with [ErrClosed] and returns within 100 ms.
//
// # Limits
//
// An inproc endpoint must be bound (publisher, receiver) before it is connected to (subscriber, sender); earlier attempts
// are refused with [ErrNotBound]. libzmq would allow them, but with ZMQ_CONFLATE it then loses the subscription or the
// first frame, and aborts the process when the context ends. When the bound socket closes, those connected to it stay
// silent: connect again.
//
// A frame that is written in the very instant in which the reader takes the one before it may be dropped by libzmq; the
// next frame takes its place. So a mailbox suits a stream, not a message that is sent once.
//
// The package moves bytes and must never look into them: it must not import hal/wire, servers, clients or inference.
package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pebbe/zmq4"
)

var (
	// ErrEmpty says that no new frame is in the mailbox.
	ErrEmpty = errors.New("bus: no new frame")
	// ErrNoPeer says that a frame could not be sent because nobody is at the other end.
	ErrNoPeer = errors.New("bus: no peer")
	// ErrNotBound says that nobody has bound the inproc endpoint that was to be connected to.
	ErrNotBound = errors.New("bus: inproc endpoint not bound")
	// ErrBusy says that another goroutine is using the socket.
	ErrBusy = errors.New("bus: socket in use by another goroutine")
	// ErrClosed says that the socket or its context was closed.
	ErrClosed = errors.New("bus: closed")
)

// slice bounds how long a receive stays inside libzmq, and so how late it notices a Close or the end of its context.
const slice = 10 * time.Millisecond

// Context owns the sockets that can reach each other by inproc endpoints. It is safe for concurrent use.
type Context struct {
	mu     sync.Mutex
	zmq    *zmq4.Context
	open   map[*socket]struct{}
	bound  map[string]struct{} // Endpoints, of open sockets.
	closed bool
}

// NewContext returns a context without sockets. It must be closed.
func NewContext() (*Context, error) {
	z, err := zmq4.NewContext()
	if err != nil {
		return nil, fmt.Errorf("bus: making a ZeroMQ context: %w", err)
	}
	return &Context{zmq: z, open: map[*socket]struct{}{}, bound: map[string]struct{}{}}, nil
}

// Close closes the context and every socket made in it, within 100 ms. Further calls do nothing.
func (c *Context) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	sockets := slices.Collect(maps.Keys(c.open))
	c.mu.Unlock()

	for _, s := range sockets {
		s.closing.Store(true) // All at once, so that the waits for receives in progress overlap.
	}
	var errs []error
	for _, s := range sockets {
		errs = append(errs, s.Close())
	}
	if err := c.zmq.Term(); err != nil {
		errs = append(errs, fmt.Errorf("bus: ending the ZeroMQ context: %w", err))
	}
	return errors.Join(errs...)
}

// NewPublisher returns a publisher that is bound to endpoint, for example "inproc://observation".
func (c *Context) NewPublisher(endpoint string) (*Publisher, error) {
	s, err := c.bind(zmq4.PUB, endpoint)
	if err != nil {
		return nil, err
	}
	return &Publisher{s}, nil
}

// NewSubscriber returns a subscriber that is connected to the publisher at endpoint.
func (c *Context) NewSubscriber(endpoint string) (*Subscriber, error) {
	s, err := c.connect(zmq4.SUB, endpoint)
	if err != nil {
		return nil, err
	}
	return &Subscriber{mailbox{s}}, nil
}

// NewReceiver returns a receiver that is bound to endpoint.
func (c *Context) NewReceiver(endpoint string) (*Receiver, error) {
	s, err := c.bind(zmq4.PULL, endpoint)
	if err != nil {
		return nil, err
	}
	return &Receiver{mailbox{s}}, nil
}

// NewSender returns a sender that is connected to the receiver at endpoint.
func (c *Context) NewSender(endpoint string) (*Sender, error) {
	s, err := c.connect(zmq4.PUSH, endpoint)
	if err != nil {
		return nil, err
	}
	return &Sender{s}, nil
}

func (c *Context) bind(kind zmq4.Type, endpoint string) (*socket, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.attach(kind, func(z *zmq4.Socket) error { return z.Bind(endpoint) })
	if err != nil {
		return nil, fmt.Errorf("bus: binding to %q: %w", endpoint, err)
	}
	s.bound = endpoint
	c.bound[endpoint] = struct{}{}
	return s, nil
}

func (c *Context) connect(kind zmq4.Type, endpoint string) (*socket, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.attach(kind, func(z *zmq4.Socket) error {
		if _, ok := c.bound[endpoint]; !ok && strings.HasPrefix(endpoint, "inproc://") {
			return ErrNotBound
		}
		if kind == zmq4.SUB {
			if err := z.SetSubscribe(""); err != nil {
				return err
			}
		}
		return z.Connect(endpoint)
	})
	if err != nil {
		return nil, fmt.Errorf("bus: connecting to %q: %w", endpoint, err)
	}
	return s, nil
}

// attach makes a socket, sets the options that make it a mailbox and lets to attach it. The caller holds c.mu.
func (c *Context) attach(kind zmq4.Type, to func(*zmq4.Socket) error) (*socket, error) {
	if c.closed {
		return nil, ErrClosed
	}
	z, err := c.zmq.NewSocket(kind)
	if err != nil {
		return nil, err
	}
	// The options take effect only on what is attached after them.
	if err := errors.Join(z.SetLinger(0), z.SetConflate(true)); err != nil {
		return nil, errors.Join(err, z.Close())
	}
	if err := to(z); err != nil {
		return nil, errors.Join(err, z.Close())
	}
	s := &socket{context: c, zmq: z}
	c.open[s] = struct{}{}
	return s, nil
}

// socket guards a ZeroMQ socket: whoever holds mu may use zmq.
type socket struct {
	context *Context
	bound   string // The endpoint, where it is bound.
	mu      sync.Mutex
	zmq     *zmq4.Socket // Nil once closed.
	closing atomic.Bool
}

// acquire makes the caller the owner until release.
func (s *socket) acquire() error {
	if s.closing.Load() {
		return ErrClosed
	}
	if !s.mu.TryLock() {
		if s.closing.Load() {
			return ErrClosed
		}
		return ErrBusy
	}
	if s.zmq == nil {
		s.mu.Unlock()
		return ErrClosed
	}
	return nil
}

func (s *socket) release() { s.mu.Unlock() }

// Close closes the socket within 100 ms. Further calls do nothing.
func (s *socket) Close() error {
	s.closing.Store(true)
	s.mu.Lock() // Waits for a call in progress, at most one slice.
	z := s.zmq
	s.zmq = nil
	s.mu.Unlock()
	if z == nil {
		return nil
	}
	// Under the context's lock, so that nobody connects to an endpoint that is going away.
	s.context.mu.Lock()
	defer s.context.mu.Unlock()
	delete(s.context.open, s)
	if s.bound != "" {
		delete(s.context.bound, s.bound)
		// Closing frees the endpoint some time later; unbinding frees it now. Whether it was still bound matters not.
		_ = z.Unbind(s.bound)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("bus: closing a socket: %w", err)
	}
	return nil
}

// write sends one frame without blocking. The caller owns the socket.
func (s *socket) write(frame []byte) error {
	_, err := s.zmq.SendBytes(frame, zmq4.DONTWAIT)
	switch {
	case err == nil:
		return nil
	case zmq4.AsErrno(err) == zmq4.Errno(syscall.EAGAIN):
		return ErrNoPeer
	}
	return fmt.Errorf("bus: sending: %w", err)
}

// Publisher offers frames to any number of subscribers.
type Publisher struct{ *socket }

// Publish makes frame the newest one for every subscriber; without subscribers it goes nowhere. It does not block and
// does not keep frame.
func (p *Publisher) Publish(frame []byte) error {
	if err := p.acquire(); err != nil {
		return err
	}
	defer p.release()
	// libzmq looks for new subscribers only now and then while sending; asking for events makes it look now, so that
	// a subscriber gets the first frame that is published after it came.
	if _, err := p.zmq.GetEvents(); err != nil {
		return fmt.Errorf("bus: looking for subscribers: %w", err)
	}
	return p.write(frame)
}

// Sender sends frames to one receiver.
type Sender struct{ *socket }

// Send makes frame this sender's newest one at the receiver. It does not block and does not keep frame. The error is
// [ErrNoPeer] where there is no receiver.
func (s *Sender) Send(frame []byte) error {
	if err := s.acquire(); err != nil {
		return err
	}
	defer s.release()
	return s.write(frame)
}

// Subscriber reads the newest frame of a publisher.
type Subscriber struct{ mailbox }

// Receiver reads the newest frames of senders: one frame of each sender that has a new one.
type Receiver struct{ mailbox }

// mailbox is the reading side.
type mailbox struct{ *socket }

// TryReceive returns the newest frame that has not been read yet, or [ErrEmpty]. It does not block. The frame is the
// caller's.
func (m *mailbox) TryReceive() ([]byte, error) {
	if err := m.acquire(); err != nil {
		return nil, err
	}
	defer m.release()
	return m.receive(zmq4.DONTWAIT)
}

// Receive returns the newest frame that has not been read yet, waiting for one until ctx is done. The error is then
// ctx's; it is [ErrClosed] once the socket is closed. The frame is the caller's.
func (m *mailbox) Receive(ctx context.Context) ([]byte, error) {
	if err := m.acquire(); err != nil {
		return nil, err
	}
	defer m.release()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if m.closing.Load() {
			return nil, ErrClosed
		}
		wait := slice
		if deadline, ok := ctx.Deadline(); ok {
			// Never 0, which would not wait at all, and never negative, which would wait for ever.
			wait = max(min(wait, time.Until(deadline)), time.Millisecond)
		}
		if err := m.zmq.SetRcvtimeo(wait); err != nil {
			return nil, fmt.Errorf("bus: setting the receive timeout: %w", err)
		}
		frame, err := m.receive(0)
		if !errors.Is(err, ErrEmpty) {
			return frame, err
		}
	}
}

func (m *mailbox) receive(flags zmq4.Flag) ([]byte, error) {
	frame, err := m.zmq.RecvBytes(flags)
	switch {
	case err == nil:
		return frame, nil
	case zmq4.AsErrno(err) == zmq4.Errno(syscall.EAGAIN):
		return nil, ErrEmpty
	}
	return nil, fmt.Errorf("bus: receiving: %w", err)
}
