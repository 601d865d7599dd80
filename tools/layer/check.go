package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/tools/layer/overlay"
)

type checkCmd struct {
	Base   string   `placeholder:"DIR" help:"Base image: an OCI image layout. Layers that it does not contain are not checked."`
	Output string   `placeholder:"FILE" help:"File to write if the layers fit."`
	Layer  []string `arg:"" optional:"" placeholder:"FILE" help:"Layers from the lowest to the highest."`
}

// Run checks that no layer hides a link or a directory of the layers below.
func (c *checkCmd) Run(console *cli.Console) error {
	var layers []overlay.Layer
	if c.Base != "" {
		base, err := baseLayers(c.Base, console)
		if err != nil {
			return fmt.Errorf("base %s: %w", c.Base, err)
		}
		layers = base
	}
	for _, name := range c.Layer {
		layers = append(layers, fileLayer(name, name))
	}
	if err := overlay.Check(layers); err != nil {
		return err
	}
	if c.Output == "" {
		return nil
	}
	return os.WriteFile(c.Output, nil, 0o644)
}

func fileLayer(name, file string) overlay.Layer {
	return overlay.Layer{Name: name, Open: func() (io.ReadCloser, error) { return os.Open(file) }}
}

// baseLayers returns the layers in an OCI image layout of one image.
func baseLayers(dir string, console *cli.Console) ([]overlay.Layer, error) {
	var index struct {
		Manifests []struct {
			Digest string `json:"digest"`
		} `json:"manifests"`
	}
	if err := readLayout(filepath.Join(dir, "index.json"), &index); err != nil {
		return nil, err
	}
	if len(index.Manifests) != 1 {
		return nil, fmt.Errorf("index.json: found %d images, expected 1", len(index.Manifests))
	}
	var manifest struct {
		Layers []struct {
			Digest string `json:"digest"`
		} `json:"layers"`
	}
	if err := readLayout(blob(dir, index.Manifests[0].Digest), &manifest); err != nil {
		return nil, err
	}
	var layers []overlay.Layer
	for _, l := range manifest.Layers {
		file := blob(dir, l.Digest)
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			console.Progress("%s: layer %s is not downloaded, and not checked", dir, l.Digest)
			continue
		}
		layers = append(layers, fileLayer(dir+" "+l.Digest, file))
	}
	return layers, nil
}

func blob(dir, digest string) string {
	return filepath.Join(dir, "blobs", filepath.FromSlash(strings.Replace(digest, ":", "/", 1)))
}

func readLayout(file string, v any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}
