package bus

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pebbe/zmq4"
)

// monitor is a goroutine that receives the events of a socket's connections from libzmq. It counts them, and it detects that libzmq has
// given up: libzmq does not connect again after the peer broke the protocol, sent too large a frame or rejected the key. But a later
// server at the endpoint may be a good one.
type monitor struct {
	pair     *zmqSocket
	connects bool // The socket connects.
	ended    atomic.Bool
	done     chan struct{}

	opened, closed, oversize, key, protocol atomic.Uint64
	// lost is set once libzmq has given up. The socket's user connects again, and clears it.
	lost atomic.Bool
}

// lostAfter is how long after the end of a connection libzmq must have begun to connect again; it does so at once.
const lostAfter = maxReconnectInterval

// monitorEvents are those that a monitor receives.
const monitorEvents = zmq4.EVENT_ACCEPTED | zmq4.EVENT_CONNECTED | zmq4.EVENT_CONNECT_RETRIED | zmq4.EVENT_DISCONNECTED | zmq4.EVENT_MONITOR_STOPPED |
	zmq4.EVENT_HANDSHAKE_FAILED_AUTH | zmq4.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq4.EVENT_HANDSHAKE_FAILED_NO_DETAIL

// Violations of the protocol, from zmq.h (ZMQ_PROTOCOL_ERROR_ZMTP_...); zmq4 has no names for them.
const (
	keyExchange       = 0x10000003
	cryptographic     = 0x11000001
	mechanismMismatch = 0x11000002
	messageSize       = 0x1000f001 // Only the libzmq of this repository reports it.
)

// startMonitor monitors s, which is not bound or connected yet. number is unique in the context.
func startMonitor(c *zmq4.Context, s *zmqSocket, number int, connects bool) (*monitor, error) {
	endpoint := fmt.Sprintf("%sbus.monitor.%d", inprocScheme, number)
	if err := s.Monitor(endpoint, monitorEvents); err != nil {
		return nil, fmt.Errorf("monitoring connections: %w", err)
	}
	pair, err := newZMQSocket(c, zmq4.PAIR)
	if err != nil {
		return nil, fmt.Errorf("monitoring connections: %w", err)
	}
	if err := errors.Join(pair.set(noLinger), pair.Connect(endpoint)); err != nil {
		return nil, errors.Join(fmt.Errorf("monitoring connections: %w", err), pair.Close())
	}
	m := &monitor{pair: pair, connects: connects, done: make(chan struct{})}
	go m.run()
	return m, nil
}

// run receives events at once: libzmq's own thread waits for it.
func (m *monitor) run() {
	defer close(m.done)
	var endedAt time.Time // Zero unless a connection ended and libzmq has not begun to connect again.
	for !m.ended.Load() {
		ready, err := m.pair.poller.Wait(pollInterval)
		if err != nil {
			return
		}
		for ready > 0 { // RecvEvent allocates even if there is no event.
			event, _, value, err := m.pair.RecvEvent(zmq4.DONTWAIT)
			if err != nil {
				break
			}
			switch event {
			case zmq4.EVENT_MONITOR_STOPPED:
				return
			case zmq4.EVENT_DISCONNECTED:
				if m.connects {
					endedAt = time.Now()
				}
			case zmq4.EVENT_CONNECT_RETRIED, zmq4.EVENT_CONNECTED:
				endedAt = time.Time{}
			}
			if n := m.counter(event, value); n != nil {
				n.Add(1)
			}
		}
		if !endedAt.IsZero() && time.Since(endedAt) >= lostAfter {
			endedAt = time.Time{}
			m.lost.Store(true)
		}
	}
}

// counter returns the counter of an event, or nil. value is the violation of a failed protocol.
func (m *monitor) counter(event zmq4.Event, value int) *atomic.Uint64 {
	switch event {
	case zmq4.EVENT_ACCEPTED, zmq4.EVENT_CONNECTED:
		return &m.opened
	case zmq4.EVENT_DISCONNECTED:
		return &m.closed
	case zmq4.EVENT_HANDSHAKE_FAILED_AUTH:
		return &m.key
	case zmq4.EVENT_HANDSHAKE_FAILED_PROTOCOL: // During the handshake or later.
		switch value {
		case messageSize:
			return &m.oversize
		case cryptographic, keyExchange, mechanismMismatch:
			return &m.key
		}
		return &m.protocol
	case zmq4.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
		return &m.protocol
	}
	return nil
}

func (m *monitor) connections() Connections {
	return Connections{m.opened.Load(), m.closed.Load(), m.oversize.Load(), m.key.Load(), m.protocol.Load()}
}

// close ends the monitor of s, which must not be closed yet.
func (m *monitor) close(s *zmqSocket) error {
	if err := s.Monitor("", 0); err != nil {
		return fmt.Errorf("ending the monitor of connections: %w", err)
	}
	m.ended.Store(true) // libzmq sends MonitorStopped, but sometimes it gets lost.
	<-m.done
	return m.pair.Close()
}
