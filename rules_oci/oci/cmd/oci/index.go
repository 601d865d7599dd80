package main

import (
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"krabby.dev/rules_oci/internal/compose"
	"krabby.dev/rules_oci/internal/ocidir"
	"krabby.dev/rules_oci/internal/origin"
	"krabby.dev/rules_oci/internal/platform"
)

type indexCmd struct {
	Params string `required:"" placeholder:"FILE" help:"JSON description of the index, written by oci_image_index."`
	Output string `required:"" placeholder:"DIR" help:"Directory of the OCI layout to write."`
	Digest string `placeholder:"FILE" help:"Also write the digest of the index to this file."`
}

// Run builds the index. Errors start with the label of the target.
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
	var images []ocidir.IndexImage
	var entries []compose.IndexEntry
	var absent origin.List
	byPlatform := map[string]string{}
	for _, source := range p.Images {
		image, err := readLayout(source.Path)
		if err != nil {
			return fmt.Errorf("images: %s: %w", source.Label, err)
		}
		var config v1.Platform
		if err := json.Unmarshal(image.Config, &config); err != nil {
			return fmt.Errorf("images: %s: config: %w", source.Label, err)
		}
		name := platform.Normalize(config).String()
		if other, ok := byPlatform[name]; ok {
			return fmt.Errorf("images: %s and %s are both for %s; an index has one image for each platform", other, source.Label, name)
		}
		byPlatform[name] = source.Label
		absent = origin.Merge(absent, image.absent)
		images = append(images, ocidir.IndexImage{Documents: image.Documents, Layers: image.layers})
		entries = append(entries, compose.IndexEntry{Descriptor: image.Entry, Config: image.Config})
	}
	annotations, err := p.Annotations.read()
	if err != nil {
		return fmt.Errorf("attribute annotations: %w", err)
	}
	index, err := compose.Index(entries, annotations)
	if err != nil {
		return err
	}
	if err := ocidir.WriteIndex(c.Output, index, images, absent); err != nil {
		return fmt.Errorf("write the layout: %w", err)
	}
	return writeDigest(c.Digest, index)
}
