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
	goruntime "runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"krabby.dev/rules_oci/internal/archive"
	"krabby.dev/rules_oci/internal/ocidir"
	"krabby.dev/rules_oci/internal/registry"
	"krabby.dev/rules_oci/internal/runtimes"
)

type loadCmd struct {
	Params   string `required:"" placeholder:"FILE" help:"JSON that describes what to load, as oci_load writes it."`
	Runfiles string `placeholder:"DIR" help:"Directory that the paths in the parameters are relative to."`
	Tar      string `placeholder:"FILE" help:"Write the archive to FILE and load nothing. '-' is standard output."`
	Platform string `placeholder:"OS/ARCH" help:"The image of an index to load in docker's format; the default is this machine's."`
	Offline  bool   `hidden:"" help:"Fail rather than fetch a layer, as a build action must."`
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
	var client *registry.Client
	if !c.Offline {
		client = registry.New(registry.WithLog(std.err))
	}
	artifact, err := open(ctx, resolve(c.Runfiles, p.Image), client)
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	if index, ok := artifact.(v1.ImageIndex); ok && p.Format == string(archive.Docker) {
		if artifact, err = c.choose(index); err != nil {
			return fmt.Errorf("image: %w", err)
		}
	}
	resolveFile(c.Runfiles, p.RepoTags)
	tags, err := p.RepoTags.read()
	if err != nil {
		return fmt.Errorf("attribute repo_tags: %w", err)
	}
	write := func(w io.Writer, without ...v1.Hash) error {
		a, ok := artifact.(archive.Artifact)
		if !ok {
			return fmt.Errorf("a %T has no archive", artifact)
		}
		bw := bufio.NewWriterSize(w, 1<<20)
		return errors.Join(archive.Write(bw, archive.Format(p.Format), a, tags, without...), bw.Flush())
	}

	switch {
	case c.Tar == "-":
		return write(std.out)
	case c.Tar != "":
		return writeTar(userPath(c.Tar), func(w io.Writer) error { return write(w) })
	}
	runtime, err := c.runtime(p)
	if err != nil {
		return err
	}
	img, ok := artifact.(v1.Image)
	if !ok || p.Format != string(archive.Docker) {
		fmt.Fprintf(std.err, "loading %s with %s\n", strings.Join(tags, ", "), runtime.Path)
		return runtime.Load(ctx, func(w io.Writer) error { return write(w) }, std.out, std.err)
	}
	return increment{img, tags, runtime, std}.load(ctx, write)
}

// choose returns the image of an index that docker's format can hold.
func (c *loadCmd) choose(index v1.ImageIndex) (ocidir.Artifact, error) {
	if c.Platform == "" && c.Offline {
		// What is built must not depend on the machine that builds.
		return nil, errors.New("an archive in docker's format holds one image, not an index: set format = \"oci\"")
	}
	wanted := v1.Platform{OS: "linux", Architecture: goruntime.GOARCH}
	if c.Platform != "" {
		platform, err := v1.ParsePlatform(c.Platform)
		if err != nil {
			return nil, err
		}
		wanted = *platform
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var known []string
	for _, desc := range manifest.Manifests {
		if desc.Platform == nil {
			continue
		}
		if desc.Platform.Satisfies(wanted) {
			return index.Image(desc.Digest)
		}
		known = append(known, desc.Platform.String())
	}
	return nil, fmt.Errorf("the index has no image for %s, only for %s; choose with --platform", wanted, strings.Join(known, ", "))
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
