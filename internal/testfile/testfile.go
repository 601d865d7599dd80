// Package testfile finds the files that tests run against and that this repository does not hold: policies, libraries,
// models of robots.
//
// A variable of the environment names each by a plain path or, under Bazel, by a runfile's ($(rlocationpath ...)). Under
// Bazel a test that misses one fails, so that nothing is skipped unseen; under plain "go test" it is skipped.
//
// It must be imported by tests only, and imports nothing of this module.
package testfile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/bazelbuild/rules_go/go/runfiles"
)

// Find returns the absolute path of the file or folder that the variable names.
func Find(t testing.TB, variable string) string {
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
