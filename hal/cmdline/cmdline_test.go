package cmdline

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		helped bool
		err    string
		out    string // A part of standard output.
		number int
	}{
		{"a flag", []string{"file", "--number=3"}, false, "", "", 3},
		{"no flag", []string{"file"}, false, "", "", 7},
		{"help, without what is required", []string{"--help"}, true, "", "Does nothing.", 7},
		{"nothing of what is required", nil, false, "<file>", "", 7},
		{"an unknown flag", []string{"file", "--numbers=3"}, false, "unknown flag --numbers", "", 7},
		{"no number", []string{"file", "--number=x"}, false, "--number: expected", "", 7},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var flags struct {
				File   string `arg:""`
				Number int    `default:"7"`
			}
			var out strings.Builder
			helped, err := Program{"idle", "Does nothing."}.Parse(&flags, tt.args, &out)
			if helped != tt.helped || (err == nil) != (tt.err == "") || (err != nil && !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("helped = %v, error = %v, want %v, %q", helped, err, tt.helped, tt.err)
			}
			if !strings.Contains(out.String(), tt.out) || (tt.out == "") != (out.Len() == 0) {
				t.Errorf("standard output = %q, want %q", out.String(), tt.out)
			}
			if err == nil && !helped && flags.Number != tt.number {
				t.Errorf("number = %d, want %d", flags.Number, tt.number)
			}
		})
	}
}

func TestFailIsOneLine(t *testing.T) {
	var out strings.Builder
	if code := (Program{Name: "idle"}).Fail(&out, ExitUsage, errors.New("one\n\ttwo")); code != 2 || out.String() != "idle: one two\n" {
		t.Errorf("code %d, %q, want 2, idle: one two", code, out.String())
	}
}

func TestPathsAreSeenFromTheCaller(t *testing.T) {
	caller, here := t.TempDir(), t.TempDir()
	t.Chdir(here)
	if err := os.WriteFile("here", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, caller, path, locate, fromCaller string }{
		{"bazel run, a file that is here", caller, "here", "here", filepath.Join(caller, "here")},
		{"bazel run, a file that is not", caller, "a/b", filepath.Join(caller, "a/b"), filepath.Join(caller, "a/b")},
		{"bazel run, an absolute path", caller, "/nope/a", "/nope/a", "/nope/a"},
		{"bazel run, no path", caller, "", "", ""},
		{"called itself", "", "a", "a", "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("BUILD_WORKING_DIRECTORY", tt.caller)
			if got := Locate(tt.path); got != tt.locate {
				t.Errorf("Locate(%q) = %q, want %q", tt.path, got, tt.locate)
			}
			if got := FromCaller(tt.path); got != tt.fromCaller {
				t.Errorf("FromCaller(%q) = %q, want %q", tt.path, got, tt.fromCaller)
			}
		})
	}
}
