package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"krabby.dev/rules_oci/internal/compose"
)

// imageParams is written by oci/private/image.bzl.
type imageParams struct {
	Label        string   `json:"label"`
	Base         *source  `json:"base,omitempty"`
	OS           string   `json:"os,omitempty"`
	Architecture string   `json:"architecture,omitempty"`
	Variant      string   `json:"variant,omitempty"`
	Layers       []source `json:"layers,omitempty"`
	Entrypoint   *text    `json:"entrypoint,omitempty"`
	Cmd          *text    `json:"cmd,omitempty"`
	Env          *text    `json:"env,omitempty"`
	Labels       *text    `json:"labels,omitempty"`
	Annotations  *text    `json:"annotations,omitempty"`
	ExposedPorts *text    `json:"exposed_ports,omitempty"`
	Volumes      *text    `json:"volumes,omitempty"`
	Created      *text    `json:"created,omitempty"`
	User         string   `json:"user,omitempty"`
	WorkDir      *lines   `json:"workdir,omitempty"`
}

// source is an input: its path, and the label of its target. A layer can have a descriptor, the file that the command layer writes; its
// tar is not read then.
type source struct {
	Path       string `json:"path"`
	Label      string `json:"label"`
	Descriptor string `json:"descriptor,omitempty"`
}

// text is the value of an attribute, as the content of a file. oci/private/image.bzl formats inline values like rules_oci's files.
type text struct {
	Inline string `json:"inline"`
	File   string `json:"file,omitempty"`
}

// read returns the text, or nil if the attribute is not set.
func (t *text) read() (*string, error) {
	if t == nil {
		return nil, nil
	}
	if t.File == "" {
		return &t.Inline, nil
	}
	data, err := os.ReadFile(t.File)
	content := string(data)
	return &content, err
}

// loadParams is written by oci/private/load.bzl.
type loadParams struct {
	Label    string `json:"label"`
	Image    string `json:"image"`
	Format   string `json:"format"`
	RepoTags *lines `json:"repo_tags,omitempty"`
	Loader   string `json:"loader,omitempty"`
}

// indexParams is written by oci/private/index.bzl.
type indexParams struct {
	Label       string   `json:"label"`
	Images      []source `json:"images"`
	Annotations *text    `json:"annotations,omitempty"`
}

// layoutParams is written by oci/private/layout.bzl.
type layoutParams struct {
	Label      string `json:"label"`
	Registry   string `json:"registry"`
	Repository string `json:"repository"`
	Insecure   bool   `json:"insecure,omitempty"`
	Manifest   string `json:"manifest"`
	Config     string `json:"config"`
}

// pushParams is written by oci/private/push.bzl.
type pushParams struct {
	Label      string `json:"label"`
	Image      string `json:"image"`
	Repository *lines `json:"repository,omitempty"`
	RemoteTags *lines `json:"remote_tags,omitempty"`
	Insecure   bool   `json:"insecure,omitempty"`
}

// lines are strings, inline or one per line in a file.
type lines struct {
	Values []string `json:"values,omitempty"`
	File   string   `json:"file,omitempty"`
}

// read returns the strings, without the empty lines of a file. They are nil only if the attribute is not set.
func (l *lines) read() ([]string, error) {
	switch {
	case l == nil:
		return nil, nil
	case l.File == "":
		return append([]string{}, l.Values...), nil
	}
	data, err := os.ReadFile(l.File)
	if err != nil {
		return nil, err
	}
	out := []string{}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			out = append(out, line)
		}
	}
	return out, nil
}

// one returns the only string, or "" if the attribute is not set.
func (l *lines) one() (string, error) {
	raw, err := l.read()
	if err != nil || len(raw) == 0 {
		return "", err
	}
	if len(raw) > 1 {
		return "", fmt.Errorf("found %d lines, expected 1: %q", len(raw), raw)
	}
	return raw[0], nil
}

// attributes reads the attributes of the image.
func (p *imageParams) attributes() (compose.Attributes, error) {
	a := compose.Attributes{User: p.User}
	for _, attribute := range []struct {
		name string
		from *text
		to   **string
	}{
		{"entrypoint", p.Entrypoint, &a.Entrypoint},
		{"cmd", p.Cmd, &a.Cmd},
		{"env", p.Env, &a.Env},
		{"labels", p.Labels, &a.Labels},
		{"annotations", p.Annotations, &a.Annotations},
		{"exposed_ports", p.ExposedPorts, &a.ExposedPorts},
		{"volumes", p.Volumes, &a.Volumes},
		{"created", p.Created, &a.Created},
	} {
		content, err := attribute.from.read()
		if err != nil {
			return a, fmt.Errorf("attribute %s: %w", attribute.name, err)
		}
		*attribute.to = content
	}
	var err error
	if a.WorkDir, err = p.WorkDir.one(); err != nil {
		return a, fmt.Errorf("attribute workdir: %w", err)
	}
	return a, nil
}

// readParams decodes the JSON at path into v. An unknown field is an error: Starlark and this program disagree.
func readParams(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("parameters %s: %w", path, err)
	}
	return nil
}
