package bus

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"krabby.dev/krabby/hal/bus/internal/zmq"
)

// monitor is a goroutine that receives the events of a socket's connections from libzmq. It counts them, and it detects that libzmq has
// given up: libzmq does not connect again after the peer broke the protocol, sent too large a frame or rejected the key. But a later
// server at the endpoint may be a good one.
type monitor struct {
	pair     *zmq.Socket
	connects bool // The socket connects.
	ended    atomic.Bool
	done     chan struct{}

	opened, closed, oversize, key, protocol atomic.Uint64
	// lost is set once libzmq has given up. The socket's user connects again, and clears it.
	lost atomic.Bool
}

// lostAfter is how long after the end of a connection libzmq must have begun to connect again; it does so at once.
const lostAfter = maxReconnectInterval

// startMonitor monitors s, which is not bound or connected yet. number is unique in the context.
func startMonitor(c zmq.Context, s *zmq.Socket, number int, connects bool) (*monitor, error) {
	endpoint := fmt.Sprintf("%sbus.monitor.%d", inprocScheme, number)
	if err := s.Monitor(endpoint); err != nil {
		return nil, fmt.Errorf("monitoring connections: %w", err)
	}
	pair, err := c.Socket(zmq.Pair)
	if err != nil {
		return nil, fmt.Errorf("monitoring connections: %w", err)
	}
	if err := errors.Join(pair.Set(zmq.Linger(0)), pair.Connect(endpoint)); err != nil {
		return nil, errors.Join(fmt.Errorf("monitoring connections: %w", err), pair.Close())
	}
	m := &monitor{pair: pair, connects: connects, done: make(chan struct{})}
	go m.run()
	return m, nil
}

// run receives events at once: libzmq's own thread waits for it.
func (m *monitor) run() {
	defer close(m.done)
	var scratch zmq.Message
	defer scratch.Close()
	var endedAt time.Time // Zero unless a connection ended and libzmq has not begun to connect again.
	for !m.ended.Load() {
		if m.pair.Poll(pollInterval) != nil {
			return
		}
		for {
			e, err := m.pair.ReceiveEvent(&scratch)
			if err != nil {
				break
			}
			switch e.Kind {
			case zmq.MonitorStopped:
				return
			case zmq.Disconnected:
				if m.connects {
					endedAt = time.Now()
				}
			case zmq.ConnectRetried, zmq.Connected:
				endedAt = time.Time{}
			}
			if n := m.counter(e); n != nil {
				n.Add(1)
			}
		}
		if !endedAt.IsZero() && time.Since(endedAt) >= lostAfter {
			endedAt = time.Time{}
			m.lost.Store(true)
		}
	}
}

// counter returns the counter of an event, or nil.
func (m *monitor) counter(e zmq.Event) *atomic.Uint64 {
	switch e.Kind {
	case zmq.Accepted, zmq.Connected:
		return &m.opened
	case zmq.Disconnected:
		return &m.closed
	case zmq.AuthFailed:
		return &m.key
	case zmq.ProtocolFailed:
		switch e.Value {
		case zmq.MessageSize:
			return &m.oversize
		case zmq.Cryptographic, zmq.KeyExchange, zmq.MechanismMismatch:
			return &m.key
		}
		return &m.protocol
	case zmq.HandshakeFailed:
		return &m.protocol
	}
	return nil
}

func (m *monitor) connections() Connections {
	return Connections{m.opened.Load(), m.closed.Load(), m.oversize.Load(), m.key.Load(), m.protocol.Load()}
}

// close ends the monitor of s, which must not be closed yet.
func (m *monitor) close(s *zmq.Socket) error {
	if err := s.Unmonitor(); err != nil {
		return fmt.Errorf("ending the monitor of connections: %w", err)
	}
	m.ended.Store(true) // libzmq sends MonitorStopped, but sometimes it gets lost.
	<-m.done
	return m.pair.Close()
}
