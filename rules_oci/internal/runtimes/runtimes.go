// Package runtimes finds a container runtime on this machine, asks it what it
// has, and feeds it an image archive.
//
// It is the one package of this module that looks at the host, and only
// `bazel run` of an oci_load gets here: no build action may import it.
package runtimes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
)

// Runtime is a command that reads an image archive from its standard input.
type Runtime struct {
	Path string
	Args []string

	// asks says that the command has docker's `image inspect` and `tag`.
	asks bool
	// skips says that it may read archives without layers that it has.
	skips bool
}

// known are the runtimes we look for, best first, with the arguments that make
// each read an archive from standard input.
var known = []struct {
	name        string
	args        []string
	asks, skips bool
}{
	{"docker", []string{"load"}, true, true},
	// podman reads every layer that an archive names.
	{"podman", []string{"load"}, true, false},
	// containerd names images by manifests that it makes itself, so there is
	// no name under which to ask for one of ours.
	{"nerdctl", []string{"load"}, false, false},
	{"ctr", []string{"images", "import", "-"}, false, false},
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
			return Runtime{Path: path, Args: k.args, asks: k.asks, skips: k.skips}, nil
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
	if writeErr != nil && !errors.Is(writeErr, syscall.EPIPE) {
		// Our own failure: the runtime must not take half an archive for a whole.
		cmd.Process.Kill()
		in.Close()
		cmd.Wait()
		return writeErr
	}
	closeErr := in.Close()
	// A runtime that fails closes the pipe early: its exit status is the
	// cause, the broken pipe only the consequence.
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s %s: %w (its own message is above)", r.Path, strings.Join(r.Args, " "), err)
	}
	return errors.Join(writeErr, closeErr)
}

// Image is what a runtime says of an image that it has.
type Image struct {
	ID     string // Of docker's own store and podman's: the digest of the config. Of containerd's: that of a manifest.
	RootFS struct {
		Layers []string // Digests of the uncompressed layers, lowest first.
	}
}

// Inspect returns the first of the images that ids name which the runtime has,
// and false where it has none or cannot be asked.
func (r Runtime) Inspect(ctx context.Context, ids ...string) (Image, bool) {
	if !r.asks {
		return Image{}, false
	}
	for _, id := range ids {
		// An unknown image, a daemon that does not answer and an old version
		// are all the same here: what is not known to be there is loaded, and
		// the load says what is wrong.
		if images, err := r.inspect(ctx, id); err == nil && len(images) > 0 {
			return images[0], true
		}
	}
	return Image{}, false
}

// Images returns the images of a runtime that may be given an archive without
// layers that it has. Any other has none to tell of.
func (r Runtime) Images(ctx context.Context) []Image {
	if !r.skips {
		return nil
	}
	// With containerd's store docker wants every blob that an archive names.
	store, err := r.ask(ctx, "info", "--format", "{{json .DriverStatus}}")
	if err != nil || strings.Contains(string(store), "io.containerd") {
		return nil
	}
	list, err := r.ask(ctx, "image", "ls", "--all", "--quiet", "--no-trunc")
	if err != nil {
		return nil
	}
	ids := strings.Fields(string(list))
	if len(ids) == 0 {
		return nil
	}
	images, err := r.inspect(ctx, ids...)
	if err != nil {
		return nil
	}
	return images
}

func (r Runtime) inspect(ctx context.Context, ids ...string) ([]Image, error) {
	data, err := r.ask(ctx, append([]string{"image", "inspect"}, ids...)...)
	if err != nil {
		return nil, err
	}
	var images []Image
	return images, json.Unmarshal(data, &images)
}

// Tag gives an image that the runtime has another name.
func (r Runtime) Tag(ctx context.Context, id, tag string) error {
	_, err := r.ask(ctx, "tag", id, tag)
	return err
}

func (r Runtime) ask(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, r.Path, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", r.Path, strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.Bytes(), nil
}
