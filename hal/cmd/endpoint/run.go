package endpoint

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// The exit codes of a tool.
const (
	ExitOK     = 0
	ExitFailed = 1
	ExitUsage  = 2
)

// UsageError is an error of the command line that only the work could find.
type UsageError string

func (e UsageError) Error() string { return string(e) }

// Run reads a tool's command line into flags, does the work and returns the exit code: 0 after the work or --help, 2 where
// the command line is wrong, 1 where the work failed. Either error is one line on stderr.
func Run(name, description string, flags any, work func() error, args []string, stdout, stderr io.Writer) int {
	fail := func(code int, err error) int {
		fmt.Fprintf(stderr, "%s: %s\n", name, strings.Join(strings.Fields(err.Error()), " "))
		return code
	}
	helped := false
	parser, err := kong.New(flags,
		kong.Name(name),
		kong.Description(description),
		kong.Writers(stdout, io.Discard),
		kong.Exit(func(int) { helped = true }), // Called for --help only.
	)
	if err != nil {
		return fail(ExitUsage, err)
	}
	_, err = parser.Parse(args)
	switch {
	case helped:
		return ExitOK
	case err != nil:
		return fail(ExitUsage, err)
	}
	err = work()
	if _, wrong := errors.AsType[UsageError](err); wrong {
		return fail(ExitUsage, err)
	}
	if err != nil {
		return fail(ExitFailed, err)
	}
	return ExitOK
}
