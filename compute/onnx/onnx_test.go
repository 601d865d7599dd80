package onnx

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/graph/graphtest"
	"krabby.dev/krabby/compute/policy/policytest"
)

func open(t *testing.T) *Runtime {
	t.Helper()
	r, err := Open(policytest.Library(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func load(t *testing.T) *policy.Policy {
	t.Helper()
	p, err := policy.Load(policytest.Policy(t))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newSession(t *testing.T, r *Runtime, p *policy.Policy) *Session {
	t.Helper()
	s, err := r.NewSession(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestTheOutputFollowsTheInput(t *testing.T) {
	s := newSession(t, open(t), load(t))
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

func TestRunningDoesNotAllocateInGo(t *testing.T) {
	s := newSession(t, open(t), load(t))
	if n := testing.AllocsPerRun(100, func() {
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a run, want 0", n)
	}
}

// ofModel returns a policy around a model that was made for a test, as if it had been loaded.
func ofModel(m graphtest.Model, g policy.Graph) *policy.Policy {
	g.File = policy.ModelFile
	return &policy.Policy{
		Dir:      "somewhere",
		Manifest: policy.Manifest{Graphs: map[string]policy.Graph{policy.PolicyGraph: g}},
		Models:   map[string][]byte{policy.PolicyGraph: m.Bytes()},
	}
}

// sum returns a policy that adds up its inputs: total_out = total_in + x, which is also its first output.
func sum() *policy.Policy {
	shape := []int64{1, 2}
	return ofModel(graphtest.Model{
		Inputs:  []graphtest.Tensor{{Name: "x", Shape: shape}, {Name: "total_in", Shape: shape}},
		Outputs: []graphtest.Tensor{{Name: "y", Shape: shape}, {Name: "total_out", Shape: shape}},
		Nodes: []graphtest.Node{
			{Op: "Add", Inputs: []string{"x", "total_in"}, Outputs: []string{"total_out"}},
			{Op: "Identity", Inputs: []string{"total_out"}, Outputs: []string{"y"}},
		},
	}, policy.Graph{
		Inputs:  []policy.Tensor{{Name: "x", Shape: shape}, {Name: "total_in", Shape: shape}},
		Outputs: []policy.Tensor{{Name: "y", Shape: shape}, {Name: "total_out", Shape: shape}},
		States:  []policy.State{{Input: "total_in", Output: "total_out"}},
	})
}

func TestStatesAreCarriedFromRunToRun(t *testing.T) {
	s := newSession(t, open(t), sum())
	run := func(x float32) float32 {
		t.Helper()
		s.Input()[1] = x
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
		return s.Output()[1]
	}
	// The warm-up left nothing behind.
	for i, step := range []struct{ x, want float32 }{{1, 1}, {2, 3}, {4, 7}} {
		if got := run(step.x); got != step.want {
			t.Errorf("run %d: sum = %v, want %v", i, got, step.want)
		}
	}
	if got := s.InputOf("total_in")[1]; got != 7 {
		t.Errorf("the next run's state = %v, want 7", got)
	}
	s.Reset()
	if got := run(5); got != 5 {
		t.Errorf("after a reset: sum = %v, want 5", got)
	}
	if n := testing.AllocsPerRun(100, func() { run(1) }); n != 0 {
		t.Errorf("%v allocations a run, want 0", n)
	}
	if s.InputOf("y") != nil || s.OutputOf("x") != nil {
		t.Error("there are an input y and an output x, want none")
	}
}

func TestAStateThatIsNotFiniteIsNotKept(t *testing.T) {
	s := newSession(t, open(t), sum())
	inf := float32(math.Inf(1))
	for i, step := range []struct {
		x, state float32
		fails    bool
	}{{1, 1, false}, {inf, 1, true}, {-inf, 1, true}, {float32(math.NaN()), 1, true}, {2, 3, false}} {
		s.Input()[0] = step.x
		err := s.Run()
		if failed := err != nil && strings.Contains(err.Error(), "state total_out[0] is"); failed != step.fails {
			t.Errorf("run %d of %v: error = %v, want one: %v", i, step.x, err, step.fails)
		}
		if got := s.InputOf("total_in")[0]; got != step.state {
			t.Errorf("run %d of %v: state = %v, want %v", i, step.x, got, step.state)
		}
	}
}

func TestProvidersThatTheLibraryLacksAreRefused(t *testing.T) {
	r := open(t) // PyPI's library, which has the CPU only.
	for _, p := range []Provider{CUDA, TensorRT} {
		_, err := r.NewSession(sum(), WithProviders(p, CPU))
		missing, ok := errors.AsType[*ProviderError](err)
		if !ok || missing.Provider != p {
			t.Fatalf("provider %s: error = %v, want a *ProviderError", p, err)
		}
		for _, want := range []string{"provider " + string(p), r.library, "leave " + string(p) + " out"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error = %q, want %q in it", err, want)
			}
		}
	}
	if _, err := r.NewSession(sum(), WithProviders("npu")); err == nil || !strings.Contains(err.Error(), `found provider "npu", expected some of [cpu cuda tensorrt]`) {
		t.Errorf("an unknown provider: error = %v", err)
	}
}

func TestMissingProvidersMayBeLeftOut(t *testing.T) {
	var missing []Provider
	s, err := open(t).NewSession(sum(), WithProviders(TensorRT, CUDA, CPU), WithMissingProviders(func(p Provider, err error) {
		missing = append(missing, p)
		if err == nil {
			t.Errorf("%s is missing for no reason", p)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !slices.Equal(missing, []Provider{TensorRT, CUDA}) {
		t.Errorf("missing = %v, want tensorrt and cuda", missing)
	}
	s.Input()[0] = 3
	if err := s.Run(); err != nil || s.Output()[0] != 3 {
		t.Errorf("output = %v, error = %v; want 3 from the CPU", s.Output()[0], err)
	}
}

func TestParseProviders(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []Provider
		err  string
	}{
		{"cpu", []Provider{CPU}, ""},
		{"tensorrt, cuda,cpu", []Provider{TensorRT, CUDA, CPU}, ""},
		{"cuda", []Provider{CUDA}, ""},
		{"", nil, `found provider "", expected some of [cpu cuda tensorrt]`},
		{"rocm,cpu", nil, `found provider "rocm"`},
		{"cuda,cuda", nil, "found provider cuda twice"},
		{"cpu,cuda", nil, "found provider cuda after cpu"},
	} {
		got, err := ParseProviders(tt.in)
		if !slices.Equal(got, tt.want) || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("ParseProviders(%q) = %v, %v; want %v, %q", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func TestGraphsAndThreadsThatCannotBeAreRefused(t *testing.T) {
	r := open(t)
	for _, tt := range []struct {
		opt  Option
		want string
	}{
		{WithGraph("encoder"), `found graphs ["policy"], expected "encoder" among them`},
		{WithThreads(0), "0 threads: expected 1 or more"},
	} {
		if _, err := r.NewSession(sum(), tt.opt); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error = %v, want %q in it", err, tt.want)
		}
	}
	if _, err := r.NewSession(sum(), WithThreads(2), WithWarmUp(0)); err != nil {
		t.Errorf("two threads: %v", err)
	}
}

func TestAModelThatIsNotAsItsManifestSaysIsRefused(t *testing.T) {
	r := open(t)
	tests := []struct {
		name   string
		change func(*policy.Graph)
		want   []string
	}{
		{"another input name", func(g *policy.Graph) { g.Inputs[0].Name = "state" }, []string{policy.ModelFile, "model inputs", `"obs`, `only "state"`}},
		{"another input shape", func(g *policy.Graph) { g.Inputs[0].Shape = []int64{1, 47} }, []string{"model inputs", "48", "[1 47]"}},
		{"another output name", func(g *policy.Graph) { g.Outputs[0].Name = "torques" }, []string{"model outputs", "continuous_actions", `only "torques"`}},
		{"another output shape", func(g *policy.Graph) { g.Outputs[0].Shape = []int64{1, 18} }, []string{"model outputs", "12", "[1 18]"}},
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
		t.Errorf("bytes that are no model: error = %v, want one that names %s", err, p.Dir)
	}
}

func TestTheRuntimeOpensOnceAtATime(t *testing.T) {
	r := open(t)
	if _, err := Open(policytest.Library(t)); err == nil {
		t.Error("a second Open gave no error")
	}
	if r.Version() == "" {
		t.Error("the library has no version")
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Errorf("Close = %v, want no error", err)
		}
	}
	if _, err := r.NewSession(load(t)); err == nil {
		t.Error("NewSession after Close gave no error")
	}
	open(t)
}

func TestALibraryThatDoesNotLoadIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "libonnxruntime.so")
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("no library: error = %v, want one that names %s", err, path)
	}
	if err := os.WriteFile(path, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("no ELF file: error = %v, want one that names %s", err, path)
	}
}

func TestALibraryIsFoundInTheWorkingDirectory(t *testing.T) {
	library := policytest.Library(t)
	t.Chdir(filepath.Dir(library))
	r, err := Open(filepath.Base(library))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
