// Command python runs a Python program for a build or a test: with an interpreter, a C library and packages out of
// archives that were pinned, and with none of the machine's. The archives are image layers; they are unpacked for each run.
//
//	python --root FILE.tar... -- PROGRAM ARGUMENTS
//
// It exits as the program does, with 2 for usage and with 1 when the program could not be run.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"krabby.dev/krabby/tools/program"
	"krabby.dev/krabby/tools/rootfs"
)

// Where things are in the archives.
const (
	interpreter = "usr/bin/python3.11"
	packages    = "opt/krabby/python/site-packages"
)

type cli struct {
	Root    []string `required:"" placeholder:"FILE.tar" help:"Archives to unpack, in this order."`
	Program []string `arg:"" help:"The program and its arguments, after --."`
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	return program.Program{
		Name:        "python",
		Description: "Runs a Python program with a pinned interpreter.",
		Flags:       &cli{},
	}.Run(context.Background(), args, stdout, stderr)
}

func (c *cli) Run(console *program.Console) (err error) {
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

// python runs a program and its arguments with the interpreter in dir.
func python(dir string, arguments []string, console *program.Console) error {
	// -s: no packages of the user's; -B: write no compiled modules beside the sources.
	command := rootfs.Command(dir, interpreter, append([]string{"-s", "-B"}, arguments...)...)
	command.Env = []string{
		"PATH=",
		"PYTHONHOME=" + filepath.Join(dir, "usr"),
		"PYTHONPATH=" + filepath.Join(dir, packages),
		"PYTHONHASHSEED=0",
		// As many threads as the machine has would add in another order on each machine.
		"OPENBLAS_NUM_THREADS=1",
		"TMPDIR=" + dir,
	}
	command.Stdout, command.Stderr = console.Out, console.Err
	err := command.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return program.ExitCode(exit.ExitCode())
	}
	if err != nil {
		return fmt.Errorf("running %s: %w", strings.Join(arguments, " "), err)
	}
	return nil
}
