package onnx

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	ort "github.com/yalue/onnxruntime_go"
)

// Provider is an execution provider of ONNX Runtime: what executes the operators of a model.
type Provider string

// The execution providers. Every library has CPU. The others need a library that was built with them, and the libraries of
// CUDA or TensorRT beside it, as in NVIDIA's images.
const (
	CPU      Provider = "cpu"
	CUDA     Provider = "cuda"
	TensorRT Provider = "tensorrt"
)

// Providers returns all execution providers that this package supports.
func Providers() []Provider { return []Provider{CPU, CUDA, TensorRT} }

// ProviderError reports that an execution provider is not available.
type ProviderError struct {
	Provider Provider
	// Library is the path of the ONNX Runtime library.
	Library string
	// Err is the error of the library.
	Err error
}

// Error returns the error in one line, with what to do about it.
func (e *ProviderError) Error() string {
	return fmt.Sprintf("onnx: provider %s: not available in %s (%s): use a library that was built with it and finds its dependencies, "+
		"or leave %s out of the providers", e.Provider, e.Library, strings.Join(strings.Fields(e.Err.Error()), " "), e.Provider)
}

// Unwrap returns the error of the library.
func (e *ProviderError) Unwrap() error { return e.Err }

// ParseProviders parses a comma-separated list such as "tensorrt,cuda,cpu", in descending priority. It fails on an unknown
// or repeated name, and on names after "cpu": the CPU supports all operators.
func ParseProviders(list string) ([]Provider, error) {
	var providers []Provider
	for _, name := range strings.Split(list, ",") {
		p := Provider(strings.TrimSpace(name))
		switch {
		case !slices.Contains(Providers(), p):
			return nil, unknownProvider(p)
		case slices.Contains(providers, p):
			return nil, fmt.Errorf("found provider %s twice, expected each once", p)
		case len(providers) > 0 && providers[len(providers)-1] == CPU:
			return nil, fmt.Errorf("found provider %s after cpu, expected cpu as the last one: it supports all operators", p)
		}
		providers = append(providers, p)
	}
	return providers, nil
}

func unknownProvider(p Provider) error {
	return fmt.Errorf("found provider %q, expected one or more of %v, separated by commas", p, Providers())
}

// addProviders adds the execution providers of o to s, in order.
func (r *Runtime) addProviders(s *ort.SessionOptions, o options) error {
	added := 0
	for _, p := range o.providers {
		err := addProvider(s, p)
		if err == nil {
			added++
			continue
		}
		unavailable := &ProviderError{Provider: p, Library: r.library, Err: err}
		if o.skipped == nil {
			return unavailable
		}
		o.skipped(p, unavailable)
	}
	if added == 0 && o.skipped == nil {
		return errors.New("onnx: providers: found 0, expected 1 or more")
	}
	return nil
}

func addProvider(s *ort.SessionOptions, p Provider) error {
	switch p {
	case CPU:
		return nil // The library appends it to every session.
	case CUDA:
		c, err := ort.NewCUDAProviderOptions()
		if err != nil {
			return err
		}
		defer c.Destroy()
		return s.AppendExecutionProviderCUDA(c)
	case TensorRT:
		t, err := ort.NewTensorRTProviderOptions()
		if err != nil {
			return err
		}
		defer t.Destroy()
		return s.AppendExecutionProviderTensorRT(t)
	}
	return unknownProvider(p)
}
