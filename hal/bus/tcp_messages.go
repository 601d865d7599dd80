package bus

import (
	"context"
	"time"

	"github.com/pebbe/zmq4"
)

// tcpMessages is a messageSocket.
type tcpMessages struct {
	*tcpSocket
	buffer multipartBuffer
}

func (t *tcpTransport) newMessages(kind zmq4.Type, binds bool, endpoint string, o *settings, options ...zmqOption) (messageSocket, error) {
	s, err := t.open(kind, binds, endpoint, o, options...)
	if err != nil {
		return nil, err
	}
	return &tcpMessages{tcpSocket: s}, nil
}

func (t *tcpTransport) newRequester(endpoint string, o *settings) (messageSocket, error) {
	return t.newMessages(zmq4.DEALER, false, endpoint, o, queueSize(requestQueue), immediate)
}

func (t *tcpTransport) newResponder(endpoint string, o *settings) (messageSocket, error) {
	return t.newMessages(zmq4.ROUTER, true, endpoint, o, queueSize(requestQueue))
}

// reach returns nil: libzmq connects again by itself, and sendMessage returns ErrNoPeer until then.
func (*tcpMessages) reach() error { return nil }

// isPeerGone returns false: a peer that does not reply may still be there.
func (*tcpMessages) isPeerGone() bool { return false }

func (s *tcpMessages) sendMessage(parts [][]byte) error {
	s.reconnect()
	return sendMultipart(s.zmq, parts)
}

func (s *tcpMessages) takeMessage() ([][]byte, error) {
	s.reconnect()
	return s.buffer.receive(s.zmq)
}

func (s *tcpMessages) wait(ctx context.Context, most time.Duration) error {
	return waitMessage(ctx, &s.closing, s.zmq, most)
}

func (s *tcpMessages) close() error {
	s.buffer.free()
	return s.tcpSocket.close()
}
