package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
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
		"no cold runs":            {Args: []string{"--workspace=.", "--cold-runs=0"}, Code: cli.ExitUsage, Stderr: "--cold-runs: found 0, expected 1 or more (see --help)"},
		"tests, no baseline":      {Args: []string{"--workspace=.", "--tests"}, Code: cli.ExitUsage, Stderr: "--tests: requires --baseline (see --help)"},
		"cold, no baseline":       {Args: []string{"--workspace=.", "--cold"}, Code: cli.ExitUsage, Stderr: "--cold: requires --baseline (see --help)"},
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
		"entrypoint": {"inline": "/usr/bin/locomotion\na b"},
		"labels": {"inline": "title=krabby\ndescription=Prints \"hello\": a = b"},
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
