package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

var requestEndpoints = []string{"inproc://control", "tcp://127.0.0.1:0"}

// echo answers every request with what answer makes of it until the test is over; nothing where that is "".
func echo(t *testing.T, r *Responder, answer func(string) string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		for {
			request, err := r.Receive(ctx)
			switch {
			case errors.Is(err, ErrParts):
				continue
			case err != nil:
				return
			}
			if reply := answer(string(request)); reply != "" {
				if err := r.Reply([]byte(reply)); err != nil && !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			}
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
}

func same(request string) string { return request }

// ask asks until there is a reply.
func ask(t *testing.T, r *Requester, request string) string {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		reply, err := r.Request(t.Context(), []byte(request))
		if err == nil {
			return string(reply)
		}
		if !errors.Is(err, ErrNoReply) && !errors.Is(err, ErrNoPeer) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestEveryRequesterGetsItsOwnReplies(t *testing.T) {
	for _, endpoint := range requestEndpoints {
		t.Run(endpoint[:strings.Index(endpoint, ":")], func(t *testing.T) {
			c := newContext(t)
			r := must[*Responder](t)(c.NewResponder(endpoint))
			echo(t, r, func(request string) string { return "re " + request })
			var all sync.WaitGroup
			for i := range 4 {
				q := must[*Requester](t)(c.NewRequester(r.Endpoint()))
				all.Go(func() {
					for n := range 200 {
						want := fmt.Sprintf("re %d of %d", n, i)
						reply, err := q.Request(t.Context(), []byte(want[3:]))
						if err != nil || string(reply) != want {
							t.Errorf("reply %q, %v, want %q", reply, err, want)
							return
						}
					}
				})
			}
			all.Wait()
		})
	}
}

func TestARequestWithoutAReplyEndsInTime(t *testing.T) {
	const soon = 100 * time.Millisecond
	for _, endpoint := range requestEndpoints {
		t.Run(endpoint[:strings.Index(endpoint, ":")], func(t *testing.T) {
			c := newContext(t)
			r := must[*Responder](t)(c.NewResponder(endpoint))
			echo(t, r, func(request string) string {
				if request == "silence" {
					return ""
				}
				return request
			})
			q := must[*Requester](t)(c.NewRequester(r.Endpoint()))
			ask(t, q, "hello")
			ctx, cancel := context.WithTimeout(t.Context(), soon)
			defer cancel()
			start := time.Now()
			reply, err := q.Request(ctx, []byte("silence"))
			if !errors.Is(err, ErrNoReply) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 5*soon {
				t.Errorf("reply %q, %v after %v, want ErrNoReply and the context's within %v", reply, err, time.Since(start), soon)
			}
			start = time.Now()
			if _, err := q.Request(context.Background(), []byte("silence")); !errors.Is(err, ErrNoReply) || time.Since(start) > 3*RequestTimeout {
				t.Errorf("without a deadline: %v after %v, want ErrNoReply within %v", err, time.Since(start), RequestTimeout)
			}
			if got := ask(t, q, "again"); got != "again" {
				t.Errorf("the next reply is %q", got)
			}
		})
	}
}

func TestALateReplyIsNotTakenForThatToTheNextRequest(t *testing.T) {
	c := newContext(t)
	r := must[*Responder](t)(c.NewResponder("tcp://127.0.0.1:0"))
	echo(t, r, func(request string) string {
		if request == "slow" {
			time.Sleep(200 * time.Millisecond)
		}
		return request
	})
	q := must[*Requester](t)(c.NewRequester(r.Endpoint()))
	ask(t, q, "hello")
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if _, err := q.Request(ctx, []byte("slow")); !errors.Is(err, ErrNoReply) {
			t.Errorf("a slow reply: %v, want ErrNoReply", err)
		}
		cancel()
		if got := ask(t, q, "quick"); got != "quick" {
			t.Errorf("the reply to another request is taken for this one's: %q", got)
		}
	}
}

func TestRequestersFollowAResponderThatIsBoundAgain(t *testing.T) {
	for _, endpoint := range requestEndpoints {
		t.Run(endpoint[:strings.Index(endpoint, ":")], func(t *testing.T) {
			c := newContext(t)
			r := must[*Responder](t)(c.NewResponder(endpoint))
			at := r.Endpoint()
			q := must[*Requester](t)(c.NewRequester(at))
			for life := range 3 {
				echo(t, r, func(request string) string { return fmt.Sprint(request, " in life ", life) })
				if got, want := ask(t, q, "hello"), fmt.Sprint("hello in life ", life); got != want {
					t.Errorf("reply %q, want %q", got, want)
				}
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				if reply, err := q.Request(ctx, []byte("anybody?")); !errors.Is(err, ErrNoPeer) && !errors.Is(err, ErrNoReply) {
					t.Errorf("without a responder: %q, %v", reply, err)
				}
				cancel()
				r = again(t, func() (*Responder, error) { return c.NewResponder(at) })
			}
		})
	}
}

func TestAResponderThatGoesInTheMiddleOfARequestEndsIt(t *testing.T) {
	c := newContext(t)
	r := must[*Responder](t)(c.NewResponder("inproc://control"))
	q := must[*Requester](t)(c.NewRequester("inproc://control"))
	ended := make(chan error)
	go func() { _, err := q.Request(context.Background(), []byte("x")); ended <- err }()
	if _, err := r.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrNoReply) || time.Since(start) > RequestTimeout/2 {
		t.Errorf("%v after %v, want ErrNoReply at once", err, time.Since(start))
	}
}

// Strangers send what is no request; who sends requests does not notice.
func TestGarbageDoesNotEndAResponderNorJamIt(t *testing.T) {
	for _, endpoint := range requestEndpoints {
		t.Run(endpoint[:strings.Index(endpoint, ":")], func(t *testing.T) {
			c := newContext(t)
			r := must[*Responder](t)(c.NewResponder(endpoint, WithMaxFrameBytes(4096)))
			echo(t, r, same)
			q := must[*Requester](t)(c.NewRequester(r.Endpoint()))
			ask(t, q, "hello")
			long := make([][]byte, 1000)
			for i := range long {
				long[i] = []byte{byte(i)}
			}
			nearly := make([][]byte, 20) // What is too long looks like a request in its first and its last parts.
			for i := range nearly {
				nearly[i] = []byte{1}
			}
			nearly[6], nearly[19] = nil, []byte("frame")
			for i, message := range [][][]byte{
				{[]byte("x")}, {nil}, {nil, nil}, {nil, []byte("a"), []byte("b")}, {nil, nil, nil, nil},
				{[]byte("id"), nil}, {[]byte("id"), []byte("x")}, {nil, nil, []byte("x")}, long, nearly,
				{nil, make([]byte, 5000)}, // Its sender is disconnected.
			} {
				stranger := must[*Requester](t)(c.NewRequester(r.Endpoint()))
				ask(t, stranger, "I am in")
				s := stranger.parts.socket
				for range 20 { // More than its queue takes.
					if err := s.sendParts(message); err != nil && !errors.Is(err, ErrNoPeer) {
						t.Fatal(err)
					}
				}
				if got := ask(t, q, fmt.Sprint("after ", i)); got != fmt.Sprint("after ", i) {
					t.Errorf("after message %d: %q", i, got)
				}
			}
			if endpoint == "inproc://control" {
				return
			}
			// And bytes that are not ZeroMQ's.
			conn := must[net.Conn](t)(net.Dial("tcp", strings.TrimPrefix(r.Endpoint(), "tcp://")))
			defer conn.Close()
			if _, err := conn.Write(make([]byte, 1<<16)); err != nil {
				t.Log(err)
			}
			if got := ask(t, q, "after all"); got != "after all" {
				t.Errorf("after bytes of zero: %q", got)
			}
		})
	}
}

// Who asks and goes, or asks and does not read the replies, does not keep others from theirs.
func TestRequestersThatDoNotReadTheirRepliesHoldUpNobody(t *testing.T) {
	c := newContext(t)
	r := must[*Responder](t)(c.NewResponder("tcp://127.0.0.1:0"))
	big := strings.Repeat("x", 1<<16)
	echo(t, r, func(request string) string {
		if request == "much" {
			return big
		}
		return request
	})
	v := newValve(t, r.Endpoint())
	deaf := must[*Requester](t)(c.NewRequester(v.endpoint()))
	ask(t, deaf, "hello")
	for range 500 {
		if err := deaf.parts.socket.sendParts([][]byte{[]byte("1234"), nil, []byte("much")}); err != nil && !errors.Is(err, ErrNoPeer) {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Microsecond)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range 20 {
		gone := must[*Requester](t)(c.NewRequester(r.Endpoint()))
		ask(t, gone, "hello")
		if err := errors.Join(gone.parts.socket.sendParts([][]byte{[]byte("1234"), nil, []byte("bye")}), gone.Close()); err != nil {
			t.Fatal(err)
		}
		q := must[*Requester](t)(c.NewRequester(r.Endpoint()))
		if got := ask(t, q, fmt.Sprint(i)); got != fmt.Sprint(i) {
			t.Errorf("reply %q, want %d", got, i)
		}
	}
}

func TestCloseOfRequestsIsQuickInEveryState(t *testing.T) {
	const limit = 100 * time.Millisecond
	type ends struct {
		q *Requester
		r *Responder
	}
	tests := []struct {
		name    string
		prepare func(t *testing.T, c *Context, e ends) (waiting chan error)
	}{
		{"at rest", func(*testing.T, *Context, ends) chan error { return nil }},
		{"while a request waits for its reply", func(t *testing.T, _ *Context, e ends) chan error {
			done := make(chan error)
			go func() { _, err := e.q.Request(context.Background(), []byte("x")); done <- err }()
			if _, err := e.r.Receive(t.Context()); err != nil {
				t.Fatal(err)
			}
			return done
		}},
		{"while a responder waits for a request", func(t *testing.T, _ *Context, e ends) chan error {
			done := make(chan error)
			go func() { _, err := e.r.Receive(context.Background()); done <- err }()
			time.Sleep(20 * time.Millisecond)
			return done
		}},
		{"while a request has nobody to go to", func(t *testing.T, c *Context, e ends) chan error {
			if err := e.r.Close(); err != nil {
				t.Fatal(err)
			}
			done := make(chan error)
			go func() { _, err := e.q.Request(context.Background(), []byte("x")); done <- err }()
			time.Sleep(50 * time.Millisecond)
			return done
		}},
	}
	for _, endpoint := range requestEndpoints {
		for _, tt := range tests {
			t.Run(endpoint[:strings.Index(endpoint, ":")]+"/"+tt.name, func(t *testing.T) {
				c := newContext(t)
				r := must[*Responder](t)(c.NewResponder(endpoint))
				q := must[*Requester](t)(c.NewRequester(r.Endpoint()))
				waiting := tt.prepare(t, c, ends{q, r})
				start := time.Now()
				if err := errors.Join(q.Close(), r.Close()); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took > limit {
					t.Errorf("closing took %v, want at most %v", took, limit)
				}
				if waiting != nil {
					if err := <-waiting; !errors.Is(err, ErrClosed) && !errors.Is(err, ErrNoReply) {
						t.Errorf("the call in progress ended with %v, want ErrClosed", err)
					}
				}
				if _, err := q.Request(t.Context(), []byte("x")); !errors.Is(err, ErrClosed) {
					t.Errorf("a request after Close: %v, want ErrClosed", err)
				}
				if _, err := r.Receive(t.Context()); !errors.Is(err, ErrClosed) {
					t.Errorf("a receive after Close: %v, want ErrClosed", err)
				}
				if err := r.Reply([]byte("x")); !errors.Is(err, ErrClosed) {
					t.Errorf("a reply after Close: %v, want ErrClosed", err)
				}
			})
		}
	}
}

func TestMisuseOfRequestsIsRefused(t *testing.T) {
	c := newContext(t)
	if _, err := c.NewRequester("inproc://control"); !errors.Is(err, ErrNotBound) {
		t.Errorf("a requester before its responder: %v, want ErrNotBound", err)
	}
	r := must[*Responder](t)(c.NewResponder("inproc://control"))
	if _, err := c.NewSender("inproc://control"); err == nil || !strings.Contains(err.Error(), "other direction") {
		t.Errorf("a sender to a responder: %v", err)
	}
	if _, err := c.NewResponder("tcp://0.0.0.0:0"); !errors.Is(err, ErrInsecure) {
		t.Errorf("without keys: %v, want ErrInsecure", err)
	}
	if err := r.Reply([]byte("x")); err == nil || !strings.Contains(err.Error(), "no request") {
		t.Errorf("a reply to nothing: %v", err)
	}
	q := must[*Requester](t)(c.NewRequester("inproc://control"))
	go q.Request(context.Background(), []byte("x"))
	if _, err := r.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Request(t.Context(), []byte("y")); !errors.Is(err, ErrBusy) {
		t.Errorf("two requests at once: %v, want ErrBusy", err)
	}
	if err := r.Reply([]byte("x")); err != nil {
		t.Error(err)
	}
	if err := r.Reply([]byte("x")); err == nil || !strings.Contains(err.Error(), "no request") {
		t.Errorf("a second reply: %v", err)
	}
}

func TestRequestsNeedTheKeysOfAPeer(t *testing.T) {
	server, friend, stranger := must[Keys](t)(NewKeys()), must[Keys](t)(NewKeys()), must[Keys](t)(NewKeys())
	at, from := newContext(t), newContext(t)
	r := must[*Responder](t)(at.NewResponder("tcp://127.0.0.1:0", WithSecurity(Security{Keys: server, Peers: []string{friend.Public}})))
	echo(t, r, same)
	for _, tt := range []struct {
		name     string
		security Security
		want     bool
	}{
		{"a friend", Security{Keys: friend, Peers: []string{server.Public}}, true},
		{"a stranger who knows the server's key", Security{Keys: stranger, Peers: []string{server.Public}}, false},
		{"a friend who takes another for the server", Security{Keys: friend, Peers: []string{stranger.Public}}, false},
		{"one without keys", Security{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := must[*Requester](t)(from.NewRequester(r.Endpoint(), WithSecurity(tt.security)))
			if tt.want {
				if got := ask(t, q, "secret"); got != "secret" {
					t.Errorf("reply %q", got)
				}
				return
			}
			if reply, err := q.Request(t.Context(), []byte("secret")); !errors.Is(err, ErrNoPeer) && !errors.Is(err, ErrNoReply) {
				t.Errorf("reply %q, %v, want no peer", reply, err)
			}
		})
	}
	if n := r.Connections(); n.Opened == 0 || n.Key == 0 {
		t.Errorf("connections %+v, want those opened and those with wrong keys", n)
	}
}
