package onnx_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/onnx/onnxtest"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/graph/graphtest"
	"krabby.dev/krabby/compute/policy/policytest"
)

// load returns the Go1 joystick policy.
func load(t *testing.T) *policy.Policy {
	t.Helper()
	return policytest.Load(t, policytest.Policy(t))
}

// accumulator returns a policy that adds up its inputs: y = total_out = total_in + x, where total is a state. All tensors
// have the shape [1 2].
func accumulator() *policy.Policy {
	shape := []int64{1, 2}
	model := graphtest.Model{
		Inputs:  []graphtest.Tensor{{Name: "x", Shape: shape}, {Name: "total_in", Shape: shape}},
		Outputs: []graphtest.Tensor{{Name: "y", Shape: shape}, {Name: "total_out", Shape: shape}},
		Nodes: []graphtest.Node{
			{Op: "Add", Inputs: []string{"x", "total_in"}, Outputs: []string{"total_out"}},
			{Op: "Identity", Inputs: []string{"total_out"}, Outputs: []string{"y"}},
		},
	}
	return &policy.Policy{
		Dir: "somewhere",
		Manifest: policy.Manifest{Graphs: map[string]policy.Graph{policy.PolicyGraph: {
			File:    policy.ModelFile,
			Inputs:  []policy.Tensor{{Name: "x", Shape: shape}, {Name: "total_in", Shape: shape}},
			Outputs: []policy.Tensor{{Name: "y", Shape: shape}, {Name: "total_out", Shape: shape}},
			States:  []policy.State{{Input: "total_in", Output: "total_out"}},
		}}},
		Models: map[string][]byte{policy.PolicyGraph: model.Bytes()},
	}
}

func TestRun(t *testing.T) {
	s := onnxtest.NewSession(t, onnxtest.Open(t), load(t))
	if len(s.Input()) != 48 || len(s.Output()) != 12 {
		t.Fatalf("input of %d values, output of %d; want 48 and 12", len(s.Input()), len(s.Output()))
	}
	run := func(first float32) []float32 {
		s.Input()[0] = first
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
		return slices.Clone(s.Output())
	}
	zero, one, again := run(0), run(1), run(0)
	if slices.Equal(zero, make([]float32, 12)) {
		t.Error("the output is all zeros")
	}
	if slices.Equal(zero, one) {
		t.Errorf("inputs 0 and 1 give the same output %v", zero)
	}
	if !slices.Equal(zero, again) {
		t.Errorf("the same input gives %v and %v", zero, again)
	}
}

func TestRun_noAllocations(t *testing.T) {
	s := onnxtest.NewSession(t, onnxtest.Open(t), load(t))
	if n := testing.AllocsPerRun(100, func() {
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a run, want 0", n)
	}
}

func TestRun_state(t *testing.T) {
	s := onnxtest.NewSession(t, onnxtest.Open(t), accumulator())
	run := func(x float32) float32 {
		t.Helper()
		s.Input()[1] = x
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
		return s.Output()[1]
	}
	// The first sum shows that the warm-up runs left the state at 0.
	for i, step := range []struct{ x, want float32 }{{1, 1}, {2, 3}, {4, 7}} {
		if got := run(step.x); got != step.want {
			t.Errorf("run %d: sum = %v, want %v", i, got, step.want)
		}
	}
	if got := s.InputOf("total_in")[1]; got != 7 {
		t.Errorf("state of the next run = %v, want 7", got)
	}
	s.Reset()
	if got := run(5); got != 5 {
		t.Errorf("after Reset: sum = %v, want 5", got)
	}
	if n := testing.AllocsPerRun(100, func() { run(1) }); n != 0 {
		t.Errorf("%v allocations a run, want 0", n)
	}
	if s.InputOf("y") != nil || s.OutputOf("x") != nil {
		t.Errorf("InputOf(y) = %v, OutputOf(x) = %v; want nil", s.InputOf("y"), s.OutputOf("x"))
	}
}

func TestRun_nonFiniteState(t *testing.T) {
	s := onnxtest.NewSession(t, onnxtest.Open(t), accumulator())
	inf := float32(math.Inf(1))
	for i, step := range []struct {
		x, state float32
		fails    bool
	}{{1, 1, false}, {inf, 1, true}, {-inf, 1, true}, {float32(math.NaN()), 1, true}, {2, 3, false}} {
		s.Input()[0] = step.x
		err := s.Run()
		if failed := err != nil && strings.Contains(err.Error(), "state total_out[0]: found"); failed != step.fails {
			t.Errorf("run %d of %v: error = %v, want one: %v", i, step.x, err, step.fails)
		}
		if got := s.InputOf("total_in")[0]; got != step.state {
			t.Errorf("run %d of %v: state = %v, want %v", i, step.x, got, step.state)
		}
	}
}

func TestNewSession_invalidOption(t *testing.T) {
	r := onnxtest.Open(t)
	for _, tt := range []struct {
		opt  onnx.Option
		want string
	}{
		{onnx.WithGraph("encoder"), `graph "encoder" not found in ["policy"]`},
		{onnx.WithThreads(0), "threads: found 0, expected 1 or more"},
		{onnx.WithProviders(), "providers: found 0, expected 1 or more"},
	} {
		if _, err := r.NewSession(accumulator(), tt.opt); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error = %v, want %q in it", err, tt.want)
		}
	}
	onnxtest.NewSession(t, r, accumulator(), onnx.WithThreads(2), onnx.WithWarmUp(0))
}

func TestNewSession_modelMismatch(t *testing.T) {
	r := onnxtest.Open(t)
	tests := []struct {
		name   string
		change func(*policy.Graph)
		want   []string
	}{
		{"input name", func(g *policy.Graph) { g.Inputs[0].Name = "state" }, []string{policy.ModelFile, "model inputs", `"obs`, `only "state"`}},
		{"input shape", func(g *policy.Graph) { g.Inputs[0].Shape = []int64{1, 47} }, []string{"model inputs", "48", "[1 47]"}},
		{"output name", func(g *policy.Graph) { g.Outputs[0].Name = "torques" }, []string{"model outputs", "continuous_actions", `only "torques"`}},
		{"output shape", func(g *policy.Graph) { g.Outputs[0].Shape = []int64{1, 18} }, []string{"model outputs", "12", "[1 18]"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := load(t)
			g := p.Graphs[policy.PolicyGraph]
			tt.change(&g)
			_, err := r.NewSession(p)
			if _, ok := errors.AsType[*policy.Error](err); !ok {
				t.Fatalf("error = %v, want a *policy.Error", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error = %q, want %q in it", err, want)
				}
			}
		})
	}
	p := load(t)
	p.Models[policy.PolicyGraph] = []byte("not a model")
	if _, err := r.NewSession(p); err == nil || !strings.Contains(err.Error(), p.Dir) {
		t.Errorf("invalid model: error = %v, want one with %s", err, p.Dir)
	}
}

func TestOpen_alreadyOpen(t *testing.T) {
	r := onnxtest.Open(t)
	if _, err := onnx.Open(policytest.Library(t)); err == nil {
		t.Error("second Open: no error")
	}
	if r.Version() == "" {
		t.Error("the version of the library is empty")
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Errorf("Close = %v, want no error", err)
		}
	}
	if _, err := r.NewSession(load(t)); err == nil {
		t.Error("NewSession after Close: no error")
	}
	onnxtest.Open(t)
}

func TestOpen_invalidLibrary(t *testing.T) {
	path := filepath.Join(t.TempDir(), "libonnxruntime.so")
	if _, err := onnx.Open(path); err == nil || err.Error() != "onnx: library "+path+": no such file or directory" {
		t.Errorf("missing library: error = %v, want no such file or directory with %s", err, path)
	}
	if err := os.WriteFile(path, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := onnx.Open(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("text file: error = %v, want one with %s", err, path)
	}
}

func TestOpen_relativePath(t *testing.T) {
	library := policytest.Library(t)
	t.Chdir(filepath.Dir(library))
	r, err := onnx.Open(filepath.Base(library))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
