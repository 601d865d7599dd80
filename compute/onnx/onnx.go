// Package onnx runs ONNX models with ONNX Runtime on the CPU.
//
// It must never import transport, servers, clients or observation builders: a model is bytes, floats in and floats out.
package onnx

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	ort "github.com/yalue/onnxruntime_go"

	"krabby.dev/krabby/compute/policy"
)

// Runtime is the loaded ONNX Runtime library. The library allows one in a process at a time.
type Runtime struct{ closed bool }

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
	return &Runtime{}, nil
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

// Session is a model ready to run, with memory for one input and one output. It belongs to one goroutine at a time.
type Session struct {
	session *ort.AdvancedSession
	input   *ort.Tensor[float32]
	output  *ort.Tensor[float32]
}

// NewSession prepares the model of p. It runs in the caller's thread: one thread within operators, one between them, no
// spinning, so that it takes no time from the rest of the robot. The error is a *policy.Error where the model's inputs
// or outputs are not as the manifest of p says.
func (r *Runtime) NewSession(p *policy.Policy) (_ *Session, err error) {
	if r.closed {
		return nil, errors.New("onnx: ONNX Runtime is closed")
	}
	if err := checkModel(p); err != nil {
		return nil, err
	}
	options, err := newOptions()
	if err != nil {
		return nil, fmt.Errorf("onnx: setting options: %w", err)
	}
	defer options.Destroy()

	s := &Session{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.input, err = ort.NewEmptyTensor[float32](p.Input.Shape); err != nil {
		return nil, fmt.Errorf("onnx: making the input: %w", err)
	}
	if s.output, err = ort.NewEmptyTensor[float32](p.Output.Shape); err != nil {
		return nil, fmt.Errorf("onnx: making the output: %w", err)
	}
	s.session, err = ort.NewAdvancedSessionWithONNXData(p.Model, []string{p.Input.Name}, []string{p.Output.Name},
		[]ort.Value{s.input}, []ort.Value{s.output}, options)
	if err != nil {
		return nil, fmt.Errorf("onnx: preparing the model of %s: %w", p.Dir, err)
	}
	return s, nil
}

// Input returns the memory of the input, in C order. Write to it before Run.
func (s *Session) Input() []float32 { return s.input.GetData() }

// Output returns the memory of the output, in C order. Read it after Run; the next Run overwrites it.
func (s *Session) Output() []float32 { return s.output.GetData() }

// Run computes the output from the input. On the Go side it does not allocate.
func (s *Session) Run() error {
	if err := s.session.Run(); err != nil {
		return fmt.Errorf("onnx: %w", err)
	}
	return nil
}

// Close frees the session. It must not be used afterwards; further calls of Close do nothing.
func (s *Session) Close() error {
	var errs []error
	if s.session != nil {
		errs = append(errs, s.session.Destroy())
		s.session = nil
	}
	if s.input != nil {
		errs = append(errs, s.input.Destroy())
		s.input = nil
	}
	if s.output != nil {
		errs = append(errs, s.output.Destroy())
		s.output = nil
	}
	return errors.Join(errs...)
}

func newOptions() (*ort.SessionOptions, error) {
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(
		options.SetIntraOpNumThreads(1),
		options.SetInterOpNumThreads(1),
		options.SetExecutionMode(ort.ExecutionModeSequential),
		options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
		options.AddSessionConfigEntry("session.inter_op.allow_spinning", "0"),
	); err != nil {
		return nil, errors.Join(err, options.Destroy())
	}
	return options, nil
}

// checkModel compares the model itself with what its manifest says. It prepares the model once more, for the binding
// gives no other way to look into a model in memory; this costs some ms at the start.
func checkModel(p *policy.Policy) error {
	inputs, outputs, err := ort.GetInputOutputInfoWithONNXData(p.Model)
	if err != nil {
		return fmt.Errorf("onnx: reading the model of %s: %w", p.Dir, err)
	}
	if err := checkTensors(p, "inputs", inputs, p.Input); err != nil {
		return err
	}
	return checkTensors(p, "outputs", outputs, p.Output)
}

func checkTensors(p *policy.Policy, field string, found []ort.InputOutputInfo, expected policy.Tensor) error {
	if len(found) == 1 && found[0].OrtValueType == ort.ONNXTypeTensor &&
		found[0].DataType == ort.TensorElementDataTypeFloat &&
		found[0].Name == expected.Name && fits(found[0].Dimensions, expected.Shape) {
		return nil
	}
	var names []string
	for _, f := range found {
		names = append(names, f.String())
	}
	return &policy.Error{
		File:     p.Dir + "/" + policy.ModelFile,
		Field:    "model " + field,
		Found:    fmt.Sprintf("%q", names),
		Expected: fmt.Sprintf("only %q, float32 of shape %v", expected.Name, expected.Shape),
	}
}

// fits says whether a model that declares shape takes a tensor of the other: negative dimensions are free.
func fits(declared ort.Shape, shape []int64) bool {
	return slices.EqualFunc(declared, shape, func(d, want int64) bool { return d < 0 || d == want })
}
