package bus

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// readerOptions returns what a mailbox's reader is set to.
func readerOptions(endpoint string) []option {
	if strings.HasPrefix(endpoint, inproc) {
		return []option{conflate()} // Where nobody sends but this package.
	}
	return highWater(pumpQueue)
}

// pumpQueue is how many messages may wait for a pump; it takes them as they come.
const pumpQueue = 4

// pump is the goroutine that takes what arrives at a reader over TCP. It never waits for the reader.
type pump struct {
	socket  *socket
	free    func()        // Gives memory back, at the end.
	news    chan struct{} // Has something where something may be new.
	stopped chan struct{}
	once    sync.Once
	done    chan struct{}
	err     atomic.Pointer[error]
}

// startPump starts a pump from s into the rings of the connections.
func startPump(s *socket, ringOf func(connection int) *ring, free func()) *pump {
	p := &pump{socket: s, free: free, news: make(chan struct{}, 1), stopped: make(chan struct{}), done: make(chan struct{})}
	go p.run(s.zmq, ringOf)
	return p
}

func (p *pump) run(z *zmqSocket, ringOf func(connection int) *ring) {
	defer close(p.done)
	var m zmqMessage
	defer m.close()
	for !p.socket.closing.Load() {
		p.socket.rejoin(z)
		err := z.wait(slice)
		for err == nil && !p.socket.closing.Load() {
			if err = z.receive(&m); err == nil {
				p.keep(z, &m, ringOf(m.connection()))
			}
		}
		if err != errAgain && err != nil {
			err = fmt.Errorf("bus: receiving: %w", err)
			p.err.Store(&err)
			p.tell()
			return
		}
	}
}

// keep makes m the newest frame of r, or, where it is only the first part of a message, drops all of that.
func (p *pump) keep(z *zmqSocket, m *zmqMessage, r *ring) {
	bad := z.more()
	for more := bad; more && z.receive(m) == nil; more = z.more() {
	}
	if !bad && r.isNewest(m.bytes()) {
		return // Sent twice; see resend.
	}
	s := r.acquire(0)
	if s == nil {
		r.dropped.Add(1)
		return
	}
	s.message.take(m)
	s.bad = bad
	r.commit(s, s.message.bytes())
	p.tell()
}

func (p *pump) tell() {
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// wait waits until something may be new.
func (p *pump) wait(ctx context.Context) error {
	if err := p.err.Load(); err != nil {
		return *err
	}
	select {
	case <-p.news:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.stopped:
		return ErrClosed
	}
}

// stop ends a wait.
func (p *pump) stop() { p.once.Do(func() { close(p.stopped) }) }

// close waits for the end of the goroutine, at most a slice. The socket must be closing.
func (p *pump) close() {
	<-p.done
	p.free()
}

// peers has a mailbox for each connection to a receiver, so that who floods one does not drown the others. They are the
// pump's, except for outlets.
type peers struct {
	outlets atomic.Pointer[[]*outlet]
	known   []connection
	turn    uint64
}

type connection struct {
	id      int
	outlet  *outlet
	touched uint64 // The turn in which it last sent something.
}

// maxPeers is how many connections have a mailbox; with more, the one that has been silent for longest loses it.
const maxPeers = 64

// ring returns the mailbox of a connection.
func (p *peers) ring(id int) *ring {
	p.turn++
	longest := 0
	for i := range p.known {
		c := &p.known[i]
		if c.id == id {
			c.touched = p.turn
			return c.outlet.ring
		}
		if c.touched < p.known[longest].touched {
			longest = i
		}
	}
	c := connection{id, &outlet{ring: newRing(3)}, p.turn} // The receiver holds one at a time.
	if len(p.known) < maxPeers {
		p.known = append(p.known, c)
	} else {
		p.known[longest].outlet.ring.free()
		p.known[longest] = c
	}
	outlets := make([]*outlet, len(p.known))
	for i := range p.known {
		outlets[i] = p.known[i].outlet
	}
	p.outlets.Store(&outlets)
	return c.outlet.ring
}

func (p *peers) free() {
	for i := range p.known {
		p.known[i].outlet.ring.free()
	}
}
