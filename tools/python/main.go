// Command python runs a Python program for a build or a test. The interpreter, the C library and the Python packages come from
// pinned archives, not from the machine. The archives are image layers, which each run unpacks.
//
//	python --root FILE.tar... -- PROGRAM ARGUMENTS
//
// The exit code is that of the program, 2 for a wrong command line, and 1 if the program cannot run.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/tools/rootfs"
)

// Paths in the archives.
const (
	interpreter = "usr/bin/python3.11"
	packages    = "opt/krabby/python/site-packages"
)

type flags struct {
	Root    []string `required:"" placeholder:"FILE.tar" help:"Archives to unpack, in this order. Can be repeated."`
	Program []string `arg:"" help:"Program and its arguments, after --."`
}

// Signals end the process at once, as a cancelled action requires.
func main() { os.Exit(pythonTool().Run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

func pythonTool() cli.Program {
	return cli.Program{
		Name:        "python",
		Description: "Runs a Python program with a pinned interpreter.",
		Flags:       &flags{},
	}
}

func (c *flags) Run(console *cli.Console) (err error) {
	dir, err := os.MkdirTemp("", "python-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, archive := range c.Root {
		if err := rootfs.Unpack(archive, dir); err != nil {
			return fmt.Errorf("unpacking %s: %w", archive, err)
		}
	}
	return python(dir, c.Program, console)
}

// python runs a program with arguments by the interpreter in dir.
func python(dir string, arguments []string, console *cli.Console) error {
	// -s ignores the packages of the user, -B writes no compiled modules.
	command := rootfs.Command(dir, interpreter, append([]string{"-s", "-B"}, arguments...)...)
	command.Env = []string{
		"PATH=",
		"PYTHONHOME=" + filepath.Join(dir, "usr"),
		"PYTHONPATH=" + filepath.Join(dir, packages),
		"PYTHONHASHSEED=0",
		// By default the number of CPUs sets the number of threads, which changes the order of floating-point additions.
		"OPENBLAS_NUM_THREADS=1",
		"TMPDIR=" + dir,
	}
	command.Stdout, command.Stderr = console.Out, console.Err
	err := command.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return cli.ExitCode(exit.ExitCode())
	}
	if err != nil {
		return fmt.Errorf("running %s: %w", strings.Join(arguments, " "), err)
	}
	return nil
}
