package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Connections are what a socket over TCP counts of its connections. Over inproc all of it is 0.
type Connections struct {
	// Opened counts connections that were accepted, or made.
	Opened uint64 `json:"opened"`
	// Closed counts those of them that ended, whoever ended them.
	Closed uint64 `json:"closed"`
	// Oversize counts frames, or parts of one, that were larger than the reader takes. For each its sender was
	// disconnected.
	Oversize uint64 `json:"oversize"`
	// Key counts handshakes that failed for the keys: another one than expected, or none.
	Key uint64 `json:"key"`
	// Protocol counts connections that ended in the handshake for another reason, as those of programs that do not speak
	// ZeroMQ do, or that broke its protocol later.
	Protocol uint64 `json:"protocol"`
}

// ConnectionsOf returns the sums over those of its arguments that are sockets of this package, or count as they do.
func ConnectionsOf(sockets ...any) (sum Connections) {
	for _, s := range sockets {
		if s, ok := s.(interface{ Connections() Connections }); ok {
			c := s.Connections()
			sum.Opened += c.Opened
			sum.Closed += c.Closed
			sum.Oversize += c.Oversize
			sum.Key += c.Key
			sum.Protocol += c.Protocol
		}
	}
	return sum
}

// watch is the goroutine that is told by libzmq what becomes of a socket's connections. It counts, and it notices where
// libzmq has given up: a socket that connects, and whose peer breaks the protocol, sends too large a frame or refuses its
// key, is never connected again by itself. But the next server there may be a better one.
type watch struct {
	pair     *zmqSocket
	connects bool
	ended    atomic.Bool
	done     chan struct{}
	// What Connections are made of.
	opened, closed, oversize, key, protocol atomic.Uint64
	lost                                    atomic.Bool
}

// lostAfter is how long after the end of a connection libzmq must have begun to try again; it does so at once.
const lostAfter = reconnectMostMs * time.Millisecond

// newWatch starts to watch z, which is not bound or connected yet. number is one that no other watch of the context has.
func newWatch(c zmqContext, z *zmqSocket, number int, connects bool) (*watch, error) {
	endpoint := fmt.Sprintf("%sbus.watch.%d", inproc, number)
	if err := z.monitor(endpoint); err != nil {
		return nil, fmt.Errorf("watching connections: %w", err)
	}
	pair, err := c.socket(pair)
	if err != nil {
		return nil, fmt.Errorf("watching connections: %w", err)
	}
	if err := errors.Join(pair.set(linger(0)), pair.connect(endpoint)); err != nil {
		return nil, errors.Join(fmt.Errorf("watching connections: %w", err), pair.close())
	}
	w := &watch{pair: pair, connects: connects, done: make(chan struct{})}
	go w.run()
	return w, nil
}

// run takes what comes at once: libzmq's own thread waits where it does not.
func (w *watch) run() {
	defer close(w.done)
	var m zmqMessage
	defer m.close()
	var endedAt time.Time // Zero unless a connection ended that libzmq has not begun to make anew.
	for !w.ended.Load() {
		if w.pair.wait(slice) != nil {
			return
		}
		for w.pair.receive(&m) == nil {
			kind, value := event(0), uint32(0)
			if b := m.bytes(); len(b) == 6 {
				kind, value = event(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint32(b[2:])
			}
			for w.pair.more() && w.pair.receive(&m) == nil { // The endpoint.
			}
			switch kind {
			case stopped:
				return
			case disconnected:
				if w.connects {
					endedAt = time.Now()
				}
			case connecting, connected:
				endedAt = time.Time{}
			}
			if n := w.counter(kind, value); n != nil {
				n.Add(1)
			}
		}
		if !endedAt.IsZero() && time.Since(endedAt) >= lostAfter {
			endedAt = time.Time{}
			w.lost.Store(true)
		}
	}
}

func (w *watch) counter(kind event, value uint32) *atomic.Uint64 {
	switch kind {
	case accepted, connected:
		return &w.opened
	case disconnected:
		return &w.closed
	case refusedByKey:
		return &w.key
	case brokeProtocol:
		switch value {
		case messageSize:
			return &w.oversize
		case wrongKey, wrongVouch, otherMechanism:
			return &w.key
		}
		return &w.protocol
	case noHandshake:
		return &w.protocol
	}
	return nil
}

// close ends the watch of z, which must be open still.
func (w *watch) close(z *zmqSocket) error {
	if err := z.unmonitor(); err != nil {
		return fmt.Errorf("ending the watch of connections: %w", err)
	}
	w.ended.Store(true) // libzmq says that it stopped, but now and then that gets lost.
	<-w.done
	return w.pair.close()
}

// Connections returns what was counted so far. It may be called at any time from any goroutine.
func (s *socket) Connections() Connections {
	if s.watch == nil {
		return Connections{}
	}
	w := s.watch
	return Connections{w.opened.Load(), w.closed.Load(), w.oversize.Load(), w.key.Load(), w.protocol.Load()}
}

// rejoin connects anew where libzmq has given up. The caller owns z.
func (s *socket) rejoin(z *zmqSocket) {
	if s.watch != nil && s.watch.lost.CompareAndSwap(true, false) {
		// What is left of the connection goes first. Neither can fail but for want of memory: it was connected before.
		_ = z.disconnect(s.endpoint)
		_ = z.connect(s.endpoint)
	}
}
