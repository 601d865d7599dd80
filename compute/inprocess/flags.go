package inprocess

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"krabby.dev/krabby/compute/joystick"
	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/rollout"
	"krabby.dev/krabby/hal/cmdline"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/hal/metrics"
	"krabby.dev/krabby/hal/safety"
)

// flags is the command line.
type flags struct {
	Duration    time.Duration `default:"0s" help:"How long to run, for example 5s; 0 means until SIGINT or SIGTERM."`
	Rate        float64       `default:"0" placeholder:"HZ" help:"Rate of the policy; 0 means the rate it was trained for (go1_joystick: 50)."`
	HALRate     float64       `name:"hal-rate" default:"100" placeholder:"HZ" help:"Rate at which the robot is read and written, at least 10."`
	Policy      string        `default:"/opt/krabby/policies/go1_joystick" env:"KRABBY_POLICY" placeholder:"DIR" help:"Folder of the policy, or the manifest in it."`
	Robot       string        `default:"go1" help:"Robot to drive; the policy must be made for it."`
	Backend     string        `default:"synthetic" enum:"synthetic" help:"What stands behind the hardware abstraction layer: ${enum}."`
	Command     Velocity      `default:"0.5,0,0" placeholder:"VX,VY,YAW" help:"Velocity to walk with, forward and left in m/s and yaw in rad/s; write --command=-0.5,0,0 for a negative one."`
	ONNXRuntime string        `name:"onnxruntime" default:"/opt/krabby/lib/libonnxruntime.so.1" env:"KRABBY_ONNXRUNTIME" placeholder:"FILE" help:"ONNX Runtime library."`
	Providers   providers     `default:"cpu" placeholder:"LIST" help:"What runs the model: some of cpu, cuda, tensorrt, in the order in which they get work, with commas between. One that the library lacks is refused."`
	AllowCPU    bool          `name:"allow-cpu" help:"Go on, with a warning, without providers that the library lacks."`
	Deadlines   deadlines     `embed:""`
	Links       links         `embed:""`
	Metrics     string        `placeholder:"ADDRESS" help:"Serve metrics for Prometheus at http://ADDRESS/metrics, for example :9464, which is 127.0.0.1:9464; other machines can read 0.0.0.0:9464."`
	Record      string        `placeholder:"FILE" help:"Write what the policy saw and did to this .npz file when the run ends, for policy-doctor; it takes up to 128 MiB of memory, then the rest is left out."`
	NewKeys     string        `name:"new-keys" placeholder:"FILE" help:"Write a new secret key to FILE and its public key to FILE.pub, and exit."`
	LogLevel    slog.Level    `default:"info" placeholder:"LEVEL" help:"Least level to log: debug, info, warn or error."`
}

// Validate checks what the types of the flags do not.
func (f *flags) Validate() error {
	if f.Duration < 0 {
		return fmt.Errorf("--duration: found %v, expected 0s or more", f.Duration)
	}
	if !(f.Rate >= 0 && f.Rate <= 1000) {
		return fmt.Errorf("--rate: found %v, expected 0 to 1000 Hz", f.Rate)
	}
	// A command waits for the server's next tick, and must not be too old by then.
	const lowest = float64(time.Second) / float64(safety.DefaultMaxCommandAge)
	if !(f.HALRate >= lowest && f.HALRate <= 10000) {
		return fmt.Errorf("--hal-rate: found %v, expected %v to 10000 Hz: a command may be at most %v old when it is applied",
			f.HALRate, lowest, safety.DefaultMaxCommandAge)
	}
	if err := f.Deadlines.validate(); err != nil {
		return err
	}
	if f.Record != "" {
		if err := rollout.CheckPath(cmdline.FromCaller(f.Record)); err != nil {
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
	return joystick.CheckCommand(message.NavigationCommand(*v))
}
