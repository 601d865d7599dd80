package main

import (
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"krabby.dev/rules_oci/internal/ocidir"
	"krabby.dev/rules_oci/internal/origin"
)

type indexCmd struct {
	Params string `required:"" placeholder:"FILE" help:"JSON that describes the index, as oci_image_index writes it."`
	Output string `required:"" placeholder:"DIR" help:"Directory to write the OCI layout to."`
	Digest string `placeholder:"FILE" help:"Also write the digest of the index to this file."`
}

// Run builds the index.
func (c *indexCmd) Run() error {
	var p indexParams
	if err := readParams(c.Params, &p); err != nil {
		return err
	}
	if err := c.build(&p); err != nil {
		return fmt.Errorf("%s: %w", p.Label, err)
	}
	return nil
}

func (c *indexCmd) build(p *indexParams) error {
	images := make([]v1.Image, len(p.Images))
	byPlatform := map[string]string{}
	var absent origin.List
	for i, src := range p.Images {
		img, err := ocidir.Image(src.Path)
		if err != nil {
			return fmt.Errorf("images: %s: %w", src.Label, err)
		}
		origins, err := origin.Read(src.Path)
		if err != nil {
			return fmt.Errorf("images: %s: %w", src.Label, err)
		}
		absent = origin.Merge(absent, origins)
		config, err := img.ConfigFile()
		if err != nil {
			return fmt.Errorf("images: %s: %w", src.Label, err)
		}
		platform := config.Platform().String()
		if other, ok := byPlatform[platform]; ok {
			return fmt.Errorf("images: %s and %s are both for %s; an index has one image for each platform", other, src.Label, platform)
		}
		byPlatform[platform] = src.Label
		images[i] = img
	}
	if err := ocidir.Create(c.Output); err != nil {
		return err
	}
	if err := ocidir.WriteIndex(c.Output, images, absent); err != nil {
		return fmt.Errorf("write the layout: %w", err)
	}
	index, err := ocidir.Open(c.Output)
	if err != nil {
		return err
	}
	return writeDigest(c.Digest, index)
}
