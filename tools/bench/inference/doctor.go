package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"krabby.dev/krabby/compute/observation"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/rollout"
	"krabby.dev/krabby/hal/message"
	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/tools/bench/latency"
)

// doctorSteps is the number of steps of the recordings that policy-doctor examines.
const doctorSteps = 10_000

// openBaseline checks out a commit of the workspace's repository below dir and builds its policy-doctor there. It returns the
// path of the program.
func openBaseline(ctx context.Context, workspace, commit, dir string, progress func(string, ...any)) (string, error) {
	hash, err := runIn(ctx, workspace, "git", "rev-parse", "--verify", "--quiet", "--end-of-options", commit+"^{commit}")
	if err != nil {
		return "", cli.Usagef("--baseline: commit %s not found in the repository of %s: fetch it; in a shallow clone with git fetch --unshallow", commit, workspace)
	}
	checkout := filepath.Join(dir, hash)
	if _, err := os.Stat(filepath.Join(checkout, ".git")); err != nil {
		if _, err := runIn(ctx, workspace, "git", "clone", "--quiet", "--shared", "--no-checkout", ".", checkout); err != nil {
			return "", err
		}
	}
	if _, err := runIn(ctx, checkout, "git", "checkout", "--quiet", "--force", "--detach", hash); err != nil {
		return "", err
	}
	progress("building //cmd/policy-doctor in %s (minutes the first time)", checkout)
	if _, err := runIn(ctx, checkout, "./tools/bazel", "build", "--noshow_progress", "//cmd/policy-doctor"); err != nil {
		return "", err
	}
	if _, err := runIn(ctx, checkout, "./tools/bazel", "shutdown"); err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(filepath.Join(checkout, "bazel-bin/cmd/policy-doctor/policy-doctor_/policy-doctor"))
}

// runIn runs a command in dir and returns its output without the line's end.
func runIn(ctx context.Context, dir, name string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = dir
	for _, variable := range os.Environ() { // The variables of bazel run belong to the caller's workspace.
		if !strings.HasPrefix(variable, "BUILD_W") && !strings.HasPrefix(variable, "RUNFILES_") {
			command.Env = append(command.Env, variable)
		}
	}
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}

// doctorName is the name of a program in the report.
func doctorName(commit string) string {
	if commit == "" {
		return krabbyName
	}
	return krabbyName + " at " + commit
}

// recording is a recording to examine.
type recording struct {
	name     string
	change   func(row []float32) // Changes the observation of a step.
	exitCode int
}

var recordings = []recording{
	{"correct", func([]float32) {}, cli.ExitOK},
	{"swapped legs", func(row []float32) {
		for _, first := range []int{9, 21, 33} {
			for leg := first; leg < first+12; leg += 6 {
				for i := leg; i < leg+3; i++ {
					row[i], row[i+3] = row[i+3], row[i]
				}
			}
		}
	}, cli.ExitFailed},
	{"terms in another order", func(row []float32) {
		command := [3]float32(row[45:48])
		copy(row[12:], row[9:45])
		copy(row[9:], command[:])
	}, cli.ExitFailed},
}

// doctors measures policy-doctor on long recordings of the Go1's policy: the whole command, from its start to its end, without
// the comparison of actions. The first program is the earlier commit's, if there is one.
func (s *suite) doctors(ctx context.Context, r *latency.Report) error {
	p, err := policy.Load(s.files.go1)
	if err != nil {
		return err
	}
	for _, rec := range recordings {
		path := filepath.Join(s.scratch, strings.ReplaceAll(rec.name, " ", "_")+".npz")
		if err := writeRecording(p, path, rec.change); err != nil {
			return err
		}
		tool := func(name, program string) latency.Tool {
			return latency.Tool{Name: name, Measure: func(ctx context.Context) (latency.Sample, error) {
				return measureDoctor(ctx, program, s.files.go1, path, rec.exitCode)
			}}
		}
		var tools []latency.Tool
		if s.baselineDoctor != "" {
			tools = append(tools, tool(doctorName(s.baseline), s.baselineDoctor))
		}
		tools = append(tools, tool(krabbyName, s.files.doctor))
		progress := func(step string) { s.progress("%s", step) }
		operation := fmt.Sprintf("policy-doctor, %d steps, %s", doctorSteps, rec.name)
		if err := r.Compare(ctx, operation, s.runs, tools, progress); err != nil {
			return err
		}
	}
	return nil
}

// writeRecording writes a recording of a robot with swinging joints, with changed observations.
func writeRecording(p *policy.Policy, path string, change func([]float32)) error {
	builder, err := observation.New(p)
	if err != nil {
		return err
	}
	recorder := rollout.NewRecorder(p.Robot, p.Observation.Size, len(p.JointOrder))
	row, action := make([]float32, p.Observation.Size), make([]float32, len(p.JointOrder))
	for step := range doctorSteps {
		o := message.NewObservation(p.Robot)
		o.SessionID, o.MonotonicNs, o.BaseVelocityKnown = 1, int64(step)*20_000_000, true
		s := float64(step) / 50
		for i := range o.PositionRad {
			sin, cos := math.Sincos((9+float64(i)/3)*s + float64(i))
			o.PositionRad[i], o.VelocityRadPerSec[i] = o.PositionRad[i]+0.2*sin, (9+float64(i)/3)*0.2*cos
		}
		for i := range 3 {
			o.IMU.AngularVelocityRadPerSec[i], o.BaseVelocityMps[i] = math.Sin(float64(5+2*i)*s), 0.3*math.Cos(float64(3+i)*s)
		}
		o.IMU.Orientation = [4]float64{math.Cos(0.05 * math.Sin(7*s)), math.Sin(0.05 * math.Sin(7*s))}
		command := message.NavigationCommand{VxMps: 1, VyMps: 0.2, YawRateRadPerSec: 0.3}
		if err := builder.Build(row, o, command, action); err != nil {
			return err
		}
		change(row)
		for i := range action {
			action[i] = float32(math.Sin((7+float64(i)/5)*s + float64(2*i)))
		}
		recorder.Step(o, command, row, action)
	}
	return recorder.Write(path)
}

// measureDoctor measures one run of policy-doctor.
func measureDoctor(ctx context.Context, program, folder, path string, exitCode int) (latency.Sample, error) {
	command := exec.CommandContext(ctx, program, folder, path, fmt.Sprintf("--steps=%d", doctorSteps))
	command.Env = []string{} // No ONNX Runtime.
	began := time.Now()
	out, err := command.CombinedOutput()
	took := time.Since(began)
	exit, failed := errors.AsType[*exec.ExitError](err)
	if err != nil && !failed || err == nil && exitCode != 0 || failed && exit.ExitCode() != exitCode {
		return latency.Sample{}, fmt.Errorf("found %v, expected exit code %d: %.300s", err, exitCode, out)
	}
	return latency.Sample{Took: []time.Duration{took}}, nil
}
