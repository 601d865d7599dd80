package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pebbe/zmq4"

	"krabby.dev/krabby/hal/bus/internal/ring"
)

// inprocTransport connects the sockets of one context. Frames are in rings that both sides share; the ZeroMQ message is a reference
// that only wakes the reader.
type inprocTransport struct {
	zmq *zmq4.Context

	mu        sync.Mutex
	endpoints map[string]*inprocEndpoint // They stay after they were bound once.
}

func newInprocTransport(z *zmq4.Context) *inprocTransport {
	return &inprocTransport{zmq: z, endpoints: map[string]*inprocEndpoint{}}
}

// inprocMemory is the memory of one frame.
type inprocMemory struct{ bytes []byte }

type (
	inprocRing  = ring.Ring[inprocMemory]
	inprocSlot  = ring.Slot[inprocMemory]
	inprocQueue = senderQueue[inprocMemory]
)

// inprocEndpoint is what the sockets of an endpoint share.
type inprocEndpoint struct {
	kind zmq4.Type // Of the socket that binds.
	// generation is odd while the endpoint is bound, and grows by one with each bind and close.
	generation atomic.Uint64
	// ring has the frames of a publisher.
	ring atomic.Pointer[inprocRing]
	// queues have the frames of the senders to a receiver.
	queues senderQueues[inprocMemory]
}

func isBound(generation uint64) bool { return generation%2 == 1 }

// inprocPeers maps the sockets that connect to those that bind.
var inprocPeers = map[zmq4.Type]zmq4.Type{zmq4.SUB: zmq4.PUB, zmq4.PUSH: zmq4.PULL, zmq4.DEALER: zmq4.ROUTER}

// endpointFor returns the endpoint to bind or connect to. The caller holds the lock.
func (t *inprocTransport) endpointFor(kind zmq4.Type, binds bool, name string) (*inprocEndpoint, error) {
	e, known := t.endpoints[name]
	bound := known && isBound(e.generation.Load())
	switch {
	case binds && bound:
		return nil, errors.New("address already in use")
	case binds && known && e.kind == kind:
		return e, nil
	case binds:
		return &inprocEndpoint{kind: kind}, nil
	case !bound:
		return nil, ErrNotBound
	case e.kind != inprocPeers[kind]:
		return nil, errors.New("found an endpoint of the other direction")
	}
	return e, nil
}

// inprocSocket is the part that all sockets of the transport have in common.
type inprocSocket struct {
	transport *inprocTransport
	kind      zmq4.Type
	binds     bool
	name      string
	options   []zmqOption

	shared     *inprocEndpoint
	generation uint64 // Of shared, when the socket was bound or connected to it.
	zmq        *zmqSocket
	reference  zmq4.Msg // Scratch.
	closing    atomic.Bool
}

// open returns a socket of an endpoint. share is called before other sockets can use the endpoint.
func (t *inprocTransport) open(kind zmq4.Type, binds bool, name string, share func(*inprocEndpoint), options ...zmqOption) (*inprocSocket, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, err := t.endpointFor(kind, binds, name)
	if err != nil {
		return nil, err
	}
	s := &inprocSocket{transport: t, kind: kind, binds: binds, name: name, options: append(options, noLinger), shared: e}
	if err := s.attach(); err != nil {
		return nil, err
	}
	share(e)
	if binds {
		e.generation.Add(1)
		t.endpoints[name] = e
	}
	s.generation = e.generation.Load()
	return s, nil
}

// attach creates the ZeroMQ socket. The caller holds the transport's lock.
func (s *inprocSocket) attach() error {
	z, err := newZMQSocket(s.transport.zmq, s.kind)
	if err != nil {
		return err
	}
	attach := z.Connect
	if s.binds {
		attach = z.Bind
	}
	// Options take effect for later calls of Bind and Connect only.
	if err = z.set(s.options...); err == nil {
		err = attach(s.name)
	}
	if err != nil {
		return errors.Join(err, z.Close())
	}
	s.zmq = z
	return nil
}

// follow connects again if the endpoint was bound again, and reports whether it is bound.
func (s *inprocSocket) follow() (bool, error) {
	if g := s.shared.generation.Load(); g == s.generation || !isBound(g) {
		return isBound(g), nil
	}
	s.transport.mu.Lock()
	defer s.transport.mu.Unlock()
	g := s.shared.generation.Load()
	if !isBound(g) {
		return false, nil
	}
	old := s.zmq
	if err := s.attach(); err != nil {
		return false, fmt.Errorf("bus: connecting to %q again: %w", s.name, err)
	}
	s.generation = g
	return true, old.Close()
}

func (s *inprocSocket) endpoint() string       { return s.name }
func (*inprocSocket) connections() Connections { return Connections{} }
func (s *inprocSocket) interrupt()             { s.closing.Store(true) }

func (s *inprocSocket) close() error {
	// With the lock, so that no socket connects to an endpoint that is being closed.
	s.transport.mu.Lock()
	defer s.transport.mu.Unlock()
	s.reference.Close()
	if s.binds {
		s.shared.generation.Add(1)
		// Close frees the name some time later, Unbind at once. An error means that it is free.
		_ = s.zmq.Unbind(s.name)
	}
	return s.zmq.Close()
}

// wait waits for a reference, for at most a poll interval, and drops it: the frame is in the ring.
func (s *inprocSocket) wait(ctx context.Context) error {
	most, err := waitLimit(ctx, &s.closing, pollInterval)
	if err != nil {
		return err
	}
	if !s.binds {
		bound, err := s.follow()
		if err != nil {
			return err
		}
		if !bound {
			time.Sleep(min(most, time.Millisecond))
			return nil
		}
	}
	if err := s.zmq.poll(most); err != nil {
		return fmt.Errorf("bus: waiting for a frame: %w", err)
	}
	for {
		// libzmq keeps a reference in the message itself, so there is no memory to free.
		if err := s.zmq.receive(&s.reference); err == errAgain {
			return nil
		} else if err != nil {
			return receiveError(err)
		}
	}
}
