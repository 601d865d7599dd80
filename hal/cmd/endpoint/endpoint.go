// Package endpoint is how a command line tool reaches a robot's server over TCP: the flags that say where and with which
// keys, and the link behind them, in version 2 of the wire format or in version 1. Run is what such tools do with a command
// line.
//
// It must never import servers, backends or inference, nor be imported by anything but commands.
package endpoint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/hal/wire"
	"krabby.dev/krabby/hal/wire/v1"
)

// Flags are the flags that tools have in common. Check them before use.
type Flags struct {
	Observations string        `default:"tcp://127.0.0.1:6001" placeholder:"ENDPOINT" help:"Where the robot publishes observations: ${default}."`
	Control      string        `placeholder:"ENDPOINT" help:"Where the robot answers requests, above all for its time, which a robot on another machine must be asked for: port 6003 of its machine unless given. A robot on this machine is asked only if it is given."`
	Robot        string        `default:"go1" placeholder:"NAME" help:"The robot: ${default}, another name, or a robot file with a . or / in its name."`
	V1           bool          `name:"v1" help:"Speak version 1 of the wire format, the predecessor's."`
	Key          string        `placeholder:"FILE" help:"Secret key of this side, which the robot's --peer has the public one of."`
	Peer         string        `placeholder:"FILE" help:"Public key of the robot."`
	Insecure     bool          `help:"Connect to another machine without keys."`
	Timeout      time.Duration `default:"5s" help:"How long to wait for an observation: ${default}."`

	security bus.Security
	robot    *robot.Robot
}

// Check looks at the flags, reads the files that they name, and checks the endpoint of flag too, if it is not empty.
func (f *Flags) Check(flag, endpoint string) error {
	if f.Timeout <= 0 {
		return fmt.Errorf("--timeout: found %v, expected more than 0s", f.Timeout)
	}
	var err error
	if f.robot, err = load(f.Robot); err != nil {
		return fmt.Errorf("--robot: %w", err)
	}
	if f.V1 && f.Control != "" {
		return errors.New("--v1: found --control too, expected one of them: version 1 has no requests")
	}
	if f.V1 && (f.Key != "" || f.Peer != "") {
		return errors.New("--v1: found --key or --peer too, expected neither: version 1 knows no keys")
	}
	if f.Key != "" {
		if f.security.Keys, err = bus.LoadKeys(f.Key); err != nil {
			return fmt.Errorf("--key: %w", err)
		}
	}
	if f.Peer != "" {
		key, err := bus.LoadPublicKey(f.Peer)
		if err != nil {
			return fmt.Errorf("--peer: %w", err)
		}
		f.security.Peers = []string{key}
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

func load(name string) (*robot.Robot, error) {
	if strings.ContainsAny(name, "./") {
		return robot.Load(filepath.Clean(name))
	}
	return robot.ByName(name)
}

// Model returns the robot that the flags name.
func (f *Flags) Model() *robot.Robot { return f.robot }

// Link reads a robot's observations and sends it commands. It is for one goroutine.
type Link struct {
	flags *Flags

	v2    *client.Client // Nil in version 1.
	local *clock.Clock
	clock *client.Clock // Nil where the robot's time is this machine's.

	old     *bus.PartsSubscriber
	oldOut  *bus.PartsSender
	decoded v1.Observation // The newest.
	// incoming is scratch for the next.
	incoming v1.Observation
	encoder  v1.Encoder
	wallNs   int64 // Of the last observation.
	// lag is the least that an observation of the robot's was ever old here, as far as the wall clocks agree; 0 before any.
	lag     time.Duration
	refused map[string]uint64
}

// Open connects to the robot, and to where it takes commands if that is not empty. Where the robot is on another machine it
// asks for its time, until ctx is done.
func (f *Flags) Open(ctx context.Context, b *bus.Context, commands string) (l *Link, err error) {
	l = &Link{flags: f, local: clock.New(), refused: map[string]uint64{}}
	security := bus.WithSecurity(f.security)
	if f.V1 {
		if l.old, err = b.NewPartsSubscriber(f.Observations, v1.Topic, security); err == nil && commands != "" {
			l.oldOut, err = b.NewPartsSender(commands, security)
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

// Latest reads the newest observation that has not been read yet into o, and waits for it. Version 1 says nothing of what
// stays 0: all but the wall clock, positions, and images. Images hold until the next call.
//
// What is not an observation of the robot is counted and passed over. The error is ctx's, the transport's, or says that
// nothing came for as long as Timeout.
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
			return l.nothing(last)
		case !passedOver(err):
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

// backlog is how many messages of version 1 are read to find the newest: they queue up, in the buffers of the system too.
const backlog = 4096

// latestV1 is latest in version 1. Unlike a mailbox, its socket gives the oldest first, so it reads on until there is none.
func (l *Link) latestV1(ctx context.Context, o *message.Observation) error {
	parts, err := l.old.Receive(ctx)
	if err != nil {
		return err
	}
	var refusal error
	good, until := false, time.Time{}
	for range backlog {
		if err := l.take(parts); err == nil {
			if !good { // What is refused tells nothing of how old it is.
				good, until = true, time.Now().Add(100*time.Millisecond)
			}
		} else {
			refusal = err
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
	if !good {
		return refusal
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

// next waits for what ZeroMQ may be about to bring from the system's buffers: for a moment, and longer where what was read is
// older than the newest that was ever read, but no longer than until, lest a clock that jumped look so. The error is
// bus.ErrEmpty where nothing came.
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

// take makes decoded what was received, if it is an observation of the robot and newer than the last.
func (l *Link) take(parts [][]byte) error {
	d := &l.incoming
	if err := v1.DecodeObservation(d, parts); err != nil {
		cause, _ := errors.AsType[v1.Cause](err)
		l.refused[string(cause)]++
		return err
	}
	if found, expected := len(d.PositionRad), len(l.flags.robot.Joints); found != expected {
		l.refused["invalid"]++
		return &message.FieldError{Field: "joint_positions", Found: fmt.Sprintf("%d values", found), Expected: fmt.Sprint(expected)}
	}
	if d.TimestampNs <= l.wallNs {
		l.refused["old"]++
		return client.ErrOld
	}
	l.wallNs = d.TimestampNs
	// The pixels lie in what was received, which the next message takes the place of.
	d.RGB1.CopyFrom(&d.RGB1)
	d.RGB2.CopyFrom(&d.RGB2)
	d.Depth.CopyFrom(&d.Depth)
	d.Confidence.CopyFrom(&d.Confidence)
	l.decoded, l.incoming = l.incoming, l.decoded
	return nil
}

// passedOver says whether an error is about one message, and the next may be good.
func passedOver(err error) bool {
	if _, ok := errors.AsType[wire.Cause](err); ok {
		return true
	}
	if _, ok := errors.AsType[v1.Cause](err); ok {
		return true
	}
	if _, ok := errors.AsType[*message.FieldError](err); ok {
		return true
	}
	return errors.Is(err, client.ErrOld) || errors.Is(err, client.ErrClock) || errors.Is(err, bus.ErrParts)
}

// nothing says why there was no observation, as far as that can be known.
func (l *Link) nothing(last error) error {
	f := l.flags
	if last != nil {
		return fmt.Errorf("no good observation from %s within %v: refused %s, the last for: %w", f.Observations, f.Timeout, Counts(l.Refused()), last)
	}
	flag, keys := "--observations", ", and do --key and --peer match the robot's"
	if f.V1 {
		flag, keys = "--v1-observations", ""
	}
	return fmt.Errorf("no observation from %s within %v: is the robot's program running with %s there%s?", f.Observations, f.Timeout, flag, keys)
}

// Send sends c in answer to o, which Latest read. It does not block; the error is bus.ErrNoPeer while nobody takes
// commands, and client.ErrClock while the robot's time is not known.
func (l *Link) Send(c *message.JointCommand, o *message.Observation) error {
	if l.v2 != nil {
		c.ObservationSequence = o.Sequence
		return l.v2.Send(c)
	}
	parts, err := l.encoder.JointCommand(&v1.JointCommand{
		TimestampNs:            time.Now().UnixNano(),
		ObservationTimestampNs: o.WallNs,
		TargetRad:              c.TargetRad,
	})
	if err != nil {
		return err
	}
	return l.oldOut.Send(parts)
}

// Refused counts the messages that were passed over, by cause.
func (l *Link) Refused() map[string]uint64 {
	if l.v2 != nil {
		return l.v2.Stats().Refused
	}
	refused := maps.Clone(l.refused)
	if n := l.old.Connections().Oversize; n > 0 {
		refused["oversize"] = n
	}
	return refused
}

// Counts writes counts by name on one line, in the order of the names.
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
