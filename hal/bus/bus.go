// Package bus carries frames between the two sides of the hardware abstraction layer over ZeroMQ, as mailboxes: a
// reader finds the newest frame or none, never a queue of old ones. This holds in both directions and on both transports.
//
//	inproc://NAME    within a process: frames stay in memory that both sides share, and ZeroMQ carries which slot of it
//	tcp://HOST:PORT  between processes and machines: one ZeroMQ message of one part, with ZMQ_CONFLATE where it is sent
//
// Over inproc nothing is copied that is written straight into the memory that [Publisher.Acquire] gives, and nothing is
// allocated once the slots are as large as the frames. Over TCP a goroutine takes what arrives at once and keeps the
// newest, of each peer; so nothing old waits in queues and in the buffers of the system, which are small besides. Readers
// do without ZMQ_CONFLATE because libzmq ends the process where a message of several parts arrives at such a socket, and
// any stranger can send one. A peer that has been silent for some seconds is connected to anew. On neither transport does
// a send block, and linger is 0, so that closing is quick in any state.
//
// For peers of the predecessor, whose messages have several parts, there are [PartsPublisher] and the like, over TCP alone.
// They are queues of one message, which ZeroMQ cannot make mailboxes of: what is in a full queue is old, and what is new is
// lost.
//
// What must be answered is a request: [Requester] and [Responder].
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
// An inproc endpoint must be bound (publisher, receiver) before it is connected to for the first time (subscriber,
// sender); earlier attempts are refused with [ErrNotBound]. After that the bound side may close and be bound again, and
// those that were connected to it follow.
//
// Over TCP, a frame that is written while ZeroMQ takes the one before it may be dropped: the next frame takes its place, or
// it comes 60 ms later. And two equal frames in a row are one. So a mailbox suits a stream.
//
// The package moves bytes and must never look into them: it must not import hal/wire, servers, clients or inference.
package bus

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
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
	// ErrPinned says that a frame was dropped because readers hold every slot.
	ErrPinned = errors.New("bus: readers hold every slot")
	// ErrParts says that a message of several parts was dropped.
	ErrParts = errors.New("bus: found a message of several parts, expected one")
)

const (
	inproc = "inproc://"

	// tcpBufferBytes is how much of what is sent the system may keep at each end. It is little, so that what arrives after
	// a stall is not long past, and still does not slow down large frames on a local network.
	tcpBufferBytes = 128 << 10
	// A peer that answers nothing for so long is gone.
	heartbeatEvery, deadAfter = time.Second, 3 * time.Second
	handshakeWithin           = 5 * time.Second
	// maxRequestBytes is how large what comes to a socket that writes may be: subscriptions, which it keeps.
	maxRequestBytes = 1024
	// curveBytes is how much larger a frame is that is encrypted.
	curveBytes = 33
	// Attempts to connect again are so far apart, at first and at most, in ms.
	reconnectMs, reconnectMostMs = 20, 500
)

// Option configures a socket.
type Option func(*settings)

type settings struct {
	security      Security
	readers       int
	maxFrameBytes int
}

// WithSecurity sets how the endpoint is secured. Without it an endpoint that other machines can reach is refused.
func WithSecurity(s Security) Option { return func(o *settings) { o.security = s } }

// WithReaders sets, for a publisher over inproc, how many frames readers may hold at once such that none is ever dropped;
// the default is 4. The memory is that of two more frames.
func WithReaders(n int) Option { return func(o *settings) { o.readers = n } }

// WithMaxFrameBytes sets, for a reader over TCP, how large a frame may be, or a part of one; the default is 64 MiB. A
// peer that sends a larger one is disconnected before it is read, and that is counted; see [Connections].
func WithMaxFrameBytes(n int) Option { return func(o *settings) { o.maxFrameBytes = n } }

// Context owns the sockets that can reach each other by inproc endpoints. It is safe for concurrent use.
type Context struct {
	mu      sync.Mutex
	zmq     zmqContext
	open    map[*socket]struct{}
	points  map[string]*point // By inproc endpoint; once bound, they stay.
	closed  bool
	keeper  *gatekeeper // From the first endpoint with keys on.
	allowed map[string]map[[32]byte]bool
	watches int // How many were made.
}

// point is an inproc endpoint.
type point struct {
	kind kind // Of the socket that binds it.
	// life is odd while it is bound, and grows with each bind and close.
	life atomic.Uint64
	// ring has a publisher's frames.
	ring atomic.Pointer[ring]
	// outlets are those of a receiver's senders. The slice is never changed, but replaced, under the context's lock.
	outlets atomic.Pointer[[]*outlet]
}

// outlet is a sender's frames.
type outlet struct {
	ring *ring
	seen uint64 // The last frame that was read; the receiver's.
}

// NewContext returns a context without sockets. It must be closed.
func NewContext() (*Context, error) {
	z, err := newZMQContext()
	if err != nil {
		return nil, fmt.Errorf("bus: making a ZeroMQ context: %w", err)
	}
	return &Context{zmq: z, open: map[*socket]struct{}{}, points: map[string]*point{}, allowed: map[string]map[[32]byte]bool{}}, nil
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
	if c.keeper != nil {
		errs = append(errs, c.keeper.close())
	}
	if err := c.zmq.term(); err != nil {
		errs = append(errs, fmt.Errorf("bus: ending the ZeroMQ context: %w", err))
	}
	return errors.Join(errs...)
}

// isAllowed says whether the owner of a public key may connect to a domain.
func (c *Context) isAllowed(domain string, key [32]byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.allowed[domain][key]
}

// socket guards a ZeroMQ socket: whoever holds mu may use it.
type socket struct {
	context  *Context
	kind     kind
	binds    bool
	endpoint string
	options  []option
	domain   string // Of keys, where it has some.
	point    *point // Of an inproc endpoint; nil over TCP.
	life     uint64 // Of point, where it was bound or connected to.

	mu      sync.Mutex
	zmq     *zmqSocket // Nil once closed.
	closing atomic.Bool
	word    zmqMessage // Scratch: a reference to a slot.
	pump    *pump      // Of a reader over TCP: it alone uses zmq then.
	resend  *resend    // Of a sender over TCP: likewise.
	watch   *watch     // Over TCP.
}

// newSocket makes a socket and binds or connects it. onto is called before that with the context locked.
func (c *Context) newSocket(k kind, binds bool, endpoint string, extra []option, opts []Option, onto func(*settings, *point)) (*socket, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.create(k, binds, endpoint, extra, opts, onto)
	if err != nil {
		return nil, fmt.Errorf("bus: %s %q: %w", map[bool]string{true: "binding to", false: "connecting to"}[binds], endpoint, err)
	}
	c.open[s] = struct{}{}
	return s, nil
}

func (c *Context) create(k kind, binds bool, endpoint string, extra []option, opts []Option, onto func(*settings, *point)) (*socket, error) {
	if c.closed {
		return nil, ErrClosed
	}
	o := settings{readers: 4, maxFrameBytes: 64 << 20}
	for _, opt := range opts {
		opt(&o)
	}
	if o.readers < 1 || o.readers > maxSlots-2 {
		return nil, fmt.Errorf("found %d readers, expected 1 to %d", o.readers, maxSlots-2)
	}
	if err := o.security.Check(endpoint, binds); err != nil {
		return nil, err
	}
	s := &socket{context: c, kind: k, binds: binds, endpoint: endpoint}
	most := o.maxFrameBytes
	if k == pub || k == push {
		most = maxRequestBytes
	}
	if o.security.Keys != (Keys{}) {
		most += curveBytes
	}
	s.options = append(append(s.options, linger(0), maxMessage(most)), extra...)
	if strings.HasPrefix(endpoint, inproc) {
		p, err := c.pointOf(k, binds, endpoint)
		if err != nil {
			return nil, err
		}
		s.point = p
	} else {
		s.options = append(s.options, buffers(tcpBufferBytes)...)
		s.options = append(s.options, heartbeat(heartbeatEvery, deadAfter)...)
		s.options = append(s.options, reconnect(reconnectMs, reconnectMostMs)...)
		s.options = append(s.options, handshake(handshakeWithin))
		s.options = append(s.options, o.security.options(endpoint, binds)...)
		if binds && len(o.security.Peers) != 0 {
			if err := c.admit(s, o.security.Peers); err != nil {
				return nil, err
			}
		}
	}
	if err := s.attach(); err != nil {
		return nil, err
	}
	if onto != nil {
		onto(&o, s.point)
	}
	if s.point != nil {
		if binds {
			s.point.life.Add(1)
			c.points[endpoint] = s.point
		}
		s.life = s.point.life.Load()
	}
	return s, nil
}

// pointOf returns the inproc endpoint to bind or connect to.
func (c *Context) pointOf(k kind, binds bool, endpoint string) (*point, error) {
	p, known := c.points[endpoint]
	switch {
	case binds && known && p.life.Load()%2 == 1:
		return nil, errors.New("address already in use")
	case binds && known && p.kind == k:
		return p, nil
	case binds:
		return &point{kind: k}, nil
	case !known || p.life.Load()%2 == 0:
		return nil, ErrNotBound
	case p.kind != map[kind]kind{sub: pub, push: pull, dealer: router}[k]:
		return nil, errors.New("found an endpoint of the other direction")
	}
	return p, nil
}

// admit lets the owners of keys connect to s.
func (c *Context) admit(s *socket, keys []string) error {
	if c.keeper == nil {
		keeper, err := newGatekeeper(c.zmq, c.isAllowed)
		if err != nil {
			return fmt.Errorf("starting to check keys: %w", err)
		}
		c.keeper = keeper
	}
	s.domain = fmt.Sprintf("%d", len(c.allowed))
	s.options = append(s.options, zapDomain(s.domain))
	c.allowed[s.domain] = map[[32]byte]bool{}
	for _, key := range keys {
		raw, _ := z85Decode(key)
		c.allowed[s.domain][raw] = true
	}
	return nil
}

// attach makes the ZeroMQ socket. The caller holds the context's lock.
func (s *socket) attach() error {
	z, err := s.context.zmq.socket(s.kind)
	if err != nil {
		return err
	}
	// Options take effect only on what is attached after them.
	if err = z.set(s.options...); err == nil && s.point == nil {
		s.context.watches++
		s.watch, err = newWatch(s.context.zmq, z, s.context.watches, !s.binds)
	}
	if err == nil {
		if s.binds {
			err = z.bind(s.endpoint)
		} else {
			err = z.connect(s.endpoint)
		}
	}
	if err == nil && s.binds {
		s.endpoint, err = z.lastEndpoint()
	}
	if err != nil {
		if s.watch != nil {
			err = errors.Join(err, s.watch.close(z))
		}
		return errors.Join(err, z.close())
	}
	s.zmq = z
	return nil
}

// Endpoint returns where the socket is bound or connected; for a port of 0 it has the one that the system chose.
func (s *socket) Endpoint() string { return s.endpoint }

// follow connects anew where an inproc endpoint was bound again, and says whether it is bound. The caller owns the socket.
func (s *socket) follow() (bool, error) {
	life := s.point.life.Load()
	if life == s.life || life%2 == 0 {
		return life%2 == 1, nil
	}
	s.context.mu.Lock()
	defer s.context.mu.Unlock()
	if s.context.closed {
		return false, ErrClosed
	}
	life = s.point.life.Load()
	if life%2 == 0 {
		return false, nil
	}
	old := s.zmq
	if err := s.attach(); err != nil {
		return false, fmt.Errorf("bus: connecting to %q again: %w", s.endpoint, err)
	}
	s.life = life
	return true, old.close()
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
	if s.pump != nil {
		s.pump.stop()
	}
	s.mu.Lock() // Waits for a call in progress, at most one slice.
	z := s.zmq
	s.zmq = nil
	s.mu.Unlock()
	if z == nil {
		return nil
	}
	if s.pump != nil {
		s.pump.close()
	}
	if s.resend != nil {
		s.resend.close()
	}
	// Under the context's lock, so that nobody connects to an endpoint that is going away.
	s.context.mu.Lock()
	defer s.context.mu.Unlock()
	delete(s.context.open, s)
	if s.domain != "" {
		clear(s.context.allowed[s.domain])
	}
	if s.binds {
		if s.point != nil {
			s.point.life.Add(1)
		}
		// Closing frees the endpoint some time later; unbinding frees it sooner. Whether it was still bound matters not.
		_ = z.unbind(s.endpoint)
	}
	var err error
	if s.watch != nil {
		err = s.watch.close(z)
	}
	if err := errors.Join(err, z.close()); err != nil {
		return fmt.Errorf("bus: closing a socket: %w", err)
	}
	return nil
}

// send sends one part, without blocking. The caller owns the socket.
func (s *socket) send(b []byte, more bool) error {
	switch err := s.zmq.send(b, more); err {
	case nil:
		return nil
	case errAgain:
		return ErrNoPeer
	default:
		return fmt.Errorf("bus: sending: %w", err)
	}
}
