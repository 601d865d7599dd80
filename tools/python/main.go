// Command python runs a Python program for a build or a test: with an interpreter, a C library and packages out of
// archives that were pinned, and with none of the machine's. The archives are image layers; they are unpacked for each run.
//
//	python --root FILE.tar... -- PROGRAM ARGUMENTS
//
// It exits as the program does, with 2 for usage and with 1 when the program could not be run.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"

	"krabby.dev/krabby/tools/rootfs"
)

// Where things are in the archives.
const (
	interpreter = "usr/bin/python3.11"
	packages    = "opt/krabby/python/site-packages"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	var cli struct {
		Root    []string `required:"" placeholder:"FILE.tar" help:"Archives to unpack, in this order."`
		Program []string `arg:"" help:"The program and its arguments, after --."`
	}
	fail := func(code int, err error) int {
		fmt.Fprintf(stderr, "python: %v\n", err)
		return code
	}
	helped := false
	parser, err := kong.New(&cli,
		kong.Name("python"),
		kong.Description("Runs a Python program with a pinned interpreter."),
		kong.Writers(stdout, io.Discard),
		kong.Exit(func(int) { helped = true }), // Called for --help only.
	)
	if err != nil {
		return fail(1, err)
	}
	if _, err := parser.Parse(args); helped {
		return 0
	} else if err != nil {
		return fail(2, err)
	}
	dir, err := os.MkdirTemp("", "python-")
	if err != nil {
		return fail(1, err)
	}
	defer os.RemoveAll(dir)
	for _, archive := range cli.Root {
		if err := rootfs.Unpack(archive, dir); err != nil {
			return fail(1, fmt.Errorf("unpacking %s: %w", archive, err))
		}
	}
	code, err := python(dir, cli.Program, stdout, stderr)
	if err != nil {
		return fail(1, err)
	}
	return code
}

// python runs a program with the interpreter in dir.
func python(dir string, program []string, stdout, stderr io.Writer) (int, error) {
	// -s: no packages of the user's; -B: write no compiled modules beside the sources.
	command := rootfs.Command(dir, interpreter, append([]string{"-s", "-B"}, program...)...)
	command.Env = []string{
		"PATH=",
		"PYTHONHOME=" + filepath.Join(dir, "usr"),
		"PYTHONPATH=" + filepath.Join(dir, packages),
		"PYTHONHASHSEED=0",
		// As many threads as the machine has would add in another order on each machine.
		"OPENBLAS_NUM_THREADS=1",
		"TMPDIR=" + dir,
	}
	command.Stdout, command.Stderr = stdout, stderr
	err := command.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 0, fmt.Errorf("running %s: %w", strings.Join(program, " "), err)
	}
	return 0, nil
}
