// Command policy-import makes a policy directory, manifest.json and policy.onnx, from what training tools write. It prints where each
// field comes from and what is assumed. Exit codes: 0 if the directory was written, 2 for an invalid command line or input, 1 for
// other failures; then nothing is written.
package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/importer"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/internal/cli"
)

func main() { program().Main() }

// flags is the command line.
type flags struct {
	Out        string   `arg:"" help:"Policy directory to create. An existing one must be empty."`
	Model      string   `placeholder:"FILE" help:"ONNX file. Weights in files beside it (policy.onnx.data) are joined into one file." group:"Files:"`
	Checkpoint string   `placeholder:"FILE" help:"Checkpoint of rsl_rl (.pt) in place of an ONNX file. It is read without torch, and may hold nothing but tensors." group:"Files:"`
	Config     []string `placeholder:"FILE" sep:"none" help:"Configuration file, YAML or JSON: deploy.yaml, base.yaml, config.yaml, params/env.yaml. May be repeated." group:"Files:"`
	Format     string   `placeholder:"NAME" help:"Source: ${formats}. Detected by default." group:"Files:"`

	Robot   string `placeholder:"ROBOT" help:"Robot: ${robots}, or a robot file." group:"Manifest:"`
	Name    string `help:"Name of the policy. Default: that of the files, or of the directory." group:"Manifest:"`
	Source  string `placeholder:"TEXT" help:"Origin of the policy, for example a training run." group:"Manifest:"`
	License string `placeholder:"TEXT" help:"License of the files." group:"Manifest:"`

	Joints      []string          `placeholder:"NAME" help:"Joints of the policy in the order of its actions, or the name of one of the robot's orders (type_major, sdk), or robot." group:"Joints:"`
	Motors      []string          `placeholder:"NAME" help:"Joints in the order of the motors in the SDK, or an order as in --joints." group:"Joints:"`
	DefaultPose []string          `placeholder:"RAD" help:"Default pose: one number, one for each joint, JOINT=NUMBER with regular expressions, or robot: the robot's default pose." group:"Joints:"`
	Kp          []string          `placeholder:"KP" help:"Proportional gains of the training, in N·m/rad, likewise." group:"Joints:"`
	Kd          []string          `placeholder:"KD" help:"Derivative gains of the training, in N·m·s/rad, likewise." group:"Joints:"`
	Hold        []string          `placeholder:"RAD" help:"Positions of the robot's joints that the policy does not move, likewise, or default: the robot's pose." group:"Joints:"`
	ActionScale []string          `placeholder:"RAD" help:"Scale of the actions, likewise." group:"Actions and observation:"`
	ActionClip  float64           `placeholder:"LIMIT" help:"Clip the output of the policy to -LIMIT to LIMIT." group:"Actions and observation:"`
	Rate        float64           `placeholder:"HZ" help:"Control rate of the training." group:"Actions and observation:"`
	Term        map[string]string `mapsep:"none" placeholder:"NAME=TERM" help:"What a term of the files is: a term of the manifest, or one in JSON. May be repeated." group:"Actions and observation:"`
	Observation string            `placeholder:"FILE" help:"JSON file with the manifest's field observation." group:"Actions and observation:"`
	History     string            `placeholder:"JSON" help:"The manifest's field observation.history." group:"Actions and observation:"`
	Vx          []float64         `placeholder:"LOW,HIGH" help:"Range of the forward velocity, in m/s." group:"Actions and observation:"`
	Vy          []float64         `placeholder:"LOW,HIGH" help:"Range of the velocity to the left, in m/s." group:"Actions and observation:"`
	YawRate     []float64         `placeholder:"LOW,HIGH" help:"Range of the yaw rate, in rad/s." group:"Actions and observation:"`
	IMUPosition []float64         `name:"imu-position" placeholder:"X,Y,Z" sep:"," help:"Position of the training's IMU relative to the robot's, in m." group:"Actions and observation:"`

	IsaacLab     string `placeholder:"VERSION" help:"Version of Isaac Lab, 2.3 or 3.0: the order of quaternions." group:"Sources:"`
	Activation   string `placeholder:"NAME" help:"Activation of the network in a checkpoint: ${activations}." group:"Sources:"`
	Distribution string `placeholder:"NAME" help:"Distribution of the actions of a checkpoint: gaussian, heteroscedastic or beta:LOW,HIGH." group:"Sources:"`

	DryRun bool `help:"Print the report and write nothing."`
}

const description = `Makes a policy directory from what training tools write, and prints where each field comes from.

Examples:

  policy-import my_policy --model policy.onnx --robot go2 --rate 50             an ONNX file with the metadata of mjlab

  policy-import my_policy --model policy.onnx --config base.yaml --config config.yaml --source "run 7"    rl_sar

  policy-import my_policy --model policy.onnx --config params/deploy.yaml --robot go2 --source "run 7"    unitree_rl_lab

  policy-import my_policy --checkpoint model_1500.pt --activation elu --config params/env.yaml --robot go2 --joints type_major --source "run 7"    Isaac Lab

Values that start with - need =, as in --vx=-1,1.`

func program() cli.Program {
	return cli.Program{
		Name: "policy-import", Description: description, Flags: &flags{},
		Vars: map[string]string{
			"formats": strings.Join(importer.Formats(), ", "), "robots": strings.Join(robot.Names(), ", "), "activations": strings.Join(importer.Activations(), ", "),
		},
	}
}

// Run imports the policy and prints the report.
func (f *flags) Run(console *cli.Console) error {
	o, err := f.options()
	if err != nil {
		return cli.Usage(err)
	}
	result, err := importer.Import(o)
	if err != nil {
		return cli.Usage(err)
	}
	if !f.DryRun {
		if err := result.Write(cli.CallerPath(f.Out)); err != nil {
			return usage(err)
		}
	}
	return f.report(console.Out, result)
}

// usage marks errors in the policy, or in the place of the output, as errors of the input.
func usage(err error) error {
	_, wrong := errors.AsType[*importer.Error](err)
	_, invalid := errors.AsType[*policy.Error](err)
	if wrong || invalid {
		return cli.Usage(err)
	}
	return err
}

func (f *flags) options() (importer.Options, error) {
	o := importer.Options{
		Model: locate(f.Model), Checkpoint: locate(f.Checkpoint), Format: f.Format, Observation: locate(f.Observation),
		Name: f.Name, DefaultName: filepath.Base(filepath.Clean(f.Out)), Source: f.Source, License: f.License,
		Joints: f.Joints, Motors: f.Motors, DefaultPose: f.DefaultPose, Kp: f.Kp, Kd: f.Kd, Hold: f.Hold,
		ActionScale: f.ActionScale, ActionClip: f.ActionClip, RateHz: f.Rate,
		Terms: f.Term, History: f.History, Vx: f.Vx, Vy: f.Vy, YawRate: f.YawRate, IMUPosition: f.IMUPosition,
		IsaacLab: f.IsaacLab, Activation: f.Activation, Distribution: f.Distribution,
	}
	for _, path := range f.Config {
		o.Configs = append(o.Configs, locate(path))
	}
	if f.Robot != "" {
		path := f.Robot
		if robot.IsFile(path) {
			path = locate(path)
		}
		r, err := robot.Open(path)
		if err != nil {
			return o, fmt.Errorf("--robot: %w", err)
		}
		o.Robot = r
	}
	return o, nil
}

// locate returns the path of a file of the caller; an empty path stays empty.
func locate(path string) string {
	if path == "" {
		return ""
	}
	return cli.Locate(path)
}

// report prints the fields with their origin, then what is assumed, then what is not used.
func (f *flags) report(w io.Writer, r *importer.Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "format\t%s\t\n", r.Format)
	for _, n := range r.Notes {
		if !n.Assumed {
			fmt.Fprintf(t, "%s\t%s\tfrom %s\n", n.Field, shorten(n.Value), n.From)
		}
	}
	for _, n := range r.Notes {
		if n.Assumed {
			fmt.Fprintf(t, "assumed: %s\t%s\t%s\n", n.Field, shorten(n.Value), n.From)
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	for _, key := range r.Unused {
		fmt.Fprintf(w, "not used: %s\n", key)
	}
	if f.DryRun {
		_, err := fmt.Fprintf(w, "nothing written (--dry-run)\n")
		return err
	}
	_, err := fmt.Fprintf(w, "written: %s, sha256 of policy.onnx %s\n", f.Out, r.Manifest.Files[policy.ModelFile])
	return err
}

// shorten cuts long values, of which the manifest has the rest.
func shorten(text string) string {
	const limit = 64
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return text
}
