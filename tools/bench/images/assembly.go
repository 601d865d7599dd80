package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const ociTool = "@rules_oci//oci/cmd/oci"

// assembly has the inputs of the image of a checkout, and the tool that assembles and pushes images.
type assembly struct {
	*checkout
	execRoot string
	oci      string // Path of ociTool.
	params   params
}

// params are the parameters that the rule oci_image writes for its tool. Unknown fields are kept.
type params map[string]json.RawMessage

// file is an input of the tool.
type file struct {
	Path  string `json:"path"`
	Label string `json:"label"`
}

// openAssembly builds the tool and the inputs of the image.
func openAssembly(ctx context.Context, c *checkout) (*assembly, error) {
	if _, err := c.bazel(ctx, "build", target, ociTool); err != nil {
		return nil, err
	}
	execRoot, err := c.bazel(ctx, "info", "execution_root")
	if err != nil {
		return nil, err
	}
	oci, err := c.bazel(ctx, "cquery", "--output=files", ociTool)
	if err != nil {
		return nil, err
	}
	a := &assembly{checkout: c, execRoot: strings.TrimSpace(execRoot)}
	a.oci = filepath.Join(a.execRoot, strings.TrimSpace(oci))
	data, err := os.ReadFile(filepath.Join(c.dir, "bazel-bin/oci/locomotion.params.json"))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &a.params); err != nil {
		return nil, fmt.Errorf("parameters of %s: %w", target, err)
	}
	// Bazel does not write intermediate outputs from its cache to disk unless they are requested.
	_, err = c.bazel(ctx, "build", append([]string{target, ociTool}, a.inputs()...)...)
	return a, err
}

// describedBy are the inputs that the parameters name by file, beside base and layers.
var describedBy = []string{"//oci:locomotion_description", "//oci:locomotion_entrypoint", "//oci:locomotion_env"}

// inputs returns the labels of the inputs of the image.
func (a *assembly) inputs() []string {
	labels := append([]string{a.params.base().Label}, describedBy...)
	for _, layer := range a.params.layers() {
		labels = append(labels, layer.Label)
	}
	return labels
}

func (p params) base() (base file)       { json.Unmarshal(p["base"], &base); return }
func (p params) layers() (layers []file) { json.Unmarshal(p["layers"], &layers); return }

// with returns the parameters with another base and other layers.
func (p params) with(base file, layers []file) (params, error) {
	changed := params{}
	for name, value := range p {
		changed[name] = value
	}
	var err error
	if changed["base"], err = json.Marshal(base); err != nil {
		return nil, err
	}
	changed["layers"], err = json.Marshal(layers)
	return changed, err
}

// ociCommand returns a call of ociTool. It runs in the execution root, to which paths in its parameters are relative.
func (a *assembly) ociCommand(args ...string) *exec.Cmd {
	cmd := exec.Command(a.oci, args...)
	cmd.Dir = a.execRoot
	return cmd
}

// copyLayers copies the current layers to dir and returns the copies.
func (a *assembly) copyLayers(dir string) ([]file, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var copies []file
	for _, layer := range a.params.layers() {
		copied := file{Path: filepath.Join(dir, filepath.Base(layer.Path)), Label: layer.Label}
		if err := copyFile(filepath.Join(a.execRoot, layer.Path), copied.Path); err != nil {
			return nil, err
		}
		copies = append(copies, copied)
	}
	return copies, nil
}

// addOnBase adds an image to the checkout, with the layers of target on a base in a registry. restore removes it.
func (a *assembly) addOnBase(name, image, digest string) (added string, err error) {
	var tars []string
	for _, layer := range a.params.layers() {
		tars = append(tars, layer.Label)
	}
	return "//oci:" + name + "_image", errors.Join(
		a.append("MODULE.bazel", fmt.Sprintf("oci.pull(name = %q, digest = %q, image = %q)\nuse_repo(oci, %q)\n", name, digest, image, name)),
		a.append("oci/BUILD.bazel", fmt.Sprintf("oci_image(name = %q, base = %q, tars = %s)\n", name+"_image", "@"+name, starlark(tars))),
	)
}

// starlark formats a list of strings.
func starlark(list []string) string {
	data, _ := json.Marshal(list) // A list of strings is the same in JSON and Starlark, and cannot fail.
	return string(data)
}
