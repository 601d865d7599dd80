package main

import (
	"bytes"
	"fmt"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"krabby.dev/rules_oci/internal/ocidir"
	"krabby.dev/rules_oci/internal/origin"
)

type layoutCmd struct {
	Params string `required:"" placeholder:"FILE" help:"JSON description of the image, written by the repositories of oci.pull."`
	Output string `required:"" placeholder:"DIR" help:"Directory of the OCI layout to write."`
}

// Run writes the layout of a pulled image: its manifest and config, and the repository of its layers.
func (c *layoutCmd) Run() error {
	var p layoutParams
	if err := readParams(c.Params, &p); err != nil {
		return err
	}
	if err := c.build(&p); err != nil {
		return fmt.Errorf("%s: %w", p.Label, err)
	}
	return nil
}

func (c *layoutCmd) build(p *layoutParams) error {
	raw, err := os.ReadFile(p.Manifest)
	if err != nil {
		return err
	}
	config, err := os.ReadFile(p.Config)
	if err != nil {
		return err
	}
	from, err := originOf(p, raw)
	if err != nil {
		return err
	}
	return ocidir.WritePulled(c.Output, raw, config, origin.List{from})
}

func originOf(p *layoutParams, raw []byte) (origin.Origin, error) {
	from := origin.Origin{Registry: p.Registry, Repository: p.Repository, Insecure: p.Insecure, Layers: []v1.Hash{}}
	var err error
	if from.Digest, _, err = v1.SHA256(bytes.NewReader(raw)); err != nil {
		return from, err
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return from, fmt.Errorf("read the manifest: %w", err)
	}
	for _, l := range manifest.Layers {
		from.Layers = append(from.Layers, l.Digest)
	}
	_, err = from.Repo() // An invalid name fails here, and not when the first layer is fetched.
	return from, err
}
