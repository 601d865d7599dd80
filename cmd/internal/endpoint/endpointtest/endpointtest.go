// Package endpointtest runs a robot for tests of commands: a server with the synthetic backend and TCP endpoints.
//
// Only tests may import it.
package endpointtest

import (
	"bytes"
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
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/server"
	"krabby.dev/krabby/hal/synthetic"
	"krabby.dev/krabby/internal/cli"
)

// The depth image of the robot.
const (
	DepthHeight, DepthWidth = 2, 4
	RateHz                  = 100
)

// Depth returns the values of the depth image: from 0.5 m in steps of 0.5 m; the last one is NaN.
func Depth() []float32 {
	return []float32{0.5, 1, 1.5, 2, 2.5, 3, 3.5, float32(math.NaN())}
}

// Robot is a go1 that runs until the end of the test.
type Robot struct {
	// Server is the robot's server.
	Server *server.Server
	// Observations and Commands are its endpoints, V1Observations and V1Commands those for version 1.
	Observations, Commands, V1Observations, V1Commands string
	// Control is the endpoint of the control link.
	Control string
	// FailReads makes reading the sensors fail.
	FailReads atomic.Bool

	security bus.Security
	stop     func()
}

// robotBackend is a synthetic robot with a depth camera of 10 Hz.
type robotBackend struct {
	*synthetic.Backend
	failReads *atomic.Bool
	reads     uint64
}

func (b *robotBackend) Read(ctx context.Context, o *message.Observation) error {
	if b.failReads.Load() {
		return errors.New("no sensor data")
	}
	if b.reads%10 == 0 {
		o.Depth.Resize(DepthHeight, DepthWidth)
		copy(o.Depth.Values, Depth())
		o.Depth.ImageStamp = message.ImageStamp{Sequence: b.reads/10 + 1, MonotonicNs: o.MonotonicNs, RateHz: 10}
	}
	b.reads++
	return b.Backend.Read(ctx, o)
}

// offsetClock is the clock of another machine.
type offsetClock struct {
	*clock.Clock
	offset time.Duration
}

func (c offsetClock) NowNs() int64 { return c.Clock.NowNs() + int64(c.offset) }

// WithClockOffset adds an offset to the robot's monotonic clock, as on another machine.
func WithClockOffset(offset time.Duration) server.Option {
	return server.WithClock(offsetClock{clock.New(), offset})
}

// Start starts a robot on free ports. security applies to version 2.
func Start(t *testing.T, security bus.Security, opts ...server.Option) *Robot {
	t.Helper()
	const anyPort = "tcp://127.0.0.1:0"
	r := &Robot{Observations: anyPort, Commands: anyPort, V1Observations: anyPort, V1Commands: anyPort, Control: anyPort, security: security}
	r.start(t, opts)
	return r
}

// Restart restarts the robot's server at the same endpoints, with another session.
func (r *Robot) Restart(t *testing.T, opts ...server.Option) {
	t.Helper()
	r.stop()
	r.start(t, opts)
}

// bind binds an endpoint, retries while it is in use, and stores the actual address.
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
	oldOut, oldIn := bind(t, b.NewMultipartPublisher, &r.V1Observations), bind(t, b.NewMultipartReceiver, &r.V1Commands)
	model := robot.Go1()
	r.Server, err = server.New(model, backendtest.Configured(t, &robotBackend{Backend: synthetic.New(model, time.Second/RateHz), failReads: &r.FailReads}), out, in,
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

// NewKeys writes a pair of keys to path and path.pub.
func NewKeys(t *testing.T, path string) bus.Keys {
	t.Helper()
	k, err := bus.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Write(path); err != nil {
		t.Fatal(err)
	}
	return k
}

// CheckUsageErrors runs a program with invalid command lines, whose arguments are separated by spaces. It expects exit code 2, no
// output, and one line on stderr with the wanted text of the command line.
func CheckUsageErrors(t *testing.T, program func() cli.Program, wants map[string]string) {
	t.Helper()
	for args, want := range wants {
		t.Run(args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			p := program()
			if code := p.Run(t.Context(), strings.Fields(args), &stdout, &stderr); code != cli.ExitUsage || stdout.Len() != 0 {
				t.Errorf("exit code %d, stdout %q, want %d and nothing", code, &stdout, cli.ExitUsage)
			}
			CheckLine(t, stderr.String(), p.Name, want)
		})
	}
}

// CheckLine checks that stderr is one line that begins with the name of the command and contains every part.
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
