// Package findingtest has the common parts of the tests of checks.
package findingtest

import (
	"io/fs"
	"slices"
	"testing"
	"testing/fstest"

	"krabby.dev/krabby/tools/lint/finding"
	"krabby.dev/krabby/tools/lint/sources"
)

// CheckFunc is a check of the files in a tree.
type CheckFunc func(tree fs.FS) ([]finding.Finding, error)

// Repository fails the test for every finding of the check in this repository, and logs the advice if there are any.
func Repository(t *testing.T, check CheckFunc, advice string) {
	t.Helper()
	findings, err := check(sources.Read(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		t.Error(f)
	}
	if t.Failed() {
		t.Log(advice)
	}
}

// File fails the test unless the findings of the check in a tree with one file are those of want.
func File(t *testing.T, check CheckFunc, file, content string, want []string) {
	t.Helper()
	findings, err := check(fstest.MapFS{file: {Data: []byte(content)}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range findings {
		got = append(got, f.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("findings in %s: %q, want %q", file, got, want)
	}
}

// Invalid fails the test unless the check returns an error for a file that it cannot read.
func Invalid(t *testing.T, check CheckFunc, file, content string) {
	t.Helper()
	if findings, err := check(fstest.MapFS{file: {Data: []byte(content)}}); err == nil {
		t.Errorf("findings %v, want an error", findings)
	}
}
