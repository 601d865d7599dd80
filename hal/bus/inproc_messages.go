package bus

import (
	"context"
	"time"

	"github.com/pebbe/zmq4"
)

// inprocMessages is a messageSocket.
type inprocMessages struct {
	*inprocSocket
	buffer multipartBuffer
}

func (t *inprocTransport) newMessages(kind zmq4.Type, binds bool, endpoint string, options ...zmqOption) (messageSocket, error) {
	s, err := t.open(kind, binds, endpoint, func(*inprocEndpoint) {}, append(options, queueSize(requestQueue))...)
	if err != nil {
		return nil, err
	}
	return &inprocMessages{inprocSocket: s}, nil
}

func (t *inprocTransport) newRequester(endpoint string, _ *settings) (messageSocket, error) {
	return t.newMessages(zmq4.DEALER, false, endpoint, immediate)
}

func (t *inprocTransport) newResponder(endpoint string, _ *settings) (messageSocket, error) {
	return t.newMessages(zmq4.ROUTER, true, endpoint)
}

func (s *inprocMessages) reach() error {
	bound, err := s.follow()
	if err == nil && !bound {
		return ErrNoPeer
	}
	return err
}

func (s *inprocMessages) isPeerGone() bool { return s.shared.generation.Load() != s.generation }

func (s *inprocMessages) sendMessage(parts [][]byte) error { return sendMultipart(s.zmq, parts) }

func (s *inprocMessages) takeMessage() ([][]byte, error) { return s.buffer.receive(s.zmq) }

func (s *inprocMessages) wait(ctx context.Context, most time.Duration) error {
	return waitMessage(ctx, &s.closing, s.zmq, most)
}

func (s *inprocMessages) close() error {
	s.buffer.free()
	return s.inprocSocket.close()
}
