// Package policytest finds the policies and the ONNX Runtime library that tests run against.
//
// The environment names them, as package testfile reads it: KRABBY_POLICY a policy's folder or the manifest in it,
// KRABBY_ONNXRUNTIME the shared library, KRABBY_PARKOUR what compute/parkour/export/reference.py makes.
//
// It must be imported by tests only.
package policytest

import (
	"path/filepath"
	"testing"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/hal/testfile"
)

const (
	// PolicyVariable, LibraryVariable and ParkourVariable are the environment variables.
	PolicyVariable  = "KRABBY_POLICY"
	LibraryVariable = "KRABBY_ONNXRUNTIME"
	ParkourVariable = "KRABBY_PARKOUR"
)

// Policy returns the folder of the policy to test with.
func Policy(t testing.TB) string {
	t.Helper()
	path := testfile.Find(t, PolicyVariable)
	if filepath.Base(path) == policy.ManifestFile {
		path = filepath.Dir(path)
	}
	return path
}

// Library returns the path of the ONNX Runtime library to test with.
func Library(t testing.TB) string {
	t.Helper()
	return testfile.Find(t, LibraryVariable)
}

// Parkour returns the folder with the reference policies, teacher and student, and golden, what they should do.
func Parkour(t testing.TB) string {
	t.Helper()
	return testfile.Find(t, ParkourVariable)
}
