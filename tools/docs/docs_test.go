package main

import (
	"io/fs"
	"testing"

	"github.com/pmezard/go-difflib/difflib"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/internal/cli/clitest"
	"krabby.dev/krabby/tools/docs/architecture"
	"krabby.dev/krabby/tools/lint/sources"
)

func TestPages_current(t *testing.T) {
	tree := sources.Read(t)
	made, err := pages(tree)
	if err != nil {
		t.Fatal(err)
	}
	for page, want := range made {
		committed, err := fs.ReadFile(tree, page)
		if err != nil {
			t.Errorf("%v: run ./tools/bazel run //tools/docs", err)
			continue
		}
		if string(committed) != want {
			diff, _ := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
				A: difflib.SplitLines(string(committed)), B: difflib.SplitLines(want), FromFile: page, ToFile: "generated", Context: 1,
			})
			t.Errorf("%s is not current: run ./tools/bazel run //tools/docs\n%s", page, diff)
		}
	}
	entries, err := fs.ReadDir(tree, rulesDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if _, ok := made[rulesDir+"/"+entry.Name()]; !ok {
			t.Errorf("%s/%s is not generated: delete it", rulesDir, entry.Name())
		}
	}
}

func TestDirectories_current(t *testing.T) {
	differences, err := architecture.Directories(sources.Read(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, difference := range differences {
		t.Errorf("%s: %s", architecture.Page, difference)
	}
}

func TestExitCodes(t *testing.T) {
	t.Setenv("BUILD_WORKSPACE_DIRECTORY", "/nope")
	clitest.Check(t, program, map[string]clitest.Case{
		"help":                {Args: []string{"--help"}, Code: cli.ExitOK, Stdout: "Regenerates the pages"},
		"unknown flag":        {Args: []string{"--fast"}, Code: cli.ExitUsage, Stderr: "unknown flag --fast"},
		"missing workspace":   {Code: cli.ExitUsage, Stderr: "/nope"},
		"not this repository": {Args: []string{"--workspace=" + t.TempDir()}, Code: cli.ExitFailed, Stderr: "no such file"},
	})
}
