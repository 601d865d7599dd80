package bus

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
)

// A stream of stamped frames is read by somebody slower, and what is read is never older than 1.2 periods of the writer.
func TestWhatASlowReaderReadsIsFresh(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	for _, tt := range []struct {
		endpoint string
		bytes    int
		period   time.Duration
		measured bool // A frame may take as long as one does that is waited for, if that is more than a fifth of a period.
		// A machine that is busy with other work may let one of the threads wait for longer than a fifth of a period now and
		// then, so most of one of some rounds has to be right. What waits in queues would be too old in every one.
		mayBeLate int
	}{
		{"inproc://a", 1300, 10 * time.Millisecond, false, 0},
		{"inproc://a", 4_300_000, 10 * time.Millisecond, false, 0},
		{"tcp://127.0.0.1:0", 1300, 10 * time.Millisecond, false, 1},
		{"tcp://127.0.0.1:0", 4_300_000, 10 * time.Millisecond, true, 1},
		// Slower, so that a machine busy with other work gets the 4 MB across within a fifth of it.
		{"tcp://127.0.0.1:0", 4_300_000, 100 * time.Millisecond, false, 1},
	} {
		t.Run(fmt.Sprintf("%d bytes each %v over %s", tt.bytes, tt.period, tt.endpoint[:strings.Index(tt.endpoint, ":")]), func(t *testing.T) {
			c := newContext(t)
			p := must[*Publisher](t)(c.NewPublisher(tt.endpoint))
			s := must[*Subscriber](t)(c.NewSubscriber(p.Endpoint()))
			start := time.Now()
			// When each frame was made, and when it had been published.
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
			var f Frame
			ctx, cancel := context.WithTimeout(t.Context(), patience)
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
					// A queue would make it five periods.
					mayTake = max(mayTake, min(took, 2*tt.period))
				}
				for range reads {
					time.Sleep(5 * tt.period)
					at, read := time.Since(start), time.Duration(0)
					if err := s.TryReceive(&f); err == nil {
						read = time.Duration(binary.LittleEndian.Uint64(f.Bytes()))
					}
					oldest = max(oldest, at-read)
					// There is a newer one, and it was published longer ago than it may take.
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
					t.Errorf("in each of %d rounds, more than %d of %d frames were older than a period of %v and what they may take", rounds, tt.mayBeLate, reads, tt.period)
					break
				}
			}
		})
	}
}

func TestPeersFollowAnEndpointThatIsBoundAgain(t *testing.T) {
	for _, endpoint := range []string{"inproc://a", "tcp://127.0.0.1:0"} {
		t.Run(endpoint[:strings.Index(endpoint, ":")], func(t *testing.T) {
			server, peers := newContext(t), (*Context)(nil)
			peers = server
			if strings.HasPrefix(endpoint, "tcp") {
				peers = newContext(t)
			}
			observations, commands := endpoint, strings.Replace(endpoint, "//a", "//b", 1)
			p := must[*Publisher](t)(server.NewPublisher(observations))
			r := must[*Receiver](t)(server.NewReceiver(commands))
			observations, commands = p.Endpoint(), r.Endpoint()
			s := &subscriber{Subscriber: must[*Subscriber](t)(peers.NewSubscriber(observations))}
			sender := must[*Sender](t)(peers.NewSender(commands))
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
				// Nobody is there: nothing arrives, and the sender is told so, at once or as soon as it can be known.
				if frame, err := s.tryReceive(); !errors.Is(err, ErrEmpty) {
					t.Errorf("without a publisher the subscriber finds %q, %v, want ErrEmpty", frame, err)
				}
				for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
					if err := sender.Send([]byte("lost")); errors.Is(err, ErrNoPeer) {
						break
					}
					if time.Now().After(deadline) {
						t.Fatal("a sender without a receiver is not told")
					}
				}
				p = again(t, func() (*Publisher, error) { return server.NewPublisher(observations) })
				r = again(t, func() (*Receiver, error) { return server.NewReceiver(commands) })
			}
		})
	}
}

// again retries what fails while the system still has an address in use.
func again[T any](t *testing.T, f func() (T, error)) T {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		v, err := f()
		if err == nil {
			return v
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestAReceiveGoesOnAcrossARestart(t *testing.T) {
	c := newContext(t)
	p := must[*Publisher](t)(c.NewPublisher("inproc://a"))
	s := must[*Subscriber](t)(c.NewSubscriber("inproc://a"))
	got := make(chan string)
	go func() {
		var f Frame
		err := s.Receive(context.Background(), &f)
		got <- fmt.Sprint(string(f.Bytes()), err)
	}()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
	p = must[*Publisher](t)(c.NewPublisher("inproc://a"))
	if err := p.Publish([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if got := <-got; got != "x<nil>" {
		t.Errorf("Receive = %s, want x", got)
	}
}

func TestTwoSubscribersAndASecondPublisher(t *testing.T) {
	for _, endpoint := range []string{"inproc://a", "tcp://127.0.0.1:0"} {
		t.Run(endpoint[:strings.Index(endpoint, ":")], func(t *testing.T) {
			c := newContext(t)
			p := must[*Publisher](t)(c.NewPublisher(endpoint))
			var subscribers []*subscriber
			for range 2 {
				s := &subscriber{Subscriber: must[*Subscriber](t)(c.NewSubscriber(p.Endpoint()))}
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

// valve is a TCP connection between two peers that can be held up.
type valve struct {
	listener net.Listener
	mu       sync.Mutex
}

func newValve(t *testing.T, endpoint string) *valve {
	t.Helper()
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	v := &valve{listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "tcp://"))
			if err != nil {
				in.Close()
				return
			}
			for _, c := range []net.Conn{in, out} {
				c.(*net.TCPConn).SetReadBuffer(32 << 10)
				c.(*net.TCPConn).SetWriteBuffer(32 << 10)
			}
			go v.pass(in, out)
			go v.pass(out, in)
		}
	}()
	return v
}

func (v *valve) endpoint() string { return "tcp://" + v.listener.Addr().String() }

func (v *valve) pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		v.mu.Lock()
		v.mu.Unlock()
		if err != nil {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

func TestAfterAStallOfTheNetworkWhatIsReadIsNew(t *testing.T) {
	for _, d := range directions {
		t.Run(d.name, func(t *testing.T) {
			c := newContext(t)
			var write func([]byte) error
			var read reader
			var v *valve
			if d.name == "publisher to subscriber" {
				p := must[*Publisher](t)(c.NewPublisher("tcp://127.0.0.1:0"))
				v = newValve(t, p.Endpoint())
				write, read = p.Publish, &subscriber{Subscriber: must[*Subscriber](t)(c.NewSubscriber(v.endpoint()))}
			} else {
				r := must[*Receiver](t)(c.NewReceiver("tcp://127.0.0.1:0"))
				v = newValve(t, r.Endpoint())
				write, read = must[*Sender](t)(c.NewSender(v.endpoint())).Send, &receiver{r}
			}
			meet(t, write, read)
			v.mu.Lock()
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
			v.mu.Unlock()
			// However much was written, the last is there as soon as what the system had buffered has come through.
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

func TestCloseIsQuickWithPeersOverTCP(t *testing.T) {
	const limit = 100 * time.Millisecond
	large := make([]byte, 16<<20)
	tests := []struct {
		name    string
		prepare func(t *testing.T, c *Context)
	}{
		{"in the middle of a message", func(t *testing.T, c *Context) {
			p := must[*Publisher](t)(c.NewPublisher("tcp://127.0.0.1:0"))
			s := &subscriber{Subscriber: must[*Subscriber](t)(c.NewSubscriber(p.Endpoint()))}
			meet(t, p.Publish, s)
			if err := p.Publish(large); err != nil {
				t.Fatal(err)
			}
		}},
		{"in the middle of a message to a peer that takes nothing", func(t *testing.T, c *Context) {
			p := must[*Publisher](t)(c.NewPublisher("tcp://127.0.0.1:0"))
			v := newValve(t, p.Endpoint())
			s := &subscriber{Subscriber: must[*Subscriber](t)(newContext(t).NewSubscriber(v.endpoint()))}
			meet(t, p.Publish, s)
			v.mu.Lock()
			t.Cleanup(v.mu.Unlock)
			for range 10 {
				if err := p.Publish(large); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"commands to a peer that takes nothing", func(t *testing.T, c *Context) {
			r := must[*Receiver](t)(newContext(t).NewReceiver("tcp://127.0.0.1:0"))
			v := newValve(t, r.Endpoint())
			s := must[*Sender](t)(c.NewSender(v.endpoint()))
			meet(t, s.Send, &receiver{r})
			v.mu.Lock()
			t.Cleanup(v.mu.Unlock)
			for range 10 {
				if err := s.Send(large); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"a peer that is gone", func(t *testing.T, c *Context) {
			other := newContext(t)
			r := must[*Receiver](t)(other.NewReceiver("tcp://127.0.0.1:0"))
			s := must[*Sender](t)(c.NewSender(r.Endpoint()))
			meet(t, s.Send, &receiver{r})
			if err := other.Close(); err != nil {
				t.Fatal(err)
			}
			_ = s.Send(large)
		}},
		{"messages of parts to a peer that takes nothing, until the queue is full", func(t *testing.T, c *Context) {
			r := must[*PartsReceiver](t)(newContext(t).NewPartsReceiver("tcp://127.0.0.1:0"))
			v := newValve(t, r.Endpoint())
			s := must[*PartsSender](t)(c.NewPartsSender(v.endpoint()))
			for deadline := time.Now().Add(patience); s.Send([][]byte{large[:100], large[:100]}) != nil; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("a message cannot be sent")
				}
			}
			v.mu.Lock()
			t.Cleanup(v.mu.Unlock)
			sent := 1
			for ; s.Send([][]byte{large, large}) == nil; sent++ {
				time.Sleep(20 * time.Millisecond)
				if sent > 100 {
					t.Fatal("the queue does not fill up")
				}
			}
		}},
		{"a subscriber in the middle of a message that does not go on", func(t *testing.T, c *Context) {
			l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
			t.Cleanup(func() { l.Close() })
			must[*Subscriber](t)(c.NewSubscriber("tcp://" + l.Addr().String()))
			newStranger(t, must[net.Conn](t)(l.Accept()), "PUB").begin(t, len(large))
		}},
		{"a receiver in the middle of a message that does not go on", func(t *testing.T, c *Context) {
			r := must[*Receiver](t)(c.NewReceiver("tcp://127.0.0.1:0"))
			dialStranger(t, r.Endpoint(), "PUSH").begin(t, len(large))
		}},
		{"a client whose key is refused, again and again", func(t *testing.T, c *Context) {
			server, stranger := must[Keys](t)(NewKeys()), must[Keys](t)(NewKeys())
			p := must[*Publisher](t)(c.NewPublisher("tcp://127.0.0.1:0", WithSecurity(Security{Keys: server, Peers: []string{server.Public}})))
			must[*Subscriber](t)(c.NewSubscriber(p.Endpoint(), WithSecurity(Security{Keys: stranger, Peers: []string{server.Public}})))
			for deadline := time.Now().Add(patience); p.Connections().Key < 2; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the client does not come again")
				}
			}
		}},
		{"a stranger who says nothing", func(t *testing.T, c *Context) {
			p := must[*Publisher](t)(c.NewPublisher("tcp://127.0.0.1:0"))
			conn := must[net.Conn](t)(net.Dial("tcp", strings.TrimPrefix(p.Endpoint(), "tcp://")))
			t.Cleanup(func() { conn.Close() })
			time.Sleep(20 * time.Millisecond)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// Other work of the machine may hold one up, but not each of three.
			for try := 1; ; try++ {
				c := newContext(t)
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

func TestStrangersAndOversizeDoNotDisturbOthers(t *testing.T) {
	c := newContext(t)
	r := must[*Receiver](t)(c.NewReceiver("tcp://127.0.0.1:0", WithMaxFrameBytes(1000)))
	good, bad := must[*Sender](t)(c.NewSender(r.Endpoint())), must[*Sender](t)(c.NewSender(r.Endpoint()))
	meet(t, good.Send, &receiver{r})
	meet(t, bad.Send, &receiver{r})
	for i := range 20 {
		conn := must[net.Conn](t)(net.Dial("tcp", strings.TrimPrefix(r.Endpoint(), "tcp://")))
		if _, err := io.WriteString(conn, strings.Repeat("GET / HTTP/1.1\r\n", 1+100*i)); err != nil && i == 0 {
			t.Error(err)
		}
		conn.Close()
		_ = bad.Send(make([]byte, 1001)) // Refused for want of a peer while it is thrown out.
		want := fmt.Sprint("good ", i)
		if err := good.Send([]byte(want)); err != nil {
			t.Fatal(err)
		}
		// Garbage that looks like frames comes through too, and is refused by who decodes it.
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		for {
			got, err := r.Receive(ctx)
			if string(got) == want {
				break
			}
			if err != nil && !errors.Is(err, ErrParts) {
				t.Fatalf("waiting for %q: %v", want, err)
			}
			if len(got) > 1000 {
				t.Errorf("a frame of %d bytes comes through, the limit is 1000", len(got))
			}
		}
		cancel()
	}
}

func TestStrangersDoNotDisturbAPublisher(t *testing.T) {
	c := newContext(t)
	p, parts := must[*Publisher](t)(c.NewPublisher("tcp://127.0.0.1:0")), must[*PartsPublisher](t)(c.NewPartsPublisher("tcp://127.0.0.1:0"))
	s := &subscriber{Subscriber: must[*Subscriber](t)(c.NewSubscriber(p.Endpoint()))}
	meet(t, p.Publish, s)
	for i := range 20 {
		for _, endpoint := range []string{p.Endpoint(), parts.Endpoint()} {
			conn := must[net.Conn](t)(net.Dial("tcp", strings.TrimPrefix(endpoint, "tcp://")))
			// To ZeroMQ a message of many parts from a peer of its first version.
			if _, err := io.WriteString(conn, strings.Repeat("GET / HTTP/1.1\r\n", 1+100*i)); err != nil && i == 0 {
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

func TestAMessageOfSeveralPartsIsDroppedWhole(t *testing.T) {
	c := newContext(t)
	r := must[*Receiver](t)(c.NewReceiver("tcp://127.0.0.1:0"))
	sender := must[*Sender](t)(c.NewSender(r.Endpoint()))
	parts := must[*PartsSender](t)(c.NewPartsSender(r.Endpoint()))
	meet(t, sender.Send, &receiver{r})
	for n := 2; n <= 9; n++ {
		message := make([][]byte, n)
		for deadline := time.Now().Add(patience); parts.Send(message) != nil; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("a message of several parts cannot be sent")
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if frame, err := r.Receive(ctx); !errors.Is(err, ErrParts) {
			t.Errorf("a message of %d parts: %q, %v, want ErrParts", n, frame, err)
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
	// The same towards a subscriber, from a server of the predecessor.
	p := must[*PartsPublisher](t)(c.NewPartsPublisher("tcp://127.0.0.1:0"))
	s := &subscriber{Subscriber: must[*Subscriber](t)(c.NewSubscriber(p.Endpoint()))}
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if err := p.Publish(make([][]byte, 8)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.tryReceive(); errors.Is(err, ErrParts) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a message of several parts is not told")
		}
	}
}

func TestAFloodOfOnePeerDoesNotDrownAnother(t *testing.T) {
	c := newContext(t)
	r := must[*Receiver](t)(c.NewReceiver("tcp://127.0.0.1:0"))
	good, flood := must[*Sender](t)(c.NewSender(r.Endpoint())), must[*Sender](t)(newContext(t).NewSender(r.Endpoint()))
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
		for deadline := time.Now().Add(patience); ; {
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

func TestMailboxesOfConnectionsThatAreGoneAreReused(t *testing.T) {
	p := &peers{}
	first := p.ring(0)
	for id := range maxPeers {
		p.ring(id)
	}
	if n := len(*p.outlets.Load()); n != maxPeers || p.ring(0) != first {
		t.Fatalf("%d mailboxes, the first one kept: %v; want %d, true", n, p.ring(0) == first, maxPeers)
	}
	p.ring(maxPeers) // Takes that of 1, now the one silent for longest.
	if n := len(*p.outlets.Load()); n != maxPeers || p.ring(0) != first {
		t.Errorf("%d mailboxes, the first one kept: %v; want %d, true", n, p.ring(0) == first, maxPeers)
	}
	p.free()
	if first.pin(0) != nil {
		t.Error("a frame in a mailbox that was freed")
	}
}

func TestMessagesOfPartsComeThrough(t *testing.T) {
	c := newContext(t)
	p := must[*PartsPublisher](t)(c.NewPartsPublisher("tcp://127.0.0.1:0"))
	s := must[*PartsSubscriber](t)(c.NewPartsSubscriber(p.Endpoint(), "topic"))
	r := must[*PartsReceiver](t)(c.NewPartsReceiver("tcp://127.0.0.1:0"))
	sender := must[*PartsSender](t)(c.NewPartsSender(r.Endpoint()))
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
		{"20, of which 9 tell that it is too many", sender.Send, r.TryReceive, strings.Split(strings.Repeat("x", 20), ""), 9},
	} {
		var message [][]byte
		for _, part := range tt.parts {
			message = append(message, []byte(part))
		}
		var got [][]byte
		for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			if err := tt.write(message); err != nil && !errors.Is(err, ErrNoPeer) {
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
		for i, part := range got[:min(len(got), MaxParts-1)] {
			if string(part) != tt.parts[i] {
				t.Errorf("%s: part %d is %q of %d bytes", tt.name, i, part[:min(len(part), 10)], len(part))
			}
		}
	}
	if err := p.Publish([][]byte{[]byte("other"), nil}); err != nil {
		t.Fatal(err)
	}
}

// A reader of parts takes a message whole, whether it waited for it or not.
func TestAReceiveOfPartsTakesOneMessage(t *testing.T) {
	c := newContext(t)
	r := must[*PartsReceiver](t)(c.NewPartsReceiver("tcp://127.0.0.1:0"))
	s := must[*PartsSender](t)(c.NewPartsSender(r.Endpoint()))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i := range 50 {
		sent := make(chan error)
		go func() {
			time.Sleep(time.Duration(i%5) * time.Millisecond)
			err := ErrNoPeer
			for ; errors.Is(err, ErrNoPeer) && ctx.Err() == nil; time.Sleep(time.Millisecond) {
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

func TestPartsOverInprocAreRefused(t *testing.T) {
	c := newContext(t)
	must[*Publisher](t)(c.NewPublisher("inproc://a"))
	must[*Receiver](t)(c.NewReceiver("inproc://b"))
	for name, open := range map[string]func() error{
		"publisher":  func() error { _, err := c.NewPartsPublisher("inproc://c"); return err },
		"receiver":   func() error { _, err := c.NewPartsReceiver("inproc://d"); return err },
		"subscriber": func() error { _, err := c.NewPartsSubscriber("inproc://a", ""); return err },
		"sender":     func() error { _, err := c.NewPartsSender("inproc://b"); return err },
	} {
		if err := open(); err == nil || !strings.Contains(err.Error(), "expected tcp://HOST:PORT") {
			t.Errorf("a %s of parts over inproc: %v, want that TCP is expected", name, err)
		}
	}
}

func TestTheLastFrameIsSentTwiceAndReadOnce(t *testing.T) {
	for _, d := range directions {
		t.Run(d.name, func(t *testing.T) {
			write, read := d.dial(t, newContext(t), "tcp://127.0.0.1:0")
			meet(t, write, read)
			if err := write([]byte("last")); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, read); got != "last" {
				t.Errorf("the frame is %q, want last", got)
			}
			time.Sleep(2 * resendAfter)
			if frame, err := read.tryReceive(); !errors.Is(err, ErrEmpty) {
				t.Errorf("then the reader finds %q, %v, want ErrEmpty", frame, err)
			}
		})
	}
	// A reader that is no mailbox sees both.
	c := newContext(t)
	p := must[*Publisher](t)(c.NewPublisher("tcp://127.0.0.1:0"))
	s := must[*PartsSubscriber](t)(c.NewPartsSubscriber(p.Endpoint(), ""))
	last, met := 0, false
	for deadline := time.Now().Add(patience); last < 2; time.Sleep(time.Millisecond) {
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
