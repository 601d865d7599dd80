package bus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// ErrNoReply is returned if a request was sent and no reply came in time. It is unknown whether the responder received the request.
var ErrNoReply = errors.New("bus: no reply")

const (
	// RequestTimeout is the maximum time that a request waits for its reply.
	RequestTimeout = time.Second
	// requestQueue is how many requests of one peer wait for the responder. Further ones are dropped.
	requestQueue = 4
	// connectInterval is how often a request without a peer tries again.
	connectInterval = 2 * time.Millisecond
)

// Requester sends requests to one responder, one at a time. Its messages are those of ZeroMQ's REQ socket with ZMQ_REQ_CORRELATE and
// ZMQ_REQ_RELAXED, which may be the other end of a Responder.
type Requester struct {
	*socket[messageSocket]
	id [4]byte // Of the last request, as ZMQ_REQ_CORRELATE sends it.
}

// NewRequester returns a requester that is connected to the responder at endpoint.
func (c *Context) NewRequester(endpoint string, opts ...Option) (*Requester, error) {
	s, err := open(c, false, endpoint, opts, transport.newRequester)
	if err != nil {
		return nil, err
	}
	return &Requester{socket: s}, nil
}

// Request sends frame and returns the reply, which it waits for until ctx is done and for at most RequestTimeout. It does not keep
// frame; the reply is valid until the next call. The error is [ErrNoPeer] if the request was not sent, [ErrNoReply] if it was, and
// also ctx's if ctx ended it; it is [ErrClosed] after the socket was closed.
//
// A later reply is dropped. No request is sent twice.
func (r *Requester) Request(ctx context.Context, frame []byte) ([]byte, error) {
	if err := r.acquire(); err != nil {
		return nil, err
	}
	defer r.release()
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	binary.LittleEndian.PutUint32(r.id[:], binary.LittleEndian.Uint32(r.id[:])+1)
	if err := r.sendRequest(ctx, frame); err != nil {
		return nil, err
	}
	return r.receiveReply(ctx)
}

// sendRequest sends a request as soon as there is a peer.
func (r *Requester) sendRequest(ctx context.Context, frame []byte) error {
	for {
		err := r.impl.reach()
		if err == nil {
			err = r.impl.sendMessage([][]byte{r.id[:], nil, frame})
		}
		if err != ErrNoPeer {
			return err
		}
		if err := r.impl.wait(ctx, connectInterval); err != nil {
			return requestError(ErrNoPeer, err)
		}
	}
}

// receiveReply returns the reply to the last request, and drops those to earlier ones.
func (r *Requester) receiveReply(ctx context.Context) ([]byte, error) {
	for {
		gone := r.impl.isPeerGone() // Before the queue is read: the peer may have replied before.
		parts, err := r.impl.takeMessage()
		switch {
		case err == nil && len(parts) == 3 && string(parts[0]) == string(r.id[:]) && len(parts[1]) == 0:
			return parts[2], nil
		case err == nil:
			if err := ctx.Err(); err != nil {
				return nil, requestError(ErrNoReply, err)
			}
			continue
		case err != ErrEmpty:
			return nil, err
		case gone:
			return nil, ErrNoReply
		}
		if err := r.impl.wait(ctx, pollInterval); err != nil {
			return nil, requestError(ErrNoReply, err)
		}
	}
}

// requestError is the error of a request whose wait ended with cause.
func requestError(err, cause error) error {
	if cause == ErrClosed {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// Responder answers any number of requesters. It may leave requests unanswered.
type Responder struct {
	*socket[messageSocket]
	envelope [][]byte // The route to the sender of the last request; nil after the reply.
}

// NewResponder returns a responder that is bound to endpoint.
func (c *Context) NewResponder(endpoint string, opts ...Option) (*Responder, error) {
	s, err := open(c, true, endpoint, opts, transport.newResponder)
	if err != nil {
		return nil, err
	}
	return &Responder{socket: s}, nil
}

// Receive returns the next request, and waits for it until ctx is done. The error is then ctx's; it is [ErrClosed] after the socket
// was closed, and [ErrMultipart] for a message that is not a request of one part. The request is valid until the next call.
func (r *Responder) Receive(ctx context.Context) ([]byte, error) {
	if err := r.acquire(); err != nil {
		return nil, err
	}
	defer r.release()
	r.envelope = nil
	parts, err := r.impl.takeMessage()
	for ; err == ErrEmpty; parts, err = r.impl.takeMessage() {
		if err := r.impl.wait(ctx, pollInterval); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	var request []byte
	r.envelope, request, err = splitRequest(parts)
	return request, err
}

// splitRequest splits the parts of a message into the envelope and the request. The envelope has the name that the ROUTER socket gave
// to the sender, parts that the sender expects in the reply, and an empty part. A message that is too long is incomplete.
func splitRequest(parts [][]byte) (envelope [][]byte, request []byte, err error) {
	last := len(parts) - 1
	if len(parts) == MaxParts || last < 2 || len(parts[last-1]) != 0 {
		return nil, nil, ErrMultipart
	}
	for _, part := range parts[1 : last-1] {
		if len(part) == 0 {
			return nil, nil, ErrMultipart
		}
	}
	return parts[:last], parts[last], nil
}

// Reply answers the last request. It does not block and does not keep frame. A reply to a requester that has left, or does not read,
// is dropped. Without an unanswered request it is an error.
func (r *Responder) Reply(frame []byte) error {
	if err := r.acquire(); err != nil {
		return err
	}
	defer r.release()
	if r.envelope == nil {
		return errors.New("bus: no request to reply to")
	}
	reply := append(r.envelope, frame)
	r.envelope = nil
	return r.impl.sendMessage(reply)
}
