package endpoint

import (
	"errors"
	"io"

	"krabby.dev/krabby/hal/cmdline"
)

// The exit codes of a tool.
const (
	ExitOK     = cmdline.ExitOK
	ExitFailed = cmdline.ExitFailed
	ExitUsage  = cmdline.ExitUsage
)

// UsageError is an error of the command line that only the work could find.
type UsageError string

func (e UsageError) Error() string { return string(e) }

// Run reads a tool's command line into flags, does the work and returns the exit code: 0 after the work or --help, 2 where
// the command line is wrong, 1 where the work failed. Either error is one line on stderr.
func Run(name, description string, flags any, work func() error, args []string, stdout, stderr io.Writer) int {
	program := cmdline.Program{Name: name, Description: description}
	helped, err := program.Parse(flags, args, stdout)
	switch {
	case helped:
		return ExitOK
	case err != nil:
		return program.Fail(stderr, ExitUsage, err)
	}
	err = work()
	if _, wrong := errors.AsType[UsageError](err); wrong {
		return program.Fail(stderr, ExitUsage, err)
	}
	if err != nil {
		return program.Fail(stderr, ExitFailed, err)
	}
	return ExitOK
}
