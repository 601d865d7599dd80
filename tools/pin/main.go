// Command pin writes the locks under third_party: which archive, and its hash,
// as the mirrors of this machine serve it. It is the only thing that believes a
// mirror; builds believe the locks.
//
// It exits with 2 when it was called wrongly and with 1 when the work failed,
// or when --check finds a lock that is not as it would be written.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/alecthomas/kong"

	"krabby.dev/krabby/tools/pin/lock"
)

type cli struct {
	Workspace string `help:"Root of the repository." env:"BUILD_WORKSPACE_DIRECTORY" default:"." type:"existingdir" placeholder:"DIR"`

	Archive archiveCmd `cmd:"" help:"Pin vendors' archives in third_party/zed/lock.json."`
	Base    baseCmd    `cmd:"" help:"Pin NVIDIA's base images in third_party/nvidia/lock.json and MODULE.bazel."`
	Deb     debCmd     `cmd:"" help:"Pin Debian packages in third_party/debian/lock.json."`
	Wheel   wheelCmd   `cmd:"" help:"Pin Python wheels in third_party/python/lock.json."`
	Wheels  wheelsCmd  `cmd:"" help:"Pin all wheels that Python in an image needs, for each environment of third_party/python/requirements.json."`
	Go      goCmd      `cmd:"" help:"Print the pins of a Go SDK."`
}

// usageError is the caller's mistake that only shows once the lock was read.
type usageError struct{ error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// console is where a command speaks: results to out, progress to err.
type console struct {
	out, err io.Writer
	command  string
}

func (c *console) progress(format string, args ...any) {
	fmt.Fprintf(c.err, "pin %s: %s\n", c.command, fmt.Sprintf(format, args...))
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	exit := -1
	c := &cli{}
	parser, err := kong.New(c,
		kong.Name("pin"),
		kong.Description("Writes the locks of what this repository did not write. Mirrors come from the machine's own apt, pip and go; DEBIAN_MIRROR names another Debian mirror."),
		kong.Writers(stdout, stderr),
		kong.Vars{"default_python": defaultPython, "dist": distFolder},
		kong.Exit(func(code int) { exit = code }),
	)
	if err != nil {
		fmt.Fprintf(stderr, "pin: %v\n", err)
		return 1
	}
	parsed, err := parser.Parse(args)
	if exit >= 0 { // --help has spoken.
		return exit
	}
	if err != nil {
		fmt.Fprintf(stderr, "pin: %v (see --help)\n", err)
		return 2
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	name := parsed.Selected().Name
	err = parsed.Run(c, &console{out: stdout, err: stderr, command: name})
	if usage := (usageError{}); errors.As(err, &usage) {
		fmt.Fprintf(stderr, "pin %s: %v (see --help)\n", name, err)
		return 2
	}
	if err != nil {
		fmt.Fprintf(stderr, "pin %s: %v\n", name, err)
		return 1
	}
	return 0
}

// finish writes the lock and says what changed, or with check fails where
// something would.
func finish(c *console, f *lock.File, path string, check bool) error {
	diff, err := f.Diff()
	if err != nil {
		return err
	}
	for _, line := range diff {
		fmt.Fprintln(c.out, line)
	}
	switch {
	case len(diff) == 0:
		c.progress("%s is up to date", path)
		return nil
	case check:
		return fmt.Errorf("%s would change: run the same without --check", path)
	}
	if err := f.Write(); err != nil {
		return err
	}
	c.progress("wrote %s", path)
	return nil
}

// readLock reads a lock by its path in the workspace.
func (c *cli) readLock(path string) (*lock.File, error) {
	f, err := lock.Read(filepath.Join(c.Workspace, path))
	if errors.Is(err, os.ErrNotExist) {
		return nil, usagef("%s is not there: run `bazel run //tools/pin`, or name the repository with --workspace", path)
	}
	return f, err
}
