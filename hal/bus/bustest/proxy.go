package bustest

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// listen accepts connections at the returned endpoint, and calls serve with each and a connection to target.
func listen(t testing.TB, target string, serve func(in, out net.Conn)) (endpoint string) {
	t.Helper()
	l := Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", strings.TrimPrefix(target, "tcp://"))
			if err != nil {
				in.Close()
				continue
			}
			serve(in, out)
		}
	}()
	return "tcp://" + l.Addr().String()
}

// Proxy forwards TCP connections to a target, except while it is paused.
type Proxy struct {
	// Endpoint is where to connect instead of to the target.
	Endpoint string
	mu       sync.Mutex // Held while paused.
}

// NewProxy returns a proxy that runs until the end of the test. Its buffers are small.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p := &Proxy{}
	p.Endpoint = listen(t, target, func(in, out net.Conn) {
		const bufferBytes = 32 << 10
		for _, c := range []net.Conn{in, out} {
			c.(*net.TCPConn).SetReadBuffer(bufferBytes)
			c.(*net.TCPConn).SetWriteBuffer(bufferBytes)
		}
		go p.forward(in, out)
		go p.forward(out, in)
	})
	return p
}

// Pause stops forwarding until Resume.
func (p *Proxy) Pause() { p.mu.Lock() }

// Resume continues forwarding.
func (p *Proxy) Resume() { p.mu.Unlock() }

func (p *Proxy) forward(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		p.mu.Lock() // Waits for Resume.
		p.mu.Unlock()
		if err != nil {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// Delay returns an endpoint that forwards to target, with a delay in each direction.
func Delay(t testing.TB, target string, toTarget, fromTarget time.Duration) (endpoint string) {
	t.Helper()
	return listen(t, target, func(in, out net.Conn) {
		go forwardLater(out, in, toTarget)
		go forwardLater(in, out, fromTarget)
	})
}

func forwardLater(to, from net.Conn, delay time.Duration) {
	type piece struct {
		due   time.Time
		bytes []byte
	}
	pieces := make(chan piece, 1000)
	go func() {
		defer to.Close()
		for p := range pieces {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.bytes); err != nil {
				from.Close()
			}
		}
	}()
	defer close(pieces)
	for {
		b := make([]byte, 16<<10)
		n, err := from.Read(b)
		if err != nil {
			return
		}
		pieces <- piece{time.Now().Add(delay), b[:n]}
	}
}
