package bus_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/hal/bus/bustest"
)

const (
	// signature begins a greeting of ZMTP 3.
	signature     = "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f"
	greetingBytes = 64
)

// greeting returns a greeting of ZMTP 3.0 with a security mechanism.
func greeting(mechanism string) string {
	g := make([]byte, greetingBytes)
	copy(g, signature+"\x03\x00"+mechanism)
	return string(g)
}

// shortFrame returns a frame of less than 256 bytes.
func shortFrame(flags byte, body string) string { return string([]byte{flags, byte(len(body))}) + body }

// zmtpPeer is a peer of ZMTP 3.0 without keys, whose frames the test writes byte by byte.
type zmtpPeer struct{ net.Conn }

// newPeer completes the handshake on a connection.
func newPeer(t *testing.T, c net.Conn, socketType string) zmtpPeer {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(bustest.Patience)); err != nil {
		t.Fatal(err)
	}
	const commandFlag = 4
	ready := "\x05READY\x0bSocket-Type" + string(binary.BigEndian.AppendUint32(nil, uint32(len(socketType)))) + socketType
	if _, err := io.WriteString(c, greeting("NULL")+shortFrame(commandFlag, ready)); err != nil {
		t.Fatal(err)
	}
	from := bufio.NewReader(c)
	if _, err := from.Discard(greetingBytes); err != nil {
		t.Fatal(err)
	}
	header := make([]byte, 2) // Of the other side's READY.
	if _, err := io.ReadFull(from, header); err != nil {
		t.Fatal(err)
	}
	if _, err := from.Discard(int(header[1])); err != nil {
		t.Fatal(err)
	}
	return zmtpPeer{c}
}

func dialPeer(t *testing.T, endpoint, socketType string) zmtpPeer {
	t.Helper()
	return newPeer(t, dial(t, endpoint), socketType)
}

func dial(t *testing.T, endpoint string) net.Conn {
	t.Helper()
	return bustest.Must[net.Conn](t)(net.Dial("tcp", strings.TrimPrefix(endpoint, "tcp://")))
}

// longHeader is the header of a frame with a size of 8 bytes.
func longHeader(bytes int) []byte { return binary.BigEndian.AppendUint64([]byte{2}, uint64(bytes)) }

// send sends a frame of zeros. It returns the error of the connection once the other side has closed it, and nil if it does not.
func (p zmtpPeer) send(bytes int) error {
	if _, err := p.Write(longHeader(bytes)); err != nil {
		return err
	}
	for zeros := make([]byte, 64<<10); bytes > 0; {
		n, err := p.Write(zeros[:min(bytes, len(zeros))])
		if bytes -= n; err != nil {
			return err
		}
	}
	// The first write to a closed connection succeeds.
	for deadline := time.Now().Add(bustest.Patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, err := p.Write([]byte{0}); err != nil {
			return err
		}
	}
	return nil
}

// begin sends half of a frame.
func (p zmtpPeer) begin(t *testing.T, bytes int) {
	t.Helper()
	if _, err := p.Write(append(longHeader(bytes), make([]byte, bytes/2)...)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
}
