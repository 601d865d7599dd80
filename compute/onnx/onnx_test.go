package onnx

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/policy"
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

func TestAModelThatIsNotAsItsManifestSaysIsRefused(t *testing.T) {
	r := open(t)
	tests := []struct {
		name   string
		change func(*policy.Policy)
		want   []string
	}{
		{"another input name", func(p *policy.Policy) { p.Input.Name = "state" }, []string{policy.ModelFile, "model inputs", `"obs`, `only "state"`}},
		{"another input shape", func(p *policy.Policy) { p.Input.Shape = []int64{1, 47} }, []string{"model inputs", "48", "[1 47]"}},
		{"another output name", func(p *policy.Policy) { p.Output.Name = "torques" }, []string{"model outputs", "continuous_actions", `only "torques"`}},
		{"another output shape", func(p *policy.Policy) { p.Output.Shape = []int64{1, 18} }, []string{"model outputs", "12", "[1 18]"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := load(t)
			tt.change(p)
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
	p.Model = []byte("not a model")
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
