package bus_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/bus/bustest"
)

// A slow reader reads a stream of stamped frames; no frame is older than 1.2 periods of the writer.
func TestTryReceive_slowReader_freshFrames(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	for _, tt := range []struct {
		endpoint string
		bytes    int
		period   time.Duration
		measured bool // Allow the measured latency of a frame, if that is more than a fifth of a period.
		// Other work of the machine may delay a thread by more than a fifth of a period, so one of some rounds must be right, except for
		// this number of frames. Frames from a queue would be too old in every round.
		mayBeLate int
	}{
		{"inproc://a", 1300, 10 * time.Millisecond, false, 0},
		{"inproc://a", 4_300_000, 10 * time.Millisecond, false, 0},
		{"tcp://127.0.0.1:0", 1300, 10 * time.Millisecond, false, 1},
		{"tcp://127.0.0.1:0", 4_300_000, 10 * time.Millisecond, true, 1},
		// Slower, so that a busy machine transfers the 4 MB within a fifth of a period.
		{"tcp://127.0.0.1:0", 4_300_000, 100 * time.Millisecond, false, 1},
	} {
		t.Run(fmt.Sprintf("%d bytes each %v over %s", tt.bytes, tt.period, tt.endpoint[:strings.Index(tt.endpoint, ":")]), func(t *testing.T) {
			c := bustest.NewContext(t)
			p := bustest.Must[*bus.Publisher](t)(c.NewPublisher(tt.endpoint))
			s := bustest.Must[*bus.Subscriber](t)(c.NewSubscriber(p.Endpoint()))
			start := time.Now()
			// The times at which each frame was made and published.
			var mu sync.Mutex
			var frames []struct{ made, published time.Duration }
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for tick := time.NewTicker(tt.period); ; {
					select {
					case <-stop:
						return
					case <-tick.C:
					}
					frame, err := p.Acquire(tt.bytes)
					if err != nil {
						t.Error(err)
						return
					}
					frame = frame[:tt.bytes]
					made := time.Since(start)
					binary.LittleEndian.PutUint64(frame, uint64(made))
					if err := p.Publish(frame); err != nil {
						t.Error(err)
					}
					mu.Lock()
					frames = append(frames, struct{ made, published time.Duration }{made, time.Since(start)})
					mu.Unlock()
				}
			}()
			defer func() { close(stop); <-stopped }()
			var f bus.Frame
			ctx, cancel := context.WithTimeout(t.Context(), bustest.Patience)
			defer cancel()
			for range 3 { // The first slots get their memory.
				if err := s.Receive(ctx, &f); err != nil {
					t.Fatal(err)
				}
			}
			const rounds, reads = 3, 10
			for round := 1; ; round++ {
				late, oldest, mayTake := 0, time.Duration(0), tt.period/5
				for range 2 * reads {
					if !tt.measured {
						break
					}
					if err := s.Receive(ctx, &f); err != nil {
						t.Fatal(err)
					}
					took := time.Since(start) - time.Duration(binary.LittleEndian.Uint64(f.Bytes()))
					// With a queue it would be five periods.
					mayTake = max(mayTake, min(took, 2*tt.period))
				}
				for range reads {
					time.Sleep(5 * tt.period)
					at, read := time.Since(start), time.Duration(0)
					if err := s.TryReceive(&f); err == nil {
						read = time.Duration(binary.LittleEndian.Uint64(f.Bytes()))
					}
					oldest = max(oldest, at-read)
					// There is a newer frame, published longer ago than the allowed latency.
					mu.Lock()
					for _, f := range frames {
						if f.made > read && at-f.published > mayTake {
							late++
							break
						}
					}
					mu.Unlock()
				}
				t.Logf("%d of %d too late, the oldest read was made %v ago; a frame may take %v", late, reads, oldest, mayTake)
				if late <= tt.mayBeLate {
					break
				}
				if round == rounds {
					t.Errorf("in each of %d rounds, more than %d of %d frames were older than a period of %v and the allowed latency", rounds, tt.mayBeLate, reads, tt.period)
					break
				}
			}
		})
	}
}

func TestBind_again_peersFollow(t *testing.T) {
	for _, endpoint := range []string{"inproc://a", "tcp://127.0.0.1:0"} {
		t.Run(endpoint[:strings.Index(endpoint, ":")], func(t *testing.T) {
			server, peers := bustest.NewContext(t), (*bus.Context)(nil)
			peers = server
			if strings.HasPrefix(endpoint, "tcp") {
				peers = bustest.NewContext(t)
			}
			observations, commands := endpoint, strings.Replace(endpoint, "//a", "//b", 1)
			p := bustest.Must[*bus.Publisher](t)(server.NewPublisher(observations))
			r := bustest.Must[*bus.Receiver](t)(server.NewReceiver(commands))
			observations, commands = p.Endpoint(), r.Endpoint()
			s := &subscriber{Subscriber: bustest.Must[*bus.Subscriber](t)(peers.NewSubscriber(observations))}
			sender := bustest.Must[*bus.Sender](t)(peers.NewSender(commands))
			for life := range 3 {
				meet(t, p.Publish, s)
				meet(t, sender.Send, &receiver{r})
				want := fmt.Sprint("life ", life)
				if err := errors.Join(p.Publish([]byte(want)), sender.Send([]byte(want))); err != nil {
					t.Fatal(err)
				}
				if got := receive(t, s); got != want {
					t.Errorf("the subscriber finds %q, want %q", got, want)
				}
				if got := receive(t, &receiver{r}); got != want {
					t.Errorf("the receiver finds %q, want %q", got, want)
				}
				if err := errors.Join(p.Close(), r.Close()); err != nil {
					t.Fatal(err)
				}
				// Without a server nothing arrives, and Send returns ErrNoPeer, over TCP after some time.
				if frame, err := s.tryReceive(); !errors.Is(err, bus.ErrEmpty) {
					t.Errorf("without a publisher the subscriber finds %q, %v, want ErrEmpty", frame, err)
				}
				for deadline := time.Now().Add(bustest.Patience); ; time.Sleep(time.Millisecond) {
					if err := sender.Send([]byte("lost")); errors.Is(err, bus.ErrNoPeer) {
						break
					}
					if time.Now().After(deadline) {
						t.Fatal("Send without a receiver does not return ErrNoPeer")
					}
				}
				p = bustest.Retry(t, func() (*bus.Publisher, error) { return server.NewPublisher(observations) })
				r = bustest.Retry(t, func() (*bus.Receiver, error) { return server.NewReceiver(commands) })
			}
		})
	}
}

func TestReceive_publisherRestarts_continues(t *testing.T) {
	c := bustest.NewContext(t)
	p := bustest.Must[*bus.Publisher](t)(c.NewPublisher("inproc://a"))
	s := bustest.Must[*bus.Subscriber](t)(c.NewSubscriber("inproc://a"))
	got := make(chan string)
	go func() {
		var f bus.Frame
		err := s.Receive(context.Background(), &f)
		got <- fmt.Sprint(string(f.Bytes()), err)
	}()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
	p = bustest.Must[*bus.Publisher](t)(c.NewPublisher("inproc://a"))
	if err := p.Publish([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if got := <-got; got != "x<nil>" {
		t.Errorf("Receive = %s, want x", got)
	}
}

func TestPublish_twoSubscribers_bothReceive(t *testing.T) {
	for _, endpoint := range []string{"inproc://a", "tcp://127.0.0.1:0"} {
		t.Run(endpoint[:strings.Index(endpoint, ":")], func(t *testing.T) {
			c := bustest.NewContext(t)
			p := bustest.Must[*bus.Publisher](t)(c.NewPublisher(endpoint))
			var subscribers []*subscriber
			for range 2 {
				s := &subscriber{Subscriber: bustest.Must[*bus.Subscriber](t)(c.NewSubscriber(p.Endpoint()))}
				meet(t, p.Publish, s)
				subscribers = append(subscribers, s)
			}
			if _, err := c.NewPublisher(p.Endpoint()); err == nil || !strings.Contains(err.Error(), "in use") {
				t.Errorf("a second publisher at %s: %v, want an error that says that it is in use", p.Endpoint(), err)
			}
			if err := p.Publish([]byte("both")); err != nil {
				t.Fatal(err)
			}
			for i, s := range subscribers {
				if got := receive(t, s); got != "both" {
					t.Errorf("subscriber %d finds %q", i, got)
				}
			}
		})
	}
}

func TestReceive_afterNetworkStall_newestFrame(t *testing.T) {
	for _, d := range directions {
		t.Run(d.name, func(t *testing.T) {
			c := bustest.NewContext(t)
			var write func([]byte) error
			var read reader
			var v *bustest.Proxy
			if d.name == "publisher to subscriber" {
				p := bustest.Must[*bus.Publisher](t)(c.NewPublisher("tcp://127.0.0.1:0"))
				v = bustest.NewProxy(t, p.Endpoint())
				write, read = p.Publish, &subscriber{Subscriber: bustest.Must[*bus.Subscriber](t)(c.NewSubscriber(v.Endpoint))}
			} else {
				r := bustest.Must[*bus.Receiver](t)(c.NewReceiver("tcp://127.0.0.1:0"))
				v = bustest.NewProxy(t, r.Endpoint())
				write, read = bustest.Must[*bus.Sender](t)(c.NewSender(v.Endpoint)).Send, &receiver{r}
			}
			meet(t, write, read)
			v.Pause()
			frame := make([]byte, 1300)
			const frames = 5000
			for i := range frames { // As in 50 s at 100 Hz.
				binary.LittleEndian.PutUint64(frame, uint64(i))
				start := time.Now()
				if err := write(frame); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took > 50*time.Millisecond {
					t.Errorf("a write to a stalled peer took %v", took)
				}
				if i%100 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			v.Resume()
			// The last frame follows the ones that the system had buffered, however many were written.
			opened := time.Now()
			for got := uint64(0); got != frames-1; {
				time.Sleep(20 * time.Millisecond)
				got = binary.LittleEndian.Uint64([]byte(receive(t, read)))
				if took := time.Since(opened); took > 2*time.Second {
					t.Fatalf("%v after the stall frame %d is read, want %d", took, got, frames-1)
				}
			}
		})
	}
}

func TestClose_tcpPeers_quick(t *testing.T) {
	const limit = 100 * time.Millisecond
	large := make([]byte, 16<<20)
	tests := []struct {
		name    string
		prepare func(t *testing.T, c *bus.Context)
	}{
		{"in the middle of a message", func(t *testing.T, c *bus.Context) {
			p := bustest.Must[*bus.Publisher](t)(c.NewPublisher("tcp://127.0.0.1:0"))
			s := &subscriber{Subscriber: bustest.Must[*bus.Subscriber](t)(c.NewSubscriber(p.Endpoint()))}
			meet(t, p.Publish, s)
			if err := p.Publish(large); err != nil {
				t.Fatal(err)
			}
		}},
		{"in the middle of a message to a peer that reads nothing", func(t *testing.T, c *bus.Context) {
			p := bustest.Must[*bus.Publisher](t)(c.NewPublisher("tcp://127.0.0.1:0"))
			v := bustest.NewProxy(t, p.Endpoint())
			s := &subscriber{Subscriber: bustest.Must[*bus.Subscriber](t)(bustest.NewContext(t).NewSubscriber(v.Endpoint))}
			meet(t, p.Publish, s)
			v.Pause()
			t.Cleanup(v.Resume)
			for range 10 {
				if err := p.Publish(large); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"commands to a peer that reads nothing", func(t *testing.T, c *bus.Context) {
			r := bustest.Must[*bus.Receiver](t)(bustest.NewContext(t).NewReceiver("tcp://127.0.0.1:0"))
			v := bustest.NewProxy(t, r.Endpoint())
			s := bustest.Must[*bus.Sender](t)(c.NewSender(v.Endpoint))
			meet(t, s.Send, &receiver{r})
			v.Pause()
			t.Cleanup(v.Resume)
			for range 10 {
				if err := s.Send(large); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"a peer that has left", func(t *testing.T, c *bus.Context) {
			other := bustest.NewContext(t)
			r := bustest.Must[*bus.Receiver](t)(other.NewReceiver("tcp://127.0.0.1:0"))
			s := bustest.Must[*bus.Sender](t)(c.NewSender(r.Endpoint()))
			meet(t, s.Send, &receiver{r})
			if err := other.Close(); err != nil {
				t.Fatal(err)
			}
			_ = s.Send(large)
		}},
		{"multipart messages to a peer that reads nothing, until the queue is full", func(t *testing.T, c *bus.Context) {
			r := bustest.Must[*bus.MultipartReceiver](t)(bustest.NewContext(t).NewMultipartReceiver("tcp://127.0.0.1:0"))
			v := bustest.NewProxy(t, r.Endpoint())
			s := bustest.Must[*bus.MultipartSender](t)(c.NewMultipartSender(v.Endpoint))
			for deadline := time.Now().Add(bustest.Patience); s.Send([][]byte{large[:100], large[:100]}) != nil; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("a message cannot be sent")
				}
			}
			v.Pause()
			t.Cleanup(v.Resume)
			sent := 1
			for ; s.Send([][]byte{large, large}) == nil; sent++ {
				time.Sleep(20 * time.Millisecond)
				if sent > 100 {
					t.Fatal("the queue does not fill up")
				}
			}
		}},
		{"a subscriber in the middle of a message that does not continue", func(t *testing.T, c *bus.Context) {
			l := bustest.Must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
			t.Cleanup(func() { l.Close() })
			bustest.Must[*bus.Subscriber](t)(c.NewSubscriber("tcp://" + l.Addr().String()))
			newPeer(t, bustest.Must[net.Conn](t)(l.Accept()), "PUB").begin(t, len(large))
		}},
		{"a receiver in the middle of a message that does not continue", func(t *testing.T, c *bus.Context) {
			r := bustest.Must[*bus.Receiver](t)(c.NewReceiver("tcp://127.0.0.1:0"))
			dialPeer(t, r.Endpoint(), "PUSH").begin(t, len(large))
		}},
		{"a client whose key is rejected repeatedly", func(t *testing.T, c *bus.Context) {
			server, other := bustest.Must[bus.Keys](t)(bus.NewKeys()), bustest.Must[bus.Keys](t)(bus.NewKeys())
			p := bustest.Must[*bus.Publisher](t)(c.NewPublisher("tcp://127.0.0.1:0", bus.WithSecurity(bus.Security{Keys: server, AuthorizedKeys: []string{server.Public}})))
			bustest.Must[*bus.Subscriber](t)(c.NewSubscriber(p.Endpoint(), bus.WithSecurity(bus.Security{Keys: other, ServerKey: server.Public})))
			for deadline := time.Now().Add(bustest.Patience); p.Connections().Key < 2; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the client does not connect again")
				}
			}
		}},
		{"a peer that sends nothing", func(t *testing.T, c *bus.Context) {
			p := bustest.Must[*bus.Publisher](t)(c.NewPublisher("tcp://127.0.0.1:0"))
			conn := bustest.Must[net.Conn](t)(net.Dial("tcp", strings.TrimPrefix(p.Endpoint(), "tcp://")))
			t.Cleanup(func() { conn.Close() })
			time.Sleep(20 * time.Millisecond)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// Other work of the machine may delay one of them, but not each of three.
			for try := 1; ; try++ {
				c := bustest.NewContext(t)
				tt.prepare(t, c)
				start := time.Now()
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				took := time.Since(start)
				if took <= limit {
					break
				}
				if try == 3 {
					t.Errorf("Close took %v, want at most %v", took, limit)
					break
				}
			}
		})
	}
}

func TestReceiver_malformedAndOversize_othersServed(t *testing.T) {
	greetings := rejectedGreetings(false)
	c := bustest.NewContext(t)
	r := bustest.Must[*bus.Receiver](t)(c.NewReceiver("tcp://127.0.0.1:0", bus.WithMaxFrameBytes(1000)))
	good, bad := bustest.Must[*bus.Sender](t)(c.NewSender(r.Endpoint())), bustest.Must[*bus.Sender](t)(c.NewSender(r.Endpoint()))
	meet(t, good.Send, &receiver{r})
	meet(t, bad.Send, &receiver{r})
	for i := range 20 {
		conn := bustest.Must[net.Conn](t)(net.Dial("tcp", strings.TrimPrefix(r.Endpoint(), "tcp://")))
		if _, err := io.WriteString(conn, greetings[i%len(greetings)]); err != nil && i == 0 {
			t.Error(err)
		}
		conn.Close()
		_ = bad.Send(make([]byte, 1001)) // ErrNoPeer while it is disconnected.
		want := fmt.Sprint("good ", i)
		if err := good.Send([]byte(want)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), bustest.Patience)
		for {
			got, err := r.Receive(ctx)
			if string(got) == want {
				break
			}
			if err != nil {
				t.Fatalf("waiting for %q: %v", want, err)
			}
			if len(got) > 1000 {
				t.Errorf("a frame of %d bytes arrived, the limit is 1000", len(got))
			}
		}
		cancel()
	}
}

func TestPublisher_malformedPeers_othersServed(t *testing.T) {
	greetings := rejectedGreetings(false)
	c := bustest.NewContext(t)
	p, parts := bustest.Must[*bus.Publisher](t)(c.NewPublisher("tcp://127.0.0.1:0")), bustest.Must[*bus.MultipartPublisher](t)(c.NewMultipartPublisher("tcp://127.0.0.1:0"))
	s := &subscriber{Subscriber: bustest.Must[*bus.Subscriber](t)(c.NewSubscriber(p.Endpoint()))}
	meet(t, p.Publish, s)
	for i := range 20 {
		for _, endpoint := range []string{p.Endpoint(), parts.Endpoint()} {
			conn := bustest.Must[net.Conn](t)(net.Dial("tcp", strings.TrimPrefix(endpoint, "tcp://")))
			if _, err := io.WriteString(conn, greetings[i%len(greetings)]); err != nil && i == 0 {
				t.Error(err)
			}
			conn.Close()
		}
		want := fmt.Sprint("good ", i)
		if err := errors.Join(p.Publish([]byte(want)), parts.Publish([][]byte{[]byte(want), nil})); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, s); got != want {
			t.Errorf("the subscriber finds %q, want %q", got, want)
		}
	}
}

func TestReceive_multipartMessage_droppedWhole(t *testing.T) {
	c := bustest.NewContext(t)
	r := bustest.Must[*bus.Receiver](t)(c.NewReceiver("tcp://127.0.0.1:0"))
	sender := bustest.Must[*bus.Sender](t)(c.NewSender(r.Endpoint()))
	parts := bustest.Must[*bus.MultipartSender](t)(c.NewMultipartSender(r.Endpoint()))
	meet(t, sender.Send, &receiver{r})
	for n := 2; n <= 9; n++ {
		message := make([][]byte, n)
		for deadline := time.Now().Add(bustest.Patience); parts.Send(message) != nil; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("a multipart message cannot be sent")
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), bustest.Patience)
		if frame, err := r.Receive(ctx); !errors.Is(err, bus.ErrMultipart) {
			t.Errorf("a message of %d parts: %q, %v, want ErrMultipart", n, frame, err)
		}
		cancel()
		want := fmt.Sprint("good ", n)
		if err := sender.Send([]byte(want)); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, &receiver{r}); got != want {
			t.Errorf("after a message of %d parts the receiver finds %q", n, got)
		}
	}
	// Likewise for a subscriber, from a server of the predecessor.
	p := bustest.Must[*bus.MultipartPublisher](t)(c.NewMultipartPublisher("tcp://127.0.0.1:0"))
	s := &subscriber{Subscriber: bustest.Must[*bus.Subscriber](t)(c.NewSubscriber(p.Endpoint()))}
	for deadline := time.Now().Add(bustest.Patience); ; time.Sleep(time.Millisecond) {
		if err := p.Publish(make([][]byte, 8)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.tryReceive(); errors.Is(err, bus.ErrMultipart) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a multipart message is not reported")
		}
	}
}

func TestReceiver_flood_othersServed(t *testing.T) {
	c := bustest.NewContext(t)
	r := bustest.Must[*bus.Receiver](t)(c.NewReceiver("tcp://127.0.0.1:0"))
	good, flood := bustest.Must[*bus.Sender](t)(c.NewSender(r.Endpoint())), bustest.Must[*bus.Sender](t)(bustest.NewContext(t).NewSender(r.Endpoint()))
	meet(t, good.Send, &receiver{r})
	meet(t, flood.Send, &receiver{r})
	var stop atomic.Bool
	stopped := make(chan uint64)
	go func() {
		n := uint64(0)
		for ; !stop.Load(); n++ {
			_ = flood.Send([]byte("garbage"))
		}
		stopped <- n
	}()
	for i := range 50 {
		want := fmt.Sprint("good ", i)
		if err := good.Send([]byte(want)); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(bustest.Patience); ; {
			if got := receive(t, &receiver{r}); got == want {
				break
			} else if got != "garbage" || time.Now().After(deadline) {
				t.Fatalf("waiting for %q the receiver finds %q", want, got)
			}
		}
	}
	stop.Store(true)
	t.Logf("%d garbage frames meanwhile", <-stopped)
}

func TestMultipart_roundTrip(t *testing.T) {
	c := bustest.NewContext(t)
	p := bustest.Must[*bus.MultipartPublisher](t)(c.NewMultipartPublisher("tcp://127.0.0.1:0"))
	s := bustest.Must[*bus.MultipartSubscriber](t)(c.NewMultipartSubscriber(p.Endpoint(), "topic"))
	r := bustest.Must[*bus.MultipartReceiver](t)(c.NewMultipartReceiver("tcp://127.0.0.1:0"))
	sender := bustest.Must[*bus.MultipartSender](t)(c.NewMultipartSender(r.Endpoint()))
	for _, tt := range []struct {
		name  string
		write func([][]byte) error
		read  func() ([][]byte, error)
		parts []string
		want  int
	}{
		{"an observation's 8", p.Publish, s.TryReceive, []string{"topic", "1.0", "", "3", "4", "5", "6", strings.Repeat("x", 1<<20)}, 8},
		{"a command's 2", sender.Send, r.TryReceive, []string{"metadata", "values"}, 2},
		{"1", sender.Send, r.TryReceive, []string{"alone"}, 1},
		{"20, of which 9 are returned", sender.Send, r.TryReceive, strings.Split(strings.Repeat("x", 20), ""), 9},
	} {
		var message [][]byte
		for _, part := range tt.parts {
			message = append(message, []byte(part))
		}
		var got [][]byte
		for deadline := time.Now().Add(bustest.Patience); ; time.Sleep(5 * time.Millisecond) {
			if err := tt.write(message); err != nil && !errors.Is(err, bus.ErrNoPeer) {
				t.Fatal(err)
			}
			var err error
			if got, err = tt.read(); err == nil && len(got) == tt.want {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d parts, %v", tt.name, len(got), err)
			}
		}
		for i, part := range got[:min(len(got), bus.MaxParts-1)] {
			if string(part) != tt.parts[i] {
				t.Errorf("%s: part %d is %q of %d bytes", tt.name, i, part[:min(len(part), 10)], len(part))
			}
		}
	}
	if err := p.Publish([][]byte{[]byte("other"), nil}); err != nil {
		t.Fatal(err)
	}
}

// A multipart reader takes whole messages, whether it waited for them or not.
func TestMultipartReceive_oneMessage(t *testing.T) {
	c := bustest.NewContext(t)
	r := bustest.Must[*bus.MultipartReceiver](t)(c.NewMultipartReceiver("tcp://127.0.0.1:0"))
	s := bustest.Must[*bus.MultipartSender](t)(c.NewMultipartSender(r.Endpoint()))
	ctx, cancel := context.WithTimeout(t.Context(), bustest.Patience)
	defer cancel()
	for i := range 50 {
		sent := make(chan error)
		go func() {
			time.Sleep(time.Duration(i%5) * time.Millisecond)
			err := bus.ErrNoPeer
			for ; errors.Is(err, bus.ErrNoPeer) && ctx.Err() == nil; time.Sleep(time.Millisecond) {
				err = s.Send([][]byte{fmt.Append(nil, i), nil, []byte("end")})
			}
			sent <- err
		}()
		parts, err := r.Receive(ctx)
		if err != nil || len(parts) != 3 || string(parts[0]) != fmt.Sprint(i) || len(parts[1]) != 0 || string(parts[2]) != "end" {
			t.Errorf("message %d is %q, %v", i, parts, err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
}

func TestMultipart_inproc_error(t *testing.T) {
	c := bustest.NewContext(t)
	bustest.Must[*bus.Publisher](t)(c.NewPublisher("inproc://a"))
	bustest.Must[*bus.Receiver](t)(c.NewReceiver("inproc://b"))
	for name, open := range map[string]func() error{
		"publisher":  func() error { _, err := c.NewMultipartPublisher("inproc://c"); return err },
		"receiver":   func() error { _, err := c.NewMultipartReceiver("inproc://d"); return err },
		"subscriber": func() error { _, err := c.NewMultipartSubscriber("inproc://a", ""); return err },
		"sender":     func() error { _, err := c.NewMultipartSender("inproc://b"); return err },
	} {
		if err := open(); err == nil || !strings.Contains(err.Error(), "expected tcp://HOST:PORT") {
			t.Errorf("a multipart %s over inproc: %v, want an error that expects TCP", name, err)
		}
	}
}

func TestSend_lastFrame_sentTwiceReadOnce(t *testing.T) {
	for _, d := range directions {
		t.Run(d.name, func(t *testing.T) {
			write, read := d.dial(t, bustest.NewContext(t), "tcp://127.0.0.1:0")
			meet(t, write, read)
			if err := write([]byte("last")); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, read); got != "last" {
				t.Errorf("the frame is %q, want last", got)
			}
			time.Sleep(2 * bus.ResendAfter)
			if frame, err := read.tryReceive(); !errors.Is(err, bus.ErrEmpty) {
				t.Errorf("then the reader finds %q, %v, want ErrEmpty", frame, err)
			}
		})
	}
	// A reader that is not a mailbox reads both.
	c := bustest.NewContext(t)
	p := bustest.Must[*bus.Publisher](t)(c.NewPublisher("tcp://127.0.0.1:0"))
	s := bustest.Must[*bus.MultipartSubscriber](t)(c.NewMultipartSubscriber(p.Endpoint(), ""))
	last, met := 0, false
	for deadline := time.Now().Add(bustest.Patience); last < 2; time.Sleep(time.Millisecond) {
		parts, err := s.TryReceive()
		switch {
		case err == nil && string(parts[0]) == "last":
			last++
		case err == nil && !met:
			met = true
			if err := p.Publish([]byte("last")); err != nil {
				t.Fatal(err)
			}
		case err != nil && !met:
			if err := p.Publish([]byte("first")); err != nil {
				t.Fatal(err)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the last frame comes %d times, want 2", last)
		}
	}
}
