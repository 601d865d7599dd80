// Command policy-doctor diagnoses observation mismatches: it rebuilds the observations of a recorded rollout from its sensors,
// compares them with the recorded observations, and names the mistakes that explain the differences.
//
// Exit codes: 0 if the observations agree, apart from noise; 1 if they differ; 2 if there is no verdict, because the command line
// is invalid, the policy or the rollout is not readable, or they do not match.
package main

import (
	"errors"
	"fmt"
	"io"

	"krabby.dev/krabby/cmd/internal/policyflag"
	"krabby.dev/krabby/compute/doctor"
	"krabby.dev/krabby/compute/doctor/plot"
	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/rollout/npz"
	"krabby.dev/krabby/internal/cli"
)

// flags is the command line.
type flags struct {
	Policy      string  `arg:"" help:"Policy directory with manifest.json."`
	Rollout     string  `arg:"" help:"Recorded rollout, an .npz file as docs/doctor.md describes it."`
	Skip        int     `default:"0" placeholder:"N" help:"Skip the first N steps of the rollout."`
	Steps       int     `default:"3000" placeholder:"N" help:"Compare at most N steps; 3000 by default."`
	Environment int     `default:"-1" placeholder:"N" help:"Environment to take from arrays of several, counted from 0: [T, N, J]."`
	Noise       float64 `default:"0.05" placeholder:"FRACTION" help:"Accept the unexplained residual of a sensor value as noise up to this RMS, a fraction of the spread of the value; 0.05 by default."`
	Robot       string  `placeholder:"NAME" help:"Robot of the policy: a name, or a robot file, whose path contains . or /; the default is the built-in robot that the policy names."`
	JSON        bool    `name:"json" help:"Print the report as JSON."`
	Plot        string  `placeholder:"FILE" help:"Write a plot of the values with the largest residuals, recorded, rebuilt and corrected, to this SVG file."`
	ONNXRuntime string  `name:"onnxruntime" env:"KRABBY_ONNXRUNTIME" placeholder:"FILE" help:"ONNX Runtime library. With it the recorded actions are compared with the output of the policy."`
}

// Validate checks the ranges of numbers.
func (f *flags) Validate() error {
	if f.Skip < 0 {
		return fmt.Errorf("--skip: found %d, expected 0 or more", f.Skip)
	}
	if f.Environment < -1 {
		return fmt.Errorf("--environment: found %d, expected 0 or more", f.Environment)
	}
	if f.Steps < doctor.MinSteps {
		return fmt.Errorf("--steps: found %d, expected %d or more", f.Steps, doctor.MinSteps)
	}
	if !(f.Noise >= 0 && f.Noise <= 1) {
		return fmt.Errorf("--noise: found %v, expected 0 to 1", f.Noise)
	}
	return nil
}

func main() { program().Main() }

func program() cli.Program {
	return cli.Program{
		Name:        "policy-doctor",
		Description: "Diagnoses observation mismatches: rebuilds the observations of a rollout from its recorded sensors, compares them with the recorded observations, and names the mistakes that explain the differences. Exit code: 0 the observations agree, apart from noise, 1 they differ, 2 no verdict.",
		Flags:       &flags{},
	}
}

// Run examines the rollout and prints the report. After an error there is no verdict, so every error is a UsageError.
func (f *flags) Run(console *cli.Console) error {
	report, err := examine(f)
	if err != nil {
		return cli.Usage(err)
	}
	if f.Plot != "" {
		if err := cli.WriteFile(f.Plot, func(w io.Writer) error { return plot.WriteSVG(w, report) }); err != nil {
			return cli.Usagef("writing the plot: %w", err)
		}
	}
	write := writeText
	if f.JSON {
		write = writeJSON
	}
	if err := write(console.Out, report); err != nil {
		return cli.Usagef("writing: %w", err)
	}
	if report.Verdict == doctor.Differs {
		return cli.ExitCode(cli.ExitFailed)
	}
	return nil
}

// examine reads the policy and the rollout and returns the report.
func examine(f *flags) (_ *doctor.Report, err error) {
	p, err := policyflag.Load(f.Policy, f.Robot, "")
	if err != nil {
		return nil, err
	}
	path := cli.Locate(f.Rollout)
	r, err := npz.ReadEnvironment(path, npz.Options{Environment: f.Environment})
	if err != nil {
		return nil, err
	}
	opts := doctor.Options{Skip: f.Skip, Steps: f.Steps, Noise: f.Noise}
	reason := "no ONNX Runtime library: set --onnxruntime"
	switch inputs := p.Graphs[policy.PolicyGraph].Inputs; {
	case len(inputs) > 1:
		reason = fmt.Sprintf("the rollout does not record the policy's input %s", inputs[1].Name)
	case f.ONNXRuntime != "":
		runtime, err := onnx.Open(cli.Locate(f.ONNXRuntime))
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, runtime.Close()) }()
		session, err := runtime.NewSession(p)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, session.Close()) }()
		opts.Model = session
	}
	report, err := doctor.Examine(p, r, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if report.Action == nil {
		report.NotChecked["action"] = reason
	}
	return report, nil
}
