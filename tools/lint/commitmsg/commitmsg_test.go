// Package commitmsg_test tests the hook commit-msg.
package commitmsg_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hook is the path of the script, from this package.
const hook = "commit-msg"

func TestCommitMsg(t *testing.T) {
	for name, test := range map[string]struct {
		message string
		code    int
		want    string
	}{
		"package":        {"bus: carry frames in shared memory\n\nWhy.\n", 0, ""},
		"two packages":   {"oci, tools/layer: keep plain tars plain\n", 0, ""},
		"after comments": {"# a comment of git\nbus: carry frames\n", 0, ""},
		"72 characters":  {"bus: " + strings.Repeat("a", 67) + "\n", 0, ""},
		"73 characters":  {"bus: " + strings.Repeat("a", 68) + "\n", 1, "more than 72 characters"},
		"no package":     {"Carry frames in shared memory\n", 1, "expected a subject like"},
		"no text":        {"bus:\n", 1, "expected a subject like"},
		"empty":          {"", 1, "expected a subject like"},
		"revert":         {"Revert \"bus: carry frames\"\n", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "message")
			if err := os.WriteFile(file, []byte(test.message), 0o600); err != nil {
				t.Fatal(err)
			}
			check(t, test.code, test.want, file)
		})
	}
}

func TestCommitMsg_usage(t *testing.T) {
	check(t, 2, "usage: ")
	check(t, 2, "usage: ", "/nope")
}

// check runs the hook and compares its exit code and a part of its standard error.
func check(t *testing.T, code int, want string, args ...string) {
	t.Helper()
	command := exec.Command("sh", append([]string{hook}, args...)...)
	out, err := command.CombinedOutput()
	if got := command.ProcessState.ExitCode(); got != code || !strings.Contains(string(out), want) {
		t.Errorf("commit-msg %q: exit code %d (%v), output %q; want %d and %q", args, got, err, out, code, want)
	}
}
