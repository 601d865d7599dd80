package client_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"krabby.dev/krabby/hal/backend/backendtest"
	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/bus/bustest"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/server"
	"krabby.dev/krabby/hal/synthetic"
	"krabby.dev/krabby/hal/wire"
)

// remoteClock is the clock of another machine, with an offset and a drift.
type remoteClock struct {
	local  *clock.Clock
	fromNs int64
	offset time.Duration
	ppm    float64
}

func newRemoteClock(offset time.Duration, ppm float64) *remoteClock {
	c := clock.New()
	return &remoteClock{c, c.NowNs(), offset, ppm}
}

func (r *remoteClock) NowNs() int64 {
	ns := r.local.NowNs()
	return ns + int64(r.offset) + int64(float64(ns-r.fromNs)*r.ppm*1e-6)
}

// remote is a server on TCP endpoints.
type remote struct {
	server                          *server.Server
	observations, commands, control string
	stop                            func()
}

func startRemote(t *testing.T, source clock.Source, observations, commands, control string) *remote {
	t.Helper()
	b := bustest.Must[*bus.Context](t)(bus.NewContext())
	out := bustest.Retry(t, func() (*bus.Publisher, error) { return b.NewPublisher(observations) })
	in := bustest.Retry(t, func() (*bus.Receiver, error) { return b.NewReceiver(commands) })
	respond := bustest.Retry(t, func() (*bus.Responder, error) { return b.NewResponder(control) })
	r := robot.Go1()
	s := bustest.Must[*server.Server](t)(server.New(r, backendtest.Configured(t, synthetic.New(r, 10*time.Millisecond)), out, in, server.WithClock(source), server.WithControl(respond)))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			running.Wait()
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	// Before it, a reset is rejected.
	bustest.Eventually(t, "the first observation is published", func() bool { return s.Stats().Published > 0 })
	return &remote{s, out.Endpoint(), in.Endpoint(), respond.Endpoint(), stop}
}

const anyPort = "tcp://127.0.0.1:0"

// connect returns a client whose clock is synchronized over control, unless control is "".
func connect(t *testing.T, observations, commands, control string, opts ...client.Option) (*client.Client, *client.Clock) {
	t.Helper()
	b := bustest.NewContext(t)
	var synchronized *client.Clock
	if control != "" {
		q := bustest.Must[*bus.Requester](t)(b.NewRequester(control))
		synchronized = client.NewClock(client.NewControl(q))
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { synchronized.Run(ctx) })
		t.Cleanup(func() { cancel(); running.Wait() })
		opts = append(opts, client.WithClock(synchronized))
	}
	return client.New(robot.Go1(), bustest.Must[*bus.Subscriber](t)(b.NewSubscriber(observations)), bustest.Must[*bus.Sender](t)(b.NewSender(commands)), opts...), synchronized
}

// move commands the first joint to targetRad, and reports whether it is observed there before the timeout.
func move(t *testing.T, c *client.Client, targetRad float64, timeout time.Duration) bool {
	t.Helper()
	const swayRad = 0.03
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	o, cmd := message.NewObservation(robot.Go1()), message.NewJointCommand(robot.Go1())
	defer c.Release(o)
	cmd.TargetRad[0] = targetRad
	for ctx.Err() == nil {
		if _, err := c.Latest(ctx, o); errors.Is(err, client.ErrClock) || ctx.Err() != nil {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		if math.Abs(o.PositionRad[0]-targetRad) <= swayRad {
			return true
		}
		cmd.ObservationSequence = o.Sequence
		if err := c.Send(cmd); err != nil && !errors.Is(err, bus.ErrNoPeer) && !errors.Is(err, client.ErrClock) {
			t.Fatal(err)
		}
	}
	return false
}

func TestRemote_move(t *testing.T) {
	for _, tt := range []struct {
		name              string
		clock             *remoteClock
		forward, backward time.Duration
	}{
		{"clock 3 hours ahead", newRemoteClock(3*time.Hour, 0), 0, 0},
		{"clock 5 hours behind", newRemoteClock(-5*time.Hour, 0), 0, 0},
		{"clock drifts", newRemoteClock(time.Hour, 50), 0, 0},
		{"slow forward path", newRemoteClock(time.Hour, 0), 15 * time.Millisecond, time.Millisecond},
		{"slow backward path", newRemoteClock(-time.Hour, -50), time.Millisecond, 15 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := startRemote(t, tt.clock, anyPort, anyPort, anyPort)
			observations, commands, control := r.observations, r.commands, r.control
			if tt.forward != 0 {
				observations = bustest.Delay(t, observations, tt.forward, tt.backward)
				commands = bustest.Delay(t, commands, tt.forward, tt.backward)
				control = bustest.Delay(t, control, tt.forward, tt.backward)
			}
			var readNs atomic.Int64 // When the last observation was read, by the server's clock.
			c, synchronized := connect(t, observations, commands, control, client.WithMeter(func(time.Duration) { readNs.Store(tt.clock.NowNs()) }))
			if !move(t, c, 0.3, 10*time.Second) {
				_, err := synchronized.Estimate()
				t.Fatalf("the first joint did not move: clock %v, client %+v, server %+v", err, c.Stats(), r.server.Stats())
			}
			if n := r.server.Stats().Rejected["future"]; n != 0 {
				t.Errorf("%d commands were rejected for future, want 0", n)
			}
			e := bustest.Must[client.ClockEstimate](t)(synchronized.Estimate())
			if wrong := (e.Offset - tt.clock.offset).Abs(); wrong > e.Bound+time.Millisecond {
				t.Errorf("offset = %v, want %v ± %v", e.Offset, tt.clock.offset, e.Bound)
			}
			// A busy machine may delay reading the clock after measuring an age.
			const samples, mayBeLate, slack = 50, 10, 500 * time.Microsecond
			late := 0
			o := message.NewObservation(robot.Go1())
			for range samples {
				age := bustest.Must[time.Duration](t)(c.Latest(t.Context(), o))
				e := bustest.Must[client.ClockEstimate](t)(synchronized.Estimate())
				if wrong := (age - time.Duration(readNs.Load()-o.MonotonicNs)).Abs(); wrong > e.Bound+slack {
					late++
				}
			}
			if late > mayBeLate {
				t.Errorf("error of %d of %d ages is above the bound", late, samples)
			}
		})
	}
}

func TestRemote_unsynchronized(t *testing.T) {
	for _, tt := range []struct {
		offset time.Duration
		want   string // Reason for which the server rejects the commands.
	}{{3 * time.Hour, "stale"}, {-5 * time.Hour, "future"}} {
		r := startRemote(t, newRemoteClock(tt.offset, 0), anyPort, anyPort, anyPort)
		c, _ := connect(t, r.observations, r.commands, "")
		if move(t, c, 0.3, time.Second) {
			t.Errorf("offset %v: the robot moved without synchronization", tt.offset)
		}
		if s := r.server.Stats(); s.Applied != 0 || s.Rejected[tt.want] == 0 {
			t.Errorf("offset %v: applied %d, rejected %v, want all for %s", tt.offset, s.Applied, s.Rejected, tt.want)
		}
		// A client that cannot synchronize sends no commands.
		c, _ = connect(t, r.observations, r.commands, "tcp://127.0.0.1:1")
		if move(t, c, 0.3, time.Second) || c.Stats().Sent != 0 || c.Stats().Rejected["clock"] == 0 {
			t.Errorf("offset %v: client without a control link = %+v, want no command sent", tt.offset, c.Stats())
		}
	}
}

func TestRemote_serverRestart(t *testing.T) {
	first := startRemote(t, newRemoteClock(3*time.Hour, 0), anyPort, anyPort, anyPort)
	c, synchronized := connect(t, first.observations, first.commands, first.control)
	if !move(t, c, 0.3, 10*time.Second) {
		t.Fatalf("the first joint did not move: client %+v, server %+v", c.Stats(), first.server.Stats())
	}
	before := bustest.Must[client.ClockEstimate](t)(synchronized.Estimate())
	first.stop()
	second := startRemote(t, newRemoteClock(-5*time.Hour, 0), first.observations, first.commands, first.control)
	if !move(t, c, -0.3, 10*time.Second) {
		_, err := synchronized.Estimate()
		t.Fatalf("the first joint did not move after the restart: clock %v, client %+v, server %+v", err, c.Stats(), second.server.Stats())
	}
	after := bustest.Must[client.ClockEstimate](t)(synchronized.Estimate())
	if after.SessionID == before.SessionID || (before.Offset-after.Offset-8*time.Hour).Abs() > 20*time.Millisecond {
		t.Errorf("estimates %+v and %+v, want them 8 h apart", before, after)
	}
	// The client rejected observations of the new server until its time was known, and sent no command with a wrong time.
	if s := second.server.Stats(); s.Rejected["future"] != 0 || s.Applied == 0 {
		t.Errorf("server %+v, want no command rejected for future", s)
	}
}

// lossy loses the reply to the first reset request, and calls lost.
type lossy struct {
	*bus.Requester
	lost func()
}

func (l *lossy) Request(ctx context.Context, frame []byte) ([]byte, error) {
	reply, err := l.Requester.Request(ctx, frame)
	var q message.ControlRequest
	if err == nil && l.lost != nil && wire.DecodeControlRequest(&q, frame) == nil && q.Operation == message.Reset {
		l.lost()
		l.lost = nil
		return nil, bus.ErrNoReply
	}
	return reply, err
}

func TestControl_repeatedReset(t *testing.T) {
	r := startRemote(t, newRemoteClock(-5*time.Hour, 0), anyPort, anyPort, anyPort)
	b := bustest.NewContext(t)
	other := client.NewControl(bustest.Must[*bus.Requester](t)(b.NewRequester(r.control)))
	stop := func() {
		if a, err := other.EStop(t.Context()); err != nil || a.State != "stopped" {
			t.Fatalf("e-stop = %+v, %v", a, err)
		}
	}
	stop()
	control := client.NewControl(&lossy{bustest.Must[*bus.Requester](t)(b.NewRequester(r.control)), stop})
	a, err := control.Reset(t.Context())
	if _, rejected := errors.AsType[*client.RejectedError](err); !rejected || a.Status != message.RequestExpired || !strings.Contains(err.Error(), "stopped again") {
		t.Errorf("Reset = %+v, %v, want a RejectedError", a, err)
	}
	if a, err := other.State(t.Context()); err != nil || a.State != "stopped" {
		t.Errorf("State = %+v, %v, want stopped", a, err)
	}
	if a, err := control.Reset(t.Context()); err != nil || a.State != "damp" {
		t.Errorf("new Reset = %+v, %v, want damp", a, err)
	}
}

func TestRemote_stopAndReset(t *testing.T) {
	r := startRemote(t, newRemoteClock(3*time.Hour, 0), anyPort, anyPort, anyPort)
	c, _ := connect(t, r.observations, r.commands, r.control)
	if !move(t, c, 0.3, 10*time.Second) {
		t.Fatal("the first joint did not move")
	}
	control := client.NewControl(bustest.Must[*bus.Requester](t)(bustest.NewContext(t).NewRequester(r.control)))
	a, err := control.EStop(t.Context())
	if err != nil || a.State != "stopped" {
		t.Fatalf("e-stop = %+v, %v", a, err)
	}
	if move(t, c, -0.3, 500*time.Millisecond) {
		t.Error("a stopped robot moved")
	}
	if a, err := control.State(t.Context()); err != nil || a.State != "stopped" || a.StoppedBy != string(server.Remote) {
		t.Errorf("state = %+v, %v", a, err)
	}
	if a, err := control.Reset(t.Context()); err != nil || a.State != "damp" {
		t.Errorf("reset = %+v, %v", a, err)
	}
	if !move(t, c, -0.3, 10*time.Second) {
		t.Error("the first joint did not move after the reset")
	}
}
