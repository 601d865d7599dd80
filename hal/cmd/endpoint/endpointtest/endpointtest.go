// Package endpointtest is a robot for the tests of commands: a server on the synthetic backend that can be reached over
// TCP.
//
// It must never be imported by anything but tests.
package endpointtest

import (
	"context"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"krabby.dev/krabby/hal/bus"
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
}

// backend gives the synthetic one a depth camera of 10 Hz.
type backend struct {
	*synthetic.Backend
	reads uint64
}

func (b *backend) Read(ctx context.Context, o *message.Observation) error {
	if b.reads%10 == 0 {
		o.Depth.Resize(DepthHeight, DepthWidth)
		copy(o.Depth.Values, Depth())
		o.Depth.ImageStamp = message.ImageStamp{Sequence: b.reads/10 + 1, MonotonicNs: o.MonotonicNs, RateHz: 10}
	}
	b.reads++
	return b.Backend.Read(ctx, o)
}

// Start starts a robot with ports that the system chooses. security is that of version 2.
func Start(t *testing.T, security bus.Security) *Robot {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := bus.NewContext()
	check(err)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	const anyPort = "tcp://127.0.0.1:0"
	out, err := b.NewPublisher(anyPort, bus.WithSecurity(security))
	check(err)
	in, err := b.NewReceiver(anyPort, bus.WithSecurity(security))
	check(err)
	oldOut, err := b.NewPartsPublisher(anyPort)
	check(err)
	oldIn, err := b.NewPartsReceiver(anyPort)
	check(err)
	r := robot.Go1()
	s, err := server.New(r, &backend{Backend: synthetic.New(r, time.Second/RateHz)}, out, in,
		server.WithRate(RateHz), server.WithV1(oldOut, oldIn, DepthHeight, DepthWidth))
	check(err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return &Robot{s, out.Endpoint(), in.Endpoint(), oldOut.Endpoint(), oldIn.Endpoint()}
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
