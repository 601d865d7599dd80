package onnx

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	ort "github.com/yalue/onnxruntime_go"
)

// Provider is what runs the operators of a model.
type Provider string

// The providers. A library always has the CPU's; the others need one that was built with them, and what they are made
// for: NVIDIA's images have it.
const (
	CPU      Provider = "cpu"
	CUDA     Provider = "cuda"
	TensorRT Provider = "tensorrt"
)

// Providers returns all that are known.
func Providers() []Provider { return []Provider{CPU, CUDA, TensorRT} }

// ProviderError says that a library lacks a provider.
type ProviderError struct {
	Provider Provider
	Library  string
	Err      error
}

func (e *ProviderError) Error() string {
	return fmt.Sprintf("onnx: provider %s: found none in %s (%s), expected a library that was built with it and can load what it needs; "+
		"take such a one, or leave %s out of the providers", e.Provider, e.Library, strings.Join(strings.Fields(e.Err.Error()), " "), e.Provider)
}

// Unwrap returns what the library said.
func (e *ProviderError) Unwrap() error { return e.Err }

// ParseProviders reads a list such as "tensorrt,cuda,cpu". The CPU can only be the last: it takes whatever it is offered.
func ParseProviders(list string) ([]Provider, error) {
	var providers []Provider
	for _, name := range strings.Split(list, ",") {
		p := Provider(strings.TrimSpace(name))
		switch {
		case !slices.Contains(Providers(), p):
			return nil, fmt.Errorf("found provider %q, expected some of %v, with commas between", p, Providers())
		case slices.Contains(providers, p):
			return nil, fmt.Errorf("found provider %s twice, expected each once", p)
		case len(providers) > 0 && providers[len(providers)-1] == CPU:
			return nil, fmt.Errorf("found provider %s after cpu, expected cpu as the last: it leaves nothing to others", p)
		}
		providers = append(providers, p)
	}
	return providers, nil
}

// addProviders adds the providers in their order.
func (r *Runtime) addProviders(s *ort.SessionOptions, o options) error {
	added := 0
	for _, p := range o.providers {
		err := addProvider(s, p)
		if err == nil {
			added++
			continue
		}
		missing := &ProviderError{Provider: p, Library: r.library, Err: err}
		if o.missing == nil {
			return missing
		}
		o.missing(p, missing)
	}
	if added == 0 && o.missing == nil {
		return errors.New("onnx: found no providers, expected one at least")
	}
	return nil
}

func addProvider(s *ort.SessionOptions, p Provider) error {
	switch p {
	case CPU:
		return nil // Always there, after all others.
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
	return fmt.Errorf("found provider %q, expected some of %v", p, Providers())
}
