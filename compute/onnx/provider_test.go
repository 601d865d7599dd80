package onnx_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/onnx/onnxtest"
	"krabby.dev/krabby/compute/policy/policytest"
)

// The library of the tests is that of PyPI's onnxruntime, which has the CPU only.

func TestWithProviders_unavailable(t *testing.T) {
	r := onnxtest.Open(t)
	for _, p := range []onnx.Provider{onnx.CUDA, onnx.TensorRT} {
		_, err := r.NewSession(accumulator(), onnx.WithProviders(p, onnx.CPU))
		unavailable, ok := errors.AsType[*onnx.ProviderError](err)
		if !ok || unavailable.Provider != p {
			t.Fatalf("provider %s: error = %v, want a *ProviderError", p, err)
		}
		for _, want := range []string{"provider " + string(p), policytest.Library(t), "leave " + string(p) + " out"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error = %q, want %q in it", err, want)
			}
		}
	}
	if _, err := r.NewSession(accumulator(), onnx.WithProviders("npu")); err == nil || !strings.Contains(err.Error(), `found provider "npu", expected one or more of [cpu cuda tensorrt]`) {
		t.Errorf("unknown provider: error = %v", err)
	}
}

func TestWithProviderFallback(t *testing.T) {
	var skipped []onnx.Provider
	s := onnxtest.NewSession(t, onnxtest.Open(t), accumulator(), onnx.WithProviders(onnx.TensorRT, onnx.CUDA, onnx.CPU),
		onnx.WithProviderFallback(func(p onnx.Provider, err error) {
			skipped = append(skipped, p)
			if _, ok := errors.AsType[*onnx.ProviderError](err); !ok {
				t.Errorf("%s skipped: error = %v, want a *ProviderError", p, err)
			}
		}))
	if !slices.Equal(skipped, []onnx.Provider{onnx.TensorRT, onnx.CUDA}) {
		t.Errorf("skipped = %v, want tensorrt and cuda", skipped)
	}
	s.Input()[0] = 3
	if err := s.Run(); err != nil || s.Output()[0] != 3 {
		t.Errorf("output = %v, error = %v; want 3 from the CPU", s.Output()[0], err)
	}
}

func TestParseProviders(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []onnx.Provider
		err  string
	}{
		{"cpu", []onnx.Provider{onnx.CPU}, ""},
		{"tensorrt, cuda,cpu", []onnx.Provider{onnx.TensorRT, onnx.CUDA, onnx.CPU}, ""},
		{"cuda", []onnx.Provider{onnx.CUDA}, ""},
		{"", nil, `found provider "", expected one or more of [cpu cuda tensorrt]`},
		{"rocm,cpu", nil, `found provider "rocm"`},
		{"cuda,cuda", nil, "found provider cuda twice"},
		{"cpu,cuda", nil, "found provider cuda after cpu"},
	} {
		got, err := onnx.ParseProviders(tt.in)
		if !slices.Equal(got, tt.want) || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("ParseProviders(%q) = %v, %v; want %v, %q", tt.in, got, err, tt.want, tt.err)
		}
	}
}
