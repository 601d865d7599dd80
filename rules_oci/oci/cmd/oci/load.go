package main

import (
	"bufio"
	"cmp"
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
	"krabby.dev/rules_oci/internal/origin"
	"krabby.dev/rules_oci/internal/platform"
	"krabby.dev/rules_oci/internal/registry"
	"krabby.dev/rules_oci/internal/runtimes"
)

type loadCmd struct {
	Params   string `required:"" placeholder:"FILE" help:"JSON description of the load, written by oci_load."`
	Runfiles string `placeholder:"DIR" help:"Directory of the paths in the parameters."`
	Tar      string `placeholder:"FILE" help:"Write the archive to FILE instead of loading it. '-' is standard output."`
	Format   string `enum:",docker,oci" default:"" placeholder:"FORMAT" help:"Format of the archive, docker or oci, instead of that of the target."`
	Platform string `placeholder:"OS/ARCH" help:"Image of an index to load in docker's format. Default: the platform of this machine."`
	Offline  bool   `hidden:"" help:"Fail instead of fetching a layer, for build actions."`
	Loader   string `placeholder:"COMMAND" help:"Container engine, called as 'COMMAND load', instead of the first one on PATH."`
	registryFlags
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
	p.Format = cmp.Or(c.Format, p.Format)
	artifact, err := c.open(ctx, p, std)
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	resolveFile(c.Runfiles, p.RepoTags)
	tags, err := p.RepoTags.read()
	if err != nil {
		return fmt.Errorf("attribute repo_tags: %w", err)
	}
	write := func(w io.Writer, without ...v1.Hash) error {
		a, ok := artifact.(archive.Artifact)
		if !ok {
			return fmt.Errorf("found a %T, expected an image or an index", artifact)
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
	runtime, err := c.runtime(ctx, p, std)
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

// open opens the image. In docker's format, it chooses one of an index.
func (c *loadCmd) open(ctx context.Context, p *loadParams, std streams) (ocidir.Artifact, error) {
	dir := resolve(c.Runfiles, p.Image)
	var client *registry.Client
	if !c.Offline {
		var err error
		if client, err = c.client(std); err != nil {
			return nil, err
		}
	}
	if c.Insecure && client != nil {
		origins, err := origin.Read(dir)
		if err != nil {
			return nil, err
		}
		for _, o := range origins {
			client.AllowInsecure(o.Name())
		}
	}
	artifact, err := open(ctx, dir, client)
	if err != nil {
		return nil, err
	}
	if index, ok := artifact.(v1.ImageIndex); ok && p.Format == string(archive.Docker) {
		return c.choose(index)
	}
	return artifact, nil
}

// choose returns the image of an index for a platform.
func (c *loadCmd) choose(index v1.ImageIndex) (ocidir.Artifact, error) {
	if c.Platform == "" && c.Offline {
		// Outputs must not depend on the platform of the machine.
		return nil, errors.New("docker's format cannot contain an index: set format = \"oci\"")
	}
	wanted := v1.Platform{OS: "linux", Architecture: goruntime.GOARCH}
	if c.Platform != "" {
		parsed, err := v1.ParsePlatform(c.Platform)
		if err != nil {
			return nil, err
		}
		wanted = *parsed
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var known []string
	for _, desc := range manifest.Manifests {
		image, err := index.Image(desc.Digest)
		if err != nil {
			return nil, err
		}
		p, err := platformOf(desc, image)
		if err != nil {
			return nil, err
		}
		if platform.Matches(p, wanted) {
			return image, nil
		}
		known = append(known, p.String())
	}
	return nil, fmt.Errorf("no image for %s in the index; use --platform with one of %s", wanted, strings.Join(known, ", "))
}

// platformOf returns the platform of an image of an index. An entry without platform has that of its config.
func platformOf(desc v1.Descriptor, image v1.Image) (v1.Platform, error) {
	if desc.Platform != nil {
		return *desc.Platform, nil
	}
	config, err := image.ConfigFile()
	if err != nil {
		return v1.Platform{}, fmt.Errorf("config of %s: %w", desc.Digest, err)
	}
	return *config.Platform(), nil
}

func (c *loadCmd) runtime(ctx context.Context, p *loadParams, std streams) (runtimes.Runtime, error) {
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
		return runtimes.Find(ctx, exec.LookPath, std.err)
	}
}

// userPath makes a path of the command line absolute: `bazel run` changes the working directory.
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
		os.Remove(path)
		return err
	}
	return nil
}
