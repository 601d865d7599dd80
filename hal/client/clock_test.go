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

// network is a server and the way to it, on simulated time.
type network struct {
	local   clock.Simulated
	session uint64
	offset  time.Duration // Of the server's clock, when the local one shows 0.
	ppm     float64       // What the server's clock gains.
	there   func() time.Duration
	back    func() time.Duration

	err    error
	change func(*message.ControlReply)
	asked  []message.ControlRequest
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
	n.asked = append(n.asked, q)
	if n.err != nil {
		return nil, n.err
	}
	n.local.Advance(n.there())
	a := message.ControlReply{Sequence: q.Sequence, SessionID: n.session, ReceivedNs: n.serverNs(), State: "idle"}
	n.local.Advance(20 * time.Microsecond)
	a.SentNs = n.serverNs()
	n.local.Advance(n.back())
	if n.change != nil {
		n.change(&a)
	}
	return wire.AppendControlReply(nil, &a)
}

func always(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

// newNetwork returns a network that takes 100 µs each way, and a clock on it.
func newNetwork(session uint64, offset time.Duration) (*network, *Clock) {
	n := &network{session: session, offset: offset, there: always(100 * time.Microsecond), back: always(100 * time.Microsecond)}
	n.local.Advance(time.Hour)
	control := NewControl(n)
	control.local = &n.local
	return n, NewClock(control)
}

func synchronise(t *testing.T, c *Clock) Estimate {
	t.Helper()
	if err := c.Synchronise(t.Context()); err != nil {
		t.Fatal(err)
	}
	e, err := c.Estimate()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Whatever the ways take, and however the server's clock drifts, the time is right within the bound.
func TestTheServersTimeIsRightWithinTheBound(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, offset := range []time.Duration{0, 3 * time.Hour, -5 * time.Hour, 1000 * time.Hour} {
		for _, ppm := range []float64{0, 50, -50, 100} {
			n, c := newNetwork(1, offset)
			n.ppm = ppm
			n.there = func() time.Duration { return time.Duration(random.ExpFloat64() * float64(3*time.Millisecond)) }
			n.back = func() time.Duration { return time.Duration(random.ExpFloat64() * float64(300*time.Microsecond)) }
			last := int64(math.MinInt64)
			for range 100 {
				synchronise(t, c)
				for range 20 {
					n.local.Advance(100 * time.Millisecond)
					ns, err := c.SessionNowNs(1)
					if err != nil {
						t.Fatal(err)
					}
					e, _ := c.Estimate()
					// The time does not go back, which may hold it at what was told before.
					wrong := time.Duration(ns - n.serverNs())
					if wrong.Abs() > e.Bound+10*time.Nanosecond && ns != last {
						t.Fatalf("offset %v, %v ppm: the time is wrong by %v, want at most %v", offset, ppm, wrong, e.Bound)
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

func TestTheExchangeWithTheLeastRoundTripCounts(t *testing.T) {
	n, c := newNetwork(1, time.Hour)
	ways := []time.Duration{20 * time.Millisecond, 5 * time.Millisecond, 200 * time.Microsecond, 9 * time.Millisecond, 3 * time.Millisecond, time.Millisecond, time.Millisecond, 40 * time.Millisecond}
	i := 0
	n.there = func() time.Duration { i++; return ways[i-1] } // The way back is always quick.
	e := synchronise(t, c)
	if want := 300 * time.Microsecond; e.RoundTrip != want || len(n.asked) != len(ways) {
		t.Errorf("round trip = %v of %d exchanges, want %v of %d", e.RoundTrip, len(n.asked), want, len(ways))
	}
	if want := time.Hour + 50*time.Microsecond; e.Offset != want { // (200 µs - 100 µs) / 2 too late.
		t.Errorf("offset = %v, want %v", e.Offset, want)
	}
}

func TestAnEstimateThatIsTooOldIsNotUsed(t *testing.T) {
	n, c := newNetwork(7, time.Hour)
	if _, err := c.SessionNowNs(7); !errors.Is(err, ErrClock) {
		t.Errorf("before an estimate: %v, want ErrClock", err)
	}
	synchronise(t, c)
	<-c.missed
	n.local.Advance(9990 * time.Millisecond)
	if _, err := c.SessionNowNs(7); err != nil {
		t.Errorf("after 9.99 s: %v", err)
	}
	if len(c.missed) != 0 {
		t.Error("an estimate is missed that is there")
	}
	n.local.Advance(20 * time.Millisecond)
	if e, err := c.Estimate(); !errors.Is(err, ErrClock) || !strings.Contains(err.Error(), "10.01") {
		t.Errorf("after more than 10 s: %+v, %v, want ErrClock", e, err)
	}
	if _, err := c.SessionNowNs(7); !errors.Is(err, ErrClock) || len(c.missed) != 1 {
		t.Errorf("after more than 10 s: %v, want ErrClock and that a new estimate is asked for", err)
	}
}

func TestARoundThatFailsSaysWhy(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(*network)
		want  string
	}{
		{"no peer", func(n *network) { n.err = bus.ErrNoPeer }, "no peer"},
		{"no reply", func(n *network) { n.err = bus.ErrNoReply }, "no reply"},
		{"a slow way", func(n *network) { n.there = always(51 * time.Millisecond) }, "found a round trip of 51.1ms in the best of 8 exchanges, expected at most 50ms"},
		{"a server whose clock goes back", func(n *network) { n.change = func(a *message.ControlReply) { a.SentNs = a.ReceivedNs - 1 } }, "no exchange that makes sense"},
		{"a server that takes longer than it takes", func(n *network) { n.change = func(a *message.ControlReply) { a.SentNs += int64(time.Second) } }, "no exchange that makes sense"},
		{"a server that takes all time there is", func(n *network) {
			n.change = func(a *message.ControlReply) { a.ReceivedNs, a.SentNs = math.MinInt64, math.MaxInt64 }
		}, "no exchange that makes sense"},
		{"a server that takes less than none", func(n *network) {
			n.change = func(a *message.ControlReply) { a.ReceivedNs, a.SentNs = math.MaxInt64, math.MinInt64 }
		}, "no exchange that makes sense"},
		{"a reply to another request", func(n *network) { n.change = func(a *message.ControlReply) { a.Sequence++ } }, "found the reply to request "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n, c := newNetwork(1, time.Hour)
			tt.spoil(n)
			if err := c.Synchronise(t.Context()); !errors.Is(err, ErrClock) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want ErrClock and %q", err, tt.want)
			}
			if _, err := c.SessionNowNs(1); !errors.Is(err, ErrClock) {
				t.Errorf("the time is told: %v", err)
			}
			// What was known before goes on.
			n, c = newNetwork(1, time.Hour)
			synchronise(t, c)
			tt.spoil(n)
			_ = c.Synchronise(t.Context())
			if _, err := c.SessionNowNs(1); err != nil {
				t.Errorf("what was known is forgotten: %v", err)
			}
		})
	}
}

func TestAnotherLifeOfTheServerNeedsAnEstimateOfItsOwn(t *testing.T) {
	n, c := newNetwork(1, 3*time.Hour)
	synchronise(t, c)
	if _, err := c.SessionNowNs(2); !errors.Is(err, ErrClock) || !strings.Contains(err.Error(), "session 2, expected 1") || len(c.missed) != 1 {
		t.Errorf("the time of another session: %v, want ErrClock and that an estimate is asked for", err)
	}
	// It is started again in the middle of a round, and its clock is behind: the time goes back.
	exchanges := 0
	n.change = func(*message.ControlReply) {
		if exchanges++; exchanges == 4 {
			n.session, n.offset = 2, -5*time.Hour
		}
	}
	e := synchronise(t, c)
	if e.SessionID != 2 || (e.Offset+5*time.Hour).Abs() > time.Millisecond {
		t.Errorf("estimate = %+v, want session 2, 5 h behind", e)
	}
	if ns, err := c.SessionNowNs(2); err != nil || ns != n.serverNs() {
		t.Errorf("time = %d, %v, want %d", ns, err, n.serverNs())
	}
	if _, err := c.SessionNowNs(1); !errors.Is(err, ErrClock) {
		t.Errorf("the time of the life before: %v, want ErrClock", err)
	}
	// A first reply of another life is enough to forget the time of the one before.
	n.change = func(a *message.ControlReply) { a.SessionID = 3; n.err = bus.ErrNoReply }
	if err := c.Synchronise(t.Context()); err == nil {
		t.Error("a round that ended early made an estimate")
	}
	if _, err := c.SessionNowNs(2); !errors.Is(err, ErrClock) {
		t.Errorf("the time of a life that is over: %v, want ErrClock", err)
	}
}

func TestAClockThatStoodStillIsNotWaitedFor(t *testing.T) {
	n, c := newNetwork(1, time.Hour)
	synchronise(t, c)
	c.NowNs()
	n.offset -= time.Minute // The server's machine slept.
	e := synchronise(t, c)
	if ns := c.NowNs(); e.Jumps != 1 || time.Duration(ns-n.serverNs()).Abs() > e.Bound {
		t.Errorf("estimate = %+v, the time is wrong by %v", e, time.Duration(ns-n.serverNs()))
	}
}

// Commands are not sent, and observations not taken, on a time that is not known.
func TestNothingIsSentOnATimeThatIsNotKnown(t *testing.T) {
	n, clock := newNetwork(42, time.Hour)
	l := &link{}
	c := New(robot.Go1(), l, l, WithClock(clock))
	var o message.Observation
	observe := func(session, sequence uint64) (time.Duration, error) {
		l.observe(t, session, sequence, func(o *message.Observation) { o.MonotonicNs = n.serverNs() - int64(30*time.Millisecond) })
		return c.Poll(&o)
	}
	if _, err := observe(42, 1); !errors.Is(err, ErrClock) {
		t.Errorf("an observation before an estimate: %v, want ErrClock", err)
	}
	synchronise(t, clock)
	if age, err := observe(42, 2); err != nil || (age-30*time.Millisecond).Abs() > time.Microsecond {
		t.Errorf("age = %v, %v, want 30ms", age, err)
	}
	cmd := message.NewJointCommand(robot.Go1())
	if err := c.Send(cmd); err != nil || len(l.sent) != 1 || l.sent[0].MonotonicNs != n.serverNs() {
		t.Errorf("sent %+v, %v, want one of %d", l.sent, err, n.serverNs())
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
	synchronise(t, clock)
	// The server is another one, and its time not known yet.
	if _, err := observe(43, 1); !errors.Is(err, ErrClock) {
		t.Errorf("an observation of another life: %v, want ErrClock", err)
	}
	n.session = 43
	synchronise(t, clock)
	if err := c.Send(cmd); !errors.Is(err, ErrClock) || len(l.sent) != 1 {
		t.Errorf("sent %d for a life that is over, %v, want ErrClock", len(l.sent), err)
	}
	if _, err := observe(43, 2); err != nil {
		t.Error(err)
	}
	if err := c.Send(cmd); err != nil || len(l.sent) != 2 || l.sent[1].SessionID != 43 {
		t.Errorf("sent %+v, %v", l.sent, err)
	}
	s := c.Stats()
	if s.Refused["clock"] != 2 || s.Unsent != 2 || s.Sent != 2 || s.Observations != 2 || c.Health().Restarts != 1 {
		t.Errorf("stats = %+v, health %+v", s, c.Health())
	}
}

// instant answers at once, by the machine's own clock.
type instant struct {
	session atomic.Uint64
	fails   atomic.Bool
	asked   atomic.Uint64
}

func (i *instant) Request(_ context.Context, frame []byte) ([]byte, error) {
	i.asked.Add(1)
	if i.fails.Load() {
		return nil, bus.ErrNoReply
	}
	var q message.ControlRequest
	if err := wire.DecodeControlRequest(&q, frame); err != nil {
		return nil, err
	}
	now := machine.NowNs()
	return wire.AppendControlReply(nil, &message.ControlReply{Sequence: q.Sequence, SessionID: i.session.Load(), ReceivedNs: now, SentNs: now, State: "idle"})
}

var machine = clock.New()

func TestRunMakesEstimatesAgainAndAgainAndWhenOneIsMissed(t *testing.T) {
	out := &instant{}
	out.session.Store(1)
	c := NewClock(NewControl(out))
	c.every = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	until := func(what string, session uint64) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			if _, err := c.SessionNowNs(session); err == nil {
				return
			} else if time.Now().After(deadline) {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	until("at first", 1)
	out.fails.Store(true)
	out.session.Store(2)
	// An hour is not waited for, whether requests succeed or not.
	before := out.asked.Load()
	for deadline := time.Now().Add(10 * time.Second); out.asked.Load() < before+3; time.Sleep(time.Millisecond) {
		if _, err := c.SessionNowNs(2); err == nil || time.Now().After(deadline) {
			t.Fatalf("the time of another session: %v, asked %d times", err, out.asked.Load()-before)
		}
	}
	out.fails.Store(false)
	until("after a restart", 2)
	cancel()
	running.Wait()
}

func TestAControlAsksUntilItIsAnswered(t *testing.T) {
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
	control.out = flaky
	if a, err := control.EStop(t.Context()); err != nil || a.SessionID != 5 || n.asked[0].Operation != message.EStop {
		t.Errorf("e-stop = %+v, %v, asked %+v", a, err, n.asked)
	}
	// A reset is for this life of the server, and for the next second of it.
	n.asked = nil
	if _, err := control.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(n.asked) != 2 || n.asked[0].Operation != message.ReadClock || n.asked[1].Operation != message.Reset || n.asked[1].SessionID != 5 ||
		n.asked[1].ExpiresNs > n.serverNs()+int64(time.Second) || n.asked[1].ExpiresNs < n.serverNs() {
		t.Errorf("a reset asked for %+v at %d", n.asked, n.serverNs())
	}
	n.change = func(a *message.ControlReply) {
		if n.asked[len(n.asked)-1].Operation == message.Reset {
			a.Status, a.State, a.StoppedBy, a.Fault, a.Reason = message.FaultLasts, "stopped", "remote", "write", "the last 3 writes failed"
		}
	}
	a, err := control.Reset(t.Context())
	if refused, ok := errors.AsType[*RefusedError](err); !ok || refused.Reply != a || a.State != "stopped" ||
		err.Error() != "client: reset refused, stopped by remote, and write lasts: the last 3 writes failed" {
		t.Errorf("a refused reset = %+v, %v", a, err)
	}
	// And ends with its context.
	n.err = bus.ErrNoReply
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := control.State(ctx); !errors.Is(err, bus.ErrNoReply) {
		t.Errorf("without a reply: %v, want ErrNoReply", err)
	}
	n.err = errors.New("broken")
	if _, err := control.State(t.Context()); !errors.Is(err, n.err) {
		t.Errorf("a broken link: %v, want its error", err)
	}
}

type requesterFunc func(ctx context.Context, frame []byte) ([]byte, error)

func (f requesterFunc) Request(ctx context.Context, frame []byte) ([]byte, error) {
	return f(ctx, frame)
}

func TestStopsOfManyGoroutinesAreAnswered(t *testing.T) {
	out := &instant{}
	out.session.Store(1)
	control := NewControl(out)
	c := NewClock(control)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				if _, err := control.EStop(t.Context()); err != nil {
					t.Error(err)
				}
				if err := c.Synchronise(t.Context()); err != nil {
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
