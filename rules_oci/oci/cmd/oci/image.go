package main

import (
	"fmt"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"krabby.dev/rules_oci/internal/compose"
	"krabby.dev/rules_oci/internal/ocidir"
	"krabby.dev/rules_oci/internal/origin"
	"krabby.dev/rules_oci/internal/tarlayer"
)

type imageCmd struct {
	Params string `required:"" placeholder:"FILE" help:"JSON that describes the image, as oci_image writes it."`
	Output string `required:"" placeholder:"DIR" help:"Directory to write the OCI layout to."`
	Digest string `placeholder:"FILE" help:"Also write the digest of the manifest to this file."`
}

// Run builds the image. Errors begin with the label, since the reader knows
// their BUILD file and not our paths.
func (c *imageCmd) Run() error {
	var p imageParams
	if err := readParams(c.Params, &p); err != nil {
		return err
	}
	if err := c.build(&p); err != nil {
		return fmt.Errorf("%s: %w", p.Label, err)
	}
	return nil
}

func (c *imageCmd) build(p *imageParams) error {
	base, absent, err := p.base()
	if err != nil {
		return err
	}
	config, err := p.config()
	if err != nil {
		return err
	}
	if err := ocidir.Create(c.Output); err != nil {
		return err
	}
	adds := make([]compose.Addition, len(p.Layers))
	for i, src := range p.Layers {
		layer, err := tarlayer.FromFile(src.Path, ocidir.BlobDir(c.Output))
		if err != nil {
			return fmt.Errorf("tars: %s (%s): %w", src.Label, src.Path, err)
		}
		adds[i] = compose.Addition{Layer: layer, Origin: "oci_image tar " + src.Label}
	}
	img, err := compose.Image(base, adds, config)
	if err != nil {
		return err
	}
	if err := ocidir.Write(c.Output, img, absent); err != nil {
		return fmt.Errorf("write the layout: %w", err)
	}
	return writeDigest(c.Digest, img)
}

// writeDigest leaves the digest of a manifest in a file, for rules that want
// it without the image.
func writeDigest(path string, of interface{ Digest() (v1.Hash, error) }) error {
	if path == "" {
		return nil
	}
	digest, err := of.Digest()
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(digest.String()+"\n"), 0o644)
}

// base returns what to build on, and where those of its layers are that it has not.
func (p *imageParams) base() (v1.Image, origin.List, error) {
	if p.Base == nil {
		img, err := compose.Scratch(v1.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant})
		return img, nil, err
	}
	if p.OS != "" || p.Architecture != "" || p.Variant != "" {
		return nil, nil, fmt.Errorf("os, architecture and variant come from the base %s and cannot be set beside it", p.Base.Label)
	}
	img, err := ocidir.Image(p.Base.Path)
	if err != nil {
		return nil, nil, fmt.Errorf("base %s: %w", p.Base.Label, err)
	}
	absent, err := origin.Read(p.Base.Path)
	if err != nil {
		return nil, nil, fmt.Errorf("base %s: %w", p.Base.Label, err)
	}
	return img, absent, nil
}
