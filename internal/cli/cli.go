// Package cli runs the command line programs of this repository: it parses flags, prints help, maps errors to exit codes and
// reports errors and progress on standard error. Robot programs and build tools share it.
//
// It must not import any other package of this repository.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes of every program.
const (
	ExitOK     = 0
	ExitFailed = 1 // The work failed, or a check did not pass.
	ExitUsage  = 2 // The command line, or a file that it names, is invalid.
)

// UsageError marks an error as caused by the command line or by a file that it names; the exit code is ExitUsage.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *UsageError) Unwrap() error { return e.Err }

// Usage returns err as a UsageError, and nil for nil.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return &UsageError{err}
}

// Usagef formats a UsageError.
func Usagef(format string, args ...any) error { return &UsageError{fmt.Errorf(format, args...)} }

// ExitCode is an error that sets the exit code and prints nothing, for work that has already reported its failure.
type ExitCode int

func (e ExitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// Console holds the output streams of a program: results go to Out, messages to Err.
type Console struct {
	Out, Err io.Writer
	name     string
}

// Progress writes one line to Err, prefixed with the program's name.
func (c *Console) Progress(format string, args ...any) {
	fmt.Fprintf(c.Err, "%s: %s\n", c.name, fmt.Sprintf(format, args...))
}

// Program describes a command line program.
type Program struct {
	Name, Description string
	// Flags points to a kong struct of flags. Its method Run, or that of the selected command, does the work. Run may take a
	// context.Context, a *Console and Flags.
	Flags any
	// Vars are interpolated into the struct tags of Flags.
	Vars kong.Vars
	// Deprecated maps the old name of a flag to its new name, without dashes. An old name works and prints a warning.
	Deprecated map[string]string
}

// Main runs the program with the arguments and streams of the process and exits. SIGINT and SIGTERM cancel the context.
func (p Program) Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := p.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Run parses args, does the work and returns the exit code: ExitOK after the work or --help, ExitUsage for a UsageError or a
// command line that does not parse, ExitFailed for any other error. Each error is one line on stderr.
func (p Program) Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	console := &Console{Out: stdout, Err: stderr, name: p.Name}
	helpPrinted := false
	parser, err := kong.New(p.Flags,
		kong.Name(p.Name),
		kong.Description(p.Description),
		kong.Writers(stdout, io.Discard),
		kong.Exit(func(int) { helpPrinted = true }), // kong calls it for --help only.
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(console),
		p.Vars,
	)
	if err != nil {
		return console.fail(Usage(err))
	}
	command, err := parser.Parse(p.rename(args, console))
	switch {
	case helpPrinted:
		return ExitOK
	case err != nil:
		return console.fail(Usage(err))
	}
	if selected := command.Selected(); selected != nil && selected.Parent.DefaultCmd != selected {
		console.name += " " + selected.Name
	}
	if err := command.Run(); err != nil {
		return console.fail(err)
	}
	return ExitOK
}

// rename replaces deprecated flags in args and warns about each.
func (p Program) rename(args []string, console *Console) []string {
	renamed := make([]string, len(args))
	for i, arg := range args {
		if arg == "--" {
			copy(renamed[i:], args[i:])
			break
		}
		renamed[i] = arg
		old, value, hasValue := strings.Cut(arg, "=")
		current, deprecated := p.Deprecated[strings.TrimPrefix(old, "--")]
		if !deprecated || !strings.HasPrefix(old, "--") {
			continue
		}
		console.Progress("warning: %s is deprecated and will be removed in the next version: use --%s", old, current)
		renamed[i] = "--" + current
		if hasValue {
			renamed[i] += "=" + value
		}
	}
	return renamed
}

// fail reports err and returns its exit code.
func (c *Console) fail(err error) int {
	if code, ok := errors.AsType[ExitCode](err); ok {
		return int(code)
	}
	line := strings.Join(strings.Fields(err.Error()), " ")
	if _, ok := errors.AsType[*UsageError](err); ok {
		c.Progress("%s (see --help)", line)
		return ExitUsage
	}
	c.Progress("%s", line)
	return ExitFailed
}
