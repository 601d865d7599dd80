// Package endpoint connects a command line tool to a robot's server over TCP: the flags for endpoints and keys, and the link behind them,
// in version 2 or version 1 of the wire format.
//
// It must not import servers, backends or inference. Only commands may import it.
package endpoint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"krabby.dev/krabby/cmd/internal/robotflag"
	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/wire"
	v1 "krabby.dev/krabby/hal/wire/v1"
)

// Flags are the common flags of tools. Call Check before the other methods.
type Flags struct {
	Observations string        `default:"tcp://127.0.0.1:6001" placeholder:"ENDPOINT" help:"Endpoint at which the robot publishes observations: ${default}."`
	Control      string        `placeholder:"ENDPOINT" help:"Endpoint at which the robot answers requests, for example for its time; the default is port 6003 of the robot's machine. For a robot on this machine the flag must be given to use it."`
	Robot        string        `default:"go1" placeholder:"NAME" help:"Name of the robot, or a robot file, whose path contains . or /: ${default}."`
	V1           bool          `name:"v1" help:"Use version 1 of the wire format."`
	Key          string        `placeholder:"FILE" help:"Secret key of this client; the robot's --authorized-key names its public key."`
	ServerKey    string        `placeholder:"FILE" help:"Public key of the robot."`
	Insecure     bool          `help:"Connect to another machine without keys."`
	Timeout      time.Duration `default:"5s" help:"How long to wait for an observation: ${default}."`

	// Limits is the value of --limits of a command that moves the robot.
	Limits string `kong:"-"`

	security bus.Security
	robot    *robot.Robot
}

// Deprecated maps old names of Flags to the current ones.
var Deprecated = map[string]string{"peer": "server-key"}

// Check validates the flags, reads the files that they name, and validates the endpoint of another flag unless it is empty.
func (f *Flags) Check(flag, endpoint string) error {
	if f.Timeout <= 0 {
		return fmt.Errorf("--timeout: found %v, expected more than 0s", f.Timeout)
	}
	var err error
	if f.robot, err = robotflag.Open(f.Robot, f.Limits); err != nil {
		return err
	}
	if f.V1 && f.Control != "" {
		return errors.New("--v1: not available with --control: version 1 has no requests")
	}
	if f.V1 && (f.Key != "" || f.ServerKey != "") {
		return errors.New("--v1: not available with --key or --server-key: version 1 has no keys")
	}
	if f.Key != "" {
		if f.security.Keys, err = bus.LoadKeys(f.Key); err != nil {
			return fmt.Errorf("--key: %w", err)
		}
	}
	if f.ServerKey != "" {
		key, err := bus.LoadPublicKey(f.ServerKey)
		if err != nil {
			return fmt.Errorf("--server-key: %w", err)
		}
		f.security.ServerKey = key
	}
	f.security.Insecure = f.Insecure
	if err := f.check("--observations", f.Observations); err != nil {
		return err
	}
	if f.Control != "" {
		if err := f.check("--control", f.Control); err != nil {
			return err
		}
	}
	if flag == "" {
		return nil
	}
	return f.check(flag, endpoint)
}

func (f *Flags) check(flag, endpoint string) error {
	if !strings.HasPrefix(endpoint, "tcp://") {
		return fmt.Errorf("%s: found endpoint %q, expected tcp://HOST:PORT", flag, endpoint)
	}
	if err := f.security.Check(endpoint, false); err != nil {
		return fmt.Errorf("%s: %s: %w", flag, endpoint, err)
	}
	port := endpoint[strings.LastIndexByte(endpoint, ':')+1:]
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%s: %s: found port %q, expected 1 to 65535", flag, endpoint, port)
	}
	return nil
}

// Model returns the robot of --robot.
func (f *Flags) Model() *robot.Robot { return f.robot }

// Link reads a robot's observations and sends it commands. It is for one goroutine.
type Link struct {
	flags *Flags

	v2    *client.Client // Nil for version 1.
	local *clock.Clock
	clock *client.Clock // Nil if the robot's clock is this machine's.

	old     *bus.MultipartSubscriber
	oldOut  *bus.MultipartSender
	decoded v1.Observation // The newest.
	// incoming is scratch for the next.
	incoming v1.Observation
	encoder  v1.Encoder
	wallNs   int64 // Of the last observation.
	// lag is the smallest age of an observation so far, by the wall clocks; 0 before the first.
	lag      time.Duration
	rejected map[string]uint64
}

// WithLink opens a link on a new bus, calls use, and closes both; see Open. If ctx is done before the link is open, the error is
// interrupted.
func (f *Flags) WithLink(ctx context.Context, commands string, interrupted error, use func(*Link) error) (err error) {
	b, err := bus.NewContext()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	opened, cancel := context.WithCancel(ctx)
	defer cancel()
	link, err := f.Open(opened, b, commands)
	switch {
	case err != nil && ctx.Err() != nil:
		return interrupted
	case err != nil:
		return err
	}
	return use(link)
}

// Open connects to the robot's observations, and to the endpoint for commands unless it is empty. It synchronises with the clock of a
// robot on another machine, until ctx is done.
func (f *Flags) Open(ctx context.Context, b *bus.Context, commands string) (l *Link, err error) {
	l = &Link{flags: f, local: clock.New(), rejected: map[string]uint64{}}
	security := bus.WithSecurity(f.security)
	if f.V1 {
		if l.old, err = b.NewMultipartSubscriber(f.Observations, v1.Topic, security); err == nil && commands != "" {
			l.oldOut, err = b.NewMultipartSender(commands, security)
		}
		return l, err
	}
	in, err := b.NewSubscriber(f.Observations, security)
	if err != nil {
		return nil, err
	}
	var out client.Sender
	if commands != "" {
		if out, err = b.NewSender(commands, security); err != nil {
			return nil, err
		}
	}
	var opts []client.Option
	if err := l.synchronise(ctx, b, commands != ""); err != nil {
		return nil, err
	}
	if l.clock != nil {
		opts = append(opts, client.WithClock(l.clock))
	}
	l.v2 = client.New(f.robot, in, out, opts...)
	return l, nil
}

// Latest waits for the newest unread observation and reads it into o. Version 1 has only the wall clock, positions and images; other
// fields are 0. Images are valid until the next call.
//
// Latest counts and skips messages that are not valid observations of the robot. The error is ctx's, the transport's, or reports that no
// observation arrived within Timeout.
func (l *Link) Latest(ctx context.Context, o *message.Observation) error {
	within, cancel := context.WithTimeout(ctx, l.flags.Timeout)
	defer cancel()
	var last error
	for {
		err := l.latest(within, o)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case within.Err() != nil:
			return l.timeoutError(last)
		case !skippable(err):
			return fmt.Errorf("reading observations from %s: %w", l.flags.Observations, err)
		}
		last = err
	}
}

func (l *Link) latest(ctx context.Context, o *message.Observation) error {
	if l.v2 != nil {
		_, err := l.v2.Latest(ctx, o)
		return err
	}
	return l.latestV1(ctx, o)
}

// backlog bounds the messages of version 1 to read for the newest one; they queue up, also in the buffers of the system.
const backlog = 4096

// latestV1 is latest for version 1. Its socket is a queue with the oldest message first, so latestV1 reads until it is empty.
func (l *Link) latestV1(ctx context.Context, o *message.Observation) error {
	parts, err := l.old.Receive(ctx)
	if err != nil {
		return err
	}
	var rejection error
	valid, until := false, time.Time{}
	for range backlog {
		if err := l.decodeV1(parts); err == nil {
			if !valid { // A rejected message has no age.
				valid, until = true, time.Now().Add(100*time.Millisecond)
			}
		} else {
			rejection = err
		}
		if parts, err = l.old.TryReceive(); errors.Is(err, bus.ErrEmpty) {
			parts, err = l.next(ctx, until)
		}
		if errors.Is(err, bus.ErrEmpty) {
			break
		}
		if err != nil {
			return err
		}
	}
	if !valid {
		return rejection
	}
	d := &l.decoded
	*o = message.Observation{
		WallNs:      d.TimestampNs,
		PositionRad: append(o.PositionRad[:0], d.PositionRad...),
		RGB1:        d.RGB1,
		RGB2:        d.RGB2,
		Depth:       d.Depth,
		Confidence:  d.Confidence,
	}
	return nil
}

// next waits for a message that ZeroMQ may still read from the system's buffers: for a millisecond, and longer if the last observation is
// older than lag, but not after until, in case a clock jumped. The error is bus.ErrEmpty if none arrives.
func (l *Link) next(ctx context.Context, until time.Time) ([][]byte, error) {
	const moment, late = time.Millisecond, 20 * time.Millisecond
	wait := moment
	if lag := time.Since(time.Unix(0, l.wallNs)); l.lag != 0 && lag > l.lag+late && time.Now().Before(until) {
		wait = late
	} else if l.lag == 0 || lag < l.lag || lag > l.lag+late {
		l.lag = lag
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	parts, err := l.old.Receive(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, bus.ErrEmpty
	}
	return parts, err
}

// decodeV1 decodes a message into l.decoded if it is an observation of the robot and newer than the last one.
func (l *Link) decodeV1(parts [][]byte) error {
	d := &l.incoming
	if err := v1.DecodeObservation(d, parts); err != nil {
		reason, _ := errors.AsType[v1.RejectReason](err)
		l.rejected[string(reason)]++
		return err
	}
	if found, expected := len(d.PositionRad), len(l.flags.robot.Joints); found != expected {
		l.rejected["invalid"]++
		return &message.FieldError{Field: "joint_positions", Found: fmt.Sprintf("%d values", found), Expected: fmt.Sprint(expected)}
	}
	if d.TimestampNs <= l.wallNs {
		l.rejected["old"]++
		return client.ErrOutdated
	}
	l.wallNs = d.TimestampNs
	// The pixels lie in the received message, whose memory the next message reuses.
	d.RGB1.CopyFrom(&d.RGB1)
	d.RGB2.CopyFrom(&d.RGB2)
	d.Depth.CopyFrom(&d.Depth)
	d.Confidence.CopyFrom(&d.Confidence)
	l.decoded, l.incoming = l.incoming, l.decoded
	return nil
}

// skippable reports whether an error concerns one message only.
func skippable(err error) bool {
	if _, ok := errors.AsType[wire.RejectReason](err); ok {
		return true
	}
	if _, ok := errors.AsType[v1.RejectReason](err); ok {
		return true
	}
	if _, ok := errors.AsType[*message.FieldError](err); ok {
		return true
	}
	return errors.Is(err, client.ErrOutdated) || errors.Is(err, client.ErrClock) || errors.Is(err, bus.ErrMultipart)
}

// timeoutError explains why no observation arrived.
func (l *Link) timeoutError(last error) error {
	f := l.flags
	if last != nil {
		return fmt.Errorf("no valid observation from %s within %v: rejected %s, the last one because: %w", f.Observations, f.Timeout, Counts(l.Rejected()), last)
	}
	flag, keys := "--observations", ", and do --key and --server-key match the robot's"
	if f.V1 {
		flag, keys = "--v1-observations", ""
	}
	return fmt.Errorf("no observation from %s within %v: is the robot's program running with %s there%s?", f.Observations, f.Timeout, flag, keys)
}

// Send sends c in answer to o, which Latest has read. It does not block. The error is bus.ErrNoPeer without a connection, and
// client.ErrClock while the robot's time is unknown.
func (l *Link) Send(c *message.JointCommand, o *message.Observation) error {
	if l.v2 != nil {
		c.ObservationSequence = o.Sequence
		return l.v2.Send(c)
	}
	parts, err := l.encoder.EncodeJointCommand(&v1.JointCommand{
		TimestampNs:            time.Now().UnixNano(),
		ObservationTimestampNs: o.WallNs,
		TargetRad:              c.TargetRad,
	})
	if err != nil {
		return err
	}
	return l.oldOut.Send(parts)
}

// Rejected counts the skipped messages by reason.
func (l *Link) Rejected() map[string]uint64 {
	if l.v2 != nil {
		return l.v2.Stats().Rejected
	}
	rejected := maps.Clone(l.rejected)
	if n := l.old.Connections().Oversize; n > 0 {
		rejected["oversize"] = n
	}
	return rejected
}

// Counts formats counts on one line, sorted by name.
func Counts(counts map[string]uint64) string {
	if len(counts) == 0 {
		return "none"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, counts[name]))
	}
	return strings.Join(parts, ", ")
}
