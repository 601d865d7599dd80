package bus

import (
	"errors"
	"strconv"
	"sync"

	"github.com/pebbe/zmq4"
)

// zapHandler answers libzmq's authentication requests (ZeroMQ's ZAP, version 1.0). Without it, every peer that knows a server's public
// key could connect.
type zapHandler struct {
	socket *zmqSocket
	stop   chan struct{}
	done   chan struct{}

	mu      sync.Mutex // Guards the rest.
	count   int        // Of domains so far.
	allowed map[string]map[[32]byte]bool
}

// zapDomain has the keys that may connect to one socket.
type zapDomain struct {
	handler *zapHandler
	name    string
}

func startZAPHandler(c *zmq4.Context) (*zapHandler, error) {
	s, err := newZMQSocket(c, zmq4.REP)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.set(noLinger), s.Bind("inproc://zeromq.zap.01")); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	h := &zapHandler{socket: s, stop: make(chan struct{}), done: make(chan struct{}), allowed: map[string]map[[32]byte]bool{}}
	go h.run()
	return h, nil
}

// admit returns a new domain, in which the owners of keys may connect until revoke.
func (h *zapHandler) admit(keys []string) *zapDomain {
	allowed := map[[32]byte]bool{}
	for _, key := range keys {
		if raw, ok := decodeKey(key); ok {
			allowed[raw] = true
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
	d := &zapDomain{h, strconv.Itoa(h.count)}
	h.allowed[d.name] = allowed
	return d
}

func (d *zapDomain) revoke() {
	d.handler.mu.Lock()
	defer d.handler.mu.Unlock()
	delete(d.handler.allowed, d.name)
}

func (h *zapHandler) run() {
	defer close(h.done)
	var buffer multipartBuffer
	defer buffer.free()
	for {
		select {
		case <-h.stop:
			return
		default:
		}
		if h.socket.poll(pollInterval) != nil {
			return
		}
		request, err := buffer.receive(h.socket)
		if err != nil || len(request) < 2 {
			continue
		}
		if sendMultipart(h.socket, h.reply(request)) != nil {
			return
		}
	}
}

// reply returns the reply to a request: version, request id, status code, status text, user and metadata. A request has the version, the
// request id, the domain, the peer's address, its identity, the mechanism and the key.
func (h *zapHandler) reply(request [][]byte) [][]byte {
	code, text := "400", "no access"
	if len(request) == 7 && string(request[5]) == "CURVE" && len(request[6]) == 32 {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.allowed[string(request[2])][[32]byte(request[6])] {
			code, text = "200", "OK"
		}
	}
	return [][]byte{[]byte("1.0"), request[1], []byte(code), []byte(text), nil, nil}
}

func (h *zapHandler) close() error {
	close(h.stop)
	<-h.done
	return h.socket.Close()
}
