package bus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Sockets for questions that are answered, one at a time. They are no mailboxes: a request is answered once or not at all,
// and what waits is little. On the wire they are what ZeroMQ's REQ with ZMQ_REQ_CORRELATE and ZMQ_REQ_RELAXED sends, so
// that such a socket may be the other end of a Responder.

// ErrNoReply says that a request was sent and no reply came in time. Whether it was received is not known.
var ErrNoReply = errors.New("bus: no reply")

const (
	// RequestTimeout is how long a request waits for its reply at most, whatever its context says.
	RequestTimeout = time.Second
	// requestQueue is how many requests of one peer wait for a responder. Those that it is too slow for are dropped.
	requestQueue = 4
	// connectEvery is how often a request looks whether there is a peer by now.
	connectEvery = 2 * time.Millisecond
)

// Requester asks one responder.
type Requester struct {
	parts partsReader
	id    [4]byte // Of the last request, as ZMQ_REQ_CORRELATE has it.
}

// NewRequester returns a requester that is connected to the responder at endpoint.
func (c *Context) NewRequester(endpoint string, opts ...Option) (*Requester, error) {
	s, err := c.newSocket(dealer, false, endpoint, append(highWater(requestQueue), onlyConnected()), opts, nil)
	if err != nil {
		return nil, err
	}
	return &Requester{parts: partsReader{socket: s}}, nil
}

// Request sends frame and returns the reply to it, waiting for it until ctx is done and for at most RequestTimeout. It does
// not keep frame; the reply holds until the next call. The error is [ErrNoPeer] where there was nobody to send it to,
// [ErrNoReply] where there was, and ctx's too where ctx ended it; it is [ErrClosed] once the socket is closed.
//
// A reply that comes later is dropped. Nothing is sent twice.
func (r *Requester) Request(ctx context.Context, frame []byte) ([]byte, error) {
	s := r.parts.socket
	if err := s.acquire(); err != nil {
		return nil, err
	}
	defer s.release()
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	binary.LittleEndian.PutUint32(r.id[:], binary.LittleEndian.Uint32(r.id[:])+1)
	for {
		if err := r.bound(); err != nil && err != ErrNoPeer {
			return nil, err
		} else if err == nil {
			s.zmq.settle()
			if err := s.sendParts([][]byte{r.id[:], nil, frame}); err == nil {
				break
			} else if err != ErrNoPeer {
				return nil, err
			}
		}
		if err := s.pause(ctx, connectEvery); err != nil {
			return nil, ended(ErrNoPeer, err)
		}
	}
	for {
		gone := s.point != nil && s.point.life.Load() != s.life // Who closed does not answer any more.
		parts, err := r.parts.take()
		switch {
		case err == nil && len(parts) == 3 && string(parts[0]) == string(r.id[:]) && len(parts[1]) == 0:
			return parts[2], nil
		case err == nil: // It answers an earlier request, or is none.
			if err := ctx.Err(); err != nil {
				return nil, ended(ErrNoReply, err)
			}
			continue
		case err != ErrEmpty:
			return nil, err
		case gone:
			return nil, ErrNoReply
		}
		if err := s.pause(ctx, slice); err != nil {
			return nil, ended(ErrNoReply, err)
		}
	}
}

// ended is the error of a request that ended before its reply came.
func ended(what, why error) error {
	if why == ErrClosed {
		return why
	}
	return fmt.Errorf("%w: %w", what, why)
}

// bound follows an inproc endpoint that was bound again. The error is ErrNoPeer while nobody has bound it.
func (r *Requester) bound() error {
	s := r.parts.socket
	if s.point == nil {
		return nil
	}
	if bound, err := s.follow(); err != nil || bound {
		return err
	}
	return ErrNoPeer
}

// pause waits until there may be a message to receive, for at most so long. Unlike wait, it takes nothing. The caller owns
// the socket.
func (s *socket) pause(ctx context.Context, most time.Duration) error {
	if s.closing.Load() {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		most = min(most, time.Until(deadline))
	}
	if err := s.zmq.wait(most); err != nil {
		return fmt.Errorf("bus: waiting for a message: %w", err)
	}
	return nil
}

// Endpoint returns where the requester is connected.
func (r *Requester) Endpoint() string { return r.parts.Endpoint() }

// Close closes the socket within 100 ms. Further calls do nothing.
func (r *Requester) Close() error { return r.parts.Close() }

// Responder answers any number of requesters. It need not answer every request.
type Responder struct {
	parts    partsReader
	envelope [][]byte // Who sent the request that was received last; nil once it was answered.
}

// NewResponder returns a responder that is bound to endpoint.
func (c *Context) NewResponder(endpoint string, opts ...Option) (*Responder, error) {
	s, err := c.newSocket(router, true, endpoint, highWater(requestQueue), opts, nil)
	if err != nil {
		return nil, err
	}
	return &Responder{parts: partsReader{socket: s}}, nil
}

// Receive returns the next request, waiting for it until ctx is done. The error is then ctx's; it is [ErrClosed] once the
// socket is closed, and [ErrParts] for a message that is no request of one part. The request holds until the next call.
func (r *Responder) Receive(ctx context.Context) ([]byte, error) {
	s := r.parts.socket
	if err := s.acquire(); err != nil {
		return nil, err
	}
	defer s.release()
	r.envelope = nil
	parts, err := r.parts.take()
	for ; err == ErrEmpty; parts, err = r.parts.take() {
		if err := s.pause(ctx, slice); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	// Who sent it, what the sender wants back, a part of nothing, and the request. Of one that is too long not all is here.
	last := len(parts) - 1
	if len(parts) == MaxParts || last < 2 || len(parts[last-1]) != 0 {
		return nil, ErrParts
	}
	for _, part := range parts[1 : last-1] {
		if len(part) == 0 {
			return nil, ErrParts
		}
	}
	r.envelope = parts[:last]
	return parts[last], nil
}

// Reply answers the request that was received last. It does not block and does not keep frame. To a requester that is gone,
// or does not read, the reply is dropped. Who has received no request, or answered it, gets an error.
func (r *Responder) Reply(frame []byte) error {
	s := r.parts.socket
	if err := s.acquire(); err != nil {
		return err
	}
	defer s.release()
	if r.envelope == nil {
		return errors.New("bus: found no request to reply to")
	}
	reply := append(r.envelope, frame)
	// ZeroMQ looks only now and then whether a requester took what it was sent before, and drops what seems too much for it;
	// this makes it look now.
	s.zmq.settle()
	r.envelope = nil
	return s.sendParts(reply)
}

// Endpoint returns where the responder is bound; for a port of 0 it has the one that the system chose.
func (r *Responder) Endpoint() string { return r.parts.Endpoint() }

// Connections returns what was counted of connections so far. It may be called at any time from any goroutine.
func (r *Responder) Connections() Connections { return r.parts.Connections() }

// Close closes the socket within 100 ms. Further calls do nothing.
func (r *Responder) Close() error { return r.parts.Close() }
