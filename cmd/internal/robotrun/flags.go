package robotrun

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/rollout"
	"krabby.dev/krabby/hal/backend"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/metrics"
	"krabby.dev/krabby/hal/safety"
	"krabby.dev/krabby/internal/bringup"
	"krabby.dev/krabby/internal/cli"
)

// flags is the command line.
type flags struct {
	Duration     time.Duration `default:"0s" help:"How long to run, for example 5s; 0 runs until SIGINT or SIGTERM."`
	Rate         float64       `default:"0" placeholder:"HZ" help:"Rate of the policy; 0 is the rate it was trained for (go1_joystick: 50)."`
	HALRate      float64       `name:"hal-rate" default:"100" placeholder:"HZ" help:"Rate at which the robot is read and written, at least 10."`
	Policy       string        `default:"/opt/krabby/policies/go1_joystick" env:"KRABBY_POLICY" placeholder:"DIR" help:"Policy directory, or the manifest in it."`
	Robot        string        `default:"go1" placeholder:"NAME" help:"Name of the robot, or its file, whose path contains . or /; it must be the robot of the policy."`
	Limits       string        `placeholder:"NAME" help:"Narrower limits of the robot's joints: built-in ones (sdk for go1: the manufacturer's), or a limits file, whose path contains . or /."`
	Backend      string        `default:"${backend}" enum:"${backends}" help:"Robot behind the hardware abstraction layer: ${enum}."`
	kong.Plugins               // The flags of each backend.
	Command      Velocity      `default:"0.5,0,0" placeholder:"VX,VY,YAW" help:"Velocity command, forward and left in m/s and yaw in rad/s; write --command=-0.5,0,0 for a negative one."`
	ONNXRuntime  string        `name:"onnxruntime" default:"/opt/krabby/lib/libonnxruntime.so.1" env:"KRABBY_ONNXRUNTIME" placeholder:"FILE" help:"ONNX Runtime library."`
	Providers    providers     `default:"cpu" placeholder:"LIST" help:"Execution providers, separated by commas, in order of preference: cpu, cuda, tensorrt. One that the library lacks is an error."`
	AllowCPU     bool          `name:"allow-cpu" help:"Continue, with a warning, without providers that the library lacks."`
	Deadlines    deadlines     `embed:""`
	Links        links         `embed:""`
	Metrics      string        `placeholder:"ADDRESS" help:"Serve Prometheus metrics at http://ADDRESS/metrics, for example :9464, which is 127.0.0.1:9464; 0.0.0.0:9464 is reachable from other machines."`
	Record       string        `placeholder:"FILE" help:"Record the policy's observations and actions to this .npz file, for policy-doctor; at most 128 MiB, later steps are left out."`
	NewKeys      string        `name:"new-keys" hidden:"" placeholder:"FILE" help:"Deprecated: use the command keygen."`
	LogLevel     slog.Level    `default:"info" placeholder:"LEVEL" help:"Lowest level to log: debug, info, warn or error."`

	Run    runCmd    `cmd:"" default:"1" hidden:"" help:"Runs the robot."`
	Keygen keygenCmd `cmd:"" help:"Makes a pair of keys for --key and --authorized-key, and exits."`

	check     func(*bringup.Report) error
	factories []backend.Factory
}

// Validate checks the values of flags.
func (f *flags) Validate() error {
	if f.Duration < 0 {
		return fmt.Errorf("--duration: found %v, expected 0s or more", f.Duration)
	}
	if !(f.Rate >= 0 && f.Rate <= 1000) {
		return fmt.Errorf("--rate: found %v, expected 0 to 1000 Hz", f.Rate)
	}
	// A command waits for the next step of the server, and must not be too old then.
	const lowest = float64(time.Second) / float64(safety.DefaultMaxCommandAge)
	if !(f.HALRate >= lowest && f.HALRate <= 10000) {
		return fmt.Errorf("--hal-rate: found %v, expected %v to 10000 Hz: a command may be at most %v old when it is applied",
			f.HALRate, lowest, safety.DefaultMaxCommandAge)
	}
	if err := f.Deadlines.validate(); err != nil {
		return err
	}
	if f.Record != "" {
		if err := rollout.CheckPath(cli.CallerPath(f.Record)); err != nil {
			return fmt.Errorf("--record: %w", err)
		}
	}
	if f.Metrics != "" {
		if _, err := metrics.Address(f.Metrics); err != nil {
			return fmt.Errorf("--metrics: %w", err)
		}
	}
	return f.Links.check()
}

// Velocity is a navigation command on the command line.
type Velocity message.NavigationCommand

// providers is a list of providers on the command line.
type providers []onnx.Provider

// UnmarshalText reads "cuda,cpu".
func (p *providers) UnmarshalText(text []byte) (err error) {
	*p, err = onnx.ParseProviders(string(text))
	return err
}

// UnmarshalText reads "VX,VY,YAW".
func (v *Velocity) UnmarshalText(text []byte) error {
	parts := strings.Split(string(text), ",")
	if len(parts) != 3 {
		return fmt.Errorf("found %q, expected three numbers VX,VY,YAW", text)
	}
	for i, to := range []*float64{&v.VxMps, &v.VyMps, &v.YawRateRadPerSec} {
		value, err := strconv.ParseFloat(strings.TrimSpace(parts[i]), 64)
		if err != nil {
			return fmt.Errorf("found %q, expected three numbers VX,VY,YAW", text)
		}
		*to = value
	}
	return message.NavigationCommand(*v).Validate()
}
