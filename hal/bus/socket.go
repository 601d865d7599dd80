package bus

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// transport creates the sockets of one scheme. inprocTransport and tcpTransport implement it.
type transport interface {
	newPublisher(endpoint string, o *settings) (publisher, error)
	newSubscriber(endpoint string, o *settings) (subscriber, error)
	newSender(endpoint string, o *settings) (sender, error)
	newReceiver(endpoint string, o *settings) (receiver, error)
	newRequester(endpoint string, o *settings) (messageSocket, error)
	newResponder(endpoint string, o *settings) (messageSocket, error)
}

// transportSocket is what all sockets of a transport have. One goroutine at a time calls its methods, except interrupt and
// connections, which any goroutine may call at any time.
type transportSocket interface {
	// endpoint returns where the socket is bound or connected.
	endpoint() string
	// connections returns the counters of connections.
	connections() Connections
	// interrupt ends a wait in progress, and all later ones, with ErrClosed. It may be called repeatedly.
	interrupt()
	// close frees the socket, once, after interrupt.
	close() error
}

type publisher interface {
	transportSocket
	// acquire returns memory of length 0 for the next frame.
	acquire(bytes int) ([]byte, error)
	publish(frame []byte) error
	// dropped counts the frames that publish dropped because readers held every slot. Any goroutine may call it.
	dropped() uint64
}

type subscriber interface {
	transportSocket
	// take sets f, which is released, to the newest unread frame. The error is ErrEmpty if there is none.
	take(f *Frame) error
	// wait waits until there may be a frame, at most until ctx is done. It may return earlier.
	wait(ctx context.Context) error
}

type sender interface {
	transportSocket
	send(frame []byte) error
}

type receiver interface {
	transportSocket
	// take returns the newest unread frame of a sender, valid until the next call. The error is ErrEmpty if there is none.
	take() ([]byte, error)
	// wait waits until there may be a frame, at most until ctx is done. It may return earlier.
	wait(ctx context.Context) error
}

// messageSocket sends and receives multipart messages, in queues.
type messageSocket interface {
	transportSocket
	// reach makes the socket follow a peer that was replaced. The error is ErrNoPeer if the peer is known to be gone.
	reach() error
	// isPeerGone reports whether the peer of the last reach is known to be gone.
	isPeerGone() bool
	// sendMessage sends a message, without blocking. The error is ErrNoPeer if no peer can take it.
	sendMessage(parts [][]byte) error
	// takeMessage returns the first MaxParts parts of the next message, valid until the next call. The error is ErrEmpty if there is
	// none.
	takeMessage() ([][]byte, error)
	// wait waits until there may be a message, for at most the given time and until ctx is done. It may return earlier.
	wait(ctx context.Context, most time.Duration) error
}

// socket guards the socket of a transport: one call at a time, and none after Close.
type socket[T transportSocket] struct {
	context *Context
	closing atomic.Bool

	mu     sync.Mutex // Guards the use of impl.
	impl   T
	closed bool
}

// open returns the socket that newSocket creates, bound or connected to endpoint.
func open[T transportSocket](c *Context, binds bool, endpoint string, opts []Option, newSocket func(transport, string, *settings) (T, error)) (*socket[T], error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fail := func(err error) (*socket[T], error) {
		return nil, fmt.Errorf("bus: %s %q: %w", map[bool]string{true: "binding to", false: "connecting to"}[binds], endpoint, err)
	}
	if c.closed {
		return fail(ErrClosed)
	}
	o, err := newSettings(endpoint, binds, opts)
	if err != nil {
		return fail(err)
	}
	impl, err := newSocket(c.transport(endpoint), endpoint, o)
	if err != nil {
		return fail(err)
	}
	s := &socket[T]{context: c, impl: impl}
	c.open[s] = struct{}{}
	return s, nil
}

// acquire reserves the socket for the caller until release. The error is ErrBusy or ErrClosed.
func (s *socket[T]) acquire() error {
	if s.closing.Load() {
		return ErrClosed
	}
	if !s.mu.TryLock() {
		if s.closing.Load() {
			return ErrClosed
		}
		return ErrBusy
	}
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	return nil
}

func (s *socket[T]) release() { s.mu.Unlock() }

func (s *socket[T]) interrupt() {
	s.closing.Store(true)
	s.impl.interrupt()
}

// Close closes the socket within 100 ms. Further calls do nothing.
func (s *socket[T]) Close() error {
	s.interrupt()
	s.mu.Lock() // Waits for a call in progress.
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.context.mu.Lock()
	delete(s.context.open, s)
	s.context.mu.Unlock()
	if err := s.impl.close(); err != nil {
		return fmt.Errorf("bus: closing a socket: %w", err)
	}
	return nil
}

// Endpoint returns where the socket is bound or connected; for port 0 it has the port that the system chose.
func (s *socket[T]) Endpoint() string { return s.impl.endpoint() }

// Connections returns the counters of connections. It may be called at any time from any goroutine.
func (s *socket[T]) Connections() Connections { return s.impl.connections() }
