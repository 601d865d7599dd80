package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bazelbuild/rules_go/go/runfiles"

	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/tools/bench/latency"
	"krabby.dev/krabby/tools/bench/measure"
	"krabby.dev/krabby/tools/bench/peer"
)

// Runfile paths, set by the linker (x_defs).
var (
	libraryFile, floorFile, manifestFile, modelFile, g1ManifestFile, g1ModelFile, doctorFile, parkourFolder, pythonFile, onnxruntimeFile string
)

// files has the paths of runfiles.
type files struct {
	library     string // ONNX Runtime, for C and for krabby.
	floor       string // The program in C.
	go1         string // Folder of the policy.
	g1          string // Folder of the policy.
	doctor      string // policy-doctor of this checkout.
	parkour     string // Folder of the policies teacher and student.
	python      string // Root file system of Python.
	onnxruntime string // A file in Python's package onnxruntime.
}

// findFiles finds the runfiles. It links the manifests and the models of the policies into folders below dir, because a source
// and an output may be in different folders.
func findFiles(dir string) (f files, err error) {
	f.go1 = filepath.Join(dir, "go1_joystick")
	f.g1 = filepath.Join(dir, "g1_joystick")
	if err := errors.Join(os.Mkdir(f.go1, 0o755), os.Mkdir(f.g1, 0o755)); err != nil {
		return files{}, err
	}
	var manifest, model, g1Manifest, g1Model string
	for _, file := range []struct {
		to       *string
		runfile  string
		contains string
	}{
		{&f.library, libraryFile, "ONNX Runtime"},
		{&f.floor, floorFile, "the program in C"},
		{&manifest, manifestFile, "the Go1's manifest"},
		{&model, modelFile, "the Go1's policy"},
		{&g1Manifest, g1ManifestFile, "the G1's manifest"},
		{&g1Model, g1ModelFile, "the G1's policy"},
		{&f.doctor, doctorFile, "policy-doctor"},
		{&f.parkour, parkourFolder, "the parkour policies"},
		{&f.python, pythonFile, "Python"},
		{&f.onnxruntime, onnxruntimeFile, "onnxruntime for Python"},
	} {
		if *file.to, err = runfiles.Rlocation(file.runfile); err != nil {
			return files{}, fmt.Errorf("finding %s (run this with bazel run): %w", file.contains, err)
		}
	}
	return f, errors.Join(
		os.Symlink(manifest, filepath.Join(f.go1, policy.ManifestFile)),
		os.Symlink(model, filepath.Join(f.go1, policy.ModelFile)),
		os.Symlink(g1Manifest, filepath.Join(f.g1, policy.ManifestFile)),
		os.Symlink(g1Model, filepath.Join(f.g1, policy.ModelFile)),
	)
}

// Names of the tools.
const (
	floorName  = "onnxruntime, C"
	krabbyName = "krabby"
	plainName  = "onnxruntime, Python"
	boundName  = "onnxruntime, Python, bound memory"
)

// The parts of the benchmark.
const (
	partObservations = "observations"
	partSteps        = "steps"
	partWholeStep    = "whole-step"
	partDoctor       = "doctor"
	partLoops        = "loops"
)

// suite measures each step with each tool, and then each loop.
type suite struct {
	runs       int           // Of a step.
	step, loop time.Duration // Durations of a run.
	progress   func(string, ...any)
	files      files
	python     *peer.Python
	// baseline is an earlier commit, and baselineDoctor its policy-doctor; empty without one.
	baseline, baselineDoctor string
	pythonFails              error    // Not nil if Python cannot run here.
	scratch                  string   // Directory for recordings.
	parts                    []string // The parts to measure; empty measures all.
	peers                    []string // Versions of the peers that have run.
}

func (s *suite) measure(ctx context.Context) (_ *latency.Report, err error) {
	runtime, err := onnx.Open(s.files.library)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, runtime.Close()) }()
	r := &latency.Report{Count: "samples", Lost: "missed"}
	for _, part := range []struct {
		name    string
		measure func() error
	}{
		{partObservations, func() error { return s.observations(ctx, r) }},
		{partSteps, func() error { return s.steps(ctx, r, runtime) }},
		{partWholeStep, func() error { return s.wholeSteps(ctx, r, runtime) }},
		{partDoctor, func() error { return s.doctors(ctx, r) }},
		{partLoops, func() error { return s.loops(ctx, r) }},
	} {
		if len(s.parts) > 0 && !slices.Contains(s.parts, part.name) {
			continue
		}
		if err := part.measure(); err != nil {
			return nil, err
		}
	}
	r.Header = []string{
		measure.Machine(),
		"krabby: ONNX Runtime " + runtime.Version(),
		"peers: " + strings.Join(s.peers, "; "),
		fmt.Sprintf("steps: %d runs of %v each, together; 1 thread", s.runs, s.step),
		fmt.Sprintf("observations: a sample is the mean of %d", buildsPerSample),
		fmt.Sprintf("jitter: wake-up minus deadline, for %v; deadlines are one period apart from the start on; nothing is done in the loop", s.loop),
		"in brackets: ratio to the first tool of the operation",
	}
	return r, nil
}

// steps measures one step of each graph.
func (s *suite) steps(ctx context.Context, r *latency.Report, runtime *onnx.Runtime) error {
	teacher, student := filepath.Join(s.files.parkour, "teacher"), filepath.Join(s.files.parkour, "student")
	for _, st := range []struct{ name, folder, graph string }{
		{"Go1 joystick", s.files.go1, policy.PolicyGraph},
		{"parkour actor, teacher", teacher, policy.PolicyGraph},
		{"parkour actor, student", student, policy.PolicyGraph},
		{"parkour depth encoder", student, "depth_encoder"},
	} {
		p, err := policy.Load(st.folder)
		if err != nil {
			return err
		}
		tool := s.sameResults()
		python := func(name, mode string) latency.Tool {
			return tool(name, s.pythonFails, func(ctx context.Context) (peer.Result, error) {
				return measurePython(ctx, s.python, p, st.graph, mode, s.step)
			})
		}
		tools := []latency.Tool{
			tool(floorName, nil, func(ctx context.Context) (peer.Result, error) {
				return measureFloor(ctx, s.files, p, st.graph, s.step)
			}),
			tool(krabbyName, nil, func(ctx context.Context) (peer.Result, error) {
				return measureKrabby(ctx, runtime, p, st.graph, s.step)
			}),
			python(plainName, "plain"),
			python(boundName, "bound"),
		}
		progress := func(step string) { s.progress("%s, for %v", step, s.step) }
		if err := r.Compare(ctx, st.name, s.runs, tools, progress); err != nil {
			return err
		}
	}
	return nil
}

// sameResults returns a function that makes the tools of an operation. The first result of each must be that of the first tool.
func (s *suite) sameResults() func(name string, fails error, measure func(context.Context) (peer.Result, error)) latency.Tool {
	var expected []float32
	return func(name string, fails error, measure func(context.Context) (peer.Result, error)) latency.Tool {
		return latency.Tool{Name: name, Fails: fails, Measure: func(ctx context.Context) (latency.Sample, error) {
			result, err := measure(ctx)
			if err != nil {
				return latency.Sample{}, err
			}
			if expected == nil {
				expected = result.First
			}
			s.addPeer(result)
			return result.Sample, checkSame(result.First, expected)
		}}
	}
}

// addPeer records the version of a peer for the header.
func (s *suite) addPeer(result peer.Result) {
	if result.Version != "" && !slices.Contains(s.peers, result.Version) {
		s.peers = append(s.peers, result.Version)
	}
}

// checkSame returns an error if two tools compute different outputs: their times are not comparable.
func checkSame(found, expected []float32) error {
	if len(found) != len(expected) {
		return fmt.Errorf("outputs of the first step: found %d, expected %d as the first tool's", len(found), len(expected))
	}
	for i := range found {
		if difference := math.Abs(float64(found[i] - expected[i])); !(difference <= 1e-5*max(1, math.Abs(float64(expected[i])))) {
			return fmt.Errorf("output %d of the first step: found %v, expected %v as the first tool's", i, found[i], expected[i])
		}
	}
	return nil
}
