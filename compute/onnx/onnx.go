// Package onnx runs ONNX models with ONNX Runtime, on the CPU or on what else its library was built for.
//
// It must never import transport, servers, clients or observation builders: a model is bytes, floats in and floats out.
package onnx

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	ort "github.com/yalue/onnxruntime_go"

	"krabby.dev/krabby/compute/policy"
)

// Runtime is the loaded ONNX Runtime library. The library allows one in a process at a time.
type Runtime struct {
	library string
	closed  bool
}

// Open loads the library, libonnxruntime.so, from the file of that path. The library must offer the C API of version
// 1.24 or newer.
func Open(library string) (*Runtime, error) {
	if ort.IsInitialized() {
		return nil, errors.New("onnx: ONNX Runtime is already open in this process")
	}
	// The loader would look for a name without a folder in the system's, not in the working directory.
	path, err := filepath.Abs(library)
	if err != nil {
		return nil, fmt.Errorf("onnx: finding ONNX Runtime at %s: %w", library, err)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("onnx: %s: found no such file, expected the ONNX Runtime library", library)
	}
	ort.SetSharedLibraryPath(path)
	// Errors come back as Go errors; the library's own log would repeat them on standard error.
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		return nil, fmt.Errorf("onnx: loading ONNX Runtime from %s: %w", library, err)
	}
	return &Runtime{library: library}, nil
}

// Version returns the version of the library.
func (r *Runtime) Version() string { return ort.GetVersion() }

// Close unloads the library. Every session must be closed before. Further calls do nothing.
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

// Session is a model ready to run, with memory for its inputs and outputs, and what it remembers from one run to the
// next. It belongs to one goroutine at a time.
type Session struct {
	session *ort.AdvancedSession
	inputs  []*ort.Tensor[float32]
	outputs []*ort.Tensor[float32]
	graph   policy.Graph
	states  []state
}

// state is a pair of bound memory: after a run, what is in from belongs into to.
type state struct {
	name     string
	from, to []float32
}

// Option configures a Session.
type Option func(*options)

type options struct {
	graph     string
	threads   int
	warmUp    int
	providers []Provider
	missing   func(Provider, error)
}

// WithGraph names the graph of the policy to run; the default is policy.PolicyGraph.
func WithGraph(name string) Option { return func(o *options) { o.graph = name } }

// WithThreads sets how many threads an operator may use. The default is 1, the caller's own: more wake up later than
// they help in models as small as these.
func WithThreads(n int) Option { return func(o *options) { o.threads = n } }

// WithWarmUp sets how often the model runs on zeros before the session is handed out; the default is 3. The first runs
// allocate and are slower.
func WithWarmUp(runs int) Option { return func(o *options) { o.warmUp = runs } }

// WithProviders says what runs the model, in the order in which an operator is offered to them; the default is the CPU.
func WithProviders(providers ...Provider) Option {
	return func(o *options) { o.providers = providers }
}

// WithMissingProviders allows providers to be missing: missing is called with each and why, and it is left out. The
// default is to refuse.
func WithMissingProviders(missing func(Provider, error)) Option {
	return func(o *options) { o.missing = missing }
}

// NewSession prepares a model of p. By default it runs in the caller's thread: one thread within operators, one between
// them, no spinning, so that it takes no time from the rest of the robot. The error is a *policy.Error where the model's
// inputs or outputs are not as the manifest of p says, and a *ProviderError where the library lacks a provider.
func (r *Runtime) NewSession(p *policy.Policy, opts ...Option) (_ *Session, err error) {
	if r.closed {
		return nil, errors.New("onnx: ONNX Runtime is closed")
	}
	o := options{graph: policy.PolicyGraph, threads: 1, warmUp: 3, providers: []Provider{CPU}}
	for _, opt := range opts {
		opt(&o)
	}
	g, ok := p.Graphs[o.graph]
	if !ok {
		return nil, fmt.Errorf("onnx: %s: found graphs %q, expected %q among them", p.Dir, slices.Sorted(maps.Keys(p.Graphs)), o.graph)
	}
	if o.threads < 1 {
		return nil, fmt.Errorf("onnx: %d threads: expected 1 or more", o.threads)
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
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	var inputs, outputs []ort.Value
	var inputNames, outputNames []string
	for _, t := range g.Inputs {
		tensor, err := ort.NewEmptyTensor[float32](t.Shape)
		if err != nil {
			return nil, fmt.Errorf("onnx: making input %s of %s: %w", t.Name, g.File, err)
		}
		s.inputs, inputs, inputNames = append(s.inputs, tensor), append(inputs, tensor), append(inputNames, t.Name)
	}
	for _, t := range g.Outputs {
		tensor, err := ort.NewEmptyTensor[float32](t.Shape)
		if err != nil {
			return nil, fmt.Errorf("onnx: making output %s of %s: %w", t.Name, g.File, err)
		}
		s.outputs, outputs, outputNames = append(s.outputs, tensor), append(outputs, tensor), append(outputNames, t.Name)
	}
	for _, st := range g.States {
		s.states = append(s.states, state{st.Output, s.OutputOf(st.Output), s.InputOf(st.Input)})
	}
	s.session, err = ort.NewAdvancedSessionWithONNXData(model, inputNames, outputNames, inputs, outputs, settings)
	if err != nil {
		return nil, fmt.Errorf("onnx: preparing %s of %s: %w", g.File, p.Dir, err)
	}
	for range o.warmUp {
		if err := s.Run(); err != nil {
			return nil, fmt.Errorf("onnx: warming up %s of %s: %w", g.File, p.Dir, err)
		}
	}
	s.clear()
	return s, nil
}

// Input returns the memory of the first input, in C order. Write to it before Run.
func (s *Session) Input() []float32 { return s.inputs[0].GetData() }

// Output returns the memory of the first output, in C order. Read it after Run; the next Run overwrites it.
func (s *Session) Output() []float32 { return s.outputs[0].GetData() }

// InputOf returns the memory of the input of that name, and nil if there is none.
func (s *Session) InputOf(name string) []float32 { return find(s.graph.Inputs, s.inputs, name) }

// OutputOf returns the memory of the output of that name, and nil if there is none.
func (s *Session) OutputOf(name string) []float32 { return find(s.graph.Outputs, s.outputs, name) }

func find(names []policy.Tensor, tensors []*ort.Tensor[float32], name string) []float32 {
	if i := slices.IndexFunc(names, func(t policy.Tensor) bool { return t.Name == name }); i >= 0 {
		return tensors[i].GetData()
	}
	return nil
}

// Run computes the outputs from the inputs and carries the states over to the next run. A state that is not finite
// would stay so for good: it is an error, and the state before is kept. Run does not allocate on the Go side.
func (s *Session) Run() error {
	if err := s.session.Run(); err != nil {
		return fmt.Errorf("onnx: %s: %w", s.graph.File, err)
	}
	for _, st := range s.states {
		for i, v := range st.from {
			if v-v != 0 { // NaN or infinite.
				return fmt.Errorf("onnx: %s: state %s[%d] is %v, expected a finite number", s.graph.File, st.name, i, v)
			}
		}
	}
	for _, st := range s.states {
		copy(st.to, st.from)
	}
	return nil
}

// Reset makes the model forget: its states are zero, as at the start.
func (s *Session) Reset() {
	for _, st := range s.states {
		clear(st.to)
	}
}

// clear sets all memory to zero.
func (s *Session) clear() {
	for _, tensors := range [][]*ort.Tensor[float32]{s.inputs, s.outputs} {
		for _, t := range tensors {
			clear(t.GetData())
		}
	}
}

// Close frees the session. It must not be used afterwards; further calls of Close do nothing.
func (s *Session) Close() error {
	var errs []error
	if s.session != nil {
		errs = append(errs, s.session.Destroy())
		s.session = nil
	}
	for _, tensors := range [][]*ort.Tensor[float32]{s.inputs, s.outputs} {
		for _, t := range tensors {
			errs = append(errs, t.Destroy())
		}
	}
	s.inputs, s.outputs = nil, nil
	return errors.Join(errs...)
}

// settings returns what a session is made with.
func (r *Runtime) settings(o options) (_ *ort.SessionOptions, err error) {
	s, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("onnx: making options: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Destroy())
		}
	}()
	if err := errors.Join(
		s.SetIntraOpNumThreads(o.threads),
		s.SetInterOpNumThreads(1),
		s.SetExecutionMode(ort.ExecutionModeSequential),
		s.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
		s.AddSessionConfigEntry("session.inter_op.allow_spinning", "0"),
	); err != nil {
		return nil, fmt.Errorf("onnx: setting options: %w", err)
	}
	return s, r.addProviders(s, o)
}

// checkModel compares the model itself with what its manifest says, as the library sees it: that is what will run. It
// prepares the model once more, for the binding gives no other way to look into a model in memory; this costs some ms at
// the start.
func checkModel(dir string, model []byte, g policy.Graph) error {
	inputs, outputs, err := ort.GetInputOutputInfoWithONNXData(model)
	if err != nil {
		return fmt.Errorf("onnx: reading %s of %s: %w", g.File, dir, err)
	}
	if err := checkTensors(dir+"/"+g.File, "model inputs", inputs, g.Inputs); err != nil {
		return err
	}
	return checkTensors(dir+"/"+g.File, "model outputs", outputs, g.Outputs)
}

func checkTensors(file, field string, found []ort.InputOutputInfo, expected []policy.Tensor) error {
	if slices.EqualFunc(found, expected, func(f ort.InputOutputInfo, e policy.Tensor) bool {
		return f.OrtValueType == ort.ONNXTypeTensor && f.DataType == ort.TensorElementDataTypeFloat &&
			f.Name == e.Name && fits(f.Dimensions, e.Shape)
	}) {
		return nil
	}
	var foundNames, expectedNames []string
	for _, f := range found {
		foundNames = append(foundNames, f.String())
	}
	for _, e := range expected {
		expectedNames = append(expectedNames, fmt.Sprintf("%q, float32 of shape %v", e.Name, e.Shape))
	}
	return &policy.Error{
		File:     file,
		Field:    field,
		Found:    fmt.Sprintf("%q", foundNames),
		Expected: "only " + strings.Join(expectedNames, "; "),
	}
}

// fits says whether a model that declares shape takes a tensor of the other: negative dimensions are free.
func fits(declared ort.Shape, shape []int64) bool {
	return slices.EqualFunc(declared, shape, func(d, want int64) bool { return d < 0 || d == want })
}
