// Package runtimes finds a container runtime on this machine and feeds it an
// image archive.
//
// It is the one package of this module that looks at the host, and only
// `bazel run` of an oci_load gets here: no build action may import it.
package runtimes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// Runtime is a command that reads an image archive from its standard input.
type Runtime struct {
	Path string
	Args []string
}

// known are the runtimes we look for, best first, with the arguments that make
// each read an archive from standard input.
var known = []struct {
	name string
	args []string
}{
	{"docker", []string{"load"}},
	{"podman", []string{"load"}},
	{"nerdctl", []string{"load"}},
	{"ctr", []string{"images", "import", "-"}},
}

// Loader returns the runtime for a command given by the user, which is called
// as docker is.
func Loader(path string) Runtime { return Runtime{Path: path, Args: []string{"load"}} }

// Find returns the first known runtime that look (such as exec.LookPath) finds.
func Find(look func(string) (string, error)) (Runtime, error) {
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = k.name
		if path, err := look(k.name); err == nil {
			return Runtime{Path: path, Args: k.args}, nil
		}
	}
	return Runtime{}, fmt.Errorf("no container runtime found: looked for %s on PATH; install one, set `loader` on the oci_load, or write the archive with --tar FILE", strings.Join(names, ", "))
}

// Load starts the runtime and streams into it what write produces. The
// runtime's own words go to stdout and stderr.
func (r Runtime) Load(ctx context.Context, write func(io.Writer) error, stdout, stderr io.Writer) error {
	cmd := exec.CommandContext(ctx, r.Path, r.Args...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", r.Path, err)
	}
	writeErr := write(in)
	closeErr := in.Close()
	// A runtime that fails closes the pipe early: its exit status is the
	// cause, the broken pipe only the consequence.
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s %s: %w (its own message is above)", r.Path, strings.Join(r.Args, " "), err)
	}
	return errors.Join(writeErr, closeErr)
}
