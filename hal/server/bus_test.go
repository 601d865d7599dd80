package server_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"krabby.dev/krabby/hal/backend/backendtest"
	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/bus/bustest"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/server"
	"krabby.dev/krabby/hal/synthetic"
	"krabby.dev/krabby/hal/wire"
	v1 "krabby.dev/krabby/hal/wire/v1"
)

// start runs s until the end of the test, or until stop is called.
func start(t *testing.T, s *server.Server) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}

// move commands the first joint to targetRad until an observation shows it there.
func move(t *testing.T, c *client.Client, targetRad float64) {
	t.Helper()
	const swayRad = 0.03
	r := robot.Go1()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	o, cmd := message.NewObservation(r), message.NewJointCommand(r)
	defer c.Release(o)
	cmd.TargetRad[0] = targetRad
	for o.Sequence == 0 || math.Abs(o.PositionRad[0]-targetRad) > swayRad {
		if _, err := c.Latest(ctx, o); err != nil {
			t.Fatalf("the first joint is at %v rad, want %v: %v", o.PositionRad[0], targetRad, err)
		}
		cmd.ObservationSequence = o.Sequence
		if err := c.Send(cmd); err != nil && !errors.Is(err, bus.ErrNoPeer) {
			t.Fatal(err)
		}
	}
}

var endpoints = []struct{ observations, commands string }{
	{"inproc://observation", "inproc://command"},
	{"tcp://127.0.0.1:0", "tcp://127.0.0.1:0"},
}

// Both sides and a backend over the real bus: a command moves the joints that the client observes, also after another server has
// replaced the first one under the same client.
func TestServer_clientFollowsRestart(t *testing.T) {
	for _, e := range endpoints {
		t.Run(e.observations[:strings.Index(e.observations, ":")], func(t *testing.T) {
			b, r := bustest.NewContext(t), robot.Go1()
			observations, commands := e.observations, e.commands
			var c *client.Client
			for life := range 3 {
				out := bustest.Retry(t, func() (*bus.Publisher, error) { return b.NewPublisher(observations) })
				in := bustest.Retry(t, func() (*bus.Receiver, error) { return b.NewReceiver(commands) })
				observations, commands = out.Endpoint(), in.Endpoint()
				s := bustest.Must[*server.Server](t)(server.New(r, backendtest.Configured(t, synthetic.New(r, 10*time.Millisecond)), out, in))
				if c == nil {
					c = client.New(r, bustest.Must[*bus.Subscriber](t)(b.NewSubscriber(observations)), bustest.Must[*bus.Sender](t)(b.NewSender(commands)))
				}
				stop := start(t, s)
				move(t, c, 0.5)
				if h := c.Health(); !h.Alive || h.Restarts != uint64(life) {
					t.Errorf("health = %+v, want alive after %d restarts", h, life)
				}
				stop()
				if st := s.Stats(); st.Applied == 0 || st.Published < st.Applied {
					t.Errorf("server stats = %+v, want commands applied", st)
				}
				if err := errors.Join(out.Close(), in.Close()); err != nil {
					t.Fatal(err)
				}
			}
			if st := c.Stats(); st.Observations == 0 || st.Sent == 0 || len(st.Rejected) != 0 {
				t.Errorf("client stats = %+v, want observations read and commands sent", st)
			}
		})
	}
}

func TestWithLink_clientsOnAllLinks(t *testing.T) {
	b, r := bustest.NewContext(t), robot.Go1()
	out, in := bustest.Must[*bus.Publisher](t)(b.NewPublisher("inproc://o")), bustest.Must[*bus.Receiver](t)(b.NewReceiver("inproc://c"))
	out2, in2 := bustest.Must[*bus.Publisher](t)(b.NewPublisher("tcp://127.0.0.1:0")), bustest.Must[*bus.Receiver](t)(b.NewReceiver("tcp://127.0.0.1:0"))
	s := bustest.Must[*server.Server](t)(server.New(r, backendtest.Configured(t, synthetic.New(r, 10*time.Millisecond)), out, in, server.WithLink(out2, in2)))
	start(t, s)
	near := client.New(r, bustest.Must[*bus.Subscriber](t)(b.NewSubscriber("inproc://o")), bustest.Must[*bus.Sender](t)(b.NewSender("inproc://c")))
	far := client.New(r, bustest.Must[*bus.Subscriber](t)(b.NewSubscriber(out2.Endpoint())), bustest.Must[*bus.Sender](t)(b.NewSender(in2.Endpoint())))
	move(t, near, 0.4)
	move(t, far, -0.4)
	if st := s.Stats(); len(st.Unpublished) != 0 {
		t.Errorf("stats = %+v, want every observation published", st)
	}
}

// camera is a backend with images. Every pixel is the number of the frame.
type camera struct {
	*synthetic.Backend
	frames byte
	pixels []*byte // The addresses of its writes.
}

func (c *camera) Read(ctx context.Context, o *message.Observation) error {
	if err := c.Backend.Read(ctx, o); err != nil {
		return err
	}
	if c.frames++; c.frames%3 == 0 {
		return nil // A camera that is slower than the joints.
	}
	o.RGB1.Resize(48, 64)
	for i := range o.RGB1.Pixels {
		o.RGB1.Pixels[i] = c.frames
	}
	o.Depth.Resize(48, 64)
	for i := range o.Depth.Values {
		o.Depth.Values[i] = float32(c.frames)
	}
	c.pixels = append(c.pixels, &o.RGB1.Pixels[0])
	return nil
}

// tapped records the addresses of published frames.
type tapped struct {
	*bus.Publisher
	first, last []*byte
}

func (p *tapped) Publish(frame []byte) error {
	p.first, p.last = append(p.first, &frame[0]), append(p.last, &frame[len(frame)-1])
	return p.Publisher.Publish(frame)
}

func TestPublish_imagesInFrameAndRepeated(t *testing.T) {
	b, r := bustest.NewContext(t), robot.Go1()
	out := &tapped{Publisher: bustest.Must[*bus.Publisher](t)(b.NewPublisher("inproc://o"))}
	in := bustest.Must[*bus.Receiver](t)(b.NewReceiver("inproc://c"))
	cameras := &camera{Backend: synthetic.New(r, time.Millisecond)}
	s := bustest.Must[*server.Server](t)(server.New(r, backendtest.Configured(t, cameras), out, in, server.WithRate(500)))
	c := client.New(r, bustest.Must[*bus.Subscriber](t)(b.NewSubscriber("inproc://o")), bustest.Must[*bus.Sender](t)(b.NewSender("inproc://c")))
	stop := start(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var o message.Observation
	for range 60 {
		if _, err := c.Latest(ctx, &o); err != nil {
			t.Fatal(err)
		}
		want := byte(o.Sequence)
		if want%3 == 0 {
			want--
		}
		for i := range o.Depth.Values {
			if o.RGB1.Pixels[3*i] != want || o.Depth.Values[i] != float32(want) {
				t.Fatalf("observation %d has pixels of frame %d and depths of %v, want %d", o.Sequence, o.RGB1.Pixels[3*i], o.Depth.Values[i], want)
			}
		}
	}
	stop()
	// The first two images lie outside of the frames; later ones lie in them.
	at, wrong := 0, 0
	for i := range out.first {
		if (i+1)%3 == 0 {
			continue
		}
		p := cameras.pixels[at]
		at++
		if i > 0 && !between(out.first[i], p, out.last[i]) {
			wrong++
		}
	}
	if wrong > 0 || at < 20 {
		t.Errorf("%d of %d images were not written into their frame", wrong, at)
	}
}

func TestWithV1_client(t *testing.T) {
	hex, err := robot.ByName("hex")
	if err != nil {
		t.Fatal(err)
	}
	b := bustest.NewContext(t)
	out, in := bustest.Must[*bus.Publisher](t)(b.NewPublisher("inproc://o")), bustest.Must[*bus.Receiver](t)(b.NewReceiver("inproc://c"))
	out1, in1 := bustest.Must[*bus.MultipartPublisher](t)(b.NewMultipartPublisher("tcp://127.0.0.1:0")), bustest.Must[*bus.MultipartReceiver](t)(b.NewMultipartReceiver("tcp://127.0.0.1:0"))
	s := bustest.Must[*server.Server](t)(server.New(hex, backendtest.Configured(t, synthetic.New(hex, 10*time.Millisecond)), out, in, server.WithV1(out1, in1, 24, 32)))
	start(t, s)

	other := bustest.NewContext(t)
	subscriber := bustest.Must[*bus.MultipartSubscriber](t)(other.NewMultipartSubscriber(out1.Endpoint(), v1.Topic))
	sender := bustest.Must[*bus.MultipartSender](t)(other.NewMultipartSender(in1.Endpoint()))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var o v1.Observation
	var encoder v1.Encoder
	const targetRad, swayRad = 0.3, 0.03
	for len(o.PositionRad) == 0 || math.Abs(o.PositionRad[0]-targetRad) > swayRad {
		parts, err := subscriber.Receive(ctx)
		if err == nil {
			err = v1.DecodeObservation(&o, parts)
		}
		if err != nil {
			t.Fatalf("first joint at %v, want %v: %v", o.PositionRad, targetRad, err)
		}
		command := v1.JointCommand{TimestampNs: time.Now().UnixNano(), ObservationTimestampNs: o.TimestampNs, TargetRad: make([]float64, 18)}
		command.TargetRad[0] = targetRad
		if parts, err = encoder.EncodeJointCommand(&command); err != nil {
			t.Fatal(err)
		}
		if err := sender.Send(parts); err != nil && !errors.Is(err, bus.ErrNoPeer) {
			t.Fatal(err)
		}
	}
	if o.RGB1.Height != 24 || o.RGB1.Width != 32 || len(o.PositionRad) != 18 {
		t.Errorf("an observation of %d joints and %dx%d pixels, want 18 and 24x32", len(o.PositionRad), o.RGB1.Height, o.RGB1.Width)
	}

	// Rejections are counted by reason.
	good := func() *v1.JointCommand {
		return &v1.JointCommand{ObservationTimestampNs: o.TimestampNs, TargetRad: make([]float64, 18)}
	}
	encode := func(c *v1.JointCommand) [][]byte { return bustest.Must[[][]byte](t)(encoder.EncodeJointCommand(c)) }
	for _, tt := range []struct {
		cause string
		parts func() [][]byte
	}{
		{"observation_unknown", func() [][]byte { c := good(); c.ObservationTimestampNs++; return encode(c) }},
		{"observation_unknown", func() [][]byte { c := good(); c.ObservationTimestampNs = 0; return encode(c) }},
		{"v1_frames", func() [][]byte { return [][]byte{[]byte("alone")} }},
		{"v1_frames", func() [][]byte { return make([][]byte, 9) }},
		{"v1_metadata", func() [][]byte { return [][]byte{[]byte("{"), nil} }},
		{"v1_length", func() [][]byte { parts := encode(good()); parts[1] = parts[1][:4]; return parts }},
		{"v1_not_finite", func() [][]byte {
			parts := encode(good())
			binary.LittleEndian.PutUint32(parts[1], math.Float32bits(float32(math.NaN())))
			return parts
		}},
		{"shape", func() [][]byte { c := good(); c.TargetRad = c.TargetRad[:12]; return encode(c) }},
		{"joint_limit", func() [][]byte { c := good(); c.TargetRad[5] = 0.6; return encode(c) }},
		// 200 ms later the answered observation is too old.
		{"stale", func() [][]byte { time.Sleep(200 * time.Millisecond); return encode(good()) }},
	} {
		before := s.Stats().Rejected[tt.cause]
		parts := tt.parts()
		for deadline := time.Now().Add(10 * time.Second); s.Stats().Rejected[tt.cause] == before; time.Sleep(10 * time.Millisecond) {
			if err := sender.Send(parts); err != nil && !errors.Is(err, bus.ErrNoPeer) {
				t.Fatal(err)
			}
			if time.Now().After(deadline) {
				t.Fatalf("no %s in %v", tt.cause, s.Stats().Rejected)
			}
		}
	}
}

func TestReceive_malformedMessagesCounted(t *testing.T) {
	b, r := bustest.NewContext(t), robot.Go1()
	out := bustest.Must[*bus.Publisher](t)(b.NewPublisher("tcp://127.0.0.1:0"))
	in := bustest.Must[*bus.Receiver](t)(b.NewReceiver("tcp://127.0.0.1:0", bus.WithMaxFrameBytes(wire.MaxCommandBytes)))
	s := bustest.Must[*server.Server](t)(server.New(r, backendtest.Configured(t, synthetic.New(r, 10*time.Millisecond)), out, in))
	start(t, s)
	c := client.New(r, bustest.Must[*bus.Subscriber](t)(b.NewSubscriber(out.Endpoint())), bustest.Must[*bus.Sender](t)(b.NewSender(in.Endpoint())))
	move(t, c, 0.3)
	bad, parts := bustest.Must[*bus.Sender](t)(b.NewSender(in.Endpoint())), bustest.Must[*bus.MultipartSender](t)(b.NewMultipartSender(in.Endpoint()))
	for _, tt := range []struct {
		cause string
		send  func() error
	}{
		{"short", func() error { return bad.Send([]byte("KRBY")) }},
		{"magic", func() error { return bad.Send([]byte("garbage")) }},
		{"multipart", func() error { return parts.Send(make([][]byte, 8)) }},
	} {
		for deadline := time.Now().Add(10 * time.Second); s.Stats().Rejected[tt.cause] == 0; time.Sleep(10 * time.Millisecond) {
			if err := tt.send(); err != nil && !errors.Is(err, bus.ErrNoPeer) {
				t.Fatal(err)
			}
			if time.Now().After(deadline) {
				t.Fatalf("no %s in %v", tt.cause, s.Stats().Rejected)
			}
		}
	}
	move(t, c, -0.3)
	// Too large frames are not read, and their sender is disconnected.
	for deadline := time.Now().Add(10 * time.Second); s.Stats().Connections.Closed == 0; time.Sleep(10 * time.Millisecond) {
		if err := bad.Send(make([]byte, wire.MaxCommandBytes+1)); err != nil && !errors.Is(err, bus.ErrNoPeer) {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("connections %+v, want one closed", s.Stats().Connections)
		}
	}
	move(t, c, 0.3)
}

// counted is a socket that counts its connections.
type counted struct {
	server.Publisher
	server.Receiver
	connections bus.Connections
}

func (c counted) Connections() bus.Connections { return c.connections }

// countedV1 is a counted socket of version 1.
type countedV1 struct {
	server.MultipartPublisher
	server.MultipartReceiver
	connections bus.Connections
}

func (c countedV1) Connections() bus.Connections { return c.connections }

func TestStats_connectionsOfAllLinks(t *testing.T) {
	r := robot.Go1()
	out, in := counted{connections: bus.Connections{Opened: 1, Oversize: 2}}, counted{connections: bus.Connections{Opened: 10, Closed: 3, Oversize: 4}}
	out1, in1 := countedV1{connections: bus.Connections{Opened: 100, Key: 5}}, countedV1{connections: bus.Connections{Opened: 1000, Protocol: 6, Oversize: 7}}
	b := bustest.NewContext(t)
	near := bustest.Must[*bus.Publisher](t)(b.NewPublisher("inproc://o"))
	s := bustest.Must[*server.Server](t)(server.New(r, backendtest.Configured(t, synthetic.New(r, time.Millisecond)), near, bustest.Must[*bus.Receiver](t)(b.NewReceiver("inproc://c")),
		server.WithLink(out, in), server.WithV1(out1, in1, 1, 1)))
	for range 2 { // Stats does not change the counters.
		st := s.Stats()
		if want := (bus.Connections{Opened: 1111, Closed: 3, Oversize: 13, Key: 5, Protocol: 6}); st.Connections != want {
			t.Errorf("connections %+v, want %+v", st.Connections, want)
		}
		if want := map[string]uint64{"oversize": 4, "v1_oversize": 7}; !maps.Equal(st.Rejected, want) {
			t.Errorf("rejected %v, want %v", st.Rejected, want)
		}
	}
}

// Commands arrive while other peers flood their endpoint with garbage. The load of the flood on the machine does not count: the
// reference is the same flood at another endpoint.
func TestReceive_floodOfGarbage(t *testing.T) {
	const (
		duration  = 5 * time.Second
		perSecond = 100_000
		peers     = 4
		period    = 20 * time.Millisecond // Of a policy.
	)
	b, r := bustest.NewContext(t), robot.Go1()
	out, in := bustest.Must[*bus.Publisher](t)(b.NewPublisher("tcp://127.0.0.1:0")), bustest.Must[*bus.Receiver](t)(b.NewReceiver("tcp://127.0.0.1:0"))
	elsewhere := bustest.Must[*bus.Receiver](t)(b.NewReceiver("tcp://127.0.0.1:0"))
	s := bustest.Must[*server.Server](t)(server.New(r, backendtest.Configured(t, synthetic.New(r, 10*time.Millisecond)), out, in))
	start(t, s)
	c := client.New(r, bustest.Must[*bus.Subscriber](t)(b.NewSubscriber(out.Endpoint())), bustest.Must[*bus.Sender](t)(b.NewSender(in.Endpoint())))
	move(t, c, 0.3)

	// under returns the fraction of the commands applied during a flood of an endpoint, and the number of rejected messages.
	under := func(endpoint string) (part float64, rejected uint64) {
		before := s.Stats()
		ctx, cancel := context.WithTimeout(t.Context(), duration)
		defer cancel()
		var garbage atomic.Uint64
		var flooding sync.WaitGroup
		for range peers {
			// As in another process, with its own context.
			flood := bustest.Must[*bus.Sender](t)(bustest.NewContext(t).NewSender(endpoint))
			flooding.Go(func() {
				defer flood.Close()
				for began := time.Now(); ctx.Err() == nil; {
					n := garbage.Load()
					if float64(n) > time.Since(began).Seconds()*perSecond {
						time.Sleep(time.Millisecond)
					} else if flood.Send(fmt.Appendf(nil, "garbage %d", n)) == nil {
						garbage.Add(1)
					}
				}
			})
		}
		o, cmd := message.NewObservation(r), message.NewJointCommand(r)
		defer c.Release(o)
		sent := uint64(0)
		for tick := time.NewTicker(period); ctx.Err() == nil; <-tick.C {
			if _, err := c.Latest(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			cmd.ObservationSequence = o.Sequence
			if err := c.Send(cmd); err != nil {
				t.Fatal(err)
			}
			sent++
		}
		flooding.Wait()
		after := s.Stats()
		applied := after.Applied - before.Applied
		rejected = after.Rejected["magic"] - before.Rejected["magic"]
		t.Logf("%d messages of garbage, %d of them looked at; %d of %d commands applied; published %d", garbage.Load(), rejected, applied, sent, after.Published-before.Published)
		return float64(applied) / float64(sent), rejected
	}
	without, _ := under(elsewhere.Endpoint())
	with, rejected := under(in.Endpoint())
	// In a shared queue, one of a thousand messages would be a command.
	if without == 0 || with < 0.7*without {
		t.Errorf("%.0f%% of the commands were applied, and without a flood %.0f%%, want nearly as many; rejected: %v", 100*with, 100*without, s.Stats().Rejected)
	}
	if rejected == 0 {
		t.Error("no garbage was counted")
	}
}

// between reports whether p lies in the memory from first to last.
func between(first, p, last *byte) bool {
	at := uintptr(unsafe.Pointer(p))
	return at >= uintptr(unsafe.Pointer(first)) && at <= uintptr(unsafe.Pointer(last))
}
