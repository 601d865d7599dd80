package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"krabby.dev/krabby/tools/layer/wheel"
)

// parameters writes the parameters of a wheel with one file and returns their path.
func parameters(t *testing.T, change func(map[string]any)) string {
	t.Helper()
	p := map[string]any{
		"label": "//a:wheel", "project": "a", "version": "1.0", "summary": "A", "license": "MIT", "requires_python": ">=3.10", "requires": []string{"numpy"},
		"files": []map[string]string{{"path": write(t, "a.py", "x = 1\n"), "name": "a/a.py"}},
	}
	change(p)
	return writeJSON(t, p)
}

func TestWheel(t *testing.T) {
	output := filepath.Join(t.TempDir(), "a-1.0-py3-none-any.whl")
	if code, _, stderr := runTool(t, "wheel", "--params", parameters(t, func(map[string]any) {}), "--output", output); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	w, err := wheel.Open(output)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if len(w.Metadata.RequiresDist) != 1 || w.Metadata.RequiresDist[0].Project != "numpy" {
		t.Errorf("it requires %v, expected numpy", w.Metadata.RequiresDist)
	}
}

func TestWheel_errors(t *testing.T) {
	for name, tt := range map[string]struct {
		output string
		change func(map[string]any)
		want   string
	}{
		"another name":     {"b-1.0-py3-none-any.whl", func(map[string]any) {}, "//a:wheel: output: found the name b-1.0-py3-none-any.whl, expected a-1.0-py3-none-any.whl"},
		"another version":  {"a-1-0-py3-none-any.whl", func(p map[string]any) { p["version"] = "1-0" }, `//a:wheel: invalid version "1-0"`},
		"no such file":     {"a-1.0-py3-none-any.whl", func(p map[string]any) { p["files"] = []map[string]string{{"path": "/nope", "name": "a.py"}} }, "//a:wheel: open /nope: no such file"},
		"an unknown field": {"a-1.0-py3-none-any.whl", func(p map[string]any) { p["tags"] = "x" }, `json: unknown field "tags"`},
	} {
		output := filepath.Join(t.TempDir(), tt.output)
		code, _, stderr := runTool(t, "wheel", "--params", parameters(t, tt.change), "--output", output)
		if code != 1 || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d and %q, want 1 and %q", name, code, stderr, tt.want)
		}
		if _, err := os.Stat(output); err == nil {
			t.Errorf("%s: the failed run left a wheel", name)
		}
	}
}
