// Package onnxtest opens ONNX Runtime and sessions for tests and closes them when the test ends.
//
// Only tests may import it.
package onnxtest

import (
	"io"
	"testing"

	"krabby.dev/krabby/compute/onnx"
	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
)

// Open opens the library of policytest.Library.
func Open(t testing.TB) *onnx.Runtime {
	t.Helper()
	r, err := onnx.Open(policytest.Library(t))
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, r)
	return r
}

// NewSession returns a session of a graph of p.
func NewSession(t testing.TB, r *onnx.Runtime, p *policy.Policy, opts ...onnx.Option) *onnx.Session {
	t.Helper()
	s, err := r.NewSession(p, opts...)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, s)
	return s
}

func closeAfter(t testing.TB, c io.Closer) {
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}
