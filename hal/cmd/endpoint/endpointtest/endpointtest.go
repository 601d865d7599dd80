// Package endpointtest is a robot for the tests of commands: a server on the synthetic backend that can be reached over
// TCP.
//
// It must never be imported by anything but tests.
package endpointtest

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/server"
	"krabby.dev/krabby/hal/synthetic"
)

// The depth image of the robot.
const (
	DepthHeight, DepthWidth = 2, 4
	RateHz                  = 100
)

// Depth returns the values of the depth image: from 0.5 m in steps of 0.5 m, and the last is not known.
func Depth() []float32 {
	return []float32{0.5, 1, 1.5, 2, 2.5, 3, 3.5, float32(math.NaN())}
}

// Robot is a go1 that runs until the test is over.
type Robot struct {
	// Server is the robot's.
	Server *server.Server
	// Observations and Commands are its endpoints, V1Observations and V1Commands those for version 1.
	Observations, Commands, V1Observations, V1Commands string
	// Control is where it answers requests.
	Control string
	// Blind makes it fail to read its sensors.
	Blind atomic.Bool

	security bus.Security
	stop     func()
}

// backend gives the synthetic one a depth camera of 10 Hz.
type backend struct {
	*synthetic.Backend
	blind *atomic.Bool
	reads uint64
}

func (b *backend) Read(ctx context.Context, o *message.Observation) error {
	if b.blind.Load() {
		return errors.New("blind")
	}
	if b.reads%10 == 0 {
		o.Depth.Resize(DepthHeight, DepthWidth)
		copy(o.Depth.Values, Depth())
		o.Depth.ImageStamp = message.ImageStamp{Sequence: b.reads/10 + 1, MonotonicNs: o.MonotonicNs, RateHz: 10}
	}
	b.reads++
	return b.Backend.Read(ctx, o)
}

// elsewhere is the clock of another machine.
type elsewhere struct {
	*clock.Clock
	offset time.Duration
}

func (e elsewhere) NowNs() int64 { return e.Clock.NowNs() + int64(e.offset) }

// Elsewhere makes the robot's monotonic clock show so much more than this machine's.
func Elsewhere(offset time.Duration) server.Option {
	return server.WithClock(elsewhere{clock.New(), offset})
}

// Start starts a robot with ports that the system chooses. security is that of version 2.
func Start(t *testing.T, security bus.Security, opts ...server.Option) *Robot {
	t.Helper()
	const anyPort = "tcp://127.0.0.1:0"
	r := &Robot{Observations: anyPort, Commands: anyPort, V1Observations: anyPort, V1Commands: anyPort, Control: anyPort, security: security}
	r.start(t, opts)
	return r
}

// Restart ends the robot's program and starts it again at the same endpoints, as another session.
func (r *Robot) Restart(t *testing.T, opts ...server.Option) {
	t.Helper()
	r.stop()
	r.start(t, opts)
}

// bind binds an endpoint, which the system may have in use for a while, and sets it to the one that it then is.
func bind[T interface{ Endpoint() string }](t *testing.T, new func(string, ...bus.Option) (T, error), endpoint *string, opts ...bus.Option) T {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		s, err := new(*endpoint, opts...)
		if err == nil {
			*endpoint = s.Endpoint()
			return s
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func (r *Robot) start(t *testing.T, opts []server.Option) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := bus.NewContext()
	check(err)
	secured := bus.WithSecurity(r.security)
	out, in := bind(t, b.NewPublisher, &r.Observations, secured), bind(t, b.NewReceiver, &r.Commands, secured)
	control := bind(t, b.NewResponder, &r.Control, secured)
	oldOut, oldIn := bind(t, b.NewPartsPublisher, &r.V1Observations), bind(t, b.NewPartsReceiver, &r.V1Commands)
	model := robot.Go1()
	r.Server, err = server.New(model, &backend{Backend: synthetic.New(model, time.Second/RateHz), blind: &r.Blind}, out, in,
		append(opts, server.WithRate(RateHz), server.WithV1(oldOut, oldIn, DepthHeight, DepthWidth), server.WithControl(control))...)
	check(err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	s := r.Server
	running.Go(func() { s.Run(ctx) })
	r.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
}

// CheckLine wants what a command wrote to standard error to be one line that begins with its name and has every part.
func CheckLine(t *testing.T, stderr, name string, parts ...string) {
	t.Helper()
	if strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, name+": ") || !strings.HasSuffix(stderr, "\n") {
		t.Errorf("stderr = %q, want one line that begins with %s:", stderr, name)
	}
	for _, part := range parts {
		if !strings.Contains(stderr, part) {
			t.Errorf("stderr = %q, want %q in it", stderr, part)
		}
	}
}
