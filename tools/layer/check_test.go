package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// layout writes an OCI image layout of one image with the layers, of which only those in stored are there.
func layout(t *testing.T, layers []string, stored int) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(content string, store bool) string {
		sum := fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
		if store {
			if err := os.WriteFile(filepath.Join(dir, "blobs", "sha256", sum), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return `{"digest": "sha256:` + sum + `"}`
	}
	var descriptors []string
	for i, l := range layers {
		descriptors = append(descriptors, put(l, i < stored))
	}
	manifest := put(`{"layers": [`+strings.Join(descriptors, ",")+`]}`, true)
	if err := os.WriteFile(filepath.Join(dir, "index.json"), []byte(`{"manifests": [`+manifest+`]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCheck(t *testing.T) {
	merged, err := layer(t, params{Label: "//l", Debs: []source{{write(t, "a.deb", debOf(t, ".gz", control, tinyDeb())), "//d"}}, Compression: "gzip"})
	if err != nil {
		t.Fatal(err)
	}
	top := func(p params) string {
		p.Label = "//l"
		data, err := layer(t, p)
		if err != nil {
			t.Fatal(err)
		}
		return write(t, "top.tar", string(data))
	}
	file := []file{{source{write(t, "x", "x"), "//x"}, "/lib/x", "0644"}}
	wrong := top(params{UsrMerge: new(false), Files: file})
	for _, tc := range []struct {
		name, base, layer string
		code              int
		want              string
	}{
		{"merged by default", layout(t, []string{string(merged)}, 1), top(params{Files: file}), 0, ""},
		{"directory", layout(t, []string{string(merged)}, 1), top(params{Directories: []directory{{"/lib", "0755", ""}}}), 0, ""},
		{"symlink", layout(t, []string{string(merged)}, 1), top(params{Symlinks: []symlink{{"/bin/x", "y"}}}), 0, ""},
		{"not merged", layout(t, []string{string(merged)}, 1), wrong, 1, "top.tar: /lib is a directory, which hides the link to usr/lib of layer "},
		{"not downloaded", layout(t, []string{string(merged)}, 0), wrong, 0, "is not downloaded, and not checked"},
		{"no layout", t.TempDir(), wrong, 1, "index.json: no such file or directory"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			output := filepath.Join(t.TempDir(), "checked")
			code, _, stderr := runTool(t, "check", "--base", tc.base, "--output", output, tc.layer)
			byPaths, stderrByPaths := checkByPaths(t, tc.base, tc.layer)
			if byPaths != code || !strings.Contains(stderrByPaths, tc.want) {
				t.Errorf("by paths: exit code %d and %q, want %d and %q", byPaths, stderrByPaths, tc.code, tc.want)
			}
			if code != tc.code || !strings.Contains(stderr, tc.want) {
				t.Errorf("exit code %d and %q, want %d and %q", code, stderr, tc.code, tc.want)
			}
			if _, err := os.Stat(output); (err == nil) != (tc.code == 0) {
				t.Errorf("output: %v", err)
			}
		})
	}
}

// checkByPaths checks a layer as the rule layer_check does: each layer is read in an action of its own.
func checkByPaths(t *testing.T, base, layer string) (code int, stderr string) {
	t.Helper()
	dir := t.TempDir()
	below, own := filepath.Join(dir, "base.paths.json"), filepath.Join(dir, "own.paths.json")
	code, _, printed := runTool(t, "paths", "--base", base, "--output", below)
	if code != 0 {
		return code, printed
	}
	if code, _, stderr := runTool(t, "paths", "--layer", layer, "--output", own); code != 0 {
		t.Fatal(stderr)
	}
	code, _, stderr = runTool(t, "check", below, own)
	return code, printed + stderr
}

func TestPaths_invalid(t *testing.T) {
	for _, args := range [][]string{{"paths", "--output=x"}, {"paths", "--base=b", "--layer=l", "--output=x"}} {
		if code, _, stderr := runTool(t, args...); code != 2 || !strings.Contains(stderr, "--base") {
			t.Errorf("%q: exit code %d and %q, want 2 and --base", args, code, stderr)
		}
	}
}
