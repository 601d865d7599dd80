// Command robot-import makes a robot file, which every command takes by --robot FILE, from the robot's model: MJCF or URDF. It prints what
// it found, where each number is from, and what it assumed. What the model does not say, or says in two ways, is asked for by flag.
//
// Exit codes: 0 if the file is written; 2 if the command line or the model is invalid, ambiguous or not complete; then no file is written.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"krabby.dev/krabby/hal/mujoco"
	"krabby.dev/krabby/hal/mujoco/importer"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/internal/cli"
)

// flags is the command line.
type flags struct {
	Model    string          `arg:"" help:"Model of the robot, MJCF or URDF. Meshes and textures need not exist."`
	Out      string          `arg:"" help:"Robot file to write, for example my_robot.json."`
	MuJoCo   string          `required:"" name:"mujoco" env:"KRABBY_MUJOCO" placeholder:"FILE" help:"MuJoCo library, libmujoco.so, which compiles the model."`
	Name     string          `help:"Name of the robot: lower case letters, digits and _; the default is the model's."`
	Feet     []string        `placeholder:"GEOM" help:"Geoms of the feet, in the order of an observation's contacts, separated by commas; none for no feet."`
	Keyframe string          `help:"Keyframe that is the default pose, by name or number; the default is the only one."`
	Pose     importer.Values `placeholder:"RAD" help:"Default pose, in rad: one number, or *_hip_joint=0.1,*_calf_joint=-1.8, as for all flags below. It takes precedence over the keyframe, as they do over the model."`
	Lower    importer.Values `placeholder:"RAD" help:"Lower ends of the joints' ranges, in rad; write --lower=-1 for a negative one."`
	Upper    importer.Values `placeholder:"RAD" help:"Upper ends of the joints' ranges, in rad."`
	Velocity importer.Values `placeholder:"RAD/S" help:"Limits of velocity, in rad/s, which MJCF does not have."`
	Effort   importer.Values `placeholder:"NM" help:"Limits of effort, in N·m."`
	Kp       importer.Values `placeholder:"NM/RAD" help:"Proportional gains, in N·m/rad: for actuators that are not position servos."`
	Kd       importer.Values `placeholder:"NM*S/RAD" help:"Derivative gains, in N·m·s/rad."`
	URDF     string          `name:"urdf" placeholder:"FILE" help:"URDF of the same robot, for limits of velocity, and of effort where they are missing or smaller."`
	Force    bool            `help:"Replace the file."`
}

func main() { program().Main() }

func program() cli.Program {
	return cli.Program{
		Name:        "robot-import",
		Description: "Makes a robot file, for --robot FILE, from a model of the robot: MJCF or URDF.",
		Flags:       &flags{},
	}
}

// Run imports the robot, writes the file and prints the report.
func (f *flags) Run(console *cli.Console) error {
	out := cli.CallerPath(f.Out)
	if _, err := os.Stat(out); err == nil && !f.Force {
		return cli.Usagef("%s exists already: choose another file, or add --force", f.Out)
	}
	result, err := f.imported(cli.Locate(f.Model))
	if err != nil {
		return cli.Usage(err)
	}
	content, err := result.Robot.Encode()
	if err != nil {
		return err
	}
	if err := write(out, content); err != nil {
		return cli.Usagef("writing %s: %w", f.Out, err)
	}
	if err := report(console.Out, result); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	fmt.Fprintf(console.Out, "wrote %s: use it by --robot %s\n", f.Out, flagValue(f.Out))
	return nil
}

// flagValue returns the path as a value of --robot: one without . or / would be a name.
func flagValue(path string) string {
	if robot.IsFile(path) {
		return path
	}
	return "./" + path
}

// imported reads the models and imports the robot.
func (f *flags) imported(model string) (*importer.Result, error) {
	isURDF, err := importer.IsURDF(model)
	if err != nil {
		return nil, err
	}
	o := importer.Options{
		Model: f.Model, Name: f.Name, Keyframe: f.Keyframe,
		Lower: f.Lower, Upper: f.Upper, Velocity: f.Velocity, Effort: f.Effort, Pose: f.Pose, Kp: f.Kp, Kd: f.Kd,
	}
	if o.NoFeet = len(f.Feet) == 1 && f.Feet[0] == "none"; !o.NoFeet {
		o.Feet = f.Feet
	}
	if f.URDF != "" && isURDF {
		return nil, errors.New("--urdf: the model is a URDF itself")
	}
	if isURDF {
		f.URDF = f.Model
	}
	if f.URDF != "" {
		if o.URDF, err = importer.ReadURDF(cli.Locate(f.URDF)); err != nil {
			return nil, err
		}
		o.URDF.File = filepath.Base(f.URDF)
	}
	library, err := mujoco.Open(cli.Locate(f.MuJoCo))
	if err != nil {
		return nil, fmt.Errorf("--mujoco: %w", err)
	}
	d, err := library.Describe(model)
	if err != nil {
		return nil, err
	}
	return importer.Import(d, o)
}

// write writes the file at once: a file that is there is complete.
func write(path string, content []byte) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".robot-import-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary.Name()))
		}
	}()
	_, err = io.Copy(temporary, bytes.NewReader(content))
	if err := errors.Join(err, temporary.Chmod(0o644), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}

// report writes what was found, the joints, where the numbers are from, and what was assumed.
func report(to io.Writer, r *importer.Result) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "robot\t%s\n", r.Robot.Name)
	for _, f := range r.Found {
		fmt.Fprintf(w, "%s\t%s\n", f.Topic, f.Text)
	}
	feet := "none"
	if len(r.Robot.Feet) > 0 {
		feet = strings.Join(r.Robot.Feet, ", ")
	}
	fmt.Fprintf(w, "feet\t%s\n", feet)
	if err := w.Flush(); err != nil {
		return err
	}
	w = tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\njoint\tlower\tupper\tvelocity\teffort\tdefault\tkp\tkd\n")
	for i, j := range r.Robot.Joints {
		fmt.Fprintf(w, "%s\t%.5g\t%.5g\t%.5g\t%.5g\t%.5g\t%.5g\t%.5g\n", j.Name, j.LowerRad, j.UpperRad, j.VelocityLimitRadPerSec, j.EffortLimitNm,
			r.Robot.DefaultPoseRad[i], r.Robot.Kp[i], r.Robot.Kd[i])
	}
	if err := w.Flush(); err != nil {
		return err
	}
	w = tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w)
	for _, s := range r.Sources {
		fmt.Fprintf(w, "%s\tfrom %s\n", s.Topic, s.Text)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, n := range r.Notes {
		if _, err := fmt.Fprintf(to, "note: %s\n", n); err != nil {
			return err
		}
	}
	return nil
}
