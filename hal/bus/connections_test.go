package bus_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/bus/bustest"
)

// busSocket is any socket of the package.
type busSocket interface {
	io.Closer
	bus.ConnectionCounter
	Endpoint() string
}

// reported returns what a libzmq that does not report the size as the cause counts of want.
func reported(t *testing.T, want bus.Connections) bus.Connections {
	if !bus.ReportsOversize() {
		t.Log("this libzmq does not distinguish an oversize frame from a peer that leaves")
		want.Oversize = 0
	}
	return want
}

func waitFor(t *testing.T, want bus.Connections, got func() bus.Connections) {
	t.Helper()
	for deadline := time.Now().Add(bustest.Patience); got() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("connections %+v, want %+v", got(), want)
			return
		}
	}
}

// residentBytes returns the resident memory of the process.
func residentBytes(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, resident int
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * os.Getpagesize()
}

// grown returns how far the resident memory of the process grows while f runs.
func grown(t *testing.T, f func()) int {
	t.Helper()
	runtime.GC()
	before, most := residentBytes(t), make(chan int)
	done := make(chan struct{})
	go func() {
		peak := 0
		for tick := time.NewTicker(time.Millisecond); ; {
			select {
			case <-tick.C:
				peak = max(peak, residentBytes(t))
			case <-done:
				most <- peak
				return
			}
		}
	}()
	f()
	close(done)
	return <-most - before
}

const (
	hugeBytes = 100 << 20
	mayGrowTo = hugeBytes / 4
	mostBytes = 8 << 10
	hugePeers = 3 // One after the other.
)

func TestReceiver_oversizeFrame_senderDisconnected(t *testing.T) {
	tests := []struct {
		name  string
		bytes int
		dial  func(t *testing.T, c *bus.Context) (write func(string) error, read func() (string, error), at busSocket)
	}{
		{"100 MB to a receiver", hugeBytes, dialReceiver},
		{"one byte too many to a receiver", mostBytes + 1, dialReceiver},
		{"100 MB to a multipart receiver", hugeBytes, dialMultipartReceiver},
		{"one byte too many to a multipart receiver", mostBytes + 1, dialMultipartReceiver},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			write, read, at := tt.dial(t, bustest.NewContext(t))
			pass := func(frame string) {
				t.Helper()
				for deadline := time.Now().Add(bustest.Patience); ; time.Sleep(time.Millisecond) {
					if err := write(frame); err != nil && !errors.Is(err, bus.ErrNoPeer) {
						t.Fatal(err)
					}
					if got, err := read(); err == nil && got == frame {
						return
					} else if err == nil && len(got) > mostBytes {
						t.Errorf("a frame of %d bytes arrived", len(got))
					} else if time.Now().After(deadline) {
						t.Fatalf("waiting for %q: %v", frame, err)
					}
				}
			}
			pass(strings.Repeat("x", mostBytes)) // As large as any may be is not too large.
			if got := grown(t, func() {
				for i := range hugePeers {
					s := dialPeer(t, at.Endpoint(), "PUSH")
					if err := s.send(tt.bytes); err == nil {
						t.Error("the sender of an oversize frame is not disconnected")
					}
					pass(fmt.Sprint("after ", i))
				}
			}); got > mayGrowTo {
				t.Errorf("memory grew by %d bytes, want less than %d", got, mayGrowTo)
			}
			waitFor(t, reported(t, bus.Connections{Opened: 1 + hugePeers, Closed: hugePeers, Oversize: hugePeers}), at.Connections)
		})
	}
}

func dialReceiver(t *testing.T, c *bus.Context) (func(string) error, func() (string, error), busSocket) {
	r := bustest.Must[*bus.Receiver](t)(c.NewReceiver("tcp://127.0.0.1:0", bus.WithMaxFrameBytes(mostBytes)))
	s := bustest.Must[*bus.Sender](t)(c.NewSender(r.Endpoint()))
	return func(frame string) error { return s.Send([]byte(frame)) }, (&receiver{r}).tryReceive, r
}

func dialMultipartReceiver(t *testing.T, c *bus.Context) (func(string) error, func() (string, error), busSocket) {
	r := bustest.Must[*bus.MultipartReceiver](t)(c.NewMultipartReceiver("tcp://127.0.0.1:0", bus.WithMaxFrameBytes(mostBytes)))
	s := bustest.Must[*bus.MultipartSender](t)(c.NewMultipartSender(r.Endpoint()))
	return func(frame string) error { return s.Send([][]byte{[]byte(frame), nil}) }, firstPart(r.TryReceive), r
}

func firstPart(read func() ([][]byte, error)) func() (string, error) {
	return func() (string, error) {
		parts, err := read()
		if err != nil {
			return "", err
		}
		return string(parts[0]), nil
	}
}

func TestSubscriber_oversizeFrames_reconnects(t *testing.T) {
	for _, tt := range []struct {
		name string
		dial func(t *testing.T, c *bus.Context, endpoint string) (read func() (string, error), at busSocket)
	}{
		{"frames", func(t *testing.T, c *bus.Context, endpoint string) (func() (string, error), busSocket) {
			s := bustest.Must[*bus.Subscriber](t)(c.NewSubscriber(endpoint, bus.WithMaxFrameBytes(mostBytes)))
			return (&subscriber{Subscriber: s}).tryReceive, s
		}},
		{"multipart", func(t *testing.T, c *bus.Context, endpoint string) (func() (string, error), busSocket) {
			s := bustest.Must[*bus.MultipartSubscriber](t)(c.NewMultipartSubscriber(endpoint, "", bus.WithMaxFrameBytes(mostBytes)))
			return firstPart(s.TryReceive), s
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := bustest.Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
			defer l.Close()
			read, at := tt.dial(t, bustest.NewContext(t), "tcp://"+l.Addr().String())
			accept := func() zmtpPeer {
				if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(bustest.Patience)); err != nil {
					t.Fatal(err)
				}
				// A multipart reader connects again only while it reads.
				stop, stopped := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(stopped)
					for tick := time.NewTicker(10 * time.Millisecond); ; {
						select {
						case <-stop:
							return
						case <-tick.C:
							if frame, err := read(); err == nil {
								t.Errorf("the subscriber finds a frame of %d bytes, want none", len(frame))
							}
						}
					}
				}()
				defer func() { close(stop); <-stopped }()
				return newPeer(t, bustest.Must[net.Conn](t)(l.Accept()), "PUB")
			}
			const huge = 2
			if got := grown(t, func() {
				for range huge {
					if err := accept().send(hugeBytes); err == nil {
						t.Error("the sender of an oversize frame is not disconnected")
					}
				}
			}); got > mayGrowTo {
				t.Errorf("memory grew by %d bytes, want less than %d", got, mayGrowTo)
			}
			s := accept()
			if _, err := s.Write([]byte("\x00\x04good")); err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(bustest.Patience); ; time.Sleep(time.Millisecond) {
				if got, err := read(); err == nil && got == "good" {
					break
				} else if time.Now().After(deadline) {
					t.Fatalf("the subscriber finds %q, %v, want the good frame", got, err)
				}
			}
			waitFor(t, reported(t, bus.Connections{Opened: huge + 1, Closed: huge, Oversize: huge}), at.Connections)
		})
	}
}

func TestPublisher_oversizeSubscription_peerDisconnected(t *testing.T) {
	c := bustest.NewContext(t)
	p := bustest.Must[*bus.Publisher](t)(c.NewPublisher("tcp://127.0.0.1:0"))
	s := &subscriber{Subscriber: bustest.Must[*bus.Subscriber](t)(c.NewSubscriber(p.Endpoint()))}
	meet(t, p.Publish, s)
	if err := dialPeer(t, p.Endpoint(), "SUB").send(bus.MaxSubscriptionBytes + 1); err == nil {
		t.Error("the sender of an oversize subscription is not disconnected")
	}
	waitFor(t, reported(t, bus.Connections{Opened: 2, Closed: 1, Oversize: 1}), p.Connections)
	meetWith(t, "hello again", p.Publish, s)
}

// A subscription takes 30 times its size in the publisher's memory.
func TestPublisher_tooManySubscriptions_peerDisconnected(t *testing.T) {
	const most = 64 // The limit of this repository's libzmq.
	c := bustest.NewContext(t)
	for _, tt := range []struct {
		name string
		p    busSocket
	}{
		{"a publisher", bustest.Must[*bus.Publisher](t)(c.NewPublisher("tcp://127.0.0.1:0"))},
		{"a multipart publisher", bustest.Must[*bus.MultipartPublisher](t)(c.NewMultipartPublisher("tcp://127.0.0.1:0"))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := dialPeer(t, tt.p.Endpoint(), "SUB")
			subscribe := func(i int) error {
				_, err := s.Write([]byte(shortFrame(0, fmt.Sprintf("\x01%d", i))))
				if p, ok := tt.p.(*bus.MultipartPublisher); ok { // It stores subscriptions only while it publishes.
					if err := p.Publish(nil); err != nil {
						t.Error(err)
					}
				}
				time.Sleep(100 * time.Microsecond)
				return err
			}
			for i := range most {
				if err := subscribe(i); err != nil {
					t.Fatal(err)
				}
			}
			waitFor(t, bus.Connections{Opened: 1}, tt.p.Connections)
			var err error
			for i := 0; i < 1000 && err == nil; i++ {
				err = subscribe(most + i)
			}
			if !bus.ReportsOversize() {
				t.Skip("this libzmq has no limit of subscriptions")
			}
			if err == nil {
				t.Errorf("a peer with more than %d subscriptions is not disconnected", most)
			}
			waitFor(t, bus.Connections{Opened: 1, Closed: 1, Oversize: 1}, tt.p.Connections)
		})
	}
}

func TestConnections_partialGreetings_counted(t *testing.T) {
	c := bustest.NewContext(t)
	r := bustest.Must[*bus.Receiver](t)(c.NewReceiver("tcp://127.0.0.1:0"))
	const peers = 5
	for range peers {
		conn := bustest.Must[net.Conn](t)(net.Dial("tcp", strings.TrimPrefix(r.Endpoint(), "tcp://")))
		if _, err := io.WriteString(conn, greeting("NULL")[:greetingBytes/2]); err != nil {
			t.Error(err)
		}
		conn.Close()
	}
	waitFor(t, bus.Connections{Opened: peers, Closed: peers, Protocol: peers}, r.Connections)
}

// A client whose handshake failed connects to the next server at the same endpoint.
func TestReconnect_serverKeysReplaced_framesReceived(t *testing.T) {
	keys, mine := bustest.Must[bus.Keys](t)(bus.NewKeys()), bustest.Must[bus.Keys](t)(bus.NewKeys())
	right := bus.WithSecurity(bus.Security{Keys: keys, AuthorizedKeys: []string{mine.Public}})
	for _, tt := range []struct {
		name  string
		wrong bus.Security
	}{
		{"no keys", bus.Security{}},
		{"other keys", bus.Security{Keys: bustest.Must[bus.Keys](t)(bus.NewKeys()), AuthorizedKeys: []string{mine.Public}}},
		{"the client is not authorized", bus.Security{Keys: keys, AuthorizedKeys: []string{bustest.Must[bus.Keys](t)(bus.NewKeys()).Public}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at, from := bustest.NewContext(t), bustest.NewContext(t)
			p := bustest.Must[*bus.Publisher](t)(at.NewPublisher("tcp://127.0.0.1:0", bus.WithSecurity(tt.wrong)))
			r := bustest.Must[*bus.Receiver](t)(at.NewReceiver("tcp://127.0.0.1:0", bus.WithSecurity(tt.wrong)))
			observations, commands := p.Endpoint(), r.Endpoint()
			mine := bus.WithSecurity(bus.Security{Keys: mine, ServerKey: keys.Public})
			s := &subscriber{Subscriber: bustest.Must[*bus.Subscriber](t)(from.NewSubscriber(observations, mine))}
			sender := bustest.Must[*bus.Sender](t)(from.NewSender(commands, mine))
			for _, socket := range []busSocket{p, r} {
				for deadline := time.Now().Add(bustest.Patience); socket.Connections().Closed == 0; time.Sleep(time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatal("the client is not rejected")
					}
				}
			}
			if err := errors.Join(p.Close(), r.Close()); err != nil {
				t.Fatal(err)
			}
			p = bustest.Retry(t, func() (*bus.Publisher, error) { return at.NewPublisher(observations, right) })
			r = bustest.Retry(t, func() (*bus.Receiver, error) { return at.NewReceiver(commands, right) })
			meet(t, p.Publish, s)
			meet(t, sender.Send, &receiver{r})
		})
	}
}

// A peer whose machine has failed sends nothing, not even the end of the connection.
func TestReconnect_silentPeer_framesReceived(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	for _, size := range []int{1300, 4 << 20} {
		t.Run(fmt.Sprint("frames of ", size, " bytes"), func(t *testing.T) {
			c, far := bustest.NewContext(t), bustest.NewContext(t)
			p, r := bustest.Must[*bus.Publisher](t)(far.NewPublisher("tcp://127.0.0.1:0")), bustest.Must[*bus.Receiver](t)(far.NewReceiver("tcp://127.0.0.1:0"))
			out, in := bustest.NewProxy(t, p.Endpoint()), bustest.NewProxy(t, r.Endpoint())
			s := &subscriber{Subscriber: bustest.Must[*bus.Subscriber](t)(c.NewSubscriber(out.Endpoint))}
			sender := bustest.Must[*bus.Sender](t)(c.NewSender(in.Endpoint))
			meet(t, p.Publish, s)
			meet(t, sender.Send, &receiver{r})
			goroutines := ownGoroutines()

			out.Pause()
			in.Pause()
			silentAt := time.Now()
			frame := make([]byte, size)
			sent := uint64(0)
			noticed := time.Duration(0)
			const most = bus.HeartbeatInterval + bus.DeadAfter
			unnoticed := func() bool {
				return noticed == 0 || s.Connections().Closed == 0 || p.Connections().Closed == 0 || r.Connections().Closed == 0
			}
			for unnoticed() && time.Since(silentAt) < bustest.Patience+most {
				sent++
				binary.LittleEndian.PutUint64(frame, sent)
				if err := p.Publish(frame); err != nil {
					t.Fatal(err)
				}
				switch err := sender.Send(frame); {
				case errors.Is(err, bus.ErrNoPeer) && noticed == 0:
					noticed = time.Since(silentAt)
				case err != nil && !errors.Is(err, bus.ErrNoPeer):
					t.Fatal(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
			t.Logf("Send returned ErrNoPeer after %v, all connections ended after %v", noticed, time.Since(silentAt))
			if unnoticed() {
				t.Errorf("after %v, with ErrNoPeer at %v: connections of subscriber %+v, publisher %+v, receiver %+v; want each ended",
					time.Since(silentAt), noticed, s.Connections(), p.Connections(), r.Connections())
			}
			if noticed > most+2*time.Second {
				t.Errorf("Send returned ErrNoPeer after %v, want about %v", noticed, most)
			}
			out.Resume()
			in.Resume()

			meetWith(t, "hello again", p.Publish, s)
			meetWith(t, "hello again", sender.Send, &receiver{r})
			for _, socket := range []busSocket{s, sender, p, r} {
				for deadline := time.Now().Add(bustest.Patience); ; time.Sleep(time.Millisecond) {
					if n := socket.Connections(); n.Opened == n.Closed+1 {
						break
					} else if time.Now().After(deadline) {
						t.Errorf("%s: connections %+v, want one open", socket.Endpoint(), n)
						break
					}
				}
			}
			if got := ownGoroutines(); got != goroutines {
				t.Errorf("%d goroutines, want %d as before", got, goroutines)
			}
		})
	}
}

// ownGoroutines counts the goroutines of the package.
func ownGoroutines() int {
	b := make([]byte, 1<<20)
	stacks := string(b[:runtime.Stack(b, true)])
	return strings.Count(stacks, "bus.(*tcpReader).run(") + strings.Count(stacks, "bus.(*monitor).run(")
}

func TestWithMaxFrameBytes_encryptedFrame_maximumReceived(t *testing.T) {
	c := bustest.NewContext(t)
	server, client := bustest.Must[bus.Keys](t)(bus.NewKeys()), bustest.Must[bus.Keys](t)(bus.NewKeys())
	r := bustest.Must[*bus.Receiver](t)(c.NewReceiver("tcp://127.0.0.1:0", bus.WithMaxFrameBytes(mostBytes), bus.WithSecurity(bus.Security{Keys: server, AuthorizedKeys: []string{client.Public}})))
	s := bustest.Must[*bus.Sender](t)(c.NewSender(r.Endpoint(), bus.WithSecurity(bus.Security{Keys: client, ServerKey: server.Public})))
	meetWith(t, strings.Repeat("x", mostBytes), s.Send, &receiver{r})
	for deadline := time.Now().Add(bustest.Patience); r.Connections().Closed == 0; time.Sleep(time.Millisecond) {
		if err := s.Send(make([]byte, mostBytes+1)); err != nil && !errors.Is(err, bus.ErrNoPeer) {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("the sender of one byte more is not disconnected")
		}
	}
}
