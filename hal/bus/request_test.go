package bus_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/bus/bustest"
)

var requestEndpoints = []string{"inproc://control", "tcp://127.0.0.1:0"}

// echo replies to each request with answer's result, unless it is empty, until the end of the test.
func echo(t *testing.T, r *bus.Responder, answer func(string) string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		for {
			request, err := r.Receive(ctx)
			switch {
			case errors.Is(err, bus.ErrMultipart):
				continue
			case err != nil:
				return
			}
			if reply := answer(string(request)); reply != "" {
				if err := r.Reply([]byte(reply)); err != nil && !errors.Is(err, bus.ErrClosed) {
					t.Error(err)
				}
			}
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
}

func same(request string) string { return request }

// ask sends a request until there is a reply.
func ask(t *testing.T, r *bus.Requester, request string) string {
	t.Helper()
	for deadline := time.Now().Add(bustest.Patience); ; {
		reply, err := r.Request(t.Context(), []byte(request))
		if err == nil {
			return string(reply)
		}
		if !errors.Is(err, bus.ErrNoReply) && !errors.Is(err, bus.ErrNoPeer) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestRequest_concurrentRequesters_ownReplies(t *testing.T) {
	for _, endpoint := range requestEndpoints {
		t.Run(endpoint[:strings.Index(endpoint, ":")], func(t *testing.T) {
			c := bustest.NewContext(t)
			r := bustest.Must[*bus.Responder](t)(c.NewResponder(endpoint))
			echo(t, r, func(request string) string { return "re " + request })
			var all sync.WaitGroup
			for i := range 4 {
				q := bustest.Must[*bus.Requester](t)(c.NewRequester(r.Endpoint()))
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

func TestRequest_noReply_endsInTime(t *testing.T) {
	const soon = 100 * time.Millisecond
	for _, endpoint := range requestEndpoints {
		t.Run(endpoint[:strings.Index(endpoint, ":")], func(t *testing.T) {
			c := bustest.NewContext(t)
			r := bustest.Must[*bus.Responder](t)(c.NewResponder(endpoint))
			echo(t, r, func(request string) string {
				if request == "silence" {
					return ""
				}
				return request
			})
			q := bustest.Must[*bus.Requester](t)(c.NewRequester(r.Endpoint()))
			ask(t, q, "hello")
			ctx, cancel := context.WithTimeout(t.Context(), soon)
			defer cancel()
			start := time.Now()
			reply, err := q.Request(ctx, []byte("silence"))
			if !errors.Is(err, bus.ErrNoReply) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 5*soon {
				t.Errorf("reply %q, %v after %v, want ErrNoReply and the context's within %v", reply, err, time.Since(start), soon)
			}
			start = time.Now()
			if _, err := q.Request(context.Background(), []byte("silence")); !errors.Is(err, bus.ErrNoReply) || time.Since(start) > 3*bus.RequestTimeout {
				t.Errorf("without a deadline: %v after %v, want ErrNoReply within %v", err, time.Since(start), bus.RequestTimeout)
			}
			if got := ask(t, q, "again"); got != "again" {
				t.Errorf("the next reply is %q", got)
			}
		})
	}
}

func TestRequest_lateReply_dropped(t *testing.T) {
	c := bustest.NewContext(t)
	r := bustest.Must[*bus.Responder](t)(c.NewResponder("tcp://127.0.0.1:0"))
	echo(t, r, func(request string) string {
		if request == "slow" {
			time.Sleep(200 * time.Millisecond)
		}
		return request
	})
	q := bustest.Must[*bus.Requester](t)(c.NewRequester(r.Endpoint()))
	ask(t, q, "hello")
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if _, err := q.Request(ctx, []byte("slow")); !errors.Is(err, bus.ErrNoReply) {
			t.Errorf("a slow reply: %v, want ErrNoReply", err)
		}
		cancel()
		if got := ask(t, q, "quick"); got != "quick" {
			t.Errorf("the reply of another request: %q", got)
		}
	}
}

func TestRequest_responderRebinds_followed(t *testing.T) {
	for _, endpoint := range requestEndpoints {
		t.Run(endpoint[:strings.Index(endpoint, ":")], func(t *testing.T) {
			c := bustest.NewContext(t)
			r := bustest.Must[*bus.Responder](t)(c.NewResponder(endpoint))
			at := r.Endpoint()
			q := bustest.Must[*bus.Requester](t)(c.NewRequester(at))
			for life := range 3 {
				echo(t, r, func(request string) string { return fmt.Sprint(request, " in life ", life) })
				if got, want := ask(t, q, "hello"), fmt.Sprint("hello in life ", life); got != want {
					t.Errorf("reply %q, want %q", got, want)
				}
				if reply, err := q.Request(t.Context(), []byte("hello")); err != nil { // Now without a repetition.
					t.Errorf("the second request: %q, %v", reply, err)
				}
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				if reply, err := q.Request(ctx, []byte("anybody?")); !errors.Is(err, bus.ErrNoPeer) && !errors.Is(err, bus.ErrNoReply) {
					t.Errorf("without a responder: %q, %v", reply, err)
				}
				cancel()
				r = bustest.Retry(t, func() (*bus.Responder, error) { return c.NewResponder(at) })
			}
		})
	}
}

func TestRequest_responderCloses_noReplyAtOnce(t *testing.T) {
	c := bustest.NewContext(t)
	r := bustest.Must[*bus.Responder](t)(c.NewResponder("inproc://control"))
	q := bustest.Must[*bus.Requester](t)(c.NewRequester("inproc://control"))
	ended := make(chan error)
	go func() { _, err := q.Request(context.Background(), []byte("x")); ended <- err }()
	if _, err := r.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, bus.ErrNoReply) || time.Since(start) > bus.RequestTimeout/2 {
		t.Errorf("%v after %v, want ErrNoReply at once", err, time.Since(start))
	}
}

// Some peers send messages that are not requests; other peers get their replies.
func TestResponder_malformedRequests_othersServed(t *testing.T) {
	for _, endpoint := range requestEndpoints {
		t.Run(endpoint[:strings.Index(endpoint, ":")], func(t *testing.T) {
			c := bustest.NewContext(t)
			r := bustest.Must[*bus.Responder](t)(c.NewResponder(endpoint, bus.WithMaxFrameBytes(4096)))
			echo(t, r, same)
			q := bustest.Must[*bus.Requester](t)(c.NewRequester(r.Endpoint()))
			ask(t, q, "hello")
			long := make([][]byte, 1000)
			for i := range long {
				long[i] = []byte{byte(i)}
			}
			nearly := make([][]byte, 20) // Too long, but like a request in its first and last parts.
			for i := range nearly {
				nearly[i] = []byte{1}
			}
			nearly[6], nearly[19] = nil, []byte("frame")
			for i, message := range [][][]byte{
				{[]byte("x")}, {nil}, {nil, nil}, {nil, []byte("a"), []byte("b")}, {nil, nil, nil, nil},
				{[]byte("id"), nil}, {[]byte("id"), []byte("x")}, {nil, nil, []byte("x")}, long, nearly,
				{nil, make([]byte, 5000)}, // Over TCP its sender is disconnected.
			} {
				other := bustest.Must[*bus.Requester](t)(c.NewRequester(r.Endpoint()))
				ask(t, other, "hello")
				for range 20 { // More than its queue takes.
					if err := bus.SendParts(other, message); err != nil && !errors.Is(err, bus.ErrNoPeer) {
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
			// Bytes that are not those of ZeroMQ.
			conn := bustest.Must[net.Conn](t)(net.Dial("tcp", strings.TrimPrefix(r.Endpoint(), "tcp://")))
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

// Requesters that leave, or do not read their replies, do not delay the replies of others.
func TestResponder_requesterStopsReading_othersServed(t *testing.T) {
	c := bustest.NewContext(t)
	r := bustest.Must[*bus.Responder](t)(c.NewResponder("tcp://127.0.0.1:0"))
	big := strings.Repeat("x", 1<<16)
	echo(t, r, func(request string) string {
		if request == "much" {
			return big
		}
		return request
	})
	v := bustest.NewProxy(t, r.Endpoint())
	deaf := bustest.Must[*bus.Requester](t)(c.NewRequester(v.Endpoint))
	ask(t, deaf, "hello")
	for range 500 {
		if err := bus.SendParts(deaf, [][]byte{[]byte("1234"), nil, []byte("much")}); err != nil && !errors.Is(err, bus.ErrNoPeer) {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Microsecond)
	}
	v.Pause()
	defer v.Resume()
	for i := range 20 {
		gone := bustest.Must[*bus.Requester](t)(c.NewRequester(r.Endpoint()))
		ask(t, gone, "hello")
		if err := errors.Join(bus.SendParts(gone, [][]byte{[]byte("1234"), nil, []byte("bye")}), gone.Close()); err != nil {
			t.Fatal(err)
		}
		q := bustest.Must[*bus.Requester](t)(c.NewRequester(r.Endpoint()))
		if got := ask(t, q, fmt.Sprint(i)); got != fmt.Sprint(i) {
			t.Errorf("reply %q, want %d", got, i)
		}
	}
}

func TestClose_requests_quick(t *testing.T) {
	const limit = 100 * time.Millisecond
	type ends struct {
		q *bus.Requester
		r *bus.Responder
	}
	tests := []struct {
		name    string
		prepare func(t *testing.T, c *bus.Context, e ends) (waiting chan error)
	}{
		{"at rest", func(*testing.T, *bus.Context, ends) chan error { return nil }},
		{"while a request waits for its reply", func(t *testing.T, _ *bus.Context, e ends) chan error {
			done := make(chan error)
			go func() { _, err := e.q.Request(context.Background(), []byte("x")); done <- err }()
			if _, err := e.r.Receive(t.Context()); err != nil {
				t.Fatal(err)
			}
			return done
		}},
		{"while a responder waits for a request", func(t *testing.T, _ *bus.Context, e ends) chan error {
			done := make(chan error)
			go func() { _, err := e.r.Receive(context.Background()); done <- err }()
			time.Sleep(20 * time.Millisecond)
			return done
		}},
		{"while a request has no responder", func(t *testing.T, c *bus.Context, e ends) chan error {
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
				c := bustest.NewContext(t)
				r := bustest.Must[*bus.Responder](t)(c.NewResponder(endpoint))
				q := bustest.Must[*bus.Requester](t)(c.NewRequester(r.Endpoint()))
				waiting := tt.prepare(t, c, ends{q, r})
				start := time.Now()
				if err := errors.Join(q.Close(), r.Close()); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took > limit {
					t.Errorf("closing took %v, want at most %v", took, limit)
				}
				if waiting != nil {
					if err := <-waiting; !errors.Is(err, bus.ErrClosed) && !errors.Is(err, bus.ErrNoReply) {
						t.Errorf("the call in progress ended with %v, want ErrClosed", err)
					}
				}
				if _, err := q.Request(t.Context(), []byte("x")); !errors.Is(err, bus.ErrClosed) {
					t.Errorf("a request after Close: %v, want ErrClosed", err)
				}
				if _, err := r.Receive(t.Context()); !errors.Is(err, bus.ErrClosed) {
					t.Errorf("a receive after Close: %v, want ErrClosed", err)
				}
				if err := r.Reply([]byte("x")); !errors.Is(err, bus.ErrClosed) {
					t.Errorf("a reply after Close: %v, want ErrClosed", err)
				}
			})
		}
	}
}

func TestRequest_misuse_error(t *testing.T) {
	c := bustest.NewContext(t)
	if _, err := c.NewRequester("inproc://control"); !errors.Is(err, bus.ErrNotBound) {
		t.Errorf("a requester before its responder: %v, want ErrNotBound", err)
	}
	r := bustest.Must[*bus.Responder](t)(c.NewResponder("inproc://control"))
	if _, err := c.NewSender("inproc://control"); err == nil || !strings.Contains(err.Error(), "other direction") {
		t.Errorf("a sender to a responder: %v", err)
	}
	if _, err := c.NewResponder("tcp://0.0.0.0:0"); !errors.Is(err, bus.ErrInsecure) {
		t.Errorf("without keys: %v, want ErrInsecure", err)
	}
	if err := r.Reply([]byte("x")); err == nil || !strings.Contains(err.Error(), "no request") {
		t.Errorf("a reply to nothing: %v", err)
	}
	q := bustest.Must[*bus.Requester](t)(c.NewRequester("inproc://control"))
	go q.Request(context.Background(), []byte("x"))
	if _, err := r.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Request(t.Context(), []byte("y")); !errors.Is(err, bus.ErrBusy) {
		t.Errorf("two requests at once: %v, want ErrBusy", err)
	}
	if err := r.Reply([]byte("x")); err != nil {
		t.Error(err)
	}
	if err := r.Reply([]byte("x")); err == nil || !strings.Contains(err.Error(), "no request") {
		t.Errorf("a second reply: %v", err)
	}
}

func TestRequest_unauthorizedKey_noReply(t *testing.T) {
	server, authorized, other := bustest.Must[bus.Keys](t)(bus.NewKeys()), bustest.Must[bus.Keys](t)(bus.NewKeys()), bustest.Must[bus.Keys](t)(bus.NewKeys())
	at, from := bustest.NewContext(t), bustest.NewContext(t)
	r := bustest.Must[*bus.Responder](t)(at.NewResponder("tcp://127.0.0.1:0", bus.WithSecurity(bus.Security{Keys: server, AuthorizedKeys: []string{authorized.Public}})))
	echo(t, r, same)
	for _, tt := range []struct {
		name     string
		security bus.Security
		want     bool
	}{
		{"authorized", bus.Security{Keys: authorized, ServerKey: server.Public}, true},
		{"unauthorized key", bus.Security{Keys: other, ServerKey: server.Public}, false},
		{"wrong server key", bus.Security{Keys: authorized, ServerKey: other.Public}, false},
		{"no keys", bus.Security{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := bustest.Must[*bus.Requester](t)(from.NewRequester(r.Endpoint(), bus.WithSecurity(tt.security)))
			if tt.want {
				if got := ask(t, q, "secret"); got != "secret" {
					t.Errorf("reply %q", got)
				}
				return
			}
			if reply, err := q.Request(t.Context(), []byte("secret")); !errors.Is(err, bus.ErrNoPeer) && !errors.Is(err, bus.ErrNoReply) {
				t.Errorf("reply %q, %v, want no peer", reply, err)
			}
		})
	}
	if n := r.Connections(); n.Opened == 0 || n.Key == 0 {
		t.Errorf("connections %+v, want those opened and those with wrong keys", n)
	}
}
