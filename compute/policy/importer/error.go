package importer

import (
	"fmt"
	"strings"

	"krabby.dev/krabby/hal/robot"
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
	return fmt.Sprintf("%q, which is nearest, or another one of %s", robot.Nearest(found, known), strings.Join(known, ", "))
}
