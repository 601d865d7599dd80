// Package cmdline is how the programs read their command lines, find the files that these name, and end.
//
// It must never know which program it is of, and imports nothing of this module.
package cmdline

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// The exit codes.
const (
	ExitOK     = 0
	ExitFailed = 1 // The work failed, or what was judged is bad.
	ExitUsage  = 2 // There was no work: what the caller gave is wrong.
)

// Program is a program as its --help and its errors name it.
type Program struct{ Name, Description string }

// Main is the main function of a program: it runs it with what the process was given, and exits with the code that it
// returns. An interrupt or SIGTERM ends the context.
func Main(run func(ctx context.Context, args []string, stdout, stderr io.Writer) int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Parse reads args into flags, a pointer to a struct for kong. It says whether help was asked for, and then wrote it to
// stdout.
func (p Program) Parse(flags any, args []string, stdout io.Writer) (helped bool, err error) {
	parser, err := kong.New(flags,
		kong.Name(p.Name),
		kong.Description(p.Description),
		kong.Writers(stdout, io.Discard),
		kong.Exit(func(int) { helped = true }), // Called for --help only.
	)
	if err != nil {
		return false, err
	}
	if _, err := parser.Parse(args); err != nil && !helped {
		return false, err
	}
	return helped, nil
}

// Fail writes err as one line to stderr and returns code.
func (p Program) Fail(stderr io.Writer, code int, err error) int {
	fmt.Fprintf(stderr, "%s: %s\n", p.Name, strings.Join(strings.Fields(err.Error()), " "))
	return code
}

// Locate returns the path of a file that is there, or as it is seen FromCaller: `bazel run` starts a program where what its
// BUILD file names is.
func Locate(path string) string {
	if _, err := os.Stat(path); err != nil {
		return FromCaller(path)
	}
	return path
}

// FromCaller returns path as seen from the folder in which `bazel run` was called, which starts programs in another one.
func FromCaller(path string) string {
	if folder := os.Getenv("BUILD_WORKING_DIRECTORY"); folder != "" && path != "" && !filepath.IsAbs(path) {
		return filepath.Join(folder, path)
	}
	return path
}
