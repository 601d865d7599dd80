// Package importer makes policy directories from what training tools write: ONNX files with metadata, configuration files and
// checkpoints. It records where each field of the manifest comes from and what is assumed, lists what it does not use, and
// refuses to guess: what no file states must be given in Options. docs/policy-import.md lists the sources.
//
// It executes nothing in its inputs: tags of YAML files and objects in checkpoints are data or errors. It must never import
// inference engines, observation builders or transport.
package importer

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/robot"
)

// Options are the files to import, and what they do not state. Everything but the files is optional; a value that is set
// replaces that of the files.
type Options struct {
	// Model is the path of the ONNX file. Weights in files beside it are joined into one file.
	Model string
	// Checkpoint is the path of a checkpoint of rsl_rl, in place of Model.
	Checkpoint string
	// Configs are the paths of the configuration files, YAML or JSON.
	Configs []string
	// Format is one of Formats; empty detects it.
	Format string

	// Robot is the policy's robot.
	Robot *robot.Robot
	// Name, Source and License are those of the manifest.
	Name, Source, License string
	// DefaultName is the name where no file states one.
	DefaultName string
	// Joints are the policy's joints in its order, or the name of one of the robot's orders, or OrderRobot.
	Joints []string
	// Motors likewise are the joints in the order of the motors of the robot's SDK.
	Motors []string
	// DefaultPose, Kp, Kd and ActionScale are a number, a number for each joint, or JOINT=NUMBER with regular expressions.
	// The default pose can be the word robot: the robot's.
	DefaultPose, Kp, Kd, ActionScale []string
	// ActionClip is the bound of the output, as ActionScale.
	ActionClip float64
	// RateHz is the control rate.
	RateHz float64
	// Hold are the positions of the robot's other joints in rad, as DefaultPose; the single word "default" is the robot's pose.
	Hold []string
	// Terms map a name of a term in the files to a term of the manifest, or to JSON.
	Terms map[string]string
	// Observation is the path of a JSON file with the manifest's field observation.
	Observation string
	// History is the JSON of the manifest's field observation.history.
	History string
	// Vx, Vy and YawRate are ranges of the command: the lowest and the highest value.
	Vx, Vy, YawRate []float64
	// IMUPosition is the position of the training's inertial unit in m.
	IMUPosition []float64

	// IsaacLab is the version of Isaac Lab, 2.3 or 3.0.
	IsaacLab string
	// Activation and Distribution describe the network of a checkpoint: one of Activations, and gaussian, heteroscedastic or
	// beta:LOW,HIGH.
	Activation, Distribution string
}

// OrderRobot is the order of the robot's own joints.
const OrderRobot = "robot"

// Note is where a field of the manifest comes from.
type Note struct {
	// Field is a path in the manifest, or a word for something that is not in it.
	Field string
	// Value is the value, for people.
	Value string
	// From is a file with a field, a flag or a reason.
	From string
	// Assumed is set where no file and no flag states the value.
	Assumed bool
}

// Result is an imported policy.
type Result struct {
	Manifest policy.Manifest
	// Model is the content of policy.onnx.
	Model []byte
	// Robot is the policy's robot.
	Robot *robot.Robot
	// Notes are in the order of import.
	Notes []Note
	// Unused are the keys of the files that have no part in the policy, or none that is known: "FILE: PATH".
	Unused []string
	// Format is the source.
	Format string
}

// format is a source.
type format struct {
	name string
	// detect reports whether the files look like it.
	detect func(*draft) bool
	read   func(*draft) error
}

// formats are all sources; detection takes the first that fits.
func formats() []format {
	return []format{
		{"unitree_rl_lab", isUnitree, readUnitree},
		{"rl_sar", isRLSar, readRLSar},
		{"isaac_lab", isIsaacLab, readIsaacLab},
		{"legged_gym", isLeggedGym, readLeggedGym},
		{"playground", isPlayground, readPlayground},
		{"leapp", isLeapp, readLeapp},
		{"mjlab", isMjlab, readMjlab},
		{"flags", func(d *draft) bool { return len(d.docs) == 0 }, func(*draft) error { return nil }},
	}
}

// Formats returns the names of the sources.
func Formats() []string {
	var names []string
	for _, f := range formats() {
		names = append(names, f.name)
	}
	return names
}

// Import reads the files and returns the policy, and writes nothing. The error is an *Error, a *MissingError, or that of reading a file.
func Import(o Options) (*Result, error) {
	o.Activation = strings.ToLower(o.Activation)
	d := &draft{o: &o, r: o.Robot, usedTerms: map[string]bool{}}
	d.m.SchemaVersion = policy.SchemaVersion
	if err := d.open(); err != nil {
		return nil, err
	}
	f, err := d.format()
	if err != nil {
		return nil, err
	}
	if err := d.flagRobotAndJoints(); err != nil {
		return nil, err
	}
	if err := f.read(d); err != nil {
		return nil, err
	}
	if err := d.flags(); err != nil {
		return nil, err
	}
	if err := d.checkMissing(); err != nil {
		return nil, err
	}
	if err := d.finish(); err != nil {
		return nil, err
	}
	result := &Result{Manifest: d.m, Model: d.model, Robot: d.r, Notes: d.notes, Unused: d.unused, Format: f.name}
	if d.agent != nil {
		d.docs = append(d.docs, d.agent)
	}
	for _, doc := range d.docs {
		for _, path := range doc.unused() {
			result.Unused = append(result.Unused, filepath.Base(doc.file)+": "+cmp.Or(path, "all keys"))
		}
	}
	for _, key := range d.unusedProperties() {
		result.Unused = append(result.Unused, filepath.Base(d.o.Model)+": metadata "+key)
	}
	return result, nil
}

// open reads all files.
func (d *draft) open() error {
	switch {
	case (d.o.Model == "") == (d.o.Checkpoint == ""):
		return &Error{File: commandLine, Field: "--model, --checkpoint", Found: "both or neither", Expected: "one of them"}
	case d.o.Model != "":
		if err := d.openModel(); err != nil {
			return err
		}
	default:
		if err := d.openCheckpoint(); err != nil {
			return err
		}
	}
	for _, path := range d.o.Configs {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		doc, err := parseDocument(path, content)
		if err != nil {
			return err
		}
		d.docs = append(d.docs, doc)
	}
	return d.readAgent()
}

// format returns the source: that of the options, or the first that fits.
func (d *draft) format() (format, error) {
	all := formats()
	if d.o.Format != "" {
		i := slices.IndexFunc(all, func(f format) bool { return f.name == d.o.Format })
		if i < 0 {
			return format{}, &Error{File: commandLine, Field: "--format", Found: quote(d.o.Format), Expected: oneOf(d.o.Format, Formats())}
		}
		return all[i], nil
	}
	for _, f := range all {
		if f.detect(d) {
			return f, nil
		}
	}
	var keys []string
	for _, doc := range d.docs {
		for _, e := range doc.top().entries() {
			keys = append(keys, e.key)
		}
	}
	return format{}, &Error{File: strings.Join(d.o.Configs, ", "), Found: fmt.Sprintf("the keys %q", keys), Expected: "the file of a known source: --format " + strings.Join(Formats(), ", ")}
}
