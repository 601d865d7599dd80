package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/internal/cli/clitest"
)

func TestExitCodes(t *testing.T) {
	t.Setenv("BUILD_WORKSPACE_DIRECTORY", "") // Restores the variable at the end of the test.
	os.Unsetenv("BUILD_WORKSPACE_DIRECTORY")
	clitest.Check(t, program, map[string]clitest.Case{
		"help":                    {Args: []string{"--help"}, Code: cli.ExitOK, Stdout: "docs/benchmarks.md"},
		"no runs":                 {Args: []string{"--workspace=.", "--runs=0"}, Code: cli.ExitUsage, Stderr: "--runs: found 0, expected 1 or more (see --help)"},
		"no workspace":            {Code: cli.ExitUsage, Stderr: "--workspace"},
		"unknown flag":            {Args: []string{"--workspace=.", "--fast"}, Code: cli.ExitUsage, Stderr: "unknown flag --fast (see --help)"},
		"work directory rejected": {Args: []string{"--workspace=.", "--work=/dev/null/work"}, Code: cli.ExitFailed, Stderr: "images: mkdir /dev/null"},
	})
}

func exampleParams(t *testing.T) params {
	t.Helper()
	var p params
	if err := json.Unmarshal([]byte(`{
		"label": "@@//oci:locomotion",
		"base": {"label": "//oci/base:slim", "path": "bazel-out/slim"},
		"layers": [{"label": "//oci:a", "path": "bazel-out/a.tar.gz"}, {"label": "//oci:b", "path": "bazel-out/b.tar.gz"}],
		"entrypoint": {"values": ["/usr/bin/locomotion", "a b"]},
		"labels": {"values": ["title=krabby", "description=Prints \"hello\": a = b"]},
		"user": "10001",
		"workdir": {"values": ["/workspace"]}
	}`), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDockerfile(t *testing.T) {
	got, err := dockerfile(exampleParams(t), []string{"a.tar.gz", "b.tar.gz"})
	if err != nil {
		t.Fatal(err)
	}
	want := `FROM localhost/base
ADD a.tar.gz /
ADD b.tar.gz /
LABEL title="krabby" description="Prints \"hello\": a = b"
USER 10001
WORKDIR /workspace
ENTRYPOINT ["/usr/bin/locomotion","a b"]
`
	if got != want {
		t.Errorf("dockerfile:\n%s\nwant:\n%s", got, want)
	}
}

func TestParams_with(t *testing.T) {
	p := exampleParams(t)
	changed, err := p.with(file{Path: "/base", Label: "b"}, []file{{Path: "/layer", Label: "l"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := changed.base(); got.Path != "/base" {
		t.Errorf("base = %v, want /base", got)
	}
	if got := changed.layers(); len(got) != 1 || got[0].Path != "/layer" {
		t.Errorf("layers = %v, want /layer alone", got)
	}
	if string(changed["user"]) != `"10001"` || !bytes.Equal(changed["labels"], p["labels"]) {
		t.Errorf("user %s and labels %s, want them unchanged", changed["user"], changed["labels"])
	}
	if got := p.base().Path; got != "bazel-out/slim" {
		t.Errorf("base of the original parameters = %s, want it unchanged", got)
	}
}

func TestCopySources_trackedFiles(t *testing.T) {
	workspace, dir := t.TempDir(), t.TempDir()
	write := func(path, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(workspace, "kept/a.go"), "new")
	write(filepath.Join(workspace, "untracked.go"), "x")
	git := filepath.Join(t.TempDir(), "git")
	write(git, "#!/bin/sh\nprintf 'deleted.go\\0kept/a.go\\0'\n")
	if err := os.Chmod(git, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(git))

	write(filepath.Join(dir, "kept/a.go"), "old")
	write(filepath.Join(dir, "deleted.go"), "old")
	write(filepath.Join(dir, ".bazelrc.network"), "# network=direct")

	if err := copySources(t.Context(), workspace, dir); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "kept/a.go")); err != nil || string(got) != "new" {
		t.Errorf("kept/a.go = %q, %v, want new", got, err)
	}
	for _, gone := range []string{"deleted.go", "untracked.go"} {
		if _, err := os.Stat(filepath.Join(dir, gone)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want no such file", gone, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, ".bazelrc.network")); err != nil {
		t.Errorf("file of the launcher: %v, want it kept", err)
	}
}

func TestEdit(t *testing.T) {
	original := "package main\n\nvar description = " + changedLine + ".\"\n"
	c := &checkout{dir: t.TempDir(), original: []byte(original)}
	path := filepath.Join(c.dir, changedFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{original: true}
	for range 3 {
		if err := c.edit(); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(data); seen[got] || strings.Count(got, "\n") != strings.Count(original, "\n") {
			t.Errorf("content %q, want a new third line", got)
		}
		seen[string(data)] = true
	}
	c.original = []byte("package main\n")
	if err := c.edit(); err == nil || !strings.Contains(err.Error(), "no line with") {
		t.Errorf("err = %v, want that the line was not found", err)
	}
}

func TestCompare(t *testing.T) {
	var runs []string
	example := func(name string) tool {
		return tool{name, func(i int) ([]outcome, error) {
			runs = append(runs, fmt.Sprint(name, i))
			return []outcome{{Time: time.Second}, {Time: time.Minute}}, nil
		}}
	}
	s := &suite{runs: 2, progress: func(string, ...any) {}, report: &report{}, buildahFails: errors.New("no namespaces\nin this kernel")}
	if err := s.compare([]tool{example(krabbyName), example(buildahName), example(craneName)}, "first", "second"); err != nil {
		t.Fatal(err)
	}
	if want := []string{"krabby0", "crane0", "krabby1", "crane1"}; !slices.Equal(runs, want) {
		t.Errorf("runs %v, want %v", runs, want)
	}
	var got []string
	for _, row := range s.report.Rows {
		got = append(got, fmt.Sprint(row.Operation, " ", row.Tool, " ", len(row.Runs), " ", row.Note))
	}
	want := []string{
		"first krabby 2 ", "first buildah 0 cannot run here: no namespaces", "first crane 2 ",
		"second krabby 2 ", "second buildah 0 cannot run here: no namespaces", "second crane 2 ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}

	failing := tool{craneName, func(int) ([]outcome, error) { return nil, errors.New("no route") }}
	if err := s.compare([]tool{failing}, "third"); err == nil || err.Error() != "third: crane: no route" {
		t.Errorf("err = %v, want the operation, the tool and the cause", err)
	}
}
