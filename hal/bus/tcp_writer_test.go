package bus_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/bus/bustest"
)

// TestPublish_tcp_slowReader_frameIntact publishes frames while a reader has received a part of an earlier one. ZeroMQ sends from the
// publisher's memory, which must not be written to before.
func TestPublish_tcp_slowReader_frameIntact(t *testing.T) {
	const size = 2 << 20 // More than the operating system buffers.
	c := bustest.NewContext(t)
	p := bustest.Must[*bus.Publisher](t)(c.NewPublisher("tcp://127.0.0.1:0"))
	peer := dialPeer(t, p.Endpoint(), "SUB")
	if err := peer.Conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(peer, shortFrame(0, "\x01")); err != nil { // Subscribes to everything.
		t.Fatal(err)
	}
	waitFor(t, bus.Connections{Opened: 1}, p.Connections)
	own := make([]byte, size)
	publish := func(value byte) {
		frame := own
		if value%2 == 0 {
			memory, err := p.Acquire(size)
			if err != nil {
				t.Fatal(err)
			}
			frame = memory[:size]
		}
		copy(frame, bytes.Repeat([]byte{value}, size))
		if err := p.Publish(frame); err != nil {
			t.Fatal(err)
		}
	}
	from := bufio.NewReader(peer)
	arrived := make(chan error, 1)
	go func() {
		_, err := from.Peek(9) // The header of a frame: flags and size.
		arrived <- err
	}()
	value := byte(0)
	for waiting := true; waiting; value++ {
		publish(value)
		select {
		case err := <-arrived:
			if err != nil {
				t.Fatal(err)
			}
			waiting = false
		default:
		}
	}
	for range 20 {
		publish(value)
		value++
	}
	frame := make([]byte, 9+size)
	if _, err := io.ReadFull(from, frame); err != nil {
		t.Fatal(err)
	}
	if n := binary.BigEndian.Uint64(frame[1:]); n != size {
		t.Fatalf("a frame of %d bytes, want %d", n, size)
	}
	if n := bytes.Count(frame[9:], frame[9:10]); n != size {
		t.Errorf("%d bytes of a frame have its value, want %d", n, size)
	}
}

// TestAcquire_tcp_memoryValid writes to memory of Acquire after the publisher has replaced and closed it.
func TestAcquire_tcp_memoryValid(t *testing.T) {
	c := bustest.NewContext(t)
	p := bustest.Must[*bus.Publisher](t)(c.NewPublisher("tcp://127.0.0.1:0"))
	const size = 64 << 20
	small, err := p.Acquire(size)
	large, err2 := p.Acquire(2 * size)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.GC()
	small[:1][0] = 1
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.GC()
	large[:1][0] = 1
	runtime.KeepAlive(p)
}
