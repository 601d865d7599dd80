package cli_test

import (
	"os"
	"path/filepath"
	"testing"

	"krabby.dev/krabby/internal/cli"
)

func TestLocateAndCallerPath(t *testing.T) {
	caller, here := t.TempDir(), t.TempDir()
	t.Chdir(here)
	if err := os.WriteFile("here", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, caller, path, locate, callerPath string }{
		{"bazel run, file in runfiles", caller, "here", "here", filepath.Join(caller, "here")},
		{"bazel run, file of the caller", caller, "a/b", filepath.Join(caller, "a/b"), filepath.Join(caller, "a/b")},
		{"bazel run, absolute path", caller, "/nope/a", "/nope/a", "/nope/a"},
		{"bazel run, empty path", caller, "", "", ""},
		{"direct call", "", "a", "a", "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("BUILD_WORKING_DIRECTORY", tt.caller)
			if got := cli.Locate(tt.path); got != tt.locate {
				t.Errorf("Locate(%q) = %q, want %q", tt.path, got, tt.locate)
			}
			if got := cli.CallerPath(tt.path); got != tt.callerPath {
				t.Errorf("CallerPath(%q) = %q, want %q", tt.path, got, tt.callerPath)
			}
		})
	}
}
