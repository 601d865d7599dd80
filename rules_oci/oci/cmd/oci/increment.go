package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"krabby.dev/rules_oci/internal/runtimes"
)

// increment loads an image without the parts that the engine has.
//
// Docker and podman report whether they have an image by its ID; then only the tags are set. Docker with its own store (not
// containerd's) reports the layers of its images, and reads an archive without the lowest layers if another image has them in the
// same order. Otherwise the archive is complete.
type increment struct {
	img     v1.Image
	tags    []string
	runtime runtimes.Runtime
	std     streams
}

func (i increment) load(ctx context.Context, write func(w io.Writer, without ...v1.Hash) error) error {
	config, err := i.img.ConfigName()
	if err != nil {
		return err
	}
	manifest, err := i.img.Digest()
	if err != nil {
		return err
	}
	names := strings.Join(i.tags, ", ")
	if there, ok := i.runtime.Inspect(ctx, config.String(), manifest.String()); ok {
		fmt.Fprintf(i.std.err, "%s has %s; setting the tags only: %s\n", i.runtime.Path, there.ID, names)
		for _, tag := range i.tags {
			if err := i.runtime.Tag(ctx, there.ID, tag); err != nil {
				return err
			}
		}
		return nil
	}

	without, err := i.shared(i.runtime.Images(ctx))
	if err != nil {
		return err
	}
	if len(without) > 0 {
		fmt.Fprintf(i.std.err, "loading %s with %s, which has %d of the layers\n", names, i.runtime.Path, len(without))
		err := i.runtime.Load(ctx, func(w io.Writer) error { return write(w, without...) }, i.std.out, i.std.err)
		if err == nil || ctx.Err() != nil {
			return err
		}
		fmt.Fprintf(i.std.err, "note: %v; retrying with all layers\n", err)
	} else {
		fmt.Fprintf(i.std.err, "loading %s with %s\n", names, i.runtime.Path)
	}
	return i.runtime.Load(ctx, func(w io.Writer) error { return write(w) }, i.std.out, i.std.err)
}

// shared returns the lowest layers that the image shares with one of the others, as many as possible.
func (i increment) shared(others []runtimes.Image) ([]v1.Hash, error) {
	config, err := i.img.ConfigFile()
	if err != nil {
		return nil, err
	}
	layers, err := i.img.Layers()
	if err != nil {
		return nil, err
	}
	digests := make([]v1.Hash, len(layers))
	for n, l := range layers {
		if digests[n], err = l.Digest(); err != nil {
			return nil, err
		}
	}
	common := 0
	for _, other := range others {
		n, most := 0, min(len(digests), len(config.RootFS.DiffIDs), len(other.RootFS.Layers))
		for n < most && config.RootFS.DiffIDs[n].String() == other.RootFS.Layers[n] {
			n++
		}
		common = max(common, n)
	}
	var without []v1.Hash
	for _, digest := range digests[:common] {
		// A higher layer may have the same content.
		if !slices.Contains(digests[common:], digest) && !slices.Contains(without, digest) {
			without = append(without, digest)
		}
	}
	return without, nil
}
