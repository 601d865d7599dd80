package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"krabby.dev/rules_oci/internal/ocidir"
)

// realCase is a spec.json in testdata/rules_oci: an image that rules_oci 2.3.2 built, or a base.
type realCase struct {
	Base    string `json:"base"` // Name of another case.
	Scratch *struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		Variant      string `json:"variant"`
	} `json:"scratch"`
	Tars []struct {
		Label string `json:"label"`
		File  string `json:"file"`
	} `json:"tars"`
	User    string `json:"user"`
	WorkDir string `json:"workdir"`
	Digest  string `json:"digest"` // Of the manifest; empty for a base.
}

// realImages builds cases once, because some are the bases of others.
type realImages struct {
	root  string
	built map[string]string // Layouts.
}

func (r *realImages) read(t *testing.T, name string) realCase {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(r.root, name, "spec.json"))
	if err != nil {
		t.Fatal(err)
	}
	var c realCase
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// layout returns the layout of a case.
func (r *realImages) layout(t *testing.T, name string) string {
	t.Helper()
	if layout := r.built[name]; layout != "" {
		return layout
	}
	c, dir := r.read(t, name), filepath.Join(r.root, name)
	if c.Digest == "" {
		return filepath.Join(dir, "image")
	}
	spec := imageParams{Label: "//real:" + name, User: c.User}
	if c.WorkDir != "" {
		spec.WorkDir = values(c.WorkDir)
	}
	if c.Scratch != nil {
		spec.OS, spec.Architecture, spec.Variant = c.Scratch.OS, c.Scratch.Architecture, c.Scratch.Variant
	} else {
		spec.Base = &source{Path: r.layout(t, c.Base), Label: "//real:" + c.Base}
	}
	for _, tar := range c.Tars {
		spec.Layers = append(spec.Layers, source{Path: filepath.Join(dir, tar.File), Label: tar.Label})
	}
	for attribute, to := range map[string]**text{
		"annotations": &spec.Annotations, "cmd": &spec.Cmd, "created": &spec.Created, "entrypoint": &spec.Entrypoint, "env": &spec.Env,
		"exposed_ports": &spec.ExposedPorts, "labels": &spec.Labels, "volumes": &spec.Volumes,
	} {
		if file := filepath.Join(dir, attribute+".txt"); isFile(file) {
			*to = &text{File: file}
		}
	}
	r.built[name] = filepath.Join(t.TempDir(), name)
	if result := tryBuild(t, spec, r.built[name]); result.code != 0 {
		t.Fatalf("exit %d: %s", result.code, result.err)
	}
	return r.built[name]
}

// TestImage_rulesOCI builds the images in testdata/rules_oci and compares them with those of rules_oci 2.3.2, byte for byte.
func TestImage_rulesOCI(t *testing.T) {
	images := &realImages{root: "testdata/rules_oci", built: map[string]string{}}
	cases, err := filepath.Glob(filepath.Join(images.root, "*", "manifest.json"))
	if err != nil || len(cases) < 13 {
		t.Fatalf("found %d cases (%v), expected at least 13", len(cases), err)
	}
	// Layouts of bases are used by several subtests, so they must not be in a directory of one.
	for _, path := range cases {
		images.layout(t, filepath.Base(filepath.Dir(path)))
	}
	for _, path := range cases {
		name := filepath.Base(filepath.Dir(path))
		t.Run(name, func(t *testing.T) {
			layout := images.built[name]
			documents, err := ocidir.Read(layout)
			if err != nil {
				t.Fatal(err)
			}
			index, err := os.ReadFile(filepath.Join(layout, "index.json"))
			if err != nil {
				t.Fatal(err)
			}
			for file, got := range map[string][]byte{"manifest.json": documents.Manifest, "config.json": documents.Config, "index.json": index} {
				want, err := os.ReadFile(filepath.Join(images.root, name, file))
				if err != nil {
					t.Fatal(err)
				}
				if string(got) != string(want) {
					t.Errorf("%s: found\n%s\nexpected\n%s", file, got, want)
				}
			}
			digest, err := os.ReadFile(layout + ".sha256")
			if want := images.read(t, name).Digest; err != nil || strings.TrimSpace(string(digest)) != want {
				t.Errorf("digest: found %s (%v), expected %s", digest, err, want)
			}
		})
	}
}
