// Package onnx runs the models of policies with ONNX Runtime, on the CPU or another execution provider of its library.
//
// NewSession allocates the memory of all inputs and outputs once; Run does not allocate.
//
// It must never import transport, servers, clients or observation builders.
package onnx

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	ort "github.com/yalue/onnxruntime_go"

	"krabby.dev/krabby/compute/policy"
)

// Runtime is the loaded ONNX Runtime library. A process has at most one at a time.
type Runtime struct {
	library string // Path, for errors.
	closed  bool
}

// Open loads the ONNX Runtime shared library at the path library. The library must provide version 1.24 of the C API or a
// newer one. Open fails while another Runtime is open.
func Open(library string) (*Runtime, error) {
	if ort.IsInitialized() {
		return nil, errors.New("onnx: ONNX Runtime is already open in this process")
	}
	// The dynamic loader searches the system's directories, not the working directory, for a bare file name.
	path, err := filepath.Abs(library)
	if err != nil {
		return nil, fmt.Errorf("onnx: library %s: %w", library, err)
	}
	if _, err := os.Stat(path); err != nil {
		if pathError, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathError.Err
		}
		return nil, fmt.Errorf("onnx: library %s: %w", library, err)
	}
	ort.SetSharedLibraryPath(path)
	// Errors are returned. The library's own log would repeat them on standard error.
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		return nil, fmt.Errorf("onnx: loading ONNX Runtime from %s: %w", library, err)
	}
	return &Runtime{library: library}, nil
}

// Version returns the version of the library.
func (r *Runtime) Version() string { return ort.GetVersion() }

// Close unloads the library. All sessions must be closed before. Further calls do nothing.
func (r *Runtime) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	if err := ort.DestroyEnvironment(); err != nil {
		return fmt.Errorf("onnx: unloading ONNX Runtime: %w", err)
	}
	return nil
}

// Session runs one graph of a policy. It has the memory of the graph's inputs, outputs and states. A session is for one
// goroutine at a time.
type Session struct {
	session *ort.AdvancedSession
	inputs  []*ort.Tensor[float32]
	outputs []*ort.Tensor[float32]
	graph   policy.Graph
	states  []state
}

// state is the memory of a recurrent state: each run copies output to input.
type state struct {
	name          string // Of the output.
	input, output []float32
}

// Option configures a Session.
type Option func(*options)

type options struct {
	graph     string
	threads   int
	warmUp    int
	providers []Provider
	skipped   func(Provider, error)
}

// WithGraph sets the graph of the policy to run, by its name in the manifest. The default is policy.PolicyGraph.
func WithGraph(name string) Option { return func(o *options) { o.graph = name } }

// WithThreads sets the number of threads of an operator, 1 or more. The default is 1, the caller's own thread: in small
// models, waking up more threads takes longer than they save.
func WithThreads(n int) Option { return func(o *options) { o.threads = n } }

// WithWarmUp sets the number of runs on zeros before NewSession returns. The default is 3: the first runs allocate memory
// and are slower.
func WithWarmUp(runs int) Option { return func(o *options) { o.warmUp = runs } }

// WithProviders sets the execution providers, in descending priority: each operator runs on the first that supports it.
// The default is CPU.
func WithProviders(providers ...Provider) Option {
	return func(o *options) { o.providers = providers }
}

// WithProviderFallback skips execution providers that are not available and calls skipped with each of them and the
// reason, a *ProviderError. Without this option, NewSession fails.
func WithProviderFallback(skipped func(Provider, error)) Option {
	return func(o *options) { o.skipped = skipped }
}

// NewSession returns a session of a graph of p. By default it runs in the caller's thread: one thread within an operator,
// one operator at a time, no spinning. The error is a *policy.Error if the inputs or outputs of the model differ from the
// manifest of p, and a *ProviderError if an execution provider is not available.
func (r *Runtime) NewSession(p *policy.Policy, opts ...Option) (*Session, error) {
	if r.closed {
		return nil, errors.New("onnx: ONNX Runtime is closed")
	}
	o := options{graph: policy.PolicyGraph, threads: 1, warmUp: 3, providers: []Provider{CPU}}
	for _, opt := range opts {
		opt(&o)
	}
	g, ok := p.Graphs[o.graph]
	if !ok {
		return nil, fmt.Errorf("onnx: %s: graph %q not found in %q", p.Dir, o.graph, slices.Sorted(maps.Keys(p.Graphs)))
	}
	if o.threads < 1 {
		return nil, fmt.Errorf("onnx: threads: found %d, expected 1 or more", o.threads)
	}
	model := p.Models[o.graph]
	if err := checkModel(p.Dir, model, g); err != nil {
		return nil, err
	}
	settings, err := r.settings(o)
	if err != nil {
		return nil, err
	}
	defer settings.Destroy()

	s := &Session{graph: g}
	if err := s.start(model, settings, o.warmUp); err != nil {
		return nil, errors.Join(fmt.Errorf("onnx: %s of %s: %w", g.File, p.Dir, err), s.Close())
	}
	return s, nil
}

// start allocates the memory of the graph, creates the session of the library on it and runs it on zeros.
func (s *Session) start(model []byte, settings *ort.SessionOptions, warmUpRuns int) (err error) {
	var inputs, outputs []ort.Value
	var inputNames, outputNames []string
	if s.inputs, inputs, inputNames, err = allocate(s.graph.Inputs); err != nil {
		return err
	}
	if s.outputs, outputs, outputNames, err = allocate(s.graph.Outputs); err != nil {
		return err
	}
	for _, st := range s.graph.States {
		s.states = append(s.states, state{name: st.Output, input: s.InputOf(st.Input), output: s.OutputOf(st.Output)})
	}
	if s.session, err = ort.NewAdvancedSessionWithONNXData(model, inputNames, outputNames, inputs, outputs, settings); err != nil {
		return fmt.Errorf("creating session: %w", reason(err))
	}
	for range warmUpRuns {
		if err := s.Run(); err != nil {
			return fmt.Errorf("warming up: %w", err)
		}
	}
	for _, tensor := range slices.Concat(s.inputs, s.outputs) {
		clear(tensor.GetData())
	}
	return nil
}

// allocate returns memory for tensors: as tensors, as the library takes them, and their names. The tensors are to be
// destroyed after an error, too.
func allocate(declared []policy.Tensor) (tensors []*ort.Tensor[float32], values []ort.Value, names []string, err error) {
	for _, t := range declared {
		tensor, err := ort.NewEmptyTensor[float32](t.Shape)
		if err != nil {
			return tensors, nil, nil, fmt.Errorf("allocating %s: %w", t.Name, err)
		}
		tensors, values, names = append(tensors, tensor), append(values, tensor), append(names, t.Name)
	}
	return tensors, values, names, nil
}

// Input returns the memory of the first input, in C order (row-major). Write to it before Run.
func (s *Session) Input() []float32 { return s.inputs[0].GetData() }

// Output returns the memory of the first output, in C order (row-major). Read it after Run; the next Run overwrites it.
func (s *Session) Output() []float32 { return s.outputs[0].GetData() }

// InputOf returns the memory of the input of that name, in C order (row-major). It is nil if there is none.
func (s *Session) InputOf(name string) []float32 { return find(s.graph.Inputs, s.inputs, name) }

// OutputOf returns the memory of the output of that name, in C order (row-major). It is nil if there is none.
func (s *Session) OutputOf(name string) []float32 { return find(s.graph.Outputs, s.outputs, name) }

func find(declared []policy.Tensor, tensors []*ort.Tensor[float32], name string) []float32 {
	if i := slices.IndexFunc(declared, func(t policy.Tensor) bool { return t.Name == name }); i >= 0 {
		return tensors[i].GetData()
	}
	return nil
}

// Run computes the outputs from the inputs and copies each state to the input of the next run. If a value of a new state is
// not finite, Run fails and all states stay as before, because no later run could recover. Run does not allocate on Go's
// heap.
func (s *Session) Run() error {
	if err := s.session.Run(); err != nil {
		return fmt.Errorf("onnx: %s: %w", s.graph.File, err)
	}
	for _, st := range s.states {
		for i, v := range st.output {
			if value := float64(v); math.IsNaN(value) || math.IsInf(value, 0) {
				return fmt.Errorf("onnx: %s: state %s[%d]: found %v, expected a finite number", s.graph.File, st.name, i, v)
			}
		}
	}
	for _, st := range s.states {
		copy(st.input, st.output)
	}
	return nil
}

// Reset sets all states to zero, as in a new session.
func (s *Session) Reset() {
	for _, st := range s.states {
		clear(st.input)
	}
}

// Close frees the memory of the session, which must not be used afterwards. Further calls do nothing.
func (s *Session) Close() error {
	var errs []error
	if s.session != nil {
		errs = append(errs, s.session.Destroy())
		s.session = nil
	}
	for _, tensor := range slices.Concat(s.inputs, s.outputs) {
		errs = append(errs, tensor.Destroy())
	}
	s.inputs, s.outputs = nil, nil
	return errors.Join(errs...)
}

// settings returns the library's options of a session.
func (r *Runtime) settings(o options) (*ort.SessionOptions, error) {
	s, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("onnx: creating session options: %w", err)
	}
	if err := errors.Join(
		s.SetIntraOpNumThreads(o.threads),
		s.SetInterOpNumThreads(1),
		s.SetExecutionMode(ort.ExecutionModeSequential),
		s.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
		s.AddSessionConfigEntry("session.inter_op.allow_spinning", "0"),
	); err != nil {
		return nil, errors.Join(fmt.Errorf("onnx: setting session options: %w", err), s.Destroy())
	}
	if err := r.addProviders(s, o); err != nil {
		return nil, errors.Join(err, s.Destroy())
	}
	return s, nil
}

// checkModel compares the inputs and outputs that the library finds in a model with the manifest. policy.Load has compared
// them by its own parser; the library's view is what runs. The library prepares the model once more for this, which takes
// some milliseconds: the binding has no other access to a model in memory.
func checkModel(dir string, model []byte, g policy.Graph) error {
	inputs, outputs, err := ort.GetInputOutputInfoWithONNXData(model)
	if err != nil {
		return fmt.Errorf("onnx: reading %s of %s: %w", g.File, dir, reason(err))
	}
	path := filepath.Join(dir, g.File)
	if err := checkTensors(path, "model inputs", inputs, g.Inputs); err != nil {
		return err
	}
	return checkTensors(path, "model outputs", outputs, g.Outputs)
}

func checkTensors(path, field string, found []ort.InputOutputInfo, expected []policy.Tensor) error {
	if slices.EqualFunc(found, expected, func(f ort.InputOutputInfo, e policy.Tensor) bool {
		return f.OrtValueType == ort.ONNXTypeTensor && f.DataType == ort.TensorElementDataTypeFloat &&
			f.Name == e.Name && e.Fits(f.Dimensions)
	}) {
		return nil
	}
	var foundTensors, expectedTensors []string
	for _, f := range found {
		foundTensors = append(foundTensors, f.String())
	}
	for _, e := range expected {
		expectedTensors = append(expectedTensors, fmt.Sprintf("%q, float32 of shape %v", e.Name, e.Shape))
	}
	return &policy.Error{
		File:     path,
		Field:    field,
		Found:    fmt.Sprintf("%q", foundTensors),
		Expected: "only " + strings.Join(expectedTensors, "; "),
	}
}
