// Package finding has the common parts of the checks of sources: the type of a finding and the walk over files.
//
// It must not import another package of this repository.
package finding

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// A Finding is a place in the sources that breaks a rule.
type Finding struct {
	File    string
	Line    int
	Message string
}

func (f Finding) String() string { return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Message) }

// Collect calls check for every regular file of the tree and returns the findings sorted by file and line. It stops at the first
// error.
func Collect(tree fs.FS, check func(file string) ([]Finding, error)) ([]Finding, error) {
	var findings []Finding
	err := fs.WalkDir(tree, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		found, err := check(file)
		findings = append(findings, found...)
		return err
	})
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line)
	})
	return findings, err
}

// IsTestdata reports whether a file is in a directory named testdata. Such files may break rules on purpose.
func IsTestdata(file string) bool { return slices.Contains(strings.Split(file, "/"), "testdata") }
