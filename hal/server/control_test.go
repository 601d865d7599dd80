package server_test

import (
	"context"
	"errors"
	"maps"
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

const controlSession = 77

// bent is a robot whose first joint can be out of range.
type bent struct {
	*synthetic.Backend
	out atomic.Bool
}

func (b *bent) Read(ctx context.Context, o *message.Observation) error {
	if err := b.Backend.Read(ctx, o); err != nil {
		return err
	}
	if b.out.Load() {
		o.PositionRad[0] = robot.Go1().Joints[0].UpperRad + 0.3
	}
	return nil
}

// controlled is a running server with a control link, and its clients.
type controlled struct {
	server  *server.Server
	backend *bent
	client  *client.Client
	bus     *bus.Context
	at      string
	control *bus.Requester
}

func newControlled(t *testing.T, endpoint string) *controlled {
	t.Helper()
	b, r := bustest.NewContext(t), robot.Go1()
	out, in := bustest.Must[*bus.Publisher](t)(b.NewPublisher("inproc://o")), bustest.Must[*bus.Receiver](t)(b.NewReceiver("inproc://c"))
	respond := bustest.Must[*bus.Responder](t)(b.NewResponder(endpoint))
	c := &controlled{backend: &bent{Backend: synthetic.New(r, 10*time.Millisecond)}, bus: b, at: respond.Endpoint()}
	c.server = bustest.Must[*server.Server](t)(server.New(r, backendtest.Configured(t, c.backend), out, in, server.WithSession(controlSession), server.WithControl(respond)))
	start(t, c.server)
	c.client = client.New(r, bustest.Must[*bus.Subscriber](t)(b.NewSubscriber("inproc://o")), bustest.Must[*bus.Sender](t)(b.NewSender("inproc://c")))
	c.control = bustest.Must[*bus.Requester](t)(b.NewRequester(c.at))
	// Before it, a reset is rejected.
	bustest.Eventually(t, "the first observation is published", func() bool { return c.server.Stats().Published > 0 })
	return c
}

// ask sends a request, and repeats it until the server is connected.
func (c *controlled) ask(t *testing.T, q message.ControlRequest) message.ControlReply {
	t.Helper()
	var a message.ControlReply
	frame := bustest.Retry(t, func() ([]byte, error) { return c.control.Request(t.Context(), wire.AppendControlRequest(nil, &q)) })
	if err := wire.DecodeControlReply(&a, frame); err != nil {
		t.Fatal(err)
	}
	if a.Sequence != q.Sequence || a.SessionID != controlSession || a.SentNs < a.ReceivedNs {
		t.Errorf("%+v answers %+v", a, q)
	}
	return a
}

// known requests the state and returns a reset by a sender that knows it.
func (c *controlled) known(t *testing.T) message.ControlRequest {
	t.Helper()
	a := c.ask(t, message.ControlRequest{Operation: message.ReadClock})
	return message.ControlRequest{Operation: message.Reset, SessionID: controlSession, ExpiresNs: a.SentNs + int64(message.ResetValidity)}
}

// reset requests a reset.
func (c *controlled) reset(t *testing.T) message.ControlReply {
	t.Helper()
	return c.ask(t, c.known(t))
}

func TestServeControl_clock(t *testing.T) {
	for _, endpoint := range []string{"inproc://control", "tcp://127.0.0.1:0"} {
		c, now := newControlled(t, endpoint), clock.New()
		before := now.NowNs()
		a := c.ask(t, message.ControlRequest{Sequence: 9, MonotonicNs: -1, Operation: message.ReadClock})
		after := now.NowNs()
		const tolerance = int64(100 * time.Microsecond) // Two clocks, synchronised with the system's at different times.
		if a.ReceivedNs < before-tolerance || a.SentNs > after+tolerance {
			t.Errorf("received at %d, sent at %d, want %d to %d", a.ReceivedNs, a.SentNs, before, after)
		}
		want := message.ControlReply{Sequence: 9, SessionID: controlSession, ReceivedNs: a.ReceivedNs, SentNs: a.SentNs, State: "idle"}
		if a != want {
			t.Errorf("reply = %+v, want %+v", a, want)
		}
	}
}

func TestServeControl_stopLatchesUntilReset(t *testing.T) {
	c := newControlled(t, "tcp://127.0.0.1:0")
	move(t, c.client, 0.2)
	if a := c.ask(t, message.ControlRequest{Operation: message.EStop}); a.Status != message.Done || a.State != "stopped" || a.StoppedBy != string(server.Remote) {
		t.Fatalf("reply to an e-stop = %+v", a)
	}
	// Commands, time and another e-stop do not end the stop.
	rejected := func() uint64 { return c.server.Stats().Rejected["stopped"] }
	o, cmd := message.NewObservation(robot.Go1()), message.NewJointCommand(robot.Go1())
	for before := rejected(); rejected() < before+5; {
		if _, err := c.client.Latest(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		cmd.ObservationSequence = o.Sequence
		if err := c.client.Send(cmd); err != nil {
			t.Fatal(err)
		}
	}
	if a := c.ask(t, message.ControlRequest{Operation: message.EStop}); a.State != "stopped" {
		t.Errorf("after a second e-stop: %+v", a)
	}
	if a := c.reset(t); a.Status != message.Done || a.State != "damp" || a.StoppedBy != "" {
		t.Errorf("reply to a reset = %+v", a)
	}
	move(t, c.client, -0.2)
	s := c.server.Stats()
	if want := map[string]uint64{"e_stop": 2, "clock": 1, "reset": 1}; !maps.Equal(s.Control.Requests, want) || len(s.Control.Rejected) != 0 {
		t.Errorf("control = %+v, want %v and nothing rejected", s.Control, want)
	}
	if s.Safety.Trips[string(server.Remote)] != 1 {
		t.Errorf("trips = %v, want one by %s", s.Safety.Trips, server.Remote)
	}
}

func TestServeControl_resetRejectedDuringFault(t *testing.T) {
	c := newControlled(t, "inproc://control")
	move(t, c.client, 0.2)
	c.backend.out.Store(true)
	bustest.Retry(t, func() (any, error) {
		if a := c.ask(t, message.ControlRequest{Operation: message.ReadClock}); a.StoppedBy != "joint_outside" {
			return nil, errors.New("not stopped: " + a.State)
		}
		return nil, nil
	})
	a := c.reset(t)
	if a.Status != message.FaultActive || a.State != "stopped" || a.StoppedBy != "joint_outside" || a.Fault != "joint_outside" ||
		!strings.Contains(a.Reason, "joint FR_hip_joint is at 1.163 rad, expected -0.863 to 0.863") {
		t.Errorf("reply to a reset while a joint is outside = %+v", a)
	}
	c.backend.out.Store(false)
	bustest.Retry(t, func() (any, error) {
		if a := c.reset(t); a.Status != message.Done || a.State != "damp" {
			return nil, errors.New(a.Reason)
		}
		return nil, nil
	})
	if s := c.server.Stats(); s.Control.Rejected["fault"] == 0 || s.Safety.ResetsRejected["joint_outside"] != s.Control.Rejected["fault"] {
		t.Errorf("control %+v, resets rejected %v", s.Control, s.Safety.ResetsRejected)
	}
}

func TestServeControl_resetOfOtherSessionOrExpired(t *testing.T) {
	c := newControlled(t, "inproc://control")
	c.ask(t, message.ControlRequest{Operation: message.EStop})
	now := clock.New().NowNs()
	for _, tt := range []struct {
		name    string
		request message.ControlRequest
		want    message.ControlStatus
	}{
		{"of another session", message.ControlRequest{Operation: message.Reset, SessionID: controlSession + 1, ExpiresNs: now + int64(time.Minute)}, message.OtherSession},
		{"of no session", message.ControlRequest{Operation: message.Reset, ExpiresNs: now + int64(time.Minute)}, message.OtherSession},
		{"that lay in a queue", message.ControlRequest{Operation: message.Reset, SessionID: controlSession, ExpiresNs: now - 1}, message.RequestExpired},
		{"without an expiry", message.ControlRequest{Operation: message.Reset, SessionID: controlSession}, message.RequestExpired},
		{"for stops that are to come", message.ControlRequest{Operation: message.Reset, SessionID: controlSession, ExpiresNs: now + int64(time.Minute)}, message.RequestExpired},
		{"for all times", message.ControlRequest{Operation: message.Reset, SessionID: controlSession, ExpiresNs: math.MaxInt64}, message.RequestExpired},
		{"of the first of all times", message.ControlRequest{Operation: message.Reset, SessionID: controlSession, ExpiresNs: math.MinInt64}, message.RequestExpired},
		{"of an operation of the future", message.ControlRequest{Operation: 200}, message.UnknownOperation},
	} {
		if a := c.ask(t, tt.request); a.Status != tt.want || a.State != "stopped" || a.StoppedBy != string(server.Remote) {
			t.Errorf("a request %s: %+v, want status %v and the stop to stay", tt.name, a, tt.want)
		}
	}
	s := c.server.Stats().Control
	if want := map[string]uint64{"session": 2, "expired": 5, "operation": 1}; !maps.Equal(s.Rejected, want) {
		t.Errorf("rejected = %v, want %v", s.Rejected, want)
	}
	if want := map[string]uint64{"e_stop": 1, "reset": 7, "unknown": 1}; !maps.Equal(s.Requests, want) {
		t.Errorf("requests = %v, want %v", s.Requests, want)
	}
}

// A reset may be late, or repeated because its reply was lost: it ends only the stops that its sender knew of.
func TestServeControl_resetOlderThanStop(t *testing.T) {
	c := newControlled(t, "inproc://control")
	for name, stop := range map[string]func(){
		"that another client asks for": func() { c.ask(t, message.ControlRequest{Operation: message.EStop}) },
		"that the process asks for":    func() { c.server.EStop("button") },
	} {
		for _, before := range []string{"stopped", "reset"} {
			c.ask(t, message.ControlRequest{Operation: message.EStop})
			late := c.known(t)
			if before == "reset" {
				if a := c.ask(t, late); a.Status != message.Done {
					t.Fatalf("reset = %+v", a)
				}
			}
			stop()
			if a := c.ask(t, late); a.Status != message.RequestExpired || a.State != "stopped" {
				t.Errorf("a stop %s, of a robot that was %s: reset = %+v, want it to stay", name, before, a)
			}
			if a := c.reset(t); a.Status != message.Done || a.State != "damp" {
				t.Errorf("a stop %s: reset of one who knows = %+v", name, a)
			}
		}
	}
	if s := c.server.Stats().Control; s.Rejected["expired"] != 4 {
		t.Errorf("rejected = %v, want 4 expired", s.Rejected)
	}
}

// connected is a responder that counts its connections.
type connected struct{ partly }

func (*connected) Connections() bus.Connections {
	return bus.Connections{Opened: 5, Closed: 4, Oversize: 3, Key: 2, Protocol: 1}
}

func TestStats_connectionsOfControlLink(t *testing.T) {
	b, r := bustest.NewContext(t), robot.Go1()
	s := bustest.Must[*server.Server](t)(server.New(r, backendtest.Configured(t, synthetic.New(r, 10*time.Millisecond)),
		bustest.Must[*bus.Publisher](t)(b.NewPublisher("inproc://o")), bustest.Must[*bus.Receiver](t)(b.NewReceiver("inproc://c")), server.WithControl(&connected{})))
	for range 2 { // Stats does not change the counters.
		st := s.Stats()
		if want := (bus.Connections{Opened: 5, Closed: 4, Oversize: 3, Key: 2, Protocol: 1}); st.Connections != want {
			t.Errorf("connections = %+v, want %+v", st.Connections, want)
		}
		if want := map[string]uint64{"oversize": 3}; !maps.Equal(st.Control.Rejected, want) || len(st.Rejected) != 0 {
			t.Errorf("control rejected %v, commands %v; want %v and none", st.Control.Rejected, st.Rejected, want)
		}
	}
}

func TestServeControl_malformedRequests(t *testing.T) {
	c := newControlled(t, "tcp://127.0.0.1:0")
	c.ask(t, message.ControlRequest{Operation: message.ReadClock})
	good := wire.AppendControlRequest(nil, &message.ControlRequest{Operation: message.EStop})
	flipped := append([]byte(nil), good...)
	flipped[128] ^= 1
	other := append([]byte(nil), good...)
	other[4] = 3
	command := bustest.Must[[]byte](t)(wire.AppendJointCommand(nil, message.NewJointCommand(robot.Go1())))
	for _, frame := range [][]byte{nil, good[:100], []byte("something else of more bytes than a header has: of any number, in fact"), flipped, other, command} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if reply, err := c.control.Request(ctx, frame); !errors.Is(err, bus.ErrNoReply) {
			t.Errorf("% x is answered by % x, %v", frame, reply, err)
		}
		cancel()
	}
	if a := c.ask(t, message.ControlRequest{Operation: message.ReadClock}); a.State != "idle" {
		t.Errorf("state = %s: garbage was taken for an e-stop", a.State)
	}
	if s, want := c.server.Stats().Control, map[string]uint64{"short": 1, "length": 1, "magic": 1, "checksum": 1, "version": 1, "kind": 1}; !maps.Equal(s.Rejected, want) {
		t.Errorf("rejected = %v, want %v", s.Rejected, want)
	}
}

// Many clients send requests as fast as they can, and the loop keeps its rate.
func TestServeControl_floodKeepsLoopRate(t *testing.T) {
	c := newControlled(t, "tcp://127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var answered atomic.Uint64
	for range 4 {
		q := bustest.Must[*bus.Requester](t)(c.bus.NewRequester(c.at))
		all.Go(func() {
			frame := wire.AppendControlRequest(nil, &message.ControlRequest{Operation: message.ReadClock})
			for ctx.Err() == nil {
				if _, err := q.Request(ctx, frame); err == nil {
					answered.Add(1)
				}
			}
		})
	}
	move(t, c.client, 0.3)
	move(t, c.client, -0.3)
	cancel()
	all.Wait()
	if answered.Load() == 0 {
		t.Error("no request was answered meanwhile")
	}
}

// The server retries a responder that always fails at a low rate, and still ends in time.
type broken struct {
	bustest.NoConnections
	asked atomic.Uint64
}

func (b *broken) Receive(context.Context) ([]byte, error) {
	b.asked.Add(1)
	return nil, errors.New("broken")
}

func (b *broken) Reply([]byte) error { return nil }

func TestServeControl_transportErrorsCounted(t *testing.T) {
	b, r, in := bustest.NewContext(t), robot.Go1(), &broken{}
	s := bustest.Must[*server.Server](t)(server.New(r, backendtest.Configured(t, synthetic.New(r, 10*time.Millisecond)),
		bustest.Must[*bus.Publisher](t)(b.NewPublisher("inproc://o")), bustest.Must[*bus.Receiver](t)(b.NewReceiver("inproc://c")), server.WithControl(in)))
	stop := start(t, s)
	time.Sleep(100 * time.Millisecond)
	stop()
	if asked, counted := in.asked.Load(), s.Stats().Control.Rejected[server.Transport]; counted == 0 || asked > 50 || counted+1 < asked {
		t.Errorf("asked %d times, counted %d failures", asked, counted)
	}
}

// partly is a responder that receives only malformed multipart messages.
type partly struct {
	bustest.NoConnections
	messages int
}

func (p *partly) Receive(ctx context.Context) ([]byte, error) {
	if p.messages--; p.messages >= 0 {
		return nil, bus.ErrMultipart
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (p *partly) Reply([]byte) error { return errors.New("nobody asked") }

func TestServeControl_multipartBesideStep(t *testing.T) {
	b, r := bustest.NewContext(t), robot.Go1()
	s := bustest.Must[*server.Server](t)(server.New(r, backendtest.Configured(t, synthetic.New(r, 10*time.Millisecond)),
		bustest.Must[*bus.Publisher](t)(b.NewPublisher("inproc://o")), bustest.Must[*bus.Receiver](t)(b.NewReceiver("inproc://c")), server.WithControl(&partly{messages: 5})))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	s.ServeControl(ctx)
	if c := s.Stats().Control; c.Rejected[server.Multipart] != 5 || len(c.Requests) != 0 {
		t.Errorf("control = %+v, want 5 messages of several parts and no request", c)
	}
}
