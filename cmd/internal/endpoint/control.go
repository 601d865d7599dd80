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

// controlPort is the default port of the control link.
const controlPort = "6003"

// optionalSyncTimeout bounds the synchronisation of a tool that only reads, if --control is not given.
const optionalSyncTimeout = time.Second

// ControlEndpoint returns the endpoint of the control link: --control, or port 6003 of the host of --observations.
func (f *Flags) ControlEndpoint() string {
	if f.Control != "" {
		return f.Control
	}
	host, _, err := net.SplitHostPort(strings.TrimPrefix(f.Observations, "tcp://"))
	if err != nil {
		return "" // Check has rejected it.
	}
	return "tcp://" + net.JoinHostPort(host, controlPort)
}

// CheckControl validates the endpoint of the control link, for a tool that requires it.
func (f *Flags) CheckControl() error {
	if f.V1 {
		return errors.New("--v1: not available with requests to the robot: version 1 has none")
	}
	return f.check("--control", f.ControlEndpoint())
}

// OpenControl connects to the control link.
func (f *Flags) OpenControl(b *bus.Context) (*client.Control, error) {
	q, err := b.NewRequester(f.ControlEndpoint(), bus.WithSecurity(f.security))
	if err != nil {
		return nil, err
	}
	return client.NewControl(q), nil
}

// request calls send with the timeout of a request and explains a missing answer.
func (f *Flags) request(ctx context.Context, send func(context.Context) (message.ControlReply, error)) (message.ControlReply, error) {
	timeout := min(f.Timeout, client.ControlTimeout)
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	a, err := send(within)
	if _, rejected := errors.AsType[*client.RejectedError](err); err != nil && !rejected && ctx.Err() == nil {
		err = fmt.Errorf("%w? %w", f.noAnswer(timeout), err)
	}
	return a, err
}

// EStop stops the robot.
func (f *Flags) EStop(ctx context.Context, c *client.Control) (message.ControlReply, error) {
	return f.request(ctx, c.EStop)
}

// Reset ends a stop of the robot.
func (f *Flags) Reset(ctx context.Context, c *client.Control) (message.ControlReply, error) {
	return f.request(ctx, c.Reset)
}

// State requests the state of the robot.
func (f *Flags) State(ctx context.Context, c *client.Control) (message.ControlReply, error) {
	return f.request(ctx, c.State)
}

func (f *Flags) noAnswer(within time.Duration) error {
	return fmt.Errorf("no answer from %s within %v: is the robot's program running with --control there, and do --key and --server-key match the robot's",
		f.ControlEndpoint(), within)
}

// synchronise gives l a clock with the robot's time and keeps it synchronised until ctx is done. For a robot on another machine it is
// required if the tool sends commands or --control is given; otherwise a failure is ignored.
func (l *Link) synchronise(ctx context.Context, b *bus.Context, sends bool) error {
	f := l.flags
	if f.Control == "" && f.onThisMachine() {
		return nil
	}
	required, within := sends || f.Control != "", f.Timeout
	if !required {
		within = min(within, optionalSyncTimeout)
	}
	control, err := f.OpenControl(b)
	if err != nil {
		return err
	}
	c := client.NewClock(control)
	waiting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for err = c.Synchronize(waiting); err != nil && waiting.Err() == nil; err = c.Synchronize(waiting) {
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
	return fmt.Errorf("%w? %w", f.noAnswer(within), err)
}

// onThisMachine reports whether the endpoint of observations is on this machine.
func (f *Flags) onThisMachine() bool {
	host, _, _ := net.SplitHostPort(strings.TrimPrefix(f.Observations, "tcp://"))
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Now returns the robot's monotonic time, the bound of its error, and whether it comes from the control link. Processes on one machine
// share the clock.
func (l *Link) Now() (ns int64, bound time.Duration, synchronised bool) {
	if l.clock == nil {
		return l.local.NowNs(), 0, false
	}
	e, _ := l.clock.Estimate()
	return l.clock.NowNs(), e.Bound, true
}
