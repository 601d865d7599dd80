// Command hal-send sends joint commands to a robot over TCP: one, or a stream of them. It moves the robot, and so sends
// nothing without --yes, but says what it would send. Instead of that it can stop the robot, or end a stop.
//
// A command answers an observation, so it reads the newest first. The server acknowledges nothing: what became of the
// commands is seen in the positions that it publishes, which are shown at the end, and in the server's own counters.
//
// The exit code is 0 when everything was sent, or the robot said that it is stopped or reset, 2 where the command line is wrong or --yes is missing, and 1 where it
// failed. Either error is one line on standard error.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/cmd/endpoint"
	"krabby.dev/krabby/hal/cmdline"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
)

// poseDefault is the robot's standing pose.
const poseDefault = "default"

// flags is the command line.
type flags struct {
	Endpoint endpoint.Flags     `embed:""`
	Commands string             `default:"tcp://127.0.0.1:6002" placeholder:"ENDPOINT" help:"Where the robot takes commands: ${default}."`
	Target   map[string]float64 `placeholder:"JOINT=RAD" mapsep:"," help:"Position to move a joint to, in rad; once for each, or JOINT=RAD,JOINT=RAD. _joint may be left out of a name."`
	Pose     string             `placeholder:"POSE" enum:",current,default" default:"" help:"Positions of all other joints: current, as they are measured at the start, which it is unless given, or default, the robot's standing pose."`
	Kp       *float64           `help:"Proportional gain of all joints, in N·m/rad; the robot's own unless given."`
	Kd       *float64           `help:"Derivative gain of all joints, in N·m·s/rad; the robot's own unless given."`
	Duration time.Duration      `default:"0s" help:"Send a stream for so long; 0 sends one command."`
	Rate     float64            `default:"50" placeholder:"HZ" help:"Rate of the stream: ${default} Hz."`
	EStop    bool               `name:"e-stop" xor:"request" help:"Stop the robot, now and without --yes: its joints are damped until a reset."`
	Reset    bool               `name:"reset" xor:"request" help:"End a stop. A program that goes on sending commands moves the robot again at once, so this needs --yes."`
	Yes      bool               `help:"Move the robot."`
}

// Validate checks what the types of the flags do not.
func (f *flags) Validate() error {
	if err := f.Endpoint.Check("--commands", f.Commands); err != nil {
		return err
	}
	if f.EStop || f.Reset {
		if len(f.Target) != 0 || f.Pose != "" {
			return errors.New("found --target or --pose with --e-stop or --reset, expected one of them")
		}
		return f.Endpoint.CheckControl()
	}
	if len(f.Target) == 0 && f.Pose == "" {
		return errors.New("found neither --target nor --pose, expected one at least")
	}
	if f.Duration < 0 {
		return fmt.Errorf("--duration: found %v, expected 0s or more", f.Duration)
	}
	if !(f.Rate >= 1 && f.Rate <= 1000) {
		return fmt.Errorf("--rate: found %v, expected 1 to 1000 Hz", f.Rate)
	}
	for _, gain := range []struct {
		flag  string
		value *float64
	}{{"--kp", f.Kp}, {"--kd", f.Kd}} {
		switch {
		case gain.value == nil:
		case f.Endpoint.V1:
			return fmt.Errorf("%s: found it with --v1, expected one of them: version 1 says nothing of gains", gain.flag)
		case !(*gain.value >= 0):
			return fmt.Errorf("%s: found %v, expected 0 or more", gain.flag, *gain.value)
		}
	}
	_, err := f.targets()
	return err
}

// targets returns what --target says, by the index of the joint.
func (f *flags) targets() (map[int]float64, error) {
	r := f.Endpoint.Model()
	targets := map[int]float64{}
	for name, rad := range f.Target {
		i, err := find(r, name)
		if err != nil {
			return nil, fmt.Errorf("--target: %w", err)
		}
		if _, twice := targets[i]; twice {
			return nil, fmt.Errorf("--target: found %s twice, expected each joint once", r.Joints[i].Name)
		}
		if j := r.Joints[i]; !j.Contains(rad) {
			return nil, fmt.Errorf("--target: %s: found %v rad, expected %v to %v", j.Name, rad, j.LowerRad, j.UpperRad)
		}
		targets[i] = rad
	}
	return targets, nil
}

func find(r *robot.Robot, name string) (int, error) {
	for i, j := range r.Joints {
		if j.Name == name || j.Name == name+"_joint" {
			return i, nil
		}
	}
	return 0, fmt.Errorf("found joint %q, expected one of %s", name, strings.Join(r.JointNames(), ", "))
}

// command makes the command that the flags ask for, of a robot that is where o says.
func (f *flags) command(o *message.Observation) (*message.JointCommand, error) {
	r := f.Endpoint.Model()
	c := message.NewJointCommand(r)
	if f.Pose != poseDefault {
		for i, j := range r.Joints {
			c.TargetRad[i] = j.Clamp(o.PositionRad[i])
		}
	}
	targets, err := f.targets()
	if err != nil {
		return nil, err
	}
	for i, rad := range targets {
		c.TargetRad[i] = rad
	}
	for i := range r.Joints {
		if f.Kp != nil {
			c.Kp[i] = *f.Kp
		}
		if f.Kd != nil {
			c.Kd[i] = *f.Kd
		}
	}
	return c, c.Validate(r)
}

func main() { cmdline.Main(run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var f flags
	return endpoint.Run("hal-send", "Sends joint commands to a robot, or stops it. Commands move the robot.", &f, func() error {
		if f.EStop || f.Reset {
			return request(ctx, &f, stdout)
		}
		return send(ctx, &f, stdout)
	}, args, stdout, stderr)
}

// errUnasked is for a command line without --yes.
const errUnasked = endpoint.UsageError("nothing was sent: this moves a robot, give --yes if it may")

var errInterrupted = errors.New("interrupted")

// settle is how long to wait after the last command: for the bus, which may bring a frame only 60 ms later and forgets it
// when it is closed, and for the robot to be seen moving.
const settle = 200 * time.Millisecond

// send does what the flags say.
func send(ctx context.Context, f *flags, stdout io.Writer) (err error) {
	b, err := bus.NewContext()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	opened, cancel := context.WithCancel(ctx)
	defer cancel()
	link, err := f.Endpoint.Open(opened, b, f.Commands)
	if err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		return err
	}
	s := &sender{flags: f, link: link, observation: message.NewObservation(f.Endpoint.Model())}
	if err := s.observe(ctx); err != nil {
		return err
	}
	s.session = s.observation.SessionID
	before := append([]float64(nil), s.observation.PositionRad...)
	c, err := f.command(s.observation)
	if err != nil {
		return err
	}
	if !f.Yes {
		if err := s.plan(stdout, c); err != nil {
			return err
		}
		return errUnasked
	}
	sent, err := s.stream(ctx, c)
	if err != nil {
		return fmt.Errorf("after %d commands: %w", sent, err)
	}
	for end := time.Now().Add(settle); time.Now().Before(end); {
		if err := s.observe(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "sent %d to %s\n", sent, f.Commands)
	return table(stdout, []string{"joint", "before", "target", "now"}, f.Endpoint.Model(), before, c.TargetRad, s.observation.PositionRad)
}

type sender struct {
	flags       *flags
	link        *endpoint.Link
	observation *message.Observation
	session     uint64
}

// observe reads the newest observation.
func (s *sender) observe(ctx context.Context) error {
	if err := s.link.Latest(ctx, s.observation); err != nil {
		if ctx.Err() != nil {
			return errInterrupted
		}
		return err
	}
	if s.session != 0 && s.observation.SessionID != s.session {
		return fmt.Errorf("found session %d, expected %d: the robot's program was started again, look at the robot first", s.observation.SessionID, s.session)
	}
	return nil
}

// stream sends c once or for the duration, each time in answer to the newest observation, and says how often.
func (s *sender) stream(ctx context.Context, c *message.JointCommand) (sent int, err error) {
	if err := s.first(ctx, c); err != nil {
		return 0, err
	}
	pacer := clock.NewPacer(time.Duration(float64(time.Second) / s.flags.Rate))
	for sent, end := 1, time.Now().Add(s.flags.Duration); ; sent++ {
		if _, err := pacer.Wait(ctx); err != nil {
			return sent, errInterrupted
		}
		if !time.Now().Before(end) {
			return sent, nil
		}
		if err := s.observe(ctx); err != nil {
			return sent, err
		}
		if err := s.link.Send(c, s.observation); err != nil {
			return sent, err
		}
	}
}

// first sends the first command, for which a connection may have to be made.
func (s *sender) first(ctx context.Context, c *message.JointCommand) error {
	end := time.Now().Add(s.flags.Endpoint.Timeout)
	for {
		err := s.link.Send(c, s.observation)
		if !errors.Is(err, bus.ErrNoPeer) {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("nobody takes commands at %s within %v: does the robot's program have that endpoint, and do the keys match? %w",
				s.flags.Commands, s.flags.Endpoint.Timeout, err)
		}
		if err := s.observe(ctx); err != nil {
			return err
		}
	}
}

// plan says what would be sent.
func (s *sender) plan(w io.Writer, c *message.JointCommand) error {
	what := "one command"
	if s.flags.Duration > 0 {
		what = fmt.Sprintf("commands at %v Hz for %v", s.flags.Rate, s.flags.Duration)
	}
	fmt.Fprintf(w, "would send %s to %s\n", what, s.flags.Commands)
	if s.flags.Endpoint.V1 {
		fmt.Fprintf(w, "in answer to the observation of %d ns; the gains are the robot's\n", s.observation.WallNs)
	} else {
		fmt.Fprintf(w, "in answer to observation %d of session %d\n", s.observation.Sequence, s.observation.SessionID)
	}
	return table(w, []string{"joint", "now", "target", "kp", "kd"}, s.flags.Endpoint.Model(), s.observation.PositionRad, c.TargetRad, c.Kp, c.Kd)
}

// table writes columns of one value a joint.
func table(w io.Writer, head []string, r *robot.Robot, columns ...[]float64) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, strings.Join(head, "\t")+"\t")
	for i, j := range r.Joints {
		fmt.Fprintf(t, "%s\t", j.Name)
		for _, values := range columns {
			fmt.Fprintf(t, "%.4f\t", values[i])
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}
