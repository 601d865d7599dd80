// Command walk runs a policy in a physics simulation, through client, bus, server and safety gate, and checks that the robot walks as
// commanded. It writes a report as one JSON object to standard output, and optionally a plot.
//
// Exit codes: 0 if the robot walked as commanded; 1 if it did not, with the violations on one line of standard error, or if the walk
// failed; 2 if the command line or a file that it names is invalid.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"krabby.dev/krabby/cmd/internal/robotflag"
	"krabby.dev/krabby/cmd/internal/robotrun"
	"krabby.dev/krabby/compute/inference"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/rollout"
	"krabby.dev/krabby/compute/runner"
	"krabby.dev/krabby/gameloop/walk"
	"krabby.dev/krabby/gameloop/walk/plot"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/mujoco"
	"krabby.dev/krabby/hal/server"
	"krabby.dev/krabby/internal/bringup"
	"krabby.dev/krabby/internal/cli"
)

// flags is the command line.
type flags struct {
	Command     robotrun.Velocity `default:"1,0,0" placeholder:"VX,VY,YAW" help:"Velocity command, forward and left in m/s and yaw in rad/s; write --command=-1,0,0 for a negative one."`
	Duration    time.Duration     `default:"10s" help:"Duration of the walk in simulated time."`
	Physics     mujoco.Factory    `embed:""`
	Push        push              `default:"0,0" placeholder:"FX,FY" help:"Force on the base for 200 ms, after half of the duration, in N."`
	RealTime    bool              `help:"Run both loops by the wall clock, as on a robot, instead of in lock step as fast as possible."`
	HALRate     float64           `name:"hal-rate" default:"100" placeholder:"HZ" help:"Rate at which the robot is read and written: 50 to 250, in lock step a multiple of the policy's."`
	Plot        string            `placeholder:"FILE" help:"Draw velocities, joints and contacts into this SVG file."`
	Record      string            `placeholder:"FILE" help:"Record the policy's observations and actions to this .npz file, for policy-doctor; also if the walk is interrupted."`
	Policy      string            `required:"" env:"KRABBY_POLICY" placeholder:"DIR" help:"Policy directory, or the manifest in it."`
	Robot       string            `placeholder:"FILE" help:"Robot file, or name, of the policy's robot; the default is the built-in robot that the policy names."`
	Limits      string            `placeholder:"NAME" help:"Narrower limits of the robot's joints: built-in ones (sdk for go1: the manufacturer's), or a limits file, whose path contains . or /."`
	ONNXRuntime string            `required:"" name:"onnxruntime" env:"KRABBY_ONNXRUNTIME" placeholder:"FILE" help:"ONNX Runtime library."`
}

// Validate checks the ranges of numbers.
func (f *flags) Validate() error {
	if f.Duration <= 0 || f.Duration > time.Hour {
		return fmt.Errorf("--duration: found %v, expected more than 0s and at most 1h", f.Duration)
	}
	if !(f.HALRate >= 50 && f.HALRate <= 250) {
		return fmt.Errorf("--hal-rate: found %v, expected 50 to 250 Hz", f.HALRate)
	}
	return nil
}

// push is a force on the command line.
type push [2]float64

// UnmarshalText reads "FX,FY".
func (p *push) UnmarshalText(text []byte) error {
	const maxN = 10_000
	parts := strings.Split(string(text), ",")
	for i := range p {
		var err error
		if len(parts) == len(p) {
			p[i], err = strconv.ParseFloat(strings.TrimSpace(parts[i]), 64)
		}
		if len(parts) != len(p) || err != nil || !(p[i] >= -maxN && p[i] <= maxN) {
			return fmt.Errorf("found %q, expected two forces FX,FY of up to %d N", text, maxN)
		}
	}
	return nil
}

// report is the JSON object on standard output.
type report struct {
	Policy string `json:"policy"`
	bringup.PolicySettings
	Robot    string     `json:"robot"`
	Limits   string     `json:"limits,omitempty"`
	Backend  string     `json:"backend"`
	Terrain  string     `json:"terrain"`
	Seed     uint64     `json:"seed"`
	Command  [3]float64 `json:"command"`
	RealTime bool       `json:"real_time"`
	walk.Summary
	PolicyLoop runner.Stats `json:"policy_loop"`
	Server     server.Stats `json:"server"`
	Client     client.Stats `json:"client"`
}

func main() { program().Main() }

func program() cli.Program {
	return cli.Program{
		Name:        "walk",
		Description: "Runs a policy in a physics simulation and checks that the robot walks as commanded.",
		Flags:       &flags{},
	}
}

// Run walks, writes the report and checks the walk.
func (f *flags) Run(ctx context.Context, console *cli.Console) (err error) {
	i, err := f.open()
	if err != nil {
		return cli.Usage(err)
	}
	defer func() { err = errors.Join(err, i.Close()) }()
	recorder := rollout.NewRecorder(i.Policy.Robot, i.Policy.Observation.Size, len(i.Policy.DefaultPoseRad))
	w, err := walk.New(ctx, f.config(i, recorder))
	if err != nil {
		return cli.Usage(err)
	}
	record, err := w.Run(ctx)
	if f.Record != "" {
		err = errors.Join(err, recorder.Write(cli.CallerPath(f.Record)))
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	if err := f.write(console.Out, i.Policy, w, record); err != nil {
		return err
	}
	return walk.Check(record)
}

// open checks the path of the recording and opens the policy.
func (f *flags) open() (*inference.Inference, error) {
	if f.Record != "" {
		if err := rollout.CheckPath(cli.CallerPath(f.Record)); err != nil {
			return nil, err
		}
	}
	model, err := robotflag.Open(f.Robot, f.Limits)
	if err != nil {
		return nil, err
	}
	return inference.Open(inference.Options{
		Policy:      cli.Locate(f.Policy),
		Robot:       model,
		ONNXRuntime: cli.Locate(f.ONNXRuntime),
		Command:     message.NavigationCommand(f.Command),
	})
}

// config returns the walk that the flags describe.
func (f *flags) config(i *inference.Inference, recorder *rollout.Recorder) walk.Config {
	c := walk.Config{
		Policy:    bringup.Policy{Policy: i.Policy, Builder: i.Builder, Model: i.Model},
		Physics:   f.Physics,
		Locate:    cli.Locate,
		HALRateHz: f.HALRate,
		Command:   message.NavigationCommand(f.Command),
		Duration:  f.Duration,
		RealTime:  f.RealTime,
	}
	if f.Record != "" {
		c.Observer = recorder.Step
	}
	if f.Push != (push{}) {
		c.Push = walk.Push{At: f.Duration / 2, During: 200 * time.Millisecond, ForceN: [3]float64{f.Push[0], f.Push[1], 0}}
	}
	return c
}

// write writes the plot, if any, and the report.
func (f *flags) write(to io.Writer, p *policy.Policy, w *walk.Walk, r *walk.Record) error {
	if f.Plot != "" {
		if err := cli.WriteFile(f.Plot, func(w io.Writer) error { return plot.WriteSVG(w, r) }); err != nil {
			return fmt.Errorf("writing the plot: %w", err)
		}
	}
	if err := json.NewEncoder(to).Encode(report{
		Policy:         p.Name,
		PolicySettings: bringup.Settings(p),
		Robot:          r.Robot,
		Limits:         p.Robot.LimitsName,
		Backend:        "mujoco " + w.MuJoCoVersion(),
		Terrain:        f.Physics.Terrain.Name,
		Seed:           f.Physics.Seed,
		Command:        [3]float64{f.Command.VxMps, f.Command.VyMps, f.Command.YawRateRadPerSec},
		RealTime:       f.RealTime,
		Summary:        r.Summary(),
		PolicyLoop:     r.Policy,
		Server:         r.Server,
		Client:         r.Client,
	}); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
