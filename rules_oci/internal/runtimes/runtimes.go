// Package runtimes finds a container engine on this machine, queries its images, and sends it an image archive.
//
// It is the only package of this module that depends on the host, for `bazel run` of an oci_load: no build action may import it.
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
	"time"
)

// Runtime is the command of a container engine.
type Runtime struct {
	Path string
	Args []string // To read an archive from standard input.

	inspects   bool // Whether it has docker's `image inspect` and `tag`.
	skipLayers bool // Whether it may read archives without layers that it has.
}

// known are the supported engines, in order of preference.
var known = []struct {
	name       string
	args       []string
	probe      []string // Fails without daemon. Empty: the engine has no daemon.
	inspects   bool
	skipLayers bool
}{
	{"docker", []string{"load"}, []string{"version", "--format", "{{.Server.Version}}"}, true, true},
	// podman reads every layer of an archive.
	{"podman", []string{"load"}, nil, true, false},
	// containerd makes manifests of its own, so images cannot be queried by their IDs.
	{"nerdctl", []string{"load"}, []string{"info"}, false, false},
	{"ctr", []string{"images", "import", "-"}, []string{"version"}, false, false},
}

// Loader returns the engine of a command that reads an archive like docker.
func Loader(path string) Runtime { return Runtime{Path: path, Args: []string{"load"}} }

// Find returns the first known engine that look (such as exec.LookPath) finds. An engine whose daemon does not respond is skipped.
func Find(ctx context.Context, look func(string) (string, error), log io.Writer) (Runtime, error) {
	var names, skipped []string
	for _, k := range known {
		names = append(names, k.name)
		path, err := look(k.name)
		if err != nil {
			continue
		}
		r := Runtime{Path: path, Args: k.args, inspects: k.inspects, skipLayers: k.skipLayers}
		if err := r.probe(ctx, k.probe); err != nil {
			skipped = append(skipped, err.Error())
			fmt.Fprintf(log, "note: skipping %s: %v\n", k.name, err)
			continue
		}
		return r, nil
	}
	const advice = "choose an engine with --loader, for example --loader podman, or write the archive with --tar FILE"
	if len(skipped) > 0 {
		return Runtime{}, fmt.Errorf("no container engine responds (%s); start one, or %s", strings.Join(skipped, "; "), advice)
	}
	return Runtime{}, fmt.Errorf("no container engine found on PATH (searched: %s); install one, or %s", strings.Join(names, ", "), advice)
}

// probe runs a command that fails if the daemon does not respond.
func (r Runtime) probe(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := r.query(ctx, args...)
	return err
}

// Load starts the engine and writes an archive to it. The output of the engine goes to stdout and stderr.
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
		// The engine must not load an incomplete archive.
		cmd.Process.Kill()
		in.Close()
		cmd.Wait()
		return writeErr
	}
	closeErr := in.Close()
	// An engine that fails closes the pipe early. Its exit status is the cause of the broken pipe.
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s %s: %w (see its message above); choose another engine with --loader, for example --loader podman", r.Path, strings.Join(r.Args, " "), err)
	}
	return errors.Join(writeErr, closeErr)
}

// Image is an image of an engine.
type Image struct {
	ID     string // Digest of the config, or of a manifest with containerd's store.
	RootFS struct {
		Layers []string // Digests of the uncompressed layers, lowest first.
	}
}

// Inspect returns the first image of ids that the engine has, and false if it has none or cannot be queried.
func (r Runtime) Inspect(ctx context.Context, ids ...string) (Image, bool) {
	if !r.inspects {
		return Image{}, false
	}
	for _, id := range ids {
		// On any error the image is loaded, and the load reports the error.
		if images, err := r.inspect(ctx, id); err == nil && len(images) > 0 {
			return images[0], true
		}
	}
	return Image{}, false
}

// Images returns the images of an engine that reads archives without layers that it has. For others it returns none.
func (r Runtime) Images(ctx context.Context) []Image {
	if !r.skipLayers {
		return nil
	}
	// With containerd's store docker requires every blob of an archive.
	store, err := r.query(ctx, "info", "--format", "{{json .DriverStatus}}")
	if err != nil || strings.Contains(string(store), "io.containerd") {
		return nil
	}
	list, err := r.query(ctx, "image", "ls", "--all", "--quiet", "--no-trunc")
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
	data, err := r.query(ctx, append([]string{"image", "inspect"}, ids...)...)
	if err != nil {
		return nil, err
	}
	var images []Image
	err = json.Unmarshal(data, &images)
	return images, err
}

// Tag sets a tag of an image that the engine has.
func (r Runtime) Tag(ctx context.Context, id, tag string) error {
	_, err := r.query(ctx, "tag", id, tag)
	return err
}

func (r Runtime) query(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, r.Path, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", r.Path, strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.Bytes(), nil
}
