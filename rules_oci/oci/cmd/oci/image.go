package main

import (
	"bytes"
	"fmt"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"krabby.dev/rules_oci/internal/compose"
	"krabby.dev/rules_oci/internal/ocidir"
	"krabby.dev/rules_oci/internal/origin"
)

type imageCmd struct {
	Params     string   `required:"" placeholder:"FILE" help:"JSON description of the image, written by oci_image."`
	LayerLabel []string `placeholder:"LABEL" sep:"none" help:"Label of a layer in the history, instead of that in the description. Repeat it for each layer."`
	Output     string   `required:"" placeholder:"DIR" help:"Directory of the OCI layout to write."`
	Digest     string   `placeholder:"FILE" help:"Also write the digest of the manifest to this file."`
}

// Run builds the image. Errors start with the label of the target.
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
	base, err := p.base()
	if err != nil {
		return err
	}
	attributes, err := p.attributes()
	if err != nil {
		return err
	}
	if n := len(c.LayerLabel); n != 0 && n != len(p.Layers) {
		return fmt.Errorf("found %d --layer-label, expected one for each of %d layers", n, len(p.Layers))
	}
	layers := make([]compose.Layer, len(p.Layers))
	for i, source := range p.Layers {
		layer, err := source.readLayer()
		if err != nil {
			return err
		}
		if len(c.LayerLabel) > 0 {
			source.Label = c.LayerLabel[i]
		}
		layers[i] = compose.Layer{Layer: layer, Label: source.Label}
		base.layers[layer.Digest] = source.Path
	}
	image, err := compose.Build(compose.Image{Manifest: base.Manifest, Config: base.Config}, layers, attributes)
	if err != nil {
		return fmt.Errorf("%s%w", p.baseName(), err)
	}
	if err := ocidir.WriteImage(c.Output, base.IndexMediaType, image.Manifest, image.Config, base.layers, base.absent); err != nil {
		return fmt.Errorf("write the layout: %s%w", p.baseName(), err)
	}
	return writeDigest(c.Digest, image.Manifest)
}

// writeDigest writes the digest of a manifest or index to a file, if there is one.
func writeDigest(path string, document []byte) error {
	if path == "" {
		return nil
	}
	digest, _, err := v1.SHA256(bytes.NewReader(document))
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(digest.String()+"\n"), 0o644)
}

// baseName names the base in errors.
func (p *imageParams) baseName() string {
	if p.Base == nil {
		return ""
	}
	return "base " + p.Base.Label + ": "
}

// base returns the base: that of the attribute, or an image without layers.
func (p *imageParams) base() (layoutImage, error) {
	if p.Base == nil {
		image, err := compose.Scratch(compose.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant})
		documents := ocidir.Documents{Manifest: image.Manifest, Config: image.Config, IndexMediaType: string(types.OCIImageIndex)}
		return layoutImage{Documents: documents, layers: ocidir.Layers{}}, err
	}
	if p.OS != "" || p.Architecture != "" || p.Variant != "" {
		return layoutImage{}, fmt.Errorf("remove os, architecture and variant: those of the base %s apply", p.Base.Label)
	}
	base, err := readLayout(p.Base.Path)
	if err != nil {
		return base, fmt.Errorf("base %s: %w", p.Base.Label, err)
	}
	return base, nil
}

// layoutImage is the image of a layout, with the files of its layers and the repositories of the missing ones.
type layoutImage struct {
	ocidir.Documents
	layers ocidir.Layers
	absent origin.List
}

func readLayout(dir string) (layoutImage, error) {
	documents, err := ocidir.Read(dir)
	if err != nil {
		return layoutImage{}, err
	}
	layers, err := ocidir.Files(dir, documents.Manifest)
	if err != nil {
		return layoutImage{}, err
	}
	absent, err := origin.Read(dir)
	return layoutImage{documents, layers, absent}, err
}
