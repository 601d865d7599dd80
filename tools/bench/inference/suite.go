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
	libraryFile, floorFile, manifestFile, modelFile, parkourFolder, pythonFile, onnxruntimeFile string
)

// files are where what is measured lies.
type files struct {
	library     string // ONNX Runtime's, for C and for us.
	floor       string // The program in C.
	go1         string // Folder of the policy.
	parkour     string // Folder of the policies teacher and student.
	python      string // Root file system of Python.
	onnxruntime string // Python's package: a file in it.
}

// find finds the files. It makes the Go1's policy a folder below dir: its manifest is a source and its model is not, so
// they need not lie side by side.
func find(dir string) (f files, err error) {
	f.go1 = filepath.Join(dir, "go1_joystick")
	if err := os.Mkdir(f.go1, 0o755); err != nil {
		return files{}, err
	}
	var manifest, model string
	for _, file := range []struct {
		to       *string
		runfile  string
		contains string
	}{
		{&f.library, libraryFile, "ONNX Runtime"},
		{&f.floor, floorFile, "the program in C"},
		{&manifest, manifestFile, "the Go1's manifest"},
		{&model, modelFile, "the Go1's policy"},
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
	)
}

// Names of the tools.
const (
	floorName  = "onnxruntime, C"
	krabbyName = "krabby"
	plainName  = "onnxruntime, Python"
	boundName  = "onnxruntime, Python, bound memory"
)

// suite measures each step with each tool, and then each loop.
type suite struct {
	runs        int           // Of a step.
	step, loop  time.Duration // How long a run takes.
	progress    func(string, ...any)
	files       files
	python      *peer.Python
	pythonFails error    // Why there is no Python.
	peers       []string // Their versions, as they are known.
}

func (s *suite) measure(ctx context.Context) (_ *latency.Report, err error) {
	runtime, err := onnx.Open(s.files.library)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, runtime.Close()) }()
	r := &latency.Report{Count: "samples", Lost: "missed"}
	if err := s.steps(ctx, r, runtime); err != nil {
		return nil, err
	}
	if err := s.loops(ctx, r); err != nil {
		return nil, err
	}
	r.Header = []string{
		measure.Machine(),
		"krabby: ONNX Runtime " + runtime.Version(),
		"peers: " + strings.Join(s.peers, "; "),
		fmt.Sprintf("steps: %d runs of %v each, together; 1 thread", s.runs, s.step),
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
		var expected []float32 // What the first tool to measure computed.
		tool := func(name string, fails error, measure func(context.Context) (peer.Result, error)) latency.Tool {
			return latency.Tool{Name: name, Fails: fails, Measure: func(ctx context.Context) (latency.Sample, error) {
				result, err := measure(ctx)
				if err != nil {
					return latency.Sample{}, err
				}
				if expected == nil {
					expected = result.First
				}
				s.met(result)
				return result.Sample, same(result.First, expected)
			}}
		}
		python := func(name, how string) latency.Tool {
			return tool(name, s.pythonFails, func(ctx context.Context) (peer.Result, error) {
				return measurePython(ctx, s.python, p, st.graph, how, s.step)
			})
		}
		tools := []latency.Tool{
			tool(floorName, nil, func(ctx context.Context) (peer.Result, error) {
				return measureFloor(ctx, s.files, p, st.graph, s.step)
			}),
			tool(krabbyName, nil, func(ctx context.Context) (peer.Result, error) {
				return measureOurs(ctx, runtime, p, st.graph, s.step)
			}),
			python(plainName, "plain"),
			python(boundName, "bound"),
		}
		progress := func(at string) { s.progress("%s, for %v", at, s.step) }
		if err := r.Compare(ctx, st.name, s.runs, tools, progress); err != nil {
			return err
		}
	}
	return nil
}

// met remembers which peers there were.
func (s *suite) met(result peer.Result) {
	if result.Version != "" && !slices.Contains(s.peers, result.Version) {
		s.peers = append(s.peers, result.Version)
	}
}

// same refuses to compare the times of steps that do not compute the same.
func same(found, expected []float32) error {
	if len(found) != len(expected) {
		return fmt.Errorf("the first step gave %d numbers, expected %d as the first tool's", len(found), len(expected))
	}
	for i := range found {
		if difference := math.Abs(float64(found[i] - expected[i])); !(difference <= 1e-5*max(1, math.Abs(float64(expected[i])))) {
			return fmt.Errorf("the first step gave %v as number %d, expected %v as the first tool's", found[i], i, expected[i])
		}
	}
	return nil
}
