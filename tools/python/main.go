// Command python runs a Python program for a build or a test: with an interpreter, a C library and packages out of
// archives that were pinned, and with none of the machine's. The archives are image layers; they are unpacked for each run.
//
//	python --root FILE.tar... -- PROGRAM ARGUMENTS
//
// It exits as the program does, with 2 for usage and with 1 when the program could not be run.
package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"
)

// Where things are in the archives.
const (
	loader      = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
	libraries   = "usr/lib/x86_64-linux-gnu"
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
		if err := unpack(dir, archive); err != nil {
			return fail(1, fmt.Errorf("unpacking %s: %w", archive, err))
		}
	}
	code, err := python(dir, cli.Program, stdout, stderr)
	if err != nil {
		return fail(1, err)
	}
	return code
}

// python runs a program with the interpreter in dir. The loader is told where the libraries are, so that none is looked
// for elsewhere.
func python(dir string, program []string, stdout, stderr io.Writer) (int, error) {
	// -s: no packages of the user's; -B: write no compiled modules beside the sources.
	argv := append([]string{"--library-path", filepath.Join(dir, libraries), filepath.Join(dir, interpreter), "-s", "-B"}, program...)
	command := exec.Command(filepath.Join(dir, loader), argv...)
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

// unpack writes the files and links of a tar into dir, and nothing beyond it.
func unpack(dir, archive string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		name := path.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(name, 0o755)
		case tar.TypeSymlink:
			err = link(root, name, h.Linkname)
		case tar.TypeLink:
			err = root.Link(path.Clean(h.Linkname), name)
		case tar.TypeReg:
			err = write(root, name, os.FileMode(h.Mode).Perm(), r)
		default:
			err = fmt.Errorf("an entry of type %q", h.Typeflag)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
}

// link makes a symbolic link. What was absolute in the image is made relative: dir is its root.
func link(root *os.Root, name, target string) error {
	if path.IsAbs(target) {
		relative, err := filepath.Rel("/"+path.Dir(name), target)
		if err != nil {
			return err
		}
		target = relative
	}
	err := root.Symlink(target, name)
	if errors.Is(err, os.ErrExist) { // Layers repeat the links of a merged /usr.
		return nil
	}
	return err
}

func write(root *os.Root, name string, mode os.FileMode, content io.Reader) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode|0o200)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}
