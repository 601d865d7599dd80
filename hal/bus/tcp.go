package bus

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pebbe/zmq4"
)

const (
	// tcpBufferBytes is the size of the operating system's buffer at each end. It is small, so that what arrives after a stall is not
	// old, and large enough for large frames on a local network.
	tcpBufferBytes = 128 << 10
	// A peer that does not answer heartbeats for deadAfter is disconnected.
	heartbeatInterval, deadAfter = time.Second, 3 * time.Second
	handshakeTimeout             = 5 * time.Second
	// The interval of attempts to connect again doubles between these.
	reconnectInterval, maxReconnectInterval = 20 * time.Millisecond, 500 * time.Millisecond
	// maxSubscriptionBytes is the maximum size of a message to a socket that writes: a subscription, which a publisher stores.
	maxSubscriptionBytes = 1024
	// curveOverheadBytes is how much larger an encrypted frame is.
	curveOverheadBytes = 33
)

// tcpTransport connects processes and machines.
type tcpTransport struct {
	zmq *zmq4.Context

	mu       sync.Mutex  // Guards the rest.
	zap      *zapHandler // Nil before the first endpoint with keys.
	monitors int         // The number of monitors so far.
}

func newTCPTransport(z *zmq4.Context) *tcpTransport { return &tcpTransport{zmq: z} }

// close ends the ZAP handler, after all sockets were closed.
func (t *tcpTransport) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.zap == nil {
		return nil
	}
	return t.zap.close()
}

// admit returns a new domain of the ZAP handler, in which the owners of keys may connect.
func (t *tcpTransport) admit(keys []string) (*zapDomain, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.zap == nil {
		handler, err := startZAPHandler(t.zmq)
		if err != nil {
			return nil, fmt.Errorf("starting the check of keys: %w", err)
		}
		t.zap = handler
	}
	return t.zap.admit(keys), nil
}

// tcpSocket is the part that all sockets of the transport have in common.
type tcpSocket struct {
	zmq     *zmqSocket
	monitor *monitor
	domain  *zapDomain // Nil if the socket connects, or has no keys.
	binds   bool
	address string
	closing atomic.Bool
}

// open returns a socket that is bound or connected to endpoint.
func (t *tcpTransport) open(kind zmq4.Type, binds bool, endpoint string, o *settings, options ...zmqOption) (_ *tcpSocket, err error) {
	address, ipv6 := tcpAddress(endpoint)
	s := &tcpSocket{binds: binds, address: address}
	options = append(options, o.security.options(binds)...)
	options = append(options, func(z *zmqSocket) error { return z.SetIpv6(ipv6) })
	options = append(options, noLinger, tcpOptions(kind, o))
	if o.security.hasKeys() && binds {
		if s.domain, err = t.admit(o.security.AuthorizedKeys); err != nil {
			return nil, err
		}
		options = append(options, func(z *zmqSocket) error { return z.SetZapDomain(s.domain.name) })
	}
	if s.zmq, err = newZMQSocket(t.zmq, kind); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if err := s.attach(t, options); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// tcpAddress returns the endpoint for libzmq, which takes localhost for the name of a network interface when it binds, and reports
// whether it is an address of IPv6, for which libzmq has an option.
func tcpAddress(endpoint string) (address string, ipv6 bool) {
	host, port, err := net.SplitHostPort(strings.TrimPrefix(endpoint, tcpScheme))
	if err != nil {
		return endpoint, false // Already rejected, or not of TCP.
	}
	if host == "localhost" {
		return tcpScheme + net.JoinHostPort("127.0.0.1", port), false
	}
	return endpoint, strings.Contains(host, ":")
}

// tcpOptions sets the options that do not depend on the direction.
func tcpOptions(kind zmq4.Type, o *settings) zmqOption {
	most := o.maxFrameBytes
	if kind == zmq4.PUB || kind == zmq4.PUSH {
		most = maxSubscriptionBytes
	}
	if o.security.hasKeys() {
		most += curveOverheadBytes
	}
	return func(s *zmqSocket) error {
		return errors.Join(
			s.SetMaxmsgsize(int64(most)), s.SetSndbuf(tcpBufferBytes), s.SetRcvbuf(tcpBufferBytes), s.SetHandshakeIvl(handshakeTimeout),
			s.SetReconnectIvl(reconnectInterval), s.SetReconnectIvlMax(maxReconnectInterval),
			s.SetHeartbeatIvl(heartbeatInterval), s.SetHeartbeatTimeout(deadAfter),
			// There are no heartbeats while earlier bytes wait, but the system knows that they are not acknowledged.
			s.SetTcpMaxrt(deadAfter),
		)
	}
}

// attach starts the monitor, and binds or connects.
func (s *tcpSocket) attach(t *tcpTransport, options []zmqOption) (err error) {
	if err := s.zmq.set(options...); err != nil {
		return err
	}
	t.mu.Lock()
	t.monitors++
	number := t.monitors
	t.mu.Unlock()
	if s.monitor, err = startMonitor(t.zmq, s.zmq, number, !s.binds); err != nil {
		return err
	}
	if !s.binds {
		return s.zmq.Connect(s.address)
	}
	if err := s.zmq.Bind(s.address); errors.Is(err, zmq4.Errno(syscall.ENODEV)) {
		return fmt.Errorf("%w: expected an address or a network interface of this machine, such as 127.0.0.1 or 0.0.0.0", err)
	} else if err != nil {
		return err
	}
	s.address, err = s.zmq.GetLastEndpoint()
	return err
}

func (s *tcpSocket) endpoint() string         { return s.address }
func (s *tcpSocket) connections() Connections { return s.monitor.connections() }
func (s *tcpSocket) interrupt()               { s.closing.Store(true) }

// reconnect connects again if libzmq has given up.
func (s *tcpSocket) reconnect() {
	if s.monitor.lost.CompareAndSwap(true, false) {
		// Only a lack of memory makes these fail, because the socket was connected before.
		_ = s.zmq.Disconnect(s.address)
		_ = s.zmq.Connect(s.address)
	}
}

// close frees the parts of the socket that exist.
func (s *tcpSocket) close() error {
	if s.domain != nil {
		s.domain.revoke()
	}
	if s.zmq == nil {
		return nil
	}
	if s.binds {
		// Close frees the address some time later, Unbind sooner. An error means that it is free.
		_ = s.zmq.Unbind(s.address)
	}
	var err error
	if s.monitor != nil {
		err = s.monitor.close(s.zmq)
	}
	return errors.Join(err, s.zmq.Close())
}
