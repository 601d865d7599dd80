// Package program starts the tools: it reads a command line, does what it says, and makes an exit code and a line on standard
// error of what comes of it.
//
// It must never know which tool it starts.
package program

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

// The exit codes of a tool.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// UsageError is an error of the command line that only the work could find.
type UsageError string

func (e UsageError) Error() string { return string(e) }

// Usagef returns a UsageError.
func Usagef(format string, args ...any) error { return UsageError(fmt.Sprintf(format, args...)) }

// ExitCode is the error of work that has said itself what there is to say, and ends with a code of its own.
type ExitCode int

func (e ExitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// Console is where a tool speaks: results to Out, all else to Err.
type Console struct {
	Out, Err io.Writer
	name     string
}

// Progress writes a line to Err, after the tool's name.
func (c *Console) Progress(format string, args ...any) {
	fmt.Fprintf(c.Err, "%s: %s\n", c.name, fmt.Sprintf(format, args...))
}

// Program is a tool.
type Program struct {
	Name, Description string
	// Flags is a pointer to a struct of flags for kong. Its method Run, or that of the command that was chosen, does the
	// work; it may take a context.Context, a *Console, and Flags.
	Flags any
	Vars  kong.Vars // For what the tags of Flags refer to.
}

// Main runs the program with what the process was given, and exits. Interrupts end the context of the work.
func (p Program) Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := p.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Run returns the exit code: 0 after the work or --help, 2 where the command line is wrong, 1 where the work failed. Either
// error is one line on stderr.
func (p Program) Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	console := &Console{Out: stdout, Err: stderr, name: p.Name}
	usage := func(err error) int {
		console.Progress("%s (see --help)", oneLine(err))
		return exitUsage
	}
	helped := false
	parser, err := kong.New(p.Flags,
		kong.Name(p.Name),
		kong.Description(p.Description),
		kong.Writers(stdout, io.Discard),
		kong.Exit(func(int) { helped = true }), // Called for --help only.
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(console),
		p.Vars,
	)
	if err != nil {
		return usage(err)
	}
	command, err := parser.Parse(args)
	switch {
	case helped:
		return exitOK
	case err != nil:
		return usage(err)
	}
	if selected := command.Selected(); selected != nil {
		console.name += " " + selected.Name
	}
	err = command.Run()
	if err == nil {
		return exitOK
	}
	if _, wrong := errors.AsType[UsageError](err); wrong {
		return usage(err)
	}
	if code, said := errors.AsType[ExitCode](err); said {
		return int(code)
	}
	console.Progress("%s", oneLine(err))
	return exitFailed
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
