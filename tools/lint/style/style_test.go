package style_test

import (
	"strings"
	"testing"

	"krabby.dev/krabby/tools/lint/finding/findingtest"
	"krabby.dev/krabby/tools/lint/style"
)

const advice = "CONTRIBUTING.md has the rules of style"

func TestFunctions_repository(t *testing.T) { findingtest.Repository(t, style.Functions, advice) }
func TestFiles_repository(t *testing.T)     { findingtest.Repository(t, style.Files, advice) }
func TestTests_repository(t *testing.T)     { findingtest.Repository(t, style.Tests, advice) }

// function returns a Go file with a function of the given number of lines.
func function(lines int) string {
	return "package a\n\n// Comments do not count.\nfunc f() {\n" + strings.Repeat("\n", lines-2) + "}\n"
}

func TestChecks(t *testing.T) {
	long := strings.Repeat("#\n", style.MaxFileLines+1)
	for name, test := range map[string]struct {
		check        findingtest.CheckFunc
		file, source string
		want         []string
	}{
		"function at the limit":     {style.Functions, "a/a.go", function(60), nil},
		"function above the limit":  {style.Functions, "a/a.go", function(61), []string{"a/a.go:4: function f has 61 lines, the limit is 60: split it"}},
		"function of a test":        {style.Functions, "a/a_test.go", function(61), nil},
		"function in testdata":      {style.Functions, "a/testdata/a.go", function(61), nil},
		"Starlark at the limit":     {style.Files, "a/a.bzl", long[2:], nil},
		"Starlark above the limit":  {style.Files, "a/a.bzl", long, []string{"a/a.bzl:501: the file has 501 lines, the limit is 500: split it"}},
		"BUILD above the limit":     {style.Files, "BUILD.bazel", long, []string{"BUILD.bazel:501: the file has 501 lines, the limit is 500: split it"}},
		"Go above the limit":        {style.Files, "a.go", long, []string{"a.go:501: the file has 501 lines, the limit is 500: split it"}},
		"Go test above the limit":   {style.Files, "a_test.go", long, nil},
		"Python above the limit":    {style.Files, "a.py", long, []string{"a.py:501: the file has 501 lines, the limit is 500: split it"}},
		"Python test":               {style.Files, "test_a.py", long, nil},
		"Python test configuration": {style.Files, "conftest.py", long, nil},
		"data above the limit":      {style.Files, "a.json", long, nil},
		"test name of a subject":    {style.Tests, "a_test.go", "package a\nfunc TestSend_noPeer(t *testing.T) {}\n", nil},
		"test name of an acronym":   {style.Tests, "a_test.go", "package a\nfunc TestABIVersions(t *testing.T) {}\n", nil},
		"test name of one word":     {style.Tests, "a_test.go", "package a\nfunc TestNotify(t *testing.T) {}\n", nil},
		"test name of a sentence": {style.Tests, "a_test.go", "package a\nfunc TestWhatIsSaid(t *testing.T) {}\nfunc TestAPeerLeaves(t *testing.T) {}\nfunc TestPeerThatLeaves(t *testing.T) {}\nfunc TestPeer_isGone(t *testing.T) {}\n", []string{
			"a_test.go:2: test TestWhatIsSaid is named by a sentence: expected TestSubject, TestSubject_condition or TestSubject_condition_result",
			"a_test.go:3: test TestAPeerLeaves is named by a sentence: expected TestSubject, TestSubject_condition or TestSubject_condition_result",
			"a_test.go:4: test TestPeerThatLeaves is named by a sentence: expected TestSubject, TestSubject_condition or TestSubject_condition_result",
		}},
		"function with the name of a test": {style.Tests, "a.go", "package a\nfunc TestWhatIsSaid() {}\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			findingtest.File(t, test.check, test.file, test.source, test.want)
		})
	}
}

func TestFunctions_invalidFile(t *testing.T) {
	findingtest.Invalid(t, style.Functions, "a.go", "func")
}
