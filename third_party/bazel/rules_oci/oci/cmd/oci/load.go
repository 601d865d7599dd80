package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"krabby.dev/rules_oci/internal/archive"
	"krabby.dev/rules_oci/internal/ocidir"
	"krabby.dev/rules_oci/internal/runtimes"
)

type loadCmd struct {
	Params   string `required:"" placeholder:"FILE" help:"JSON that describes what to load, as oci_load writes it."`
	Runfiles string `placeholder:"DIR" help:"Directory that the paths in the parameters are relative to."`
	Tar      string `placeholder:"FILE" help:"Write the archive to FILE and load nothing. '-' is standard output."`
	Loader   string `placeholder:"COMMAND" help:"Load with COMMAND, called as 'COMMAND load', rather than with what PATH has."`
}

// Run loads the image, or writes its archive.
func (c *loadCmd) Run(ctx context.Context, std streams) error {
	var p loadParams
	if err := readParams(c.Params, &p); err != nil {
		return err
	}
	if err := c.load(ctx, &p, std); err != nil {
		return fmt.Errorf("%s: %w", p.Label, err)
	}
	return nil
}

func (c *loadCmd) load(ctx context.Context, p *loadParams, std streams) error {
	img, err := ocidir.Image(resolve(c.Runfiles, p.Image))
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	resolveFile(c.Runfiles, p.RepoTags)
	tags, err := p.RepoTags.read()
	if err != nil {
		return fmt.Errorf("attribute repo_tags: %w", err)
	}
	write := func(w io.Writer) error {
		bw := bufio.NewWriterSize(w, 1<<20)
		return errors.Join(archive.Write(bw, archive.Format(p.Format), img, tags), bw.Flush())
	}

	switch {
	case c.Tar == "-":
		return write(std.out)
	case c.Tar != "":
		return writeTar(userPath(c.Tar), write)
	}
	runtime, err := c.runtime(p)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.err, "loading %s with %s\n", strings.Join(tags, ", "), runtime.Path)
	return runtime.Load(ctx, write, std.out, std.err)
}

func (c *loadCmd) runtime(p *loadParams) (runtimes.Runtime, error) {
	switch {
	case c.Loader != "":
		path := c.Loader
		if strings.Contains(path, "/") {
			path = userPath(path)
		}
		return runtimes.Loader(path), nil
	case p.Loader != "":
		return runtimes.Loader(resolve(c.Runfiles, p.Loader)), nil
	default:
		return runtimes.Find(exec.LookPath)
	}
}

// userPath makes a path from the command line absolute: `bazel run` starts us
// elsewhere than where the user typed it.
func userPath(path string) string {
	if dir := os.Getenv("BUILD_WORKING_DIRECTORY"); dir != "" && !filepath.IsAbs(path) {
		return filepath.Join(dir, path)
	}
	return path
}

func writeTar(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		// Half an archive looks like a whole one to whoever finds it.
		os.Remove(path)
		return err
	}
	return nil
}
