package bus

import (
	"context"
	"fmt"
	"strings"
)

// Sockets for messages of several parts, which the predecessor speaks, over TCP alone. They differ from mailboxes: ZeroMQ
// keeps a queue for each peer, and what finds it full is dropped.

const (
	// MaxParts is how many parts of a message are returned; what has more has one more than any message of the
	// predecessor.
	MaxParts = 9
	// partsQueue is how many messages wait for a reader.
	partsQueue = 1
)

// newPartsSocket refuses inproc: nobody of the predecessor's is in this process, and such sockets would neither be told that
// an endpoint is not bound yet nor follow one that is bound again.
func (c *Context) newPartsSocket(k kind, binds bool, endpoint string, extra []option, opts []Option) (*socket, error) {
	if strings.HasPrefix(endpoint, inproc) {
		return nil, fmt.Errorf("bus: found endpoint %q for messages of several parts, expected tcp://HOST:PORT", endpoint)
	}
	return c.newSocket(k, binds, endpoint, extra, opts, nil)
}

// PartsPublisher offers messages to any number of subscribers.
type PartsPublisher struct{ *socket }

// NewPartsPublisher returns a publisher that is bound to endpoint.
func (c *Context) NewPartsPublisher(endpoint string, opts ...Option) (*PartsPublisher, error) {
	s, err := c.newPartsSocket(pub, true, endpoint, highWater(partsQueue), opts)
	if err != nil {
		return nil, err
	}
	return &PartsPublisher{s}, nil
}

// Publish offers a message, and drops it for each subscriber that still has one to read. It does not block and does not
// keep parts.
func (p *PartsPublisher) Publish(parts [][]byte) error {
	if err := p.acquire(); err != nil {
		return err
	}
	defer p.release()
	p.zmq.settle()
	return p.sendParts(parts)
}

func (s *socket) sendParts(parts [][]byte) error {
	s.rejoin(s.zmq)
	for i, part := range parts {
		if err := s.send(part, i < len(parts)-1); err != nil {
			return err
		}
	}
	return nil
}

// PartsSender sends messages to one receiver.
type PartsSender struct{ *socket }

// NewPartsSender returns a sender that is connected to the receiver at endpoint.
func (c *Context) NewPartsSender(endpoint string, opts ...Option) (*PartsSender, error) {
	s, err := c.newPartsSocket(push, false, endpoint, append(highWater(partsQueue), onlyConnected()), opts)
	if err != nil {
		return nil, err
	}
	return &PartsSender{s}, nil
}

// Send sends a message. It does not block and does not keep parts. The error is [ErrNoPeer] where there is no receiver,
// or its queue is full.
func (s *PartsSender) Send(parts [][]byte) error {
	if err := s.acquire(); err != nil {
		return err
	}
	defer s.release()
	return s.sendParts(parts)
}

// PartsSubscriber reads a publisher's messages.
type PartsSubscriber struct{ partsReader }

// NewPartsSubscriber returns a subscriber that is connected to the publisher at endpoint, and gets messages whose first
// part begins with topic.
func (c *Context) NewPartsSubscriber(endpoint, topic string, opts ...Option) (*PartsSubscriber, error) {
	s, err := c.newPartsSocket(sub, false, endpoint, append(highWater(partsQueue), subscribe(topic)), opts)
	if err != nil {
		return nil, err
	}
	return &PartsSubscriber{partsReader{socket: s}}, nil
}

// PartsReceiver reads senders' messages.
type PartsReceiver struct{ partsReader }

// NewPartsReceiver returns a receiver that is bound to endpoint.
func (c *Context) NewPartsReceiver(endpoint string, opts ...Option) (*PartsReceiver, error) {
	s, err := c.newPartsSocket(pull, true, endpoint, highWater(partsQueue), opts)
	if err != nil {
		return nil, err
	}
	return &PartsReceiver{partsReader{socket: s}}, nil
}

type partsReader struct {
	*socket
	messages [MaxParts]zmqMessage
	parts    [MaxParts][]byte
}

// TryReceive returns the parts of the next message, of which it has at most MaxParts, or [ErrEmpty]. It does not block. They
// hold until the next call.
func (r *partsReader) TryReceive() ([][]byte, error) {
	if err := r.acquire(); err != nil {
		return nil, err
	}
	defer r.release()
	return r.take()
}

func (r *partsReader) take() ([][]byte, error) {
	r.rejoin(r.zmq)
	n := 0
	for {
		// What is too much goes into the last.
		at := min(n, MaxParts-1)
		// The parts of a message arrive together, so only the first can be missing.
		if err := receiveError(r.zmq.receive(&r.messages[at])); err != nil {
			if n > 0 {
				err = fmt.Errorf("bus: receiving part %d: %w", n, err)
			}
			return nil, err
		}
		r.parts[at] = r.messages[at].bytes()
		n++
		if !r.zmq.more() {
			return r.parts[:min(n, MaxParts)], nil
		}
	}
}

// Receive returns the parts of the next message, waiting for it until ctx is done. The error is then ctx's; it is
// [ErrClosed] once the socket is closed. The parts hold until the next call.
func (r *partsReader) Receive(ctx context.Context) ([][]byte, error) {
	if err := r.acquire(); err != nil {
		return nil, err
	}
	defer r.release()
	for {
		if parts, err := r.take(); err != ErrEmpty {
			return parts, err
		}
		if err := r.pause(ctx, slice); err != nil {
			return nil, err
		}
	}
}

// Close closes the socket within 100 ms. Further calls do nothing.
func (r *partsReader) Close() error {
	err := r.socket.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.messages {
		r.messages[i].close()
	}
	return err
}
