package client

import (
	"context"
	"errors"
	"maps"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/bus/bustest"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/wire"
)

// fakeLink implements Subscriber and Sender with one pending frame.
type fakeLink struct {
	bustest.NoConnections

	frame   []byte
	recvErr error
	sent    []message.JointCommand
	sendErr error
}

func (l *fakeLink) TryReceive(f *bus.Frame) error {
	if l.recvErr != nil {
		return l.recvErr
	}
	if l.frame == nil {
		return bus.ErrEmpty
	}
	f.Set(l.frame)
	l.frame = nil
	return nil
}

func (l *fakeLink) Receive(ctx context.Context, f *bus.Frame) error {
	if l.frame == nil && l.recvErr == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return l.TryReceive(f)
}

func (l *fakeLink) Send(frame []byte) error {
	if l.sendErr != nil {
		return l.sendErr
	}
	var c message.JointCommand
	if err := wire.DecodeJointCommand(&c, frame); err != nil {
		return err
	}
	l.sent = append(l.sent, c)
	return nil
}

// observe makes an observation, after change, the pending frame.
func (l *fakeLink) observe(t *testing.T, session, sequence uint64, change func(*message.Observation)) {
	t.Helper()
	o := message.NewObservation(robot.Go1())
	o.SessionID, o.Sequence = session, sequence
	if change != nil {
		change(o)
	}
	frame, err := wire.AppendObservation(nil, o)
	if err != nil {
		t.Fatal(err)
	}
	l.frame = frame
}

func TestPoll(t *testing.T) {
	l := &fakeLink{}
	c := New(robot.Go1(), l, l)
	madeNs := c.clock.NowNs() - int64(time.Hour)
	l.observe(t, 1, 5, func(o *message.Observation) { o.MonotonicNs, o.PositionRad[3] = madeNs, 0.5 })
	var o message.Observation
	age, err := c.Poll(&o)
	if err != nil {
		t.Fatal(err)
	}
	if age < time.Hour || age > time.Hour+time.Minute || o.Sequence != 5 || o.PositionRad[3] != 0.5 {
		t.Errorf("Poll = observation %d, position %v, age %v; want 5, 0.5, 1h", o.Sequence, o.PositionRad[3], age)
	}
	if _, err := c.Poll(&o); !errors.Is(err, ErrNoObservation) {
		t.Errorf("next Poll = %v, want ErrNoObservation", err)
	}
}

func TestLatest(t *testing.T) {
	l := &fakeLink{}
	c := New(robot.Go1(), l, l)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	var o message.Observation
	if _, err := c.Latest(ctx, &o); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Latest = %v, want the context's error", err)
	}
	l.observe(t, 1, 1, nil)
	if _, err := c.Latest(t.Context(), &o); err != nil || o.Sequence != 1 {
		t.Errorf("Latest = observation %d, %v; want 1", o.Sequence, err)
	}
	l.recvErr = bus.ErrClosed
	if _, err := c.Latest(t.Context(), &o); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("Latest = %v, want ErrClosed", err)
	}
}

func TestPoll_rejects(t *testing.T) {
	l := &fakeLink{}
	c := New(robot.Go1(), l, l)
	var o message.Observation
	l.observe(t, 1, 10, nil)
	if _, err := c.Poll(&o); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name   string
		reason string
		put    func()
		is     func(error) bool
	}{
		{"other data", "magic", func() { l.frame = []byte("garbage that is long enough") }, func(err error) bool { return errors.Is(err, wire.RejectMagic) }},
		{"flipped bit", "checksum", func() { l.observe(t, 1, 11, nil); l.frame[50] ^= 1 }, func(err error) bool { return errors.Is(err, wire.RejectChecksum) }},
		{"truncated", "length", func() { l.observe(t, 1, 11, nil); l.frame = l.frame[:len(l.frame)/2] }, func(err error) bool { return errors.Is(err, wire.RejectLength) }},
		{"other version", "version", func() { l.observe(t, 1, 11, nil); l.frame[4] = 3 }, func(err error) bool { return errors.Is(err, wire.RejectVersion) }},
		{"joint command", "kind", func() { l.frame, _ = wire.AppendJointCommand(nil, message.NewJointCommand(robot.Go1())) }, func(err error) bool { return errors.Is(err, wire.RejectKind) }},
		{"infinity", "invalid", func() { l.observe(t, 1, 11, func(o *message.Observation) { o.VelocityRadPerSec[0] = math.Inf(-1) }) }, isFieldError},
		{"NaN", "invalid", func() { l.observe(t, 1, 11, func(o *message.Observation) { o.EffortNm[0] = math.NaN() }) }, isFieldError},
		{"other robot", "invalid", func() { l.observe(t, 1, 11, func(o *message.Observation) { o.Resize(18, 6) }) }, isFieldError},
		{"repeated", "old", func() { l.observe(t, 1, 10, nil) }, func(err error) bool { return errors.Is(err, ErrOutdated) }},
		{"earlier", "old", func() { l.observe(t, 1, 9, nil) }, func(err error) bool { return errors.Is(err, ErrOutdated) }},
		{"multipart message", "multipart", func() { l.recvErr = bus.ErrMultipart }, func(err error) bool { return errors.Is(err, bus.ErrMultipart) }},
		{"transport error", "transport", func() { l.recvErr = errors.New("broken") }, func(err error) bool { return errors.Is(err, l.recvErr) }},
	}
	want := map[string]uint64{}
	for _, s := range steps {
		s.put()
		want[s.reason]++
		if _, err := c.Poll(&o); !s.is(err) {
			t.Errorf("%s: error = %v", s.name, err)
		}
	}
	l.recvErr = nil
	if got := c.Stats(); !maps.Equal(got.Rejected, want) || got.Observations != 1 {
		t.Errorf("stats = %+v, want 1 observation and rejected %v", got, want)
	}
}

// connectedLink is a link with connections.
type connectedLink struct {
	fakeLink
	connections bus.Connections
}

func (c *connectedLink) Connections() bus.Connections { return c.connections }

func TestStats_connections(t *testing.T) {
	in, out := &connectedLink{connections: bus.Connections{Opened: 1, Oversize: 2}}, &connectedLink{connections: bus.Connections{Opened: 10, Closed: 3, Key: 4, Oversize: 5}}
	c := New(robot.Go1(), in, out)
	for range 2 { // Stats does not change the counters.
		st := c.Stats()
		if want := (bus.Connections{Opened: 11, Closed: 3, Key: 4, Oversize: 7}); st.Connections != want {
			t.Errorf("connections %+v, want %+v", st.Connections, want)
		}
		if want := map[string]uint64{"oversize": 2}; !maps.Equal(st.Rejected, want) {
			t.Errorf("rejected %v, want %v", st.Rejected, want)
		}
	}
}

func isFieldError(err error) bool {
	_, ok := errors.AsType[*message.FieldError](err)
	return ok
}

func TestStats_skipped(t *testing.T) {
	l := &fakeLink{}
	c := New(robot.Go1(), l, l)
	var o message.Observation
	for _, next := range []struct{ session, sequence uint64 }{{1, 100}, {1, 103}, {1, 104}, {2, 1}, {2, 2}} {
		l.observe(t, next.session, next.sequence, nil)
		if _, err := c.Poll(&o); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.Stats(); got.Observations != 5 || got.Skipped != 2 {
		t.Errorf("stats = %+v, want 5 observations and 2 skipped", got)
	}
}

func TestSend(t *testing.T) {
	l := &fakeLink{}
	c := New(robot.Go1(), l, l, WithValidity(30*time.Millisecond))
	cmd := message.NewJointCommand(robot.Go1())
	if err := c.Send(cmd); !errors.Is(err, ErrNoSession) {
		t.Errorf("Send before any observation = %v, want ErrNoSession", err)
	}
	l.observe(t, 77, 1, nil)
	var o message.Observation
	if _, err := c.Poll(&o); err != nil {
		t.Fatal(err)
	}
	before := c.clock.NowNs()
	for range 2 {
		cmd.ObservationSequence = 5
		if err := c.Send(cmd); err != nil {
			t.Fatal(err)
		}
	}
	after := c.clock.NowNs()
	for i, got := range l.sent {
		if got.Sequence != uint64(i+1) || got.SessionID != 77 || got.ObservationSequence != 5 ||
			got.MonotonicNs < before || got.MonotonicNs > after || got.ExpiresNs != got.MonotonicNs+int64(30*time.Millisecond) {
			t.Errorf("command %d = %+v", i, got)
		}
	}
	l.sendErr = bus.ErrNoPeer
	if err := c.Send(cmd); !errors.Is(err, bus.ErrNoPeer) {
		t.Errorf("Send = %v, want ErrNoPeer", err)
	}
	cmd.Kp = nil
	if err := c.Send(cmd); !errors.Is(err, wire.RejectShape) {
		t.Errorf("Send without kp = %v, want wire.RejectShape", err)
	}
	if got := c.Stats(); got.Sent != 2 || got.Unsent != 3 {
		t.Errorf("stats = %+v, want 2 sent and 3 unsent", got)
	}
}

func TestHealth(t *testing.T) {
	l := &fakeLink{}
	c := New(robot.Go1(), l, l, WithMaxAge(time.Minute))
	if got := c.Health(); got != (Health{}) {
		t.Errorf("Health before an observation = %+v, want zero", got)
	}
	var o message.Observation
	for _, step := range []struct {
		session, sequence uint64
		age               time.Duration
		want              Health
	}{
		{7, 3, time.Second, Health{Alive: true, SessionID: 7, Sequence: 3}},
		{7, 4, time.Hour, Health{SessionID: 7, Sequence: 4}},
		{8, 1, 0, Health{Alive: true, SessionID: 8, Sequence: 1, Restarts: 1}},
		{8, 2, -time.Hour, Health{SessionID: 8, Sequence: 2, Restarts: 1}},
	} {
		l.observe(t, step.session, step.sequence, func(o *message.Observation) { o.MonotonicNs = c.clock.NowNs() - int64(step.age) })
		if _, err := c.Poll(&o); err != nil {
			t.Fatal(err)
		}
		got := c.Health()
		if got.Age < step.age || got.Age > step.age+30*time.Second {
			t.Errorf("age = %v, want %v", got.Age, step.age)
		}
		got.Age = 0
		if got != step.want {
			t.Errorf("health = %+v, want %+v", got, step.want)
		}
	}
}

func TestPoll_whileWaiting(t *testing.T) {
	l := &fakeLink{}
	c := New(robot.Go1(), l, l)
	read := new(message.Observation)
	l.observe(t, 1, 1, nil)
	if _, err := c.Poll(read); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := c.Latest(ctx, new(message.Observation))
		done <- err
	}()
	for len(c.readLock) == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := c.Poll(new(message.Observation)); !errors.Is(err, ErrNoObservation) {
		t.Errorf("Poll = %v, want ErrNoObservation", err)
	}
	// Release does not wait.
	released := make(chan struct{})
	go func() { c.Release(read); close(released) }()
	select {
	case <-released:
	case <-time.After(10 * time.Second):
		t.Error("Release blocks while another goroutine waits")
	}
	// A second Latest ends with its own context.
	short, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	if _, err := c.Latest(short, new(message.Observation)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Latest = %v, want the context's error", err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Latest = %v, want the context's error", err)
	}
}

// readAndSend reads observations until ctx is done, checks that their pixels do not change, sends a command for each and counts
// them.
func readAndSend(ctx context.Context, t *testing.T, c *Client, read *atomic.Uint64) {
	o, cmd := message.NewObservation(robot.Go1()), message.NewJointCommand(robot.Go1())
	defer c.Release(o)
	for {
		if _, err := c.Latest(ctx, o); err != nil {
			return
		}
		read.Add(1)
		for range 3 {
			for _, v := range o.RGB1.Pixels {
				if v != byte(o.Sequence) {
					t.Errorf("pixel of observation %d = %d", o.Sequence, v)
					break
				}
			}
		}
		if err := c.Send(cmd); err != nil {
			t.Error(err)
		}
		c.Health()
		c.Stats()
	}
}

// Goroutines share a client on a real bus. The pixels of an observation do not change while others read.
func TestClient_concurrentUse(t *testing.T) {
	b, err := bus.NewContext()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	const readers = 3
	// One frame per reader, one for the client.
	p, err := b.NewPublisher("inproc://o", bus.WithReaders(readers+1))
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := b.NewReceiver("inproc://c")
	if err != nil {
		t.Fatal(err)
	}
	subscriber, err := b.NewSubscriber("inproc://o")
	if err != nil {
		t.Fatal(err)
	}
	sender, err := b.NewSender("inproc://c")
	if err != nil {
		t.Fatal(err)
	}
	c := New(robot.Go1(), subscriber, sender)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var all sync.WaitGroup
	var read atomic.Uint64
	for range readers {
		all.Go(func() { readAndSend(ctx, t, c, &read) })
	}
	o := message.NewObservation(robot.Go1())
	for o.Sequence = 1; read.Load() < 300 && ctx.Err() == nil; o.Sequence++ {
		o.SessionID = 1
		o.RGB1.Resize(24, 32)
		for i := range o.RGB1.Pixels {
			o.RGB1.Pixels[i] = byte(o.Sequence)
		}
		frame, err := wire.AppendObservation(nil, o)
		if err == nil {
			err = p.Publish(frame)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, _ = receiver.TryReceive()
	}
	cancel()
	all.Wait()
	if st := c.Stats(); st.Observations != read.Load() || st.Sent != read.Load() || len(st.Rejected) != 0 || st.Unsent != 0 || p.Dropped() != 0 {
		t.Errorf("stats = %+v, want %d observations and sent commands, and no others; dropped %d", st, read.Load(), p.Dropped())
	}
}

func TestPoll_allocations(t *testing.T) {
	l := &fakeLink{}
	c := New(robot.Go1(), l, l)
	o := message.NewObservation(robot.Go1())
	o.SessionID = 1
	var frames [][]byte
	for i := range 200 {
		o.Sequence = uint64(i + 1)
		frame, err := wire.AppendObservation(nil, o)
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, frame)
	}
	step := func() {
		l.frame, frames = frames[0], frames[1:]
		if _, err := c.Poll(o); err != nil {
			t.Fatal(err)
		}
	}
	step()
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations an observation, want 0", n)
	}
}

func TestWithClock(t *testing.T) {
	var now clock.Simulated
	l := &fakeLink{}
	c := New(robot.Go1(), l, l, WithClock(&now))
	now.Advance(30 * time.Millisecond)
	l.observe(t, 1, 1, func(o *message.Observation) { o.MonotonicNs = 10_000_000 })
	if age, err := c.Poll(message.NewObservation(robot.Go1())); err != nil || age != 20*time.Millisecond {
		t.Errorf("age = %v, %v, want 20ms", age, err)
	}
	if err := c.Send(message.NewJointCommand(robot.Go1())); err != nil {
		t.Fatal(err)
	}
	if got := l.sent[0]; got.MonotonicNs != 30_000_000 || got.ExpiresNs != 130_000_000 {
		t.Errorf("sent at %d ns, until %d ns, want 30000000 and 130000000", got.MonotonicNs, got.ExpiresNs)
	}
}
