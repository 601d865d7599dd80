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

type pathsCmd struct {
	Base   string `placeholder:"DIR" xor:"layers" required:"" help:"Read the layers of an OCI image layout, as far as it contains them."`
	Layer  string `placeholder:"FILE" xor:"layers" required:"" help:"Read a layer."`
	Output string `required:"" placeholder:"FILE" help:"File to write."`
}

// Run writes the paths of layers for the command check.
func (c *pathsCmd) Run(console *cli.Console) error {
	layers, err := readLayers(c.Base, c.Layer, console)
	if err != nil {
		return err
	}
	data, err := json.Marshal(layers)
	if err != nil {
		return err
	}
	return os.WriteFile(c.Output, data, 0o644)
}

type checkCmd struct {
	Base   string   `placeholder:"DIR" help:"Base image: an OCI image layout. Layers that it does not contain are not checked."`
	Output string   `placeholder:"FILE" help:"File to write if the layers fit."`
	Layer  []string `arg:"" optional:"" placeholder:"FILE" help:"Layers from the lowest to the highest, or files of the command paths, whose names end with ${paths}."`
}

// pathsSuffix ends the names of files of the command paths.
const pathsSuffix = ".paths.json"

// Run checks that no layer hides a link or a directory of the layers below.
func (c *checkCmd) Run(console *cli.Console) error {
	var layers []overlay.Paths
	if c.Base != "" {
		base, err := readLayers(c.Base, "", console)
		if err != nil {
			return err
		}
		layers = base
	}
	for _, file := range c.Layer {
		read, err := readPaths(file, console)
		if err != nil {
			return err
		}
		layers = append(layers, read...)
	}
	if err := overlay.Check(layers); err != nil {
		return err
	}
	if c.Output == "" {
		return nil
	}
	return os.WriteFile(c.Output, nil, 0o644)
}

// readPaths reads a layer, or a file of the command paths.
func readPaths(file string, console *cli.Console) (paths []overlay.Paths, err error) {
	if !strings.HasSuffix(file, pathsSuffix) {
		return readLayers("", file, console)
	}
	err = readJSON(file, &paths)
	return paths, err
}

// readLayers reads the layers of a layout, or else one layer.
func readLayers(layout, file string, console *cli.Console) ([]overlay.Paths, error) {
	layers := []overlay.Layer{fileLayer(file, file)}
	if layout != "" {
		base, err := baseLayers(layout, console)
		if err != nil {
			return nil, fmt.Errorf("base %s: %w", layout, err)
		}
		layers = base
	}
	read := make([]overlay.Paths, len(layers))
	for i, l := range layers {
		var err error
		if read[i], err = overlay.Read(l); err != nil {
			return nil, err
		}
	}
	return read, nil
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
