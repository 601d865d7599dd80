package importer

import (
	"fmt"
	"slices"
	"strings"
)

// Error reports a value of a source that is wrong. Its text is one line.
type Error struct {
	// File is the path of the source.
	File string
	// Field is the path of the value, for example actions.JointPositionAction.scale[3]; empty for the whole file.
	Field string
	// Found and Expected describe the value.
	Found, Expected string
}

// Error returns "FILE: FIELD: found FOUND, expected EXPECTED".
func (e *Error) Error() string {
	place := e.File
	if e.Field != "" {
		place += ": " + e.Field
	}
	return fmt.Sprintf("%s: found %s, expected %s", place, e.Found, e.Expected)
}

// MissingError reports what the sources do not state. Each element names a field and the flag that gives it.
type MissingError struct{ Fields []string }

func (e *MissingError) Error() string {
	return "not stated by the files: " + strings.Join(e.Fields, "; ")
}

// commandLine stands for a file in errors about flags.
const commandLine = "command line"

func quote(s string) string { return fmt.Sprintf("%q", s) }

// oneOf returns the expectation of one of several known names, with the nearest of them first.
func oneOf(found string, known []string) string {
	if len(known) == 0 {
		return "nothing"
	}
	near := slices.MinFunc(known, func(a, b string) int { return editDistance(found, a) - editDistance(found, b) })
	return fmt.Sprintf("%q, which is nearest, or another one of %s", near, strings.Join(known, ", "))
}

// editDistance returns the number of bytes to insert, delete or replace to make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
