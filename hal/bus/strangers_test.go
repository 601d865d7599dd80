package bus

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// inChild is set where a test is run by itself in another process.
const inChild = "KRABBY_STRANGERS_CHILD"

// libzmq ends the process where it finds what it holds to be impossible. Nothing that somebody sends who reaches a port, and
// no time that he chooses to leave, may be that: no joint may be left to itself so.
func TestNoStrangerEndsTheProcess(t *testing.T) {
	for _, tt := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"handshakes of all kinds, without keys", func(t *testing.T) { besiege(t, false) }},
		{"handshakes of all kinds, with keys", func(t *testing.T) { besiege(t, true) }},
		{"handshakes that end at each byte, without keys", func(t *testing.T) { cutShort(t, Security{}) }},
		{"handshakes that end at each byte, with keys", func(t *testing.T) {
			cutShort(t, Security{Keys: must[Keys](t)(NewKeys()), Peers: []string{must[Keys](t)(NewKeys()).Public}})
		}},
		{"the end of an old handshake while the socket closes", endHandshakesAtClose},
		{"leaving in the middle of a message while the socket closes", leaveAtClose},
		{"more than is read, a ping, and leaving", leaveUnread(true, 0)},
		{"more than is read, and leaving before the next heartbeat", leaveUnread(false, heartbeatEvery+200*time.Millisecond)},
		{"more than is read, and no answer to heartbeats", floodWithoutHeartbeats},
		{"the name that the next peer would be given", takeTheNextName},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if os.Getenv(inChild) != "" {
				tt.run(t)
				return
			}
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 6*patience)
			defer cancel()
			name := "^" + strings.ReplaceAll(regexp.QuoteMeta(t.Name()), "/", "$/^") + "$"
			child := exec.CommandContext(ctx, must[string](t)(os.Executable()), "-test.run="+name, "-test.v")
			child.Env = append(os.Environ(), inChild+"=1")
			out, err := child.CombinedOutput()
			switch {
			case err == nil && bytes.Contains(out, []byte("--- PASS: "+t.Name()+" ")):
			case err == nil:
				t.Errorf("the test was not run:\n%s", out)
			case messageSize == 0 && aborted.Match(out):
				t.Skipf("this libzmq is not the one that is built here, and ends the process: %s", aborted.Find(out))
			default:
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}

// aborted is the last that libzmq says.
var aborted = regexp.MustCompile(`(?m)^.*\((\./)?src/\w+\.[ch]pp:\d+\)$`)

// hangUp closes a connection at once and drops what is under way in both directions.
func hangUp(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.Close()
}

// Frames of ZeroMQ's version 3, and 2; and of version 1.
func frame(flags byte, body string) string { return string([]byte{flags, byte(len(body))}) + body }
func frame1(flags byte, body string) string {
	return string([]byte{byte(len(body) + 1), flags}) + body
}

const (
	more, command = 1, 4
	signature     = "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f"
	pingCommand   = "\x04PING\x00\x00"
)

func property(name, value string) string {
	return string(rune(len(name))) + name + string(binary.BigEndian.AppendUint32(nil, uint32(len(value)))) + value
}

func greeting3(minor byte, mechanism string) string {
	g := make([]byte, 64)
	copy(g, signature+"\x03"+string([]byte{minor})+mechanism)
	return string(g)
}

// handshakes are what strangers say: of each version, to each type of socket, and what follows.
func handshakes() []string {
	var all []string
	for _, after := range []string{"\x01", "\x00x", "", "x"} {
		all = append(all,
			frame1(0, "")+frame1(0, after)+frame1(more, "a")+frame1(0, after),
			frame1(more, "name")+frame1(0, after),
			frame1(0, strings.Repeat("n", 200))+frame1(0, after),
			signature+"\x00\x01"+frame1(0, "")+frame1(0, after),
		)
		for kind := range byte(12) {
			all = append(all,
				signature+"\x01"+string([]byte{kind})+frame(0, "")+frame(0, after)+frame(more, "a")+frame(0, after),
				signature+"\x01"+string([]byte{kind})+frame(more|command, "name")+frame(command, "\x09SUBSCRIBE")+frame(0, after),
			)
		}
	}
	for _, kind := range []string{"PUB", "SUB", "XPUB", "XSUB", "PUSH", "PULL", "REQ", "REP", "DEALER", "ROUTER", "PAIR", "NONE", ""} {
		for minor := range byte(3) {
			ready := frame(command, "\x05READY"+property("Socket-Type", kind)+property("Identity", "name"))
			all = append(all, greeting3(minor, "NULL")+ready+
				frame(command, "\x09SUBSCRIBE")+frame(0, "\x01")+frame(command, pingCommand)+frame(command, "\x04PING")+
				frame(more, "")+frame(command, "\x04PONG")+frame(0, "request")+frame(command|more, "\x06CANCEL")+frame(command, "\x09SUBSCRIBE")+
				strings.Repeat(frame(0, "\x01"), 40)+frame(command, "")+frame(command, "\xff"))
		}
	}
	for minor := range byte(2) {
		null := greeting3(minor, "NULL")
		curve := greeting3(minor, "CURVE")
		all = append(all,
			null+frame(command, "\x05ERROR\x03400"), null+frame(command, "\x05ERROR\xff"), null+frame(0, ""), null+frame(command, "\x05READY\xff"),
			null+frame(command, "\x05READY"+property("Socket-Type", "DEALER")+property("Identity", strings.Repeat("\x00", 99))),
			curve+frame(command, "\x05HELLO\x01\x00"+strings.Repeat("h", 192)), curve+frame(command, "\x05HELLO"), curve+frame(0, ""),
			curve+frame(command, "\x08INITIATE"+strings.Repeat("i", 240)), curve+frame(command, "\x07WELCOME"+strings.Repeat("w", 160)),
			curve+frame(command, "\x05READY"+strings.Repeat("r", 60)), curve+frame(command, "\x05ERROR\x03400"), curve+frame(command, "\x05ERROR\xff"),
			curve+frame(command, "\x07MESSAGE"+strings.Repeat("m", 60)),
			greeting3(minor, "PLAIN")+frame(command, "\x05HELLO\x01u\x01p"), greeting3(minor, "GSSAPI"), greeting3(minor, ""),
		)
	}
	return append(all, "\xff\x00\x00\x00\x00\x00\x00\x00\x00", signature+"\xff", signature+"\x02", "GET / HTTP/1.1\r\n\r\n", "\x00", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00")
}

// utter says a random part of one of the handshakes, or something else, and leaves.
func utter(conn net.Conn, all []string, random *rand.Rand) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	said := []byte(all[random.IntN(len(all))])
	switch random.IntN(8) {
	case 0: // Cut off anywhere.
		said = said[:random.IntN(len(said)+1)]
	case 1: // With a byte changed.
		said[random.IntN(len(said))] ^= byte(1 << random.IntN(8))
	case 2: // With something behind it.
		for range random.IntN(300) {
			said = append(said, byte(random.IntN(256)))
		}
	case 3: // Or with subscriptions and ends of some.
		for range random.IntN(100) {
			topic := string([]byte{byte(random.IntN(2)), byte(random.IntN(4)), byte(random.IntN(256)), byte(random.IntN(4))})
			said = append(said, frame(0, topic[:1+random.IntN(4)])...)
		}
	}
	if half := random.IntN(len(said) + 1); random.IntN(2) == 0 {
		_, _ = conn.Write(said[:half])
		said = said[half:]
		time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond)
	}
	_, _ = conn.Write(said)
	switch random.IntN(4) {
	case 0:
		hangUp(conn)
	case 1: // Reads what the other says, for a moment.
		_ = conn.SetReadDeadline(time.Now().Add(2 * time.Millisecond))
		_, _ = io.Copy(io.Discard, conn)
	case 2:
		time.Sleep(time.Duration(random.IntN(3000)) * time.Microsecond)
		hangUp(conn)
	}
}

// kinds are the sockets over TCP.
var kinds = []struct {
	name  string
	binds bool
	open  func(c *Context, endpoint string, o Option) (s endpointed, use func(), err error)
}{
	{"Publisher", true, opener((*Context).NewPublisher, func(p *Publisher) { _ = p.Publish([]byte("frame")) })},
	{"Receiver", true, opener((*Context).NewReceiver, func(r *Receiver) { _, _ = r.TryReceive() })},
	{"PartsPublisher", true, opener((*Context).NewPartsPublisher, func(p *PartsPublisher) { _ = p.Publish(message) })},
	{"PartsReceiver", true, opener((*Context).NewPartsReceiver, func(r *PartsReceiver) { _, _ = r.TryReceive() })},
	{"Responder", true, opener((*Context).NewResponder, func(r *Responder) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		if _, err := r.Receive(ctx); err == nil {
			_ = r.Reply([]byte("reply"))
		}
	})},
	{"Subscriber", false, opener((*Context).NewSubscriber, func(s *Subscriber) {
		var f Frame
		_ = s.TryReceive(&f)
		f.Release()
	})},
	{"Sender", false, opener((*Context).NewSender, func(s *Sender) { _ = s.Send([]byte("frame")) })},
	{"PartsSubscriber", false, opener(func(c *Context, endpoint string, o ...Option) (*PartsSubscriber, error) {
		return c.NewPartsSubscriber(endpoint, "", o...)
	}, func(s *PartsSubscriber) { _, _ = s.TryReceive() })},
	{"PartsSender", false, opener((*Context).NewPartsSender, func(s *PartsSender) { _ = s.Send(message) })},
	{"Requester", false, opener((*Context).NewRequester, func(r *Requester) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		_, _ = r.Request(ctx, []byte("request"))
	})},
}

var message = [][]byte{[]byte("several"), nil, make([]byte, 100_000)}

// endpointed is any socket of the package.
type endpointed interface {
	io.Closer
	Endpoint() string
}

func opener[T endpointed](open func(*Context, string, ...Option) (T, error), use func(T)) func(*Context, string, Option) (endpointed, func(), error) {
	return func(c *Context, endpoint string, o Option) (endpointed, func(), error) {
		s, err := open(c, endpoint, o)
		return s, func() { use(s) }, err
	}
}

// besiege lets strangers at each type of socket while some of them are opened, used and closed, and others serve a friend.
func besiege(t *testing.T, keys bool) {
	const lasts = 4 * time.Second
	c := newContext(t)
	server, client := WithSecurity(Security{}), WithSecurity(Security{})
	if keys {
		s, f := must[Keys](t)(NewKeys()), must[Keys](t)(NewKeys())
		server = WithSecurity(Security{Keys: s, Peers: []string{f.Public}})
		client = WithSecurity(Security{Keys: f, Peers: []string{s.Public}})
	}
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	var all sync.WaitGroup
	said := handshakes()
	call := func(endpoint string, random *rand.Rand) {
		if conn, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "tcp://")); err == nil {
			utter(conn, said, random)
		}
	}

	// The friend.
	p := must[*Publisher](t)(c.NewPublisher("tcp://127.0.0.1:0", server))
	s := &subscriber{Subscriber: must[*Subscriber](t)(c.NewSubscriber(p.Endpoint(), client))}
	r := &receiver{must[*Receiver](t)(c.NewReceiver("tcp://127.0.0.1:0", server))}
	sender := must[*Sender](t)(c.NewSender(r.Endpoint(), client))
	responder := must[*Responder](t)(c.NewResponder("tcp://127.0.0.1:0", server))
	requester := must[*Requester](t)(c.NewRequester(responder.Endpoint(), client))
	echo(t, responder, same)
	for i, endpoint := range []string{p.Endpoint(), r.Endpoint(), responder.Endpoint()} {
		all.Go(func() {
			for random := rand.New(rand.NewPCG(1, uint64(i))); ctx.Err() == nil; {
				call(endpoint, random)
			}
		})
	}
	for i, kind := range kinds {
		all.Go(func() {
			random := rand.New(rand.NewPCG(2, uint64(i)))
			for ctx.Err() == nil {
				endpoint, o := "tcp://127.0.0.1:0", server
				var listener net.Listener
				if !kind.binds {
					var err error
					if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
						t.Error(err)
						return
					}
					endpoint, o = "tcp://"+listener.Addr().String(), client
				}
				socket, use, err := kind.open(c, endpoint, o)
				if err != nil {
					t.Errorf("%s: %v", kind.name, err)
					return
				}
				var callers sync.WaitGroup
				if listener != nil {
					callers.Go(func() {
						for random := rand.New(rand.NewPCG(3, uint64(i))); ; {
							conn, err := listener.Accept()
							if err != nil {
								return
							}
							utter(conn, said, random)
						}
					})
				} else {
					seed := random.Uint64()
					callers.Go(func() {
						for random := rand.New(rand.NewPCG(4, seed)); random.IntN(20) != 0; {
							call(socket.Endpoint(), random)
						}
					})
				}
				for range random.IntN(20) {
					use()
					time.Sleep(time.Duration(random.IntN(3000)) * time.Microsecond)
				}
				if err := socket.Close(); err != nil {
					t.Errorf("%s: %v", kind.name, err)
				}
				if listener != nil {
					listener.Close()
				}
				callers.Wait()
			}
		})
	}
	rounds := 0
	for ; ctx.Err() == nil; rounds++ {
		comesThrough(t, fmt.Sprint("observation ", rounds), p.Publish, s)
		comesThrough(t, fmt.Sprint("command ", rounds), sender.Send, r)
		question := fmt.Sprint("question ", rounds)
		if got := ask(t, requester, question); got != question {
			t.Errorf("the answer to %q is %q", question, got)
		}
	}
	all.Wait()
	t.Logf("%d rounds of the friend; connections %+v", rounds, ConnectionsOf(p, r, responder.parts))
}

// comesThrough writes a frame until it is read, whatever others say meanwhile.
func comesThrough(t *testing.T, frame string, write func([]byte) error, read reader) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if err := write([]byte(frame)); err != nil && !errors.Is(err, ErrNoPeer) {
			t.Fatal(err)
		}
		for {
			got, err := read.tryReceive()
			if got == frame {
				return
			}
			if errors.Is(err, ErrEmpty) {
				break
			}
			if err != nil && !errors.Is(err, ErrParts) {
				t.Fatal(err)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q does not come through", frame)
		}
	}
}

// cutShort ends handshakes of each version at each of their bytes, in both ways.
func cutShort(t *testing.T, security Security) {
	c := newContext(t)
	for _, kind := range kinds {
		if !kind.binds {
			continue
		}
		s, use, err := kind.open(c, "tcp://127.0.0.1:0", WithSecurity(security))
		if err != nil {
			t.Fatal(err)
		}
		peer := map[string]string{"Publisher": "SUB", "Receiver": "PUSH", "PartsPublisher": "SUB", "PartsReceiver": "PUSH", "Responder": "DEALER"}[kind.name]
		after := "\x01request"
		for _, said := range []string{
			frame1(0, "name") + frame1(more, "") + frame1(0, after),
			signature + "\x00\x02" + frame1(0, "name") + frame1(more, "") + frame1(0, after),
			signature + "\x01\x02" + frame(0, "name") + frame(more, "") + frame(0, after),
			greeting3(0, "NULL") + frame(command, "\x05READY"+property("Socket-Type", peer)+property("Identity", "name")) + frame(more, "") + frame(0, after),
			greeting3(1, "NULL") + frame(command, "\x05READY"+property("Socket-Type", peer)) + frame(command, "\x09SUBSCRIBEtopic") + frame(more, "") + frame(0, after) + frame(command, pingCommand),
			greeting3(1, "CURVE") + frame(command, "\x05HELLO\x01\x00"+strings.Repeat("h", 192)),
		} {
			for end := range len(said) + 1 {
				conn := must[net.Conn](t)(net.Dial("tcp", strings.TrimPrefix(s.Endpoint(), "tcp://")))
				if _, err := io.WriteString(conn, said[:end]); err != nil {
					t.Fatal(err)
				}
				if end%2 == 0 {
					time.Sleep(200 * time.Microsecond) // Some of it is read.
				}
				if end%4 < 2 {
					hangUp(conn)
				} else {
					conn.Close()
				}
				if end%16 == 0 {
					use()
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// endHandshakesAtClose has peers of ZeroMQ's first versions complete their handshakes while the socket is closed.
func endHandshakesAtClose(t *testing.T) {
	c := newContext(t)
	for _, kind := range kinds {
		if !kind.binds {
			continue
		}
		for i := range 60 {
			socket, _, err := kind.open(c, "tcp://127.0.0.1:0", WithSecurity(Security{}))
			if err != nil {
				t.Fatal(err)
			}
			var conns []net.Conn
			var all sync.WaitGroup
			start := make(chan struct{})
			for n := range 20 {
				conn := must[net.Conn](t)(net.Dial("tcp", strings.TrimPrefix(socket.Endpoint(), "tcp://")))
				conns = append(conns, conn)
				hello := []string{frame1(0, "") + frame1(0, "\x01"), signature + "\x01\x02" + frame(0, "") + frame(0, "\x01"), signature + "\x00\x02" + frame1(0, "") + frame1(0, "\x01")}[n%3]
				// All of it but the last byte of the name, which may be that of its size.
				said := map[int]int{0: 1, 1: 13, 2: 13}[n%3]
				if _, err := conn.Write([]byte(hello[:said])); err != nil {
					t.Fatal(err)
				}
				all.Go(func() {
					<-start
					time.Sleep(time.Duration(n*i) * time.Microsecond / 4)
					_, _ = conn.Write([]byte(hello[said:]))
				})
			}
			time.Sleep(2 * time.Millisecond)
			close(start)
			if err := socket.Close(); err != nil {
				t.Error(err)
			}
			all.Wait()
			for _, conn := range conns {
				hangUp(conn)
			}
		}
	}
}

// leaveAtClose has subscribers leave that have read half of a message, while the publisher is closed.
func leaveAtClose(t *testing.T) {
	c := newContext(t)
	large := [][]byte{make([]byte, 1<<20), make([]byte, 1<<20), make([]byte, 1<<20), []byte("end")}
	for i := range 60 {
		p := must[*PartsPublisher](t)(c.NewPartsPublisher("tcp://127.0.0.1:0"))
		var all sync.WaitGroup
		start := make(chan struct{})
		for n := range 8 {
			s := dialStranger(t, p.Endpoint(), "SUB")
			if _, err := s.Write([]byte(frame(0, "\x01"))); err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				<-start
				time.Sleep(time.Duration(n*i) * time.Microsecond)
				hangUp(s.Conn)
			})
		}
		for range 5 {
			if err := p.Publish(large); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		close(start)
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
	}
}

// leaveUnread sends more messages than wait for a reader, then a ping if it is told to, and leaves.
func leaveUnread(ping bool, wait time.Duration) func(t *testing.T) {
	return func(t *testing.T) {
		c := newContext(t)
		r := must[*PartsReceiver](t)(c.NewPartsReceiver("tcp://127.0.0.1:0"))
		friend := must[*PartsSender](t)(c.NewPartsSender(r.Endpoint()))
		for range 3 {
			s := dialStranger(t, r.Endpoint(), "PUSH")
			said := strings.Repeat(frame(0, "message"), 5)
			if ping {
				said += frame(command, pingCommand) + frame(0, "behind it")
			}
			if _, err := s.Write([]byte(said)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond) // Until libzmq has read all of it.
			hangUp(s.Conn)
		}
		time.Sleep(100*time.Millisecond + wait)
		for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			if err := friend.Send([][]byte{[]byte("friend")}); err != nil && !errors.Is(err, ErrNoPeer) {
				t.Fatal(err)
			}
			parts, err := r.TryReceive()
			if err == nil && string(parts[0]) == "friend" {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("no message of a friend comes through: %q, %v", parts, err)
			}
		}
		// And what is left of the strangers'.
		for deadline := time.Now().Add(200 * time.Millisecond); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if _, err := r.TryReceive(); err != nil && !errors.Is(err, ErrEmpty) {
				t.Fatal(err)
			}
		}
	}
}

// floodWithoutHeartbeats is a server that sends more than is read and does not answer, so that it is taken for dead; then the
// subscriber reads.
func floodWithoutHeartbeats(t *testing.T) {
	listener := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	defer listener.Close()
	s := must[*PartsSubscriber](t)(newContext(t).NewPartsSubscriber("tcp://"+listener.Addr().String(), ""))
	for i := range 2 {
		conn := must[net.Conn](t)(listener.Accept())
		peer := newStranger(t, conn, "PUB")
		if i == 1 {
			break
		}
		if _, err := peer.Write([]byte(strings.Repeat(frame(0, "message"), 50))); err != nil {
			t.Fatal(err)
		}
		// Until it is taken for dead, and there is another connection.
	}
	n := 0
	for deadline := time.Now().Add(300 * time.Millisecond); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, err := s.TryReceive(); err == nil {
			n++
		} else if !errors.Is(err, ErrEmpty) {
			t.Fatal(err)
		}
	}
	if n == 0 {
		t.Error("nothing was read of what the server sent")
	}
}

// takeTheNextName connects under the name that a responder is to give to the next peer without one.
func takeTheNextName(t *testing.T) {
	c := newContext(t)
	r := must[*Responder](t)(c.NewResponder("tcp://127.0.0.1:0"))
	first := must[*Requester](t)(c.NewRequester(r.Endpoint()))
	names := make(chan [5]byte, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() {
		if _, err := r.Receive(ctx); err != nil {
			t.Error(err)
		} else {
			names <- [5]byte(r.envelope[0])
			_ = r.Reply(nil)
		}
		close(names)
	}()
	ask(t, first, "hello")
	name := <-names
	binary.BigEndian.PutUint32(name[1:], binary.BigEndian.Uint32(name[1:])+1)
	conn := must[net.Conn](t)(net.Dial("tcp", strings.TrimPrefix(r.Endpoint(), "tcp://")))
	defer conn.Close()
	ready := frame(command, "\x05READY"+property("Socket-Type", "DEALER")+property("Identity", string(name[:])))
	if _, err := io.WriteString(conn, greeting3(1, "NULL")+ready); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	echo(t, r, same)
	second := must[*Requester](t)(c.NewRequester(r.Endpoint()))
	if got := ask(t, second, "hello too"); got != "hello too" {
		t.Errorf("the answer to the second peer is %q", got)
	}
}
