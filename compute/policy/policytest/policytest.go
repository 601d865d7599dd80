// Package policytest finds the policies and the ONNX Runtime library that tests run against.
//
// The environment names them: KRABBY_POLICY a policy's folder or the manifest in it, KRABBY_ONNXRUNTIME the shared
// library, KRABBY_PARKOUR what compute/parkour/export/reference.py makes. All may be plain paths or, under Bazel, runfile paths ($(rlocationpath ...)). Under Bazel a test that
// misses one fails, so that nothing is skipped unseen; under plain "go test" it is skipped.
//
// It must be imported by tests only.
package policytest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/bazelbuild/rules_go/go/runfiles"

	"krabby.dev/krabby/compute/policy"
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
	path := find(t, PolicyVariable)
	if filepath.Base(path) == policy.ManifestFile {
		path = filepath.Dir(path)
	}
	return path
}

// Library returns the path of the ONNX Runtime library to test with.
func Library(t testing.TB) string {
	t.Helper()
	return find(t, LibraryVariable)
}

// Parkour returns the folder with the reference policies, teacher and student, and golden, what they should do.
func Parkour(t testing.TB) string {
	t.Helper()
	return find(t, ParkourVariable)
}

func find(t testing.TB, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		if os.Getenv("TEST_TARGET") != "" {
			t.Fatalf("%s is not set: give this test its data and env", variable)
		}
		t.Skipf("%s is not set", variable)
	}
	if _, err := os.Stat(path); err != nil {
		runfile, runfileErr := runfiles.Rlocation(path)
		if runfileErr == nil {
			_, runfileErr = os.Stat(runfile)
		}
		if runfileErr != nil {
			t.Fatalf("%s=%s: neither a path (%v) nor a runfile (%v)", variable, path, err, runfileErr)
		}
		path = runfile
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return absolute
}
