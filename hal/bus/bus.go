// Package bus carries frames between the two sides of the hardware abstraction layer over ZeroMQ, as mailboxes: a reader finds the
// newest frame or none, never a queue of old ones. This is so in both directions and on both transports, which the scheme of the
// endpoint selects:
//
//	inproc://NAME    within a process: frames stay in memory that both sides share, and ZeroMQ carries a reference
//	tcp://HOST:PORT  between processes and machines: one ZeroMQ message of one part, sent with ZMQ_CONFLATE
//
// A frame that was written into the memory of [Publisher.Acquire] is not copied, and nothing is allocated once there is memory as large as
// the frames: over inproc readers share it, over TCP ZeroMQ sends from it. Over TCP, a goroutine receives each frame at once and keeps the
// newest of each peer, and the buffers of the operating system are small, so that old frames do not queue up. Readers do not set
// ZMQ_CONFLATE: it does not support multipart messages, which any peer may send. A peer that is silent for some seconds is disconnected,
// and a client connects again. On both transports no send blocks, and linger is 0, so that closing is quick in any state.
//
// [MultipartPublisher] and the other multipart sockets, over TCP only, are for peers of the predecessor. They are queues of one
// message, because ZeroMQ cannot conflate multipart messages: a message in a full queue is old, and a new one is dropped.
//
// [Requester] and [Responder] carry requests, which need an answer.
//
// # Ownership
//
// Two goroutines must not use a ZeroMQ socket at once. A socket of this package may be handed from one goroutine to another, but a
// call during another call returns [ErrBusy]; it is neither queued nor run. Close is the exception: it may be called at any time from
// any goroutine, ends a Receive in progress with [ErrClosed] and returns within 100 ms.
//
// # Limits
//
// An inproc endpoint must be bound (publisher, receiver, responder) before a peer connects to it for the first time (subscriber,
// sender, requester); earlier attempts return [ErrNotBound]. Later the bound side may close and bind again, and its peers follow.
//
// Over TCP, a frame that is written while ZeroMQ takes the previous one may be dropped: the next frame replaces it, or it is sent
// again 60 ms later. Two equal frames in a row count as one. So a mailbox suits a stream.
//
// The package moves bytes and must never look into them: it must not import hal/wire, servers, clients or inference.
package bus

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pebbe/zmq4"

	"krabby.dev/krabby/hal/bus/internal/ring"
)

var (
	// ErrEmpty is returned if the mailbox has no new frame.
	ErrEmpty = errors.New("bus: no new frame")
	// ErrNoPeer is returned if a frame could not be sent because no peer is connected.
	ErrNoPeer = errors.New("bus: no peer")
	// ErrNotBound is returned on connecting to an inproc endpoint that is not bound.
	ErrNotBound = errors.New("bus: inproc endpoint not bound")
	// ErrBusy is returned if another goroutine is using the socket.
	ErrBusy = errors.New("bus: socket in use by another goroutine")
	// ErrClosed is returned after the socket or its context was closed.
	ErrClosed = errors.New("bus: closed")
	// ErrPinned is returned if a frame was dropped because readers hold every slot.
	ErrPinned = errors.New("bus: readers hold every slot")
	// ErrMultipart is returned once for a dropped message that did not have one part.
	ErrMultipart = errors.New("bus: found a multipart message, expected one part")
)

const (
	inprocScheme, tcpScheme = "inproc://", "tcp://"

	// pollInterval limits how long a receive stays inside libzmq, and so how late it notices that its socket is closed.
	pollInterval = 10 * time.Millisecond

	defaultReaders, defaultMaxFrameBytes = 4, 64 << 20
	// spareSlots are the slots of a ring beside those that readers hold: one for the newest frame and one for the next.
	spareSlots = 2
)

// Option configures a socket.
type Option func(*settings)

type settings struct {
	security      Security
	readers       int
	maxFrameBytes int
}

// WithSecurity sets how the endpoint is secured. Without it, an endpoint that other machines can reach is an error.
func WithSecurity(s Security) Option { return func(o *settings) { o.security = s } }

// WithReaders sets how many frames readers of a publisher over inproc may hold at once without a frame being dropped; the default is
// 4. The publisher has memory for two more frames.
func WithReaders(n int) Option { return func(o *settings) { o.readers = n } }

// WithMaxFrameBytes sets the maximum size of a frame, or of a part, that a reader over TCP accepts; the default is 64 MiB. The sender
// of a larger one is disconnected before the frame is read, and counted; see [Connections].
func WithMaxFrameBytes(n int) Option { return func(o *settings) { o.maxFrameBytes = n } }

// newSettings returns the settings of a socket that binds or connects to endpoint. The error names an invalid one.
func newSettings(endpoint string, binds bool, opts []Option) (*settings, error) {
	o := &settings{readers: defaultReaders, maxFrameBytes: defaultMaxFrameBytes}
	for _, opt := range opts {
		opt(o)
	}
	if most := ring.MaxSlots - spareSlots; o.readers < 1 || o.readers > most {
		return nil, fmt.Errorf("found %d readers, expected 1 to %d", o.readers, most)
	}
	return o, o.security.Check(endpoint, binds)
}

// Context owns the sockets that can reach each other by inproc endpoints. It is safe for concurrent use.
type Context struct {
	zmq    *zmq4.Context
	inproc *inprocTransport
	tcp    *tcpTransport

	mu     sync.Mutex // Guards the rest.
	open   map[contextSocket]struct{}
	closed bool
}

// contextSocket is any socket of a context.
type contextSocket interface {
	io.Closer
	interrupt()
}

// NewContext returns a context without sockets. It must be closed.
func NewContext() (*Context, error) {
	z, err := zmq4.NewContext()
	if err != nil {
		return nil, fmt.Errorf("bus: creating a ZeroMQ context: %w", err)
	}
	return &Context{zmq: z, inproc: newInprocTransport(z), tcp: newTCPTransport(z), open: map[contextSocket]struct{}{}}, nil
}

// transport returns the transport of an endpoint.
func (c *Context) transport(endpoint string) transport {
	if strings.HasPrefix(endpoint, inprocScheme) {
		return c.inproc
	}
	return c.tcp
}

// Close closes the context and all of its sockets, within 100 ms. Further calls do nothing.
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
		s.interrupt() // All at once, so that the calls in progress end at the same time.
	}
	var errs []error
	for _, s := range sockets {
		errs = append(errs, s.Close())
	}
	errs = append(errs, c.tcp.close())
	if err := c.zmq.Term(); err != nil {
		errs = append(errs, fmt.Errorf("bus: ending the ZeroMQ context: %w", err))
	}
	return errors.Join(errs...)
}
