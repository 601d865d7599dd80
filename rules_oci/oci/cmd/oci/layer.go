package main

import (
	"encoding/json"
	"fmt"
	"os"

	"krabby.dev/rules_oci/internal/tarlayer"
)

// layerCmd describes a layer in an action of its own, so that a change of one layer does not read the others again.
type layerCmd struct {
	Tar    string `required:"" placeholder:"FILE" help:"The tar: uncompressed, gzip or zstd."`
	Label  string `required:"" placeholder:"LABEL" help:"Label of the target that makes the tar, for errors."`
	Image  string `required:"" placeholder:"LABEL" help:"Label of the image, for errors."`
	Output string `required:"" placeholder:"FILE" help:"Description to write: compression, digests and size in JSON."`
}

// Run writes the description. Errors start with the label of the image.
func (c *layerCmd) Run() error {
	layer, err := source{Path: c.Tar, Label: c.Label}.readLayer()
	if err != nil {
		return fmt.Errorf("%s: %w", c.Image, err)
	}
	data, err := json.Marshal(layer)
	if err != nil {
		return err
	}
	return os.WriteFile(c.Output, data, 0o644)
}

// readLayer returns the layer, from its descriptor if there is one.
func (s source) readLayer() (*tarlayer.Layer, error) {
	var layer tarlayer.Layer
	if s.Descriptor != "" {
		return &layer, readParams(s.Descriptor, &layer)
	}
	read, err := tarlayer.FromFile(s.Path)
	if err != nil {
		return nil, fmt.Errorf("tars: %s (%s): %w", s.Label, s.Path, err)
	}
	return read, nil
}
