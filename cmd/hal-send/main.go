// Command hal-send sends joint commands to a robot over TCP: one, or a stream. Commands move the robot; without --yes hal-send prints
// them and sends nothing. It also stops the robot (--e-stop) and ends a stop (--reset).
//
// A command answers an observation, so hal-send reads the newest one first. The server does not acknowledge commands: their effect is
// visible in the published positions, which hal-send prints at the end, and in the server's counters.
//
// Exit codes: 0 if all commands were sent, or the robot confirmed the stop or reset; 1 on failure; 2 if the command line is invalid
// or --yes is missing. An error is one line on standard error.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"krabby.dev/krabby/cmd/internal/endpoint"
	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/clock"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/internal/cli"
)

// poseDefault is the robot's standing pose.
const poseDefault = "default"

// flags is the command line.
type flags struct {
	Endpoint endpoint.Flags     `embed:""`
	Commands string             `default:"tcp://127.0.0.1:6002" placeholder:"ENDPOINT" help:"Endpoint at which the robot accepts commands: ${default}."`
	Target   map[string]float64 `placeholder:"JOINT=RAD" mapsep:"," help:"Target position of a joint, in rad; repeat the flag, or separate joints by commas. The suffix _joint is optional."`
	Pose     string             `placeholder:"POSE" enum:",current,default" default:"" help:"Positions of the other joints: current (the default), as measured at the start, or default, the robot's standing pose."`
	Kp       *float64           `help:"Proportional gain of all joints, in N·m/rad; the default is the robot's."`
	Kd       *float64           `help:"Derivative gain of all joints, in N·m·s/rad; the default is the robot's."`
	Limits   string             `placeholder:"NAME" help:"Narrower limits of the robot's joints: built-in ones (sdk for go1: the manufacturer's), or a limits file, whose path contains . or /."`
	Duration time.Duration      `default:"0s" help:"Duration of a stream; 0 sends one command."`
	Rate     float64            `default:"50" placeholder:"HZ" help:"Rate of the stream: ${default} Hz."`
	EStop    bool               `name:"e-stop" xor:"request" help:"Stop the robot at once, without --yes: its joints are damped until a reset."`
	Reset    bool               `name:"reset" xor:"request" help:"End a stop. Requires --yes, because a program that still sends commands moves the robot again at once."`
	Yes      bool               `help:"Send the commands: the robot moves."`
}

// Validate checks the values of flags.
func (f *flags) Validate() error {
	f.Endpoint.Limits = f.Limits
	if err := f.Endpoint.Check("--commands", f.Commands); err != nil {
		return err
	}
	if f.EStop || f.Reset {
		if len(f.Target) != 0 || f.Pose != "" {
			return errors.New("--e-stop and --reset exclude --target and --pose")
		}
		return f.Endpoint.CheckControl()
	}
	if len(f.Target) == 0 && f.Pose == "" {
		return errors.New("--target or --pose is required")
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
			return fmt.Errorf("%s: not available with --v1: version 1 has no gains", gain.flag)
		case !(*gain.value >= 0):
			return fmt.Errorf("%s: found %v, expected 0 or more", gain.flag, *gain.value)
		}
	}
	_, err := f.targets()
	return err
}

// targets returns the values of --target by the index of the joint.
func (f *flags) targets() (map[int]float64, error) {
	r := f.Endpoint.Model()
	targets := map[int]float64{}
	for name, rad := range f.Target {
		i, err := find(r, name)
		if err != nil {
			return nil, fmt.Errorf("--target: %w", err)
		}
		if _, twice := targets[i]; twice {
			return nil, fmt.Errorf("--target: %s is given twice", r.Joints[i].Name)
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
	return 0, fmt.Errorf("joint %q not found, expected one of %s", name, strings.Join(r.JointNames(), ", "))
}

// command returns the command of the flags for a robot in the state o.
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

func main() { program().Main() }

func program() cli.Program {
	return cli.Program{
		Name:        "hal-send",
		Description: "Sends joint commands to a robot, or stops it. Commands move the robot.",
		Flags:       &flags{},
		Deprecated:  endpoint.Deprecated,
	}
}

// Run sends a control request or joint commands.
func (f *flags) Run(ctx context.Context, console *cli.Console) error {
	if f.EStop || f.Reset {
		return request(ctx, f, console.Out)
	}
	return f.Endpoint.WithLink(ctx, f.Commands, errInterrupted, func(link *endpoint.Link) error { return send(ctx, f, link, console.Out) })
}

// errNotConfirmed is the result of a command line without --yes.
var errNotConfirmed = cli.Usagef("nothing was sent: this moves the robot; add --yes to send it")

var errInterrupted = errors.New("interrupted")

// settle is the time to wait after the last command: the bus may deliver a frame 60 ms later and drops it when closed, and the robot
// needs time to move.
const settle = 200 * time.Millisecond

// send sends the commands of the flags.
func send(ctx context.Context, f *flags, link *endpoint.Link, stdout io.Writer) error {
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
		return errNotConfirmed
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
		return fmt.Errorf("found session %d, expected %d: the robot's program was restarted, check the robot first", s.observation.SessionID, s.session)
	}
	return nil
}

// stream sends c once or for the duration, each time in answer to the newest observation, and returns the number of commands.
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

// first sends the first command, and waits for the connection.
func (s *sender) first(ctx context.Context, c *message.JointCommand) error {
	end := time.Now().Add(s.flags.Endpoint.Timeout)
	for {
		err := s.link.Send(c, s.observation)
		if !errors.Is(err, bus.ErrNoPeer) {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("no connection to %s within %v: does the robot's program have this endpoint, and do the keys match? %w",
				s.flags.Commands, s.flags.Endpoint.Timeout, err)
		}
		if err := s.observe(ctx); err != nil {
			return err
		}
	}
}

// plan prints the commands without sending them.
func (s *sender) plan(w io.Writer, c *message.JointCommand) error {
	commands := "one command"
	if s.flags.Duration > 0 {
		commands = fmt.Sprintf("commands at %v Hz for %v", s.flags.Rate, s.flags.Duration)
	}
	fmt.Fprintf(w, "would send %s to %s\n", commands, s.flags.Commands)
	if s.flags.Endpoint.V1 {
		fmt.Fprintf(w, "in answer to the observation of %d ns; the gains are the robot's\n", s.observation.WallNs)
	} else {
		fmt.Fprintf(w, "in answer to observation %d of session %d\n", s.observation.Sequence, s.observation.SessionID)
	}
	return table(w, []string{"joint", "now", "target", "kp", "kd"}, s.flags.Endpoint.Model(), s.observation.PositionRad, c.TargetRad, c.Kp, c.Kd)
}

// table writes columns with one value per joint.
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
