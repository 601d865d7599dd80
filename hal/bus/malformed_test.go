package bus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/bus/bustest"
)

// rejectedGreetings returns what every version of libzmq rejects before a handshake is complete, from a peer of a socket with keys or
// without.
func rejectedGreetings(keys bool) []string {
	other := "CURVE"
	if keys {
		other = "NULL"
	}
	return []string{strings.Repeat("\x00", greetingBytes), greeting(other), greeting("NONE"), greeting("")}
}

// incompleteGreetings returns the beginnings of a greeting, after which libzmq waits for the rest.
func incompleteGreetings() []string {
	var all []string
	for n := range greetingBytes {
		all = append(all, greeting("NULL")[:n])
	}
	return all
}

// misbehave writes one of the greetings to a connection and leaves, at once or later.
func misbehave(conn net.Conn, greetings []string, random *rand.Rand) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(conn, greetings[random.IntN(len(greetings))])
	if random.IntN(2) == 0 {
		time.Sleep(time.Duration(random.IntN(3000)) * time.Microsecond)
	}
}

// socketKinds are the sockets over TCP.
var socketKinds = []struct {
	name  string
	binds bool
	open  func(c *bus.Context, endpoint string, o bus.Option) (s busSocket, use func(), err error)
}{
	{"Publisher", true, opener((*bus.Context).NewPublisher, func(p *bus.Publisher) { _ = p.Publish([]byte("frame")) })},
	{"Receiver", true, opener((*bus.Context).NewReceiver, func(r *bus.Receiver) { _, _ = r.TryReceive() })},
	{"MultipartPublisher", true, opener((*bus.Context).NewMultipartPublisher, func(p *bus.MultipartPublisher) { _ = p.Publish(multipart) })},
	{"MultipartReceiver", true, opener((*bus.Context).NewMultipartReceiver, func(r *bus.MultipartReceiver) { _, _ = r.TryReceive() })},
	{"Responder", true, opener((*bus.Context).NewResponder, func(r *bus.Responder) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		if _, err := r.Receive(ctx); err == nil {
			_ = r.Reply([]byte("reply"))
		}
	})},
	{"Subscriber", false, opener((*bus.Context).NewSubscriber, func(s *bus.Subscriber) {
		var f bus.Frame
		_ = s.TryReceive(&f)
		f.Release()
	})},
	{"Sender", false, opener((*bus.Context).NewSender, func(s *bus.Sender) { _ = s.Send([]byte("frame")) })},
	{"MultipartSubscriber", false, opener(func(c *bus.Context, endpoint string, o ...bus.Option) (*bus.MultipartSubscriber, error) {
		return c.NewMultipartSubscriber(endpoint, "", o...)
	}, func(s *bus.MultipartSubscriber) { _, _ = s.TryReceive() })},
	{"MultipartSender", false, opener((*bus.Context).NewMultipartSender, func(s *bus.MultipartSender) { _ = s.Send(multipart) })},
	{"Requester", false, opener((*bus.Context).NewRequester, func(r *bus.Requester) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		_, _ = r.Request(ctx, []byte("request"))
	})},
}

var multipart = [][]byte{[]byte("several"), nil, make([]byte, 100_000)}

func opener[T busSocket](open func(*bus.Context, string, ...bus.Option) (T, error), use func(T)) func(*bus.Context, string, bus.Option) (busSocket, func(), error) {
	return func(c *bus.Context, endpoint string, o bus.Option) (busSocket, func(), error) {
		s, err := open(c, endpoint, o)
		return s, func() { use(s) }, err
	}
}

// newSecurity returns the options of a server and its client, with keys or without.
func newSecurity(t *testing.T, keys bool) (server, client bus.Option) {
	t.Helper()
	if !keys {
		return bus.WithSecurity(bus.Security{}), bus.WithSecurity(bus.Security{})
	}
	s, c := bustest.Must[bus.Keys](t)(bus.NewKeys()), bustest.Must[bus.Keys](t)(bus.NewKeys())
	return bus.WithSecurity(bus.Security{Keys: s, AuthorizedKeys: []string{c.Public}}), bus.WithSecurity(bus.Security{Keys: c, ServerKey: s.Public})
}

// Malformed peers connect to each type of socket while sockets are opened, used and closed, and others serve a good client. A signal that
// ends the process ends the test.
func TestMalformedPeers_noAbort(t *testing.T) {
	for _, keys := range []bool{false, true} {
		t.Run(fmt.Sprintf("keys=%v", keys), func(t *testing.T) {
			const duration = 3 * time.Second
			ctx, cancel := context.WithTimeout(t.Context(), duration)
			defer cancel()
			c := bustest.NewContext(t)
			server, client := newSecurity(t, keys)
			greetings := append(incompleteGreetings(), rejectedGreetings(keys)...)
			var all sync.WaitGroup
			good := newGoodClient(t, c, server, client)
			for i, endpoint := range good.endpoints {
				all.Go(func() {
					for random := rand.New(rand.NewPCG(1, uint64(i))); ctx.Err() == nil; {
						dialAndMisbehave(endpoint, greetings, random)
					}
				})
			}
			for i, kind := range socketKinds {
				all.Go(func() {
					for random := rand.New(rand.NewPCG(2, uint64(i))); ctx.Err() == nil; {
						o := server
						if !kind.binds {
							o = client
						}
						openAmongMalformedPeers(t, c, i, o, greetings, random)
					}
				})
			}
			rounds := 0
			for ; ctx.Err() == nil; rounds++ {
				good.exchange(t, rounds)
			}
			all.Wait()
			var sum bus.Connections
			for _, s := range good.servers {
				sum = sum.Add(s.Connections())
			}
			if rounds == 0 || sum.Key+sum.Protocol == 0 {
				t.Errorf("%d exchanges of the good client, connections %+v, want some of each", rounds, sum)
			}
		})
	}
}

func dialAndMisbehave(endpoint string, greetings []string, random *rand.Rand) {
	if conn, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "tcp://")); err == nil {
		misbehave(conn, greetings, random)
	}
}

// openAmongMalformedPeers opens, uses and closes a socket, to which only malformed peers connect, or which connects to them.
func openAmongMalformedPeers(t *testing.T, c *bus.Context, kind int, o bus.Option, greetings []string, random *rand.Rand) {
	k, endpoint := socketKinds[kind], "tcp://127.0.0.1:0"
	peers := rand.New(rand.NewPCG(3, random.Uint64()))
	var misbehaving sync.WaitGroup
	defer misbehaving.Wait()
	if !k.binds {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Error(err)
			return
		}
		defer listener.Close()
		endpoint = "tcp://" + listener.Addr().String()
		misbehaving.Go(func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				misbehave(conn, greetings, peers)
			}
		})
	}
	socket, use, err := k.open(c, endpoint, o)
	if err != nil {
		t.Errorf("%s: %v", k.name, err)
		return
	}
	if k.binds {
		misbehaving.Go(func() {
			for peers.IntN(20) != 0 {
				dialAndMisbehave(socket.Endpoint(), greetings, peers)
			}
		})
	}
	for range random.IntN(20) {
		use()
		time.Sleep(time.Duration(random.IntN(3000)) * time.Microsecond)
	}
	if err := socket.Close(); err != nil {
		t.Errorf("%s: %v", k.name, err)
	}
}

// goodClient is a server and a client that exchange frames of all kinds.
type goodClient struct {
	publish   func([]byte) error
	send      func([]byte) error
	read      *subscriber
	receive   *receiver
	request   *bus.Requester
	servers   []busSocket
	endpoints []string
}

func newGoodClient(t *testing.T, c *bus.Context, server, client bus.Option) *goodClient {
	t.Helper()
	p := bustest.Must[*bus.Publisher](t)(c.NewPublisher("tcp://127.0.0.1:0", server))
	r := bustest.Must[*bus.Receiver](t)(c.NewReceiver("tcp://127.0.0.1:0", server))
	responder := bustest.Must[*bus.Responder](t)(c.NewResponder("tcp://127.0.0.1:0", server))
	echo(t, responder, same)
	return &goodClient{
		publish:   p.Publish,
		send:      bustest.Must[*bus.Sender](t)(c.NewSender(r.Endpoint(), client)).Send,
		read:      &subscriber{Subscriber: bustest.Must[*bus.Subscriber](t)(c.NewSubscriber(p.Endpoint(), client))},
		receive:   &receiver{r},
		request:   bustest.Must[*bus.Requester](t)(c.NewRequester(responder.Endpoint(), client)),
		servers:   []busSocket{p, r, responder},
		endpoints: []string{p.Endpoint(), r.Endpoint(), responder.Endpoint()},
	}
}

func (g *goodClient) exchange(t *testing.T, round int) {
	t.Helper()
	arrives(t, fmt.Sprint("observation ", round), g.publish, g.read)
	arrives(t, fmt.Sprint("command ", round), g.send, g.receive)
	question := fmt.Sprint("question ", round)
	if got := ask(t, g.request, question); got != question {
		t.Errorf("the reply to %q is %q", question, got)
	}
}

// arrives writes a frame until it is read.
func arrives(t *testing.T, frame string, write func([]byte) error, read reader) {
	t.Helper()
	for deadline := time.Now().Add(bustest.Patience); ; time.Sleep(time.Millisecond) {
		if err := write([]byte(frame)); err != nil && !errors.Is(err, bus.ErrNoPeer) {
			t.Fatal(err)
		}
		for {
			got, err := read.tryReceive()
			if got == frame {
				return
			}
			if errors.Is(err, bus.ErrEmpty) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(got, "observation") && !strings.HasPrefix(got, "command") {
				t.Fatalf("a malformed peer's frame arrived: %q", got)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q does not arrive", frame)
		}
	}
}

// Connections that stay in the middle of the greeting, as many as a program may have, do not keep a good client out.
func TestMalformedPeers_halfOpenConnections_othersServed(t *testing.T) {
	const connections = 100
	c := bustest.NewContext(t)
	server, client := newSecurity(t, true)
	good := newGoodClient(t, c, server, client)
	for i := range connections {
		for _, endpoint := range good.endpoints {
			conn := dial(t, endpoint)
			defer conn.Close()
			if _, err := io.WriteString(conn, greeting("CURVE")[:i%greetingBytes]); err != nil {
				t.Fatal(err)
			}
		}
	}
	for round := range 20 {
		good.exchange(t, round)
	}
	for _, s := range good.servers {
		if n := s.Connections(); n.Opened < connections+1 {
			t.Errorf("connections %+v, want at least %d opened", n, connections+1)
		}
	}
}
