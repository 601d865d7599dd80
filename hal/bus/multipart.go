package bus

import (
	"context"
	"fmt"
	"strings"

	"github.com/pebbe/zmq4"
)

const (
	// MaxParts is the maximum number of returned parts of a message: one more than any message of the predecessor has.
	MaxParts = 9
	// multipartQueue is how many messages wait for a reader.
	multipartQueue = 1
)

// sendMultipart sends a message, without blocking.
func sendMultipart(z *zmqSocket, parts [][]byte) error {
	// So that a peer that has just connected, or has read, gets the message.
	z.processEvents()
	for i, part := range parts {
		if err := sendError(z.send(part, i < len(parts)-1)); err != nil {
			return err
		}
	}
	return nil
}

// multipartBuffer has the parts of a received message.
type multipartBuffer struct {
	messages [MaxParts]zmq4.Msg
	parts    [MaxParts][]byte
}

// receive returns at most MaxParts parts of the next message, or ErrEmpty, without blocking.
func (b *multipartBuffer) receive(z *zmqSocket) ([][]byte, error) {
	n := 0
	for {
		at := min(n, MaxParts-1) // Further parts replace the last one.
		// The parts of a message arrive together, so only the first one may be missing.
		if err := receiveError(z.receive(&b.messages[at])); err != nil {
			if n > 0 {
				err = fmt.Errorf("bus: receiving part %d: %w", n, err)
			}
			return nil, err
		}
		b.parts[at] = b.messages[at].Bytes()
		n++
		if !b.messages[at].More() {
			return b.parts[:min(n, MaxParts)], nil
		}
	}
}

func (b *multipartBuffer) free() {
	for i := range b.messages {
		b.messages[i].Close()
	}
}

// openMultipart opens a socket for multipart messages over TCP: the predecessor's peers are other processes.
func openMultipart(c *Context, kind zmq4.Type, binds bool, endpoint string, opts []Option, options ...zmqOption) (*socket[messageSocket], error) {
	if strings.HasPrefix(endpoint, inprocScheme) {
		return nil, fmt.Errorf("bus: found endpoint %q for multipart messages, expected tcp://HOST:PORT", endpoint)
	}
	return open(c, binds, endpoint, opts, func(_ transport, endpoint string, o *settings) (messageSocket, error) {
		return c.tcp.newMessages(kind, binds, endpoint, o, append(options, queueSize(multipartQueue))...)
	})
}

// MultipartPublisher offers messages to any number of subscribers.
type MultipartPublisher struct{ multipartWriter }

// NewMultipartPublisher returns a publisher that is bound to endpoint.
func (c *Context) NewMultipartPublisher(endpoint string, opts ...Option) (*MultipartPublisher, error) {
	s, err := openMultipart(c, zmq4.PUB, true, endpoint, opts)
	if err != nil {
		return nil, err
	}
	return &MultipartPublisher{multipartWriter{s}}, nil
}

// Publish offers a message, and drops it for each subscriber that has not read the one before. It does not block and does not keep
// parts.
func (p *MultipartPublisher) Publish(parts [][]byte) error { return p.send(parts) }

// MultipartSender sends messages to one receiver.
type MultipartSender struct{ multipartWriter }

// NewMultipartSender returns a sender that is connected to the receiver at endpoint.
func (c *Context) NewMultipartSender(endpoint string, opts ...Option) (*MultipartSender, error) {
	s, err := openMultipart(c, zmq4.PUSH, false, endpoint, opts, immediate)
	if err != nil {
		return nil, err
	}
	return &MultipartSender{multipartWriter{s}}, nil
}

// Send sends a message. It does not block and does not keep parts. The error is [ErrNoPeer] if there is no receiver, or its queue is
// full.
func (s *MultipartSender) Send(parts [][]byte) error { return s.send(parts) }

type multipartWriter struct{ *socket[messageSocket] }

func (w multipartWriter) send(parts [][]byte) error {
	if err := w.acquire(); err != nil {
		return err
	}
	defer w.release()
	return w.impl.sendMessage(parts)
}

// MultipartSubscriber reads a publisher's messages.
type MultipartSubscriber struct{ multipartReader }

// NewMultipartSubscriber returns a subscriber that is connected to the publisher at endpoint. It receives messages whose first part
// begins with topic.
func (c *Context) NewMultipartSubscriber(endpoint, topic string, opts ...Option) (*MultipartSubscriber, error) {
	s, err := openMultipart(c, zmq4.SUB, false, endpoint, opts, subscribe(topic))
	if err != nil {
		return nil, err
	}
	return &MultipartSubscriber{multipartReader{s}}, nil
}

// MultipartReceiver reads senders' messages.
type MultipartReceiver struct{ multipartReader }

// NewMultipartReceiver returns a receiver that is bound to endpoint.
func (c *Context) NewMultipartReceiver(endpoint string, opts ...Option) (*MultipartReceiver, error) {
	s, err := openMultipart(c, zmq4.PULL, true, endpoint, opts)
	if err != nil {
		return nil, err
	}
	return &MultipartReceiver{multipartReader{s}}, nil
}

type multipartReader struct{ *socket[messageSocket] }

// TryReceive returns the parts of the next message, at most MaxParts, or [ErrEmpty]. They are valid until the next call. It does not
// block.
func (r multipartReader) TryReceive() ([][]byte, error) {
	if err := r.acquire(); err != nil {
		return nil, err
	}
	defer r.release()
	return r.impl.takeMessage()
}

// Receive returns the parts of the next message, at most MaxParts, and waits for it until ctx is done. The error is then ctx's; it is
// [ErrClosed] after the socket was closed. The parts are valid until the next call.
func (r multipartReader) Receive(ctx context.Context) ([][]byte, error) {
	if err := r.acquire(); err != nil {
		return nil, err
	}
	defer r.release()
	for {
		if parts, err := r.impl.takeMessage(); err != ErrEmpty {
			return parts, err
		}
		if err := r.impl.wait(ctx, pollInterval); err != nil {
			return nil, err
		}
	}
}
