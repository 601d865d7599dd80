package bus

import (
	"errors"
	"syscall"
	"time"

	"github.com/pebbe/zmq4"
)

// zmqSocket is a ZeroMQ socket and what waits for its messages. Sending, receiving and waiting allocate nothing.
type zmqSocket struct {
	*zmq4.Socket
	poller *zmq4.Poller
}

func newZMQSocket(c *zmq4.Context, t zmq4.Type) (*zmqSocket, error) {
	s, err := c.NewSocket(t)
	if err != nil {
		return nil, err
	}
	poller := zmq4.NewPoller()
	poller.Add(s, zmq4.POLLIN)
	return &zmqSocket{s, poller}, nil
}

// errAgain is the error of a call that does not block, if there is no message to receive or no peer to send to.
var errAgain error = zmq4.Errno(syscall.EAGAIN)

// poll waits for a message, for at least a millisecond and at most timeout, and may return earlier.
func (s *zmqSocket) poll(timeout time.Duration) error {
	_, err := s.poller.Wait(max(timeout, time.Millisecond)) // It does not wait for less.
	return err
}

// receive sets m to the next part, without blocking.
func (s *zmqSocket) receive(m *zmq4.Msg) error {
	_, err := s.RecvMsg(m, zmq4.DONTWAIT)
	return err
}

// send sends a copy of one part, without blocking. more says that the message has another part.
func (s *zmqSocket) send(part []byte, more bool) error {
	flags := zmq4.DONTWAIT
	if more {
		flags |= zmq4.SNDMORE
	}
	_, err := s.SendBytes(part, flags)
	return err
}

// sendShared sends the part of m, which m keeps: both share the memory. scratch is for the use of this call. It does not block.
func (s *zmqSocket) sendShared(m, scratch *zmq4.Msg) error {
	if err := scratch.Copy(m); err != nil {
		return err
	}
	_, err := s.SendMsg(scratch, zmq4.DONTWAIT)
	return err
}

// processEvents updates the socket's state: libzmq looks for new and closed connections only now and then while it sends.
func (s *zmqSocket) processEvents() { _, _ = s.GetEvents() }

// zmqOption sets an option of a socket. Most take effect only for later calls of Bind and Connect.
type zmqOption func(*zmqSocket) error

func (s *zmqSocket) set(options ...zmqOption) error {
	var errs []error
	for _, option := range options {
		errs = append(errs, option(s))
	}
	return errors.Join(errs...)
}

// conflate keeps only the newest message, which must have one part.
func conflate(s *zmqSocket) error { return s.SetConflate(true) }

// immediate sends to complete connections only.
func immediate(s *zmqSocket) error { return s.SetImmediate(true) }

// noLinger drops unsent messages on Close.
func noLinger(s *zmqSocket) error { return s.SetLinger(0) }

// subscribe subscribes to messages that begin with topic.
func subscribe(topic string) zmqOption {
	return func(s *zmqSocket) error { return s.SetSubscribe(topic) }
}

// queueSize limits the messages that wait for each peer, and those of each peer that wait for the reader.
func queueSize(messages int) zmqOption {
	return func(s *zmqSocket) error { return errors.Join(s.SetSndhwm(messages), s.SetRcvhwm(messages)) }
}
