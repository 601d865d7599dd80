package cli_test

import (
	"errors"
	"io"
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

func TestWriteFile(t *testing.T) {
	caller := t.TempDir()
	t.Setenv("BUILD_WORKING_DIRECTORY", caller)
	text := func(w io.Writer) error {
		_, err := io.WriteString(w, "text")
		return err
	}
	if err := cli.WriteFile("a", text); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(caller, "a")); err != nil || string(got) != "text" {
		t.Errorf("file = %q, %v, want text", got, err)
	}
	if err := cli.WriteFile("nope/a", text); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("WriteFile without a directory = %v, want %v", err, os.ErrNotExist)
	}
	failed := errors.New("failed")
	if err := cli.WriteFile("b", func(io.Writer) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("WriteFile = %v, want the error of write", err)
	}
}
