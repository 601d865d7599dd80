// Command walk lets a policy walk in a physics simulation, through client, bus, server and safety gate, and says whether it
// walked as it was told. It writes a report as one JSON object to standard output, and a plot if it is asked for one.
//
// The exit code is 0, 1 where the walk failed or was not as commanded, with the complaints on one line of standard error,
// or 2 where what the caller gave is wrong.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"krabby.dev/krabby/compute/inprocess"
	"krabby.dev/krabby/compute/joystick"
	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/rollout"
	"krabby.dev/krabby/compute/runner"
	"krabby.dev/krabby/gameloop/walk"
	"krabby.dev/krabby/gameloop/walk/plot"
	"krabby.dev/krabby/hal/client"
	"krabby.dev/krabby/hal/cmdline"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/mujoco"
	"krabby.dev/krabby/hal/server"
)

// flags is the command line.
type flags struct {
	Command     inprocess.Velocity `default:"1,0,0" placeholder:"VX,VY,YAW" help:"Velocity to walk with, forward and left in m/s and yaw in rad/s; write --command=-1,0,0 for a negative one."`
	Duration    time.Duration      `default:"10s" help:"How long to walk, in simulated time."`
	Terrain     terrain            `default:"flat" help:"What to walk on: flat, steps:RISE with a rise in m, or slope:ANGLE with an angle in degrees. It begins 1 m ahead."`
	Seed        uint64             `default:"0" help:"Moves each joint by up to 0.05 rad at the start; 0 moves none. The same seed gives the same walk."`
	Push        push               `default:"0,0" placeholder:"FX,FY" help:"Force on the base for 200 ms, after half of the duration, in N."`
	RealTime    bool               `help:"Keep to the wall clock, with both loops as on a robot, instead of going in lock step as fast as possible."`
	HALRate     float64            `name:"hal-rate" default:"100" placeholder:"HZ" help:"Rate at which the robot is read and written: 50 to 250, in lock step a multiple of the policy's."`
	Plot        string             `placeholder:"FILE" help:"Draw velocities, joints and contacts into this SVG file."`
	Record      string             `placeholder:"FILE" help:"Write what the policy saw and did to this .npz file, for policy-doctor; also of a walk that is interrupted."`
	Policy      string             `required:"" env:"KRABBY_POLICY" placeholder:"DIR" help:"Folder of the policy, or the manifest in it."`
	ONNXRuntime string             `required:"" name:"onnxruntime" env:"KRABBY_ONNXRUNTIME" placeholder:"FILE" help:"ONNX Runtime library."`
	MuJoCo      string             `required:"" name:"mujoco" env:"KRABBY_MUJOCO" placeholder:"FILE" help:"MuJoCo library."`
	Model       string             `required:"" env:"KRABBY_GO1_MODEL" placeholder:"FILE" help:"MuJoCo model of the policy's robot."`
}

// Validate checks what the types of the flags do not.
func (f *flags) Validate() error {
	if f.Duration <= 0 || f.Duration > time.Hour {
		return fmt.Errorf("--duration: found %v, expected more than 0s and at most 1h", f.Duration)
	}
	if !(f.HALRate >= 50 && f.HALRate <= 250) {
		return fmt.Errorf("--hal-rate: found %v, expected 50 to 250 Hz", f.HALRate)
	}
	return nil
}

// terrain is a mujoco.Terrain on the command line.
type terrain struct{ mujoco.Terrain }

// UnmarshalText reads what mujoco.ParseTerrain does.
func (t *terrain) UnmarshalText(text []byte) (err error) {
	t.Terrain, err = mujoco.ParseTerrain(string(text))
	return err
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

// report is what a walk leaves on standard output.
type report struct {
	Policy   string     `json:"policy"`
	Robot    string     `json:"robot"`
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

func main() { cmdline.Main(run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	program := cmdline.Program{Name: "walk", Description: "Lets a policy walk in a physics simulation, and judges how."}
	fail := func(code int, err error) int { return program.Fail(stderr, code, err) }
	var f flags
	helped, err := program.Parse(&f, args, stdout)
	if err != nil {
		return fail(cmdline.ExitUsage, err)
	}
	if helped {
		return cmdline.ExitOK
	}

	o, err := open(f)
	if err != nil {
		return fail(cmdline.ExitUsage, err)
	}
	recorder := rollout.NewRecorder(o.Policy.Robot, o.Policy.Observation.Size, len(o.Policy.DefaultPoseRad))
	if f.Record != "" {
		o.Observer = recorder.Step
	}
	record, err := walk.Run(ctx, o.Config)
	if f.Record != "" {
		err = errors.Join(err, recorder.Write(cmdline.FromCaller(f.Record)))
	}
	if err := errors.Join(err, o.Close()); err != nil {
		return fail(cmdline.ExitFailed, err)
	}
	if err := write(f, o.Config, record, stdout); err != nil {
		return fail(cmdline.ExitFailed, err)
	}
	if err := walk.Verdict(record); err != nil {
		return fail(cmdline.ExitFailed, err)
	}
	return cmdline.ExitOK
}

// opened is a walk that is ready to run, and what must be closed after it.
type opened struct {
	walk.Config
	closers []io.Closer
}

// Close frees what was opened, last first.
func (o *opened) Close() error {
	var errs []error
	for _, closer := range slices.Backward(o.closers) {
		errs = append(errs, closer.Close())
	}
	return errors.Join(errs...)
}

// open makes ready what the flags name. Every error is the caller's to mend.
func open(f flags) (_ *opened, err error) {
	o := &opened{Config: walk.Config{
		RobotModel: cmdline.Locate(f.Model),
		Backend:    []mujoco.Option{mujoco.WithTerrain(f.Terrain.Terrain), mujoco.WithSeed(f.Seed)},
		HALRateHz:  f.HALRate,
		Command:    message.NavigationCommand(f.Command),
		Duration:   f.Duration,
		RealTime:   f.RealTime,
	}}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.Close())
		}
	}()
	if f.Record != "" {
		if err := rollout.CheckPath(cmdline.FromCaller(f.Record)); err != nil {
			return nil, err
		}
	}
	if f.Push != (push{}) {
		o.Push = walk.Push{At: f.Duration / 2, During: 200 * time.Millisecond, ForceN: [3]float64{f.Push[0], f.Push[1], 0}}
	}
	if o.Policy, err = policy.Load(cmdline.Locate(f.Policy)); err != nil {
		return nil, err
	}
	if o.Builder, err = joystick.New(o.Policy); err != nil {
		return nil, err
	}
	if o.Library, err = mujoco.Open(cmdline.Locate(f.MuJoCo)); err != nil {
		return nil, err
	}
	runtime, err := onnx.Open(cmdline.Locate(f.ONNXRuntime))
	if err != nil {
		return nil, err
	}
	o.closers = append(o.closers, runtime)
	session, err := runtime.NewSession(o.Policy)
	if err != nil {
		return nil, err
	}
	o.closers = append(o.closers, session)
	o.Model = session
	return o, nil
}

// write writes the report, and the plot if there is to be one.
func write(f flags, c walk.Config, r *walk.Record, stdout io.Writer) (err error) {
	if f.Plot != "" {
		file, err := os.Create(cmdline.FromCaller(f.Plot))
		if err != nil {
			return fmt.Errorf("writing the plot: %w", err)
		}
		if err := errors.Join(plot.WriteSVG(file, r), file.Close()); err != nil {
			return fmt.Errorf("writing the plot: %w", err)
		}
	}
	v := c.Command
	if err := json.NewEncoder(stdout).Encode(report{
		Policy:     c.Policy.Name,
		Robot:      r.Robot,
		Backend:    "mujoco " + c.Library.Version(),
		Terrain:    f.Terrain.Name,
		Seed:       f.Seed,
		Command:    [3]float64{v.VxMps, v.VyMps, v.YawRateRadPerSec},
		RealTime:   f.RealTime,
		Summary:    r.Summary(),
		PolicyLoop: r.Policy,
		Server:     r.Server,
		Client:     r.Client,
	}); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
