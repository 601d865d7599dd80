package client

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/wire"
)

// network simulates a server with delays and a clock of its own.
type network struct {
	local   clock.Simulated
	session uint64
	offset  time.Duration // Of the server's clock at local time 0.
	ppm     float64       // Drift of the server's clock.

	forwardDelay, backwardDelay func() time.Duration

	err      error
	change   func(*message.ControlReply)
	requests []message.ControlRequest
}

func (n *network) serverNs() int64 {
	ns := n.local.NowNs()
	return ns + int64(n.offset) + int64(float64(ns)*n.ppm*1e-6)
}

func (n *network) Request(ctx context.Context, frame []byte) ([]byte, error) {
	var q message.ControlRequest
	if err := wire.DecodeControlRequest(&q, frame); err != nil {
		return nil, err
	}
	n.requests = append(n.requests, q)
	if n.err != nil {
		return nil, n.err
	}
	n.local.Advance(n.forwardDelay())
	a := message.ControlReply{Sequence: q.Sequence, SessionID: n.session, ReceivedNs: n.serverNs(), State: "idle"}
	n.local.Advance(20 * time.Microsecond)
	a.SentNs = n.serverNs()
	n.local.Advance(n.backwardDelay())
	if n.change != nil {
		n.change(&a)
	}
	return wire.AppendControlReply(nil, &a)
}

func constant(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

// newNetwork returns a network with delays of 100 µs, and a clock that uses it.
func newNetwork(session uint64, offset time.Duration) (*network, *Clock) {
	n := &network{session: session, offset: offset, forwardDelay: constant(100 * time.Microsecond), backwardDelay: constant(100 * time.Microsecond)}
	n.local.Advance(time.Hour)
	control := NewControl(n)
	control.local = &n.local
	return n, NewClock(control)
}

func synchronize(t *testing.T, c *Clock) ClockEstimate {
	t.Helper()
	if err := c.Synchronize(t.Context()); err != nil {
		t.Fatal(err)
	}
	e, err := c.Estimate()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// The error of the time is at most the bound, for random delays and drifts.
func TestClock_bound(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, offset := range []time.Duration{0, 3 * time.Hour, -5 * time.Hour, 1000 * time.Hour} {
		for _, ppm := range []float64{0, 50, -50, 100} {
			n, c := newNetwork(1, offset)
			n.ppm = ppm
			n.forwardDelay = func() time.Duration { return time.Duration(random.ExpFloat64() * float64(3*time.Millisecond)) }
			n.backwardDelay = func() time.Duration { return time.Duration(random.ExpFloat64() * float64(300*time.Microsecond)) }
			last := int64(math.MinInt64)
			for range 100 {
				synchronize(t, c)
				for range 20 {
					n.local.Advance(100 * time.Millisecond)
					ns, err := c.SessionNowNs(1)
					if err != nil {
						t.Fatal(err)
					}
					e, _ := c.Estimate()
					// The time does not go back, and may therefore stay.
					wrong := time.Duration(ns - n.serverNs())
					if wrong.Abs() > e.Bound+10*time.Nanosecond && ns != last {
						t.Fatalf("offset %v, %v ppm: error of the time = %v, want at most %v", offset, ppm, wrong, e.Bound)
					}
					if ns < last {
						t.Fatalf("the time went back from %d to %d", last, ns)
					}
					last = ns
				}
			}
			if e, err := c.Estimate(); err != nil || e.Jumps != 0 || (e.Offset-offset).Abs() > time.Second {
				t.Errorf("offset %v, %v ppm: estimate = %+v, %v", offset, ppm, e, err)
			}
		}
	}
}

func TestClock_shortestRoundTrip(t *testing.T) {
	n, c := newNetwork(1, time.Hour)
	delays := []time.Duration{20 * time.Millisecond, 5 * time.Millisecond, 200 * time.Microsecond, 9 * time.Millisecond, 3 * time.Millisecond, time.Millisecond, time.Millisecond, 40 * time.Millisecond}
	i := 0
	n.forwardDelay = func() time.Duration { i++; return delays[i-1] } // The backward delay is constant.
	e := synchronize(t, c)
	if want := 300 * time.Microsecond; e.RoundTrip != want || len(n.requests) != len(delays) {
		t.Errorf("round trip = %v of %d exchanges, want %v of %d", e.RoundTrip, len(n.requests), want, len(delays))
	}
	if want := time.Hour + 50*time.Microsecond; e.Offset != want { // (200 µs - 100 µs) / 2 too late.
		t.Errorf("offset = %v, want %v", e.Offset, want)
	}
}

func TestClock_estimateExpires(t *testing.T) {
	n, c := newNetwork(7, time.Hour)
	if _, err := c.SessionNowNs(7); !errors.Is(err, ErrClock) {
		t.Errorf("before an estimate: %v, want ErrClock", err)
	}
	synchronize(t, c)
	<-c.needed
	n.local.Advance(9990 * time.Millisecond)
	if _, err := c.SessionNowNs(7); err != nil {
		t.Errorf("after 9.99 s: %v", err)
	}
	if len(c.needed) != 0 {
		t.Error("an estimate is needed, although it is valid")
	}
	n.local.Advance(20 * time.Millisecond)
	if e, err := c.Estimate(); !errors.Is(err, ErrClock) || !strings.Contains(err.Error(), "10.01") {
		t.Errorf("after more than 10 s: %+v, %v, want ErrClock", e, err)
	}
	if _, err := c.SessionNowNs(7); !errors.Is(err, ErrClock) || len(c.needed) != 1 {
		t.Errorf("after more than 10 s: %v, want ErrClock, and a new estimate to be needed", err)
	}
}

func TestSynchronize_errors(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(*network)
		want  string
	}{
		{"no peer", func(n *network) { n.err = bus.ErrNoPeer }, "no peer"},
		{"no reply", func(n *network) { n.err = bus.ErrNoReply }, "no reply"},
		{"slow forward path", func(n *network) { n.forwardDelay = constant(51 * time.Millisecond) }, "found a round trip of 51.1ms in the best of 8 exchanges, expected at most 50ms"},
		{"server clock goes back", func(n *network) { n.change = func(a *message.ControlReply) { a.SentNs = a.ReceivedNs - 1 } }, "no consistent exchange"},
		{"processing longer than the round trip", func(n *network) { n.change = func(a *message.ControlReply) { a.SentNs += int64(time.Second) } }, "no consistent exchange"},
		{"processing time overflows", func(n *network) {
			n.change = func(a *message.ControlReply) { a.ReceivedNs, a.SentNs = math.MinInt64, math.MaxInt64 }
		}, "no consistent exchange"},
		{"processing time underflows", func(n *network) {
			n.change = func(a *message.ControlReply) { a.ReceivedNs, a.SentNs = math.MaxInt64, math.MinInt64 }
		}, "no consistent exchange"},
		{"reply to other request", func(n *network) { n.change = func(a *message.ControlReply) { a.Sequence++ } }, "found the reply to request "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, c := newNetwork(1, time.Hour)
			tt.spoil(n)
			if err := c.Synchronize(t.Context()); !errors.Is(err, ErrClock) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want ErrClock and %q", err, tt.want)
			}
			if _, err := c.SessionNowNs(1); !errors.Is(err, ErrClock) {
				t.Errorf("SessionNowNs = %v, want ErrClock", err)
			}
			// The previous estimate stays valid.
			n, c = newNetwork(1, time.Hour)
			synchronize(t, c)
			tt.spoil(n)
			_ = c.Synchronize(t.Context())
			if _, err := c.SessionNowNs(1); err != nil {
				t.Errorf("SessionNowNs with a previous estimate = %v", err)
			}
		})
	}
}

func TestClock_serverRestart(t *testing.T) {
	n, c := newNetwork(1, 3*time.Hour)
	synchronize(t, c)
	if _, err := c.SessionNowNs(2); !errors.Is(err, ErrClock) || !strings.Contains(err.Error(), "session 2, expected 1") || len(c.needed) != 1 {
		t.Errorf("time of another session: %v, want ErrClock, and an estimate to be needed", err)
	}
	// The server restarts during Synchronize, with a clock that is behind: the time goes back.
	exchanges := 0
	n.change = func(*message.ControlReply) {
		if exchanges++; exchanges == 4 {
			n.session, n.offset = 2, -5*time.Hour
		}
	}
	e := synchronize(t, c)
	if e.SessionID != 2 || (e.Offset+5*time.Hour).Abs() > time.Millisecond {
		t.Errorf("estimate = %+v, want session 2, 5 h behind", e)
	}
	if ns, err := c.SessionNowNs(2); err != nil || ns != n.serverNs() {
		t.Errorf("time = %d, %v, want %d", ns, err, n.serverNs())
	}
	if _, err := c.SessionNowNs(1); !errors.Is(err, ErrClock) {
		t.Errorf("time of the previous session: %v, want ErrClock", err)
	}
	// The first reply of another session invalidates the estimate.
	n.change = func(a *message.ControlReply) { a.SessionID = 3; n.err = bus.ErrNoReply }
	if err := c.Synchronize(t.Context()); err == nil {
		t.Error("Synchronize succeeded after one exchange")
	}
	if _, err := c.SessionNowNs(2); !errors.Is(err, ErrClock) {
		t.Errorf("time of an ended session: %v, want ErrClock", err)
	}
}

func TestClock_jump(t *testing.T) {
	n, c := newNetwork(1, time.Hour)
	synchronize(t, c)
	c.NowNs()
	n.offset -= time.Minute // The server's machine slept.
	e := synchronize(t, c)
	if ns := c.NowNs(); e.Jumps != 1 || time.Duration(ns-n.serverNs()).Abs() > e.Bound {
		t.Errorf("estimate = %+v, error of the time = %v", e, time.Duration(ns-n.serverNs()))
	}
}

// Without the server's time, commands are not sent and observations are rejected.
func TestClient_timeUnknown(t *testing.T) {
	n, clock := newNetwork(42, time.Hour)
	l := &fakeLink{}
	c := New(robot.Go1(), l, l, WithClock(clock))
	var o message.Observation
	observe := func(session, sequence uint64) (time.Duration, error) {
		l.observe(t, session, sequence, func(o *message.Observation) { o.MonotonicNs = n.serverNs() - int64(30*time.Millisecond) })
		return c.Poll(&o)
	}
	if _, err := observe(42, 1); !errors.Is(err, ErrClock) {
		t.Errorf("observation before an estimate: %v, want ErrClock", err)
	}
	synchronize(t, clock)
	if age, err := observe(42, 2); err != nil || (age-30*time.Millisecond).Abs() > time.Microsecond {
		t.Errorf("age = %v, %v, want 30ms", age, err)
	}
	cmd := message.NewJointCommand(robot.Go1())
	if err := c.Send(cmd); err != nil || len(l.sent) != 1 || l.sent[0].MonotonicNs != n.serverNs() {
		t.Errorf("sent %+v, %v, want one command of %d", l.sent, err, n.serverNs())
	}
	if h := c.Health(); !h.Alive || h.Age <= 0 {
		t.Errorf("health = %+v", h)
	}
	n.local.Advance(11 * time.Second)
	if err := c.Send(cmd); !errors.Is(err, ErrClock) || len(l.sent) != 1 {
		t.Errorf("sent %d on an old estimate, %v, want ErrClock", len(l.sent), err)
	}
	if h := c.Health(); h.Alive || h.Age != 0 {
		t.Errorf("health on an old estimate = %+v", h)
	}
	synchronize(t, clock)
	// The time of another session is not known yet.
	if _, err := observe(43, 1); !errors.Is(err, ErrClock) {
		t.Errorf("observation of another session: %v, want ErrClock", err)
	}
	n.session = 43
	synchronize(t, clock)
	if err := c.Send(cmd); !errors.Is(err, ErrClock) || len(l.sent) != 1 {
		t.Errorf("sent %d for an ended session, %v, want ErrClock", len(l.sent), err)
	}
	if _, err := observe(43, 2); err != nil {
		t.Error(err)
	}
	if err := c.Send(cmd); err != nil || len(l.sent) != 2 || l.sent[1].SessionID != 43 {
		t.Errorf("sent %+v, %v", l.sent, err)
	}
	s := c.Stats()
	if s.Rejected["clock"] != 2 || s.Unsent != 2 || s.Sent != 2 || s.Observations != 2 || c.Health().Restarts != 1 {
		t.Errorf("stats = %+v, health %+v", s, c.Health())
	}
}

// localServer replies immediately, with the local clock.
type localServer struct {
	session  atomic.Uint64
	fails    atomic.Bool
	requests atomic.Uint64
}

func (s *localServer) Request(_ context.Context, frame []byte) ([]byte, error) {
	s.requests.Add(1)
	if s.fails.Load() {
		return nil, bus.ErrNoReply
	}
	var q message.ControlRequest
	if err := wire.DecodeControlRequest(&q, frame); err != nil {
		return nil, err
	}
	now := localClock.NowNs()
	return wire.AppendControlReply(nil, &message.ControlReply{Sequence: q.Sequence, SessionID: s.session.Load(), ReceivedNs: now, SentNs: now, State: "idle"})
}

var localClock = clock.New()

func TestRun(t *testing.T) {
	server := &localServer{}
	server.session.Store(1)
	c := NewClock(NewControl(server))
	c.interval = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	waitForTime := func(what string, session uint64) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			if _, err := c.SessionNowNs(session); err == nil {
				return
			} else if time.Now().After(deadline) {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	waitForTime("first estimate", 1)
	server.fails.Store(true)
	server.session.Store(2)
	// A needed estimate is requested before the interval ends, also if requests fail.
	before := server.requests.Load()
	for deadline := time.Now().Add(10 * time.Second); server.requests.Load() < before+3; time.Sleep(time.Millisecond) {
		if _, err := c.SessionNowNs(2); err == nil || time.Now().After(deadline) {
			t.Fatalf("time of another session: %v, %d requests", err, server.requests.Load()-before)
		}
	}
	server.fails.Store(false)
	waitForTime("after a restart", 2)
	cancel()
	running.Wait()
}

func TestControl(t *testing.T) {
	n, _ := newNetwork(5, time.Hour)
	control := NewControl(n)
	failures := 3
	n.change = func(*message.ControlReply) {}
	flaky := requesterFunc(func(ctx context.Context, frame []byte) ([]byte, error) {
		if failures--; failures >= 0 {
			return nil, []error{bus.ErrNoPeer, bus.ErrNoReply}[failures%2]
		}
		return n.Request(ctx, frame)
	})
	control.requester = flaky
	if a, err := control.EStop(t.Context()); err != nil || a.SessionID != 5 || n.requests[0].Operation != message.EStop {
		t.Errorf("EStop = %+v, %v, requests %+v", a, err, n.requests)
	}
	// A reset is for the current session, and valid for 1 s.
	n.requests = nil
	if _, err := control.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(n.requests) != 2 || n.requests[0].Operation != message.ReadClock || n.requests[1].Operation != message.Reset || n.requests[1].SessionID != 5 ||
		n.requests[1].ExpiresNs > n.serverNs()+int64(time.Second) || n.requests[1].ExpiresNs < n.serverNs() {
		t.Errorf("requests of Reset = %+v at %d", n.requests, n.serverNs())
	}
	n.change = func(a *message.ControlReply) {
		if n.requests[len(n.requests)-1].Operation == message.Reset {
			a.Status, a.State, a.StoppedBy, a.Fault, a.Reason = message.FaultActive, "stopped", "remote", "write", "the last 3 writes failed"
		}
	}
	a, err := control.Reset(t.Context())
	if rejected, ok := errors.AsType[*RejectedError](err); !ok || rejected.Reply != a || a.State != "stopped" ||
		err.Error() != "client: reset rejected, stopped by remote, active fault write: the last 3 writes failed" {
		t.Errorf("rejected Reset = %+v, %v", a, err)
	}
	// A call ends with its context.
	n.err = bus.ErrNoReply
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := control.State(ctx); !errors.Is(err, bus.ErrNoReply) {
		t.Errorf("State without a reply = %v, want ErrNoReply", err)
	}
	n.err = errors.New("broken")
	if _, err := control.State(t.Context()); !errors.Is(err, n.err) {
		t.Errorf("State on a broken link = %v, want its error", err)
	}
}

type requesterFunc func(ctx context.Context, frame []byte) ([]byte, error)

func (f requesterFunc) Request(ctx context.Context, frame []byte) ([]byte, error) {
	return f(ctx, frame)
}

func TestControl_concurrentUse(t *testing.T) {
	server := &localServer{}
	server.session.Store(1)
	control := NewControl(server)
	c := NewClock(control)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				if _, err := control.EStop(t.Context()); err != nil {
					t.Error(err)
				}
				if err := c.Synchronize(t.Context()); err != nil {
					t.Error(err)
				}
				if _, err := c.SessionNowNs(1); err != nil {
					t.Error(err)
				}
				c.NowNs()
			}
		})
	}
	all.Wait()
}
