package client_test

import (
	"context"
	"errors"
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/server"
	"krabby.dev/krabby/hal/synthetic"
	"krabby.dev/krabby/hal/wire"
)

// elsewhere is the clock of another machine: off by so much, and gaining so many ppm.
type elsewhere struct {
	here   *clock.Clock
	from   int64
	offset time.Duration
	ppm    float64
}

func newElsewhere(offset time.Duration, ppm float64) *elsewhere {
	c := clock.New()
	return &elsewhere{c, c.NowNs(), offset, ppm}
}

func (e *elsewhere) NowNs() int64 {
	ns := e.here.NowNs()
	return ns + int64(e.offset) + int64(float64(ns-e.from)*e.ppm*1e-6)
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newContext(t *testing.T) *bus.Context {
	t.Helper()
	b := must[*bus.Context](t)(bus.NewContext())
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// remote is a server that can be reached over TCP.
type remote struct {
	server                          *server.Server
	observations, commands, control string
	stop                            func()
}

func startRemote(t *testing.T, source clock.Source, observations, commands, control string) *remote {
	t.Helper()
	b := must[*bus.Context](t)(bus.NewContext())
	deadline := time.Now().Add(10 * time.Second)
	open := func(bind func() error) {
		t.Helper()
		for err := bind(); err != nil; err = bind() { // The system may have an address in use for a while.
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
	}
	var out *bus.Publisher
	var in *bus.Receiver
	var respond *bus.Responder
	open(func() (err error) { out, err = b.NewPublisher(observations); return err })
	open(func() (err error) { in, err = b.NewReceiver(commands); return err })
	open(func() (err error) { respond, err = b.NewResponder(control); return err })
	r := robot.Go1()
	s := must[*server.Server](t)(server.New(r, synthetic.New(r, 10*time.Millisecond), out, in, server.WithClock(source), server.WithControl(respond)))
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
	return &remote{s, out.Endpoint(), in.Endpoint(), respond.Endpoint(), stop}
}

const anyPort = "tcp://127.0.0.1:0"

// slowly passes on what goes to an endpoint, and what comes back, each after a while.
func slowly(t *testing.T, endpoint string, there, back time.Duration) string {
	t.Helper()
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	t.Cleanup(func() { l.Close() })
	pass := func(to, from net.Conn, late time.Duration) {
		type piece struct {
			due   time.Time
			bytes []byte
		}
		pieces := make(chan piece, 1000)
		go func() {
			defer to.Close()
			for p := range pieces {
				time.Sleep(time.Until(p.due))
				if _, err := to.Write(p.bytes); err != nil {
					from.Close()
				}
			}
		}()
		defer close(pieces)
		for {
			b := make([]byte, 16<<10)
			n, err := from.Read(b)
			if err != nil {
				return
			}
			pieces <- piece{time.Now().Add(late), b[:n]}
		}
	}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "tcp://"))
			if err != nil {
				in.Close()
				continue
			}
			go pass(out, in, there)
			go pass(in, out, back)
		}
	}()
	return "tcp://" + l.Addr().String()
}

// connect returns a client whose clock is synchronised over control, or not at all where that is "".
func connect(t *testing.T, observations, commands, control string, opts ...client.Option) (*client.Client, *client.Clock) {
	t.Helper()
	b := newContext(t)
	var synchronised *client.Clock
	if control != "" {
		q := must[*bus.Requester](t)(b.NewRequester(control))
		synchronised = client.NewClock(client.NewControl(q))
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { synchronised.Run(ctx) })
		t.Cleanup(func() { cancel(); running.Wait() })
		opts = append(opts, client.WithClock(synchronised))
	}
	return client.New(robot.Go1(), must[*bus.Subscriber](t)(b.NewSubscriber(observations)), must[*bus.Sender](t)(b.NewSender(commands)), opts...), synchronised
}

// move commands the first joint to targetRad until it is observed there, or for so long, and says whether it is.
func move(t *testing.T, c *client.Client, targetRad float64, most time.Duration) bool {
	t.Helper()
	const swayRad = 0.03
	ctx, cancel := context.WithTimeout(t.Context(), most)
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

func TestARobotOnAnotherMachineIsMoved(t *testing.T) {
	for _, tt := range []struct {
		name        string
		clock       *elsewhere
		there, back time.Duration
	}{
		{"whose clock is 3 hours ahead", newElsewhere(3*time.Hour, 0), 0, 0},
		{"whose clock is 5 hours behind", newElsewhere(-5*time.Hour, 0), 0, 0},
		{"whose clock drifts", newElsewhere(time.Hour, 50), 0, 0},
		{"to which it takes longer than back", newElsewhere(time.Hour, 0), 15 * time.Millisecond, time.Millisecond},
		{"from which it takes longer than there", newElsewhere(-time.Hour, -50), time.Millisecond, 15 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := startRemote(t, tt.clock, anyPort, anyPort, anyPort)
			observations, commands, control := r.observations, r.commands, r.control
			if tt.there != 0 {
				observations, commands, control = slowly(t, observations, tt.there, tt.back), slowly(t, commands, tt.there, tt.back), slowly(t, control, tt.there, tt.back)
			}
			var readNs atomic.Int64 // When the last observation was read, by the server's clock.
			c, synchronised := connect(t, observations, commands, control, client.WithMeter(func(time.Duration) { readNs.Store(tt.clock.NowNs()) }))
			if !move(t, c, 0.3, 10*time.Second) {
				_, err := synchronised.Estimate()
				t.Fatalf("the first joint does not move: clock %v, client %+v, server %+v", err, c.Stats(), r.server.Stats())
			}
			if refused := r.server.Stats().Refused["future"]; refused != 0 {
				t.Errorf("%d commands seemed to be of the future", refused)
			}
			e := must[client.Estimate](t)(synchronised.Estimate())
			if wrong := (e.Offset - tt.clock.offset).Abs(); wrong > e.Bound+time.Millisecond {
				t.Errorf("offset = %v, want %v ± %v", e.Offset, tt.clock.offset, e.Bound)
			}
			// A busy machine may come between telling an age and looking at the clock.
			const samples, mayBeLate, slack = 50, 10, 500 * time.Microsecond
			late := 0
			o := message.NewObservation(robot.Go1())
			for range samples {
				age := must[time.Duration](t)(c.Latest(t.Context(), o))
				e := must[client.Estimate](t)(synchronised.Estimate())
				if wrong := (age - time.Duration(readNs.Load()-o.MonotonicNs)).Abs(); wrong > e.Bound+slack {
					late++
				}
			}
			if late > mayBeLate {
				t.Errorf("%d of %d ages are wrong by more than the bound", late, samples)
			}
		})
	}
}

func TestWithoutTheServersTimeARobotOnAnotherMachineIsNotMoved(t *testing.T) {
	for _, tt := range []struct {
		offset time.Duration
		want   string // What the server refuses the commands for.
	}{{3 * time.Hour, "stale"}, {-5 * time.Hour, "future"}} {
		r := startRemote(t, newElsewhere(tt.offset, 0), anyPort, anyPort, anyPort)
		c, _ := connect(t, r.observations, r.commands, "")
		if move(t, c, 0.3, time.Second) {
			t.Errorf("%v apart: a robot is moved by the time of another machine", tt.offset)
		}
		if s := r.server.Stats(); s.Applied != 0 || s.Refused[tt.want] == 0 {
			t.Errorf("%v apart: applied %d, refused %v, want all as %s", tt.offset, s.Applied, s.Refused, tt.want)
		}
		// Nor is anything sent by a clock that cannot be synchronised.
		c, _ = connect(t, r.observations, r.commands, "tcp://127.0.0.1:1")
		if move(t, c, 0.3, time.Second) || c.Stats().Sent != 0 || c.Stats().Refused["clock"] == 0 {
			t.Errorf("%v apart: without a control link the client did %+v", tt.offset, c.Stats())
		}
	}
}

func TestAServerThatComesBackWithAnotherClockIsFollowed(t *testing.T) {
	first := startRemote(t, newElsewhere(3*time.Hour, 0), anyPort, anyPort, anyPort)
	c, synchronised := connect(t, first.observations, first.commands, first.control)
	if !move(t, c, 0.3, 10*time.Second) {
		t.Fatalf("the first joint does not move: client %+v, server %+v", c.Stats(), first.server.Stats())
	}
	before := must[client.Estimate](t)(synchronised.Estimate())
	first.stop()
	second := startRemote(t, newElsewhere(-5*time.Hour, 0), first.observations, first.commands, first.control)
	if !move(t, c, -0.3, 10*time.Second) {
		_, err := synchronised.Estimate()
		t.Fatalf("the first joint does not move after the restart: clock %v, client %+v, server %+v", err, c.Stats(), second.server.Stats())
	}
	after := must[client.Estimate](t)(synchronised.Estimate())
	if after.SessionID == before.SessionID || (before.Offset-after.Offset-8*time.Hour).Abs() > 20*time.Millisecond {
		t.Errorf("estimates %+v and %+v, want them 8 h apart", before, after)
	}
	// What came of the new server before its time was known was refused here, and not sent to be refused there.
	if s := second.server.Stats(); s.Refused["future"] != 0 || s.Applied == 0 {
		t.Errorf("server %+v, want no command of another time", s)
	}
}

// lossy loses the replies to the first request for a reset, and lets something happen then.
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

func TestAResetThatIsAskedForAgainDoesNotEndAStopThatCameMeanwhile(t *testing.T) {
	r := startRemote(t, newElsewhere(-5*time.Hour, 0), anyPort, anyPort, anyPort)
	b := newContext(t)
	other := client.NewControl(must[*bus.Requester](t)(b.NewRequester(r.control)))
	stop := func() {
		if a, err := other.EStop(t.Context()); err != nil || a.State != "stopped" {
			t.Fatalf("e-stop = %+v, %v", a, err)
		}
	}
	stop()
	control := client.NewControl(&lossy{must[*bus.Requester](t)(b.NewRequester(r.control)), stop})
	a, err := control.Reset(t.Context())
	if _, refused := errors.AsType[*client.RefusedError](err); !refused || a.Status != message.RequestExpired || !strings.Contains(err.Error(), "stopped once more") {
		t.Errorf("reset = %+v, %v, want it to be refused", a, err)
	}
	if a, err := other.State(t.Context()); err != nil || a.State != "stopped" {
		t.Errorf("state = %+v, %v, want the stop to last", a, err)
	}
	if a, err := control.Reset(t.Context()); err != nil || a.State != "damp" {
		t.Errorf("a reset that is asked for now = %+v, %v", a, err)
	}
}

func TestARobotOnAnotherMachineIsStoppedAndReset(t *testing.T) {
	r := startRemote(t, newElsewhere(3*time.Hour, 0), anyPort, anyPort, anyPort)
	c, _ := connect(t, r.observations, r.commands, r.control)
	if !move(t, c, 0.3, 10*time.Second) {
		t.Fatal("the first joint does not move")
	}
	control := client.NewControl(must[*bus.Requester](t)(newContext(t).NewRequester(r.control)))
	a, err := control.EStop(t.Context())
	if err != nil || a.State != "stopped" {
		t.Fatalf("e-stop = %+v, %v", a, err)
	}
	if move(t, c, -0.3, 500*time.Millisecond) {
		t.Error("a stopped robot is moved")
	}
	if a, err := control.State(t.Context()); err != nil || a.State != "stopped" || a.StoppedBy != string(server.Remote) {
		t.Errorf("state = %+v, %v", a, err)
	}
	if a, err := control.Reset(t.Context()); err != nil || a.State != "damp" {
		t.Errorf("reset = %+v, %v", a, err)
	}
	if !move(t, c, -0.3, 10*time.Second) {
		t.Error("the first joint does not move after the reset")
	}
}
