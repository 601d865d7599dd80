// Package cargo_test runs crate_test.py.
package cargo_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/bazelbuild/rules_go/go/runfiles"
)

// The interpreter is the pinned one under Bazel, and the machine's python3 under plain "go test".
func TestCrate(t *testing.T) {
	command := exec.Command("python3", "-B", "crate_test.py")
	if tool := os.Getenv("PYTHON_TOOL"); tool != "" {
		command = exec.Command(runfile(t, tool), "--root="+runfile(t, os.Getenv("PYTHON_SYSTEM")), "--", "crate_test.py")
	} else if os.Getenv("TEST_TARGET") != "" {
		t.Fatal("PYTHON_TOOL is not set: give this test its data and env")
	}
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func runfile(t *testing.T, path string) string {
	t.Helper()
	found, err := runfiles.Rlocation(path)
	if err != nil {
		t.Fatal(err)
	}
	return found
}
