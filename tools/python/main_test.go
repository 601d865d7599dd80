package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"krabby.dev/krabby/internal/testfile"
)

// roots returns the flags with the pinned archives.
func roots(t *testing.T) []string {
	t.Helper()
	var flags []string
	for _, variable := range []string{"SYSTEM", "PACKAGES"} {
		flags = append(flags, "--root="+testfile.Find(t, variable))
	}
	return flags
}

func script(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program.py")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRun_pinnedInterpreter(t *testing.T) {
	t.Setenv("PYTHONPATH", "/nowhere")
	t.Setenv("SECRET", "of the caller")
	program := script(t,
		"import json, os, sys, numpy, onnx",
		"json.dump({'version': sys.version_info[:2], 'prefix': sys.prefix, 'numpy': numpy.__file__, 'onnx': onnx.__file__,",
		"           'args': sys.argv[1:], 'environment': sorted(os.environ), 'libraries': [l.split()[-1] for l in open('/proc/self/maps') if '.so' in l]}, sys.stdout)",
		"sys.exit(7)",
	)
	var stdout, stderr bytes.Buffer
	code := pythonTool().Run(t.Context(), append(roots(t), "--", program, "--flag", "two words"), &stdout, &stderr)
	if code != 7 || stderr.Len() > 0 {
		t.Fatalf("exit code %d, want 7 of the program; standard error:\n%s", code, &stderr)
	}
	var got struct {
		Version             [2]int
		Prefix, Numpy, Onnx string
		Args                []string
		Environment         []string
		Libraries           []string
	}
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	root := filepath.Dir(got.Prefix)
	if got.Version != [2]int{3, 11} || filepath.Base(got.Prefix) != "usr" || !strings.HasPrefix(filepath.Base(root), "python-") {
		t.Errorf("Python %v in %s, want 3.11 in a temporary directory", got.Version, got.Prefix)
	}
	for _, file := range append(got.Libraries, got.Numpy, got.Onnx) {
		if !strings.HasPrefix(file, root+"/") {
			t.Errorf("the program loaded %s, want files in %s only", file, root)
		}
	}
	if len(got.Libraries) == 0 {
		t.Error("no libraries found")
	}
	if strings.Join(got.Args, "|") != "--flag|two words" {
		t.Errorf("arguments = %q", got.Args)
	}
	for _, name := range got.Environment {
		if name == "SECRET" {
			t.Errorf("environment = %q, want no variable of the caller", got.Environment)
		}
	}
	if _, err := os.Stat(root); err == nil {
		t.Errorf("the run left %s", root)
	}
}

func TestUsage(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no program": {[]string{"--root=a.tar"}, 2, "<program>"},
		"no root":    {[]string{"--", "a.py"}, 2, "--root"},
		"no archive": {[]string{"--root=/nowhere.tar", "--", "a.py"}, 1, "unpacking /nowhere.tar"},
	} {
		var stdout, stderr bytes.Buffer
		if code := pythonTool().Run(t.Context(), test.args, &stdout, &stderr); code != test.code || !strings.Contains(stderr.String(), test.want) {
			t.Errorf("%s: exit code %d, standard error %q; want %d and %q", name, code, &stderr, test.code, test.want)
		}
	}
}
