// Package testfile finds the files of tests that are not in this repository: policies, libraries and robot models.
//
// An environment variable names each file by its path or, under Bazel, by its runfile path ($(rlocationpath ...)). Without the
// variable a test fails under Bazel, so that no test is skipped by mistake, and is skipped under plain `go test`.
//
// Only tests may import it. It must not import another package of this repository.
package testfile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/bazelbuild/rules_go/go/runfiles"
)

// Find returns the absolute path of the file or directory that the variable names.
func Find(t testing.TB, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		if os.Getenv("TEST_TARGET") != "" {
			t.Fatalf("%s is not set: add the file to data and env of this test", variable)
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
