package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/message"
)

// controlPort is where a robot answers requests, unless it is told otherwise.
const controlPort = "6003"

// nearby is how long a tool that only reads asks a robot on another machine for its time, where nobody said that it answers.
const nearby = time.Second

// ControlEndpoint returns where the robot answers requests: --control, or next to --observations.
func (f *Flags) ControlEndpoint() string {
	if f.Control != "" {
		return f.Control
	}
	host, _, err := net.SplitHostPort(strings.TrimPrefix(f.Observations, "tcp://"))
	if err != nil {
		return "" // Check has refused it.
	}
	return "tcp://" + net.JoinHostPort(host, controlPort)
}

// CheckControl checks the endpoint of requests, for a tool that needs it.
func (f *Flags) CheckControl() error {
	if f.V1 {
		return errors.New("--v1: found it with a request to the robot, expected one of them: version 1 has no requests")
	}
	return f.check("--control", f.ControlEndpoint())
}

// OpenControl connects to where the robot answers requests.
func (f *Flags) OpenControl(b *bus.Context) (*client.Control, error) {
	q, err := b.NewRequester(f.ControlEndpoint(), bus.WithSecurity(f.security))
	if err != nil {
		return nil, err
	}
	return client.NewControl(q), nil
}

// ask does what asks a robot, for as long as Timeout.
func (f *Flags) ask(ctx context.Context, what func(context.Context) (message.ControlReply, error)) (message.ControlReply, error) {
	most := min(f.Timeout, client.ControlTimeout)
	within, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	a, err := what(within)
	if _, answered := errors.AsType[*client.RefusedError](err); err != nil && !answered && ctx.Err() == nil {
		err = fmt.Errorf("%w? %w", f.unanswered(most), err)
	}
	return a, err
}

// EStop stops the robot.
func (f *Flags) EStop(ctx context.Context, c *client.Control) (message.ControlReply, error) {
	return f.ask(ctx, c.EStop)
}

// Reset ends a stop of the robot.
func (f *Flags) Reset(ctx context.Context, c *client.Control) (message.ControlReply, error) {
	return f.ask(ctx, c.Reset)
}

// State asks for the state of the robot.
func (f *Flags) State(ctx context.Context, c *client.Control) (message.ControlReply, error) {
	return f.ask(ctx, c.State)
}

func (f *Flags) unanswered(within time.Duration) error {
	return fmt.Errorf("no answer from %s within %v: is the robot's program running with --control there, and do --key and --peer match the robot's",
		f.ControlEndpoint(), within)
}

// synchronise gives l a clock that shows the robot's time, and keeps it so until ctx is done. Where that is another machine
// and nobody said that it answers, a tool that only reads does without.
func (l *Link) synchronise(ctx context.Context, b *bus.Context, sends bool) error {
	f := l.flags
	if f.Control == "" && f.onThisMachine() {
		return nil
	}
	required, within := sends || f.Control != "", f.Timeout
	if !required {
		within = min(within, nearby)
	}
	control, err := f.OpenControl(b)
	if err != nil {
		return err
	}
	c := client.NewClock(control)
	waiting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for err = c.Synchronise(waiting); err != nil && waiting.Err() == nil; err = c.Synchronise(waiting) {
	}
	switch {
	case err == nil:
		l.clock = c
		go c.Run(ctx)
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case !required:
		return nil
	}
	return fmt.Errorf("%w? %w", f.unanswered(within), err)
}

// onThisMachine says whether observations come from this machine, as far as the endpoint tells.
func (f *Flags) onThisMachine() bool {
	host, _, _ := net.SplitHostPort(strings.TrimPrefix(f.Observations, "tcp://"))
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Now returns the robot's monotonic time, as far as it is known, and how far it may be off. On one machine the two share it.
func (l *Link) Now() (ns int64, bound time.Duration, synchronised bool) {
	if l.clock == nil {
		return l.local.NowNs(), 0, false
	}
	e, _ := l.clock.Estimate()
	return l.clock.NowNs(), e.Bound, true
}
