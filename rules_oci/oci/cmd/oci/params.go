package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"krabby.dev/rules_oci/internal/compose"
)

// imageParams is what oci/private/image.bzl writes.
type imageParams struct {
	Label        string   `json:"label"`
	Base         *source  `json:"base,omitempty"`
	OS           string   `json:"os,omitempty"`
	Architecture string   `json:"architecture,omitempty"`
	Variant      string   `json:"variant,omitempty"`
	Layers       []source `json:"layers"`
	Entrypoint   *lines   `json:"entrypoint,omitempty"`
	Cmd          *lines   `json:"cmd,omitempty"`
	Env          *lines   `json:"env,omitempty"`
	Labels       *lines   `json:"labels,omitempty"`
	Annotations  *lines   `json:"annotations,omitempty"`
	ExposedPorts *lines   `json:"exposed_ports,omitempty"`
	Volumes      *lines   `json:"volumes,omitempty"`
	User         string   `json:"user,omitempty"`
	WorkDir      *lines   `json:"workdir,omitempty"`
	Created      *lines   `json:"created,omitempty"`
}

// source is an input: where it lies now, and the label that made it, which is
// the same on every machine.
type source struct {
	Path  string `json:"path"`
	Label string `json:"label"`
}

// loadParams is what oci/private/load.bzl writes.
type loadParams struct {
	Label    string `json:"label"`
	Image    string `json:"image"`
	Format   string `json:"format"`
	RepoTags *lines `json:"repo_tags,omitempty"`
	Loader   string `json:"loader,omitempty"`
}

// indexParams is what oci/private/index.bzl writes.
type indexParams struct {
	Label  string   `json:"label"`
	Images []source `json:"images"`
}

// layoutParams is what oci/private/layout.bzl writes.
type layoutParams struct {
	Label      string `json:"label"`
	Registry   string `json:"registry"`
	Repository string `json:"repository"`
	Manifest   string `json:"manifest"`
	Config     string `json:"config"`
}

// pushParams is what oci/private/push.bzl writes.
type pushParams struct {
	Label      string `json:"label"`
	Image      string `json:"image"`
	Repository *lines `json:"repository,omitempty"`
	RemoteTags *lines `json:"remote_tags,omitempty"`
}

// lines are strings, given in a BUILD file or one per line in a file.
type lines struct {
	Values []string `json:"values,omitempty"`
	File   string   `json:"file,omitempty"`
}

// read returns the strings, never nil for lines that were given. Empty lines
// of a file do not count.
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

// list reads lines that may also be separated by commas, as rules_oci has it
// for ports and volumes.
func (l *lines) list() ([]string, error) {
	raw, err := l.read()
	var out []string
	for _, r := range raw {
		for _, s := range strings.Split(r, ",") {
			if s = strings.TrimSpace(s); s != "" {
				out = append(out, s)
			}
		}
	}
	return out, err
}

// dict reads lines of the form name=value, in order.
func (l *lines) dict() ([]compose.KeyValue, error) {
	raw, err := l.read()
	if err != nil {
		return nil, err
	}
	var out []compose.KeyValue
	for _, r := range raw {
		k, v, ok := strings.Cut(r, "=")
		if !ok || k == "" {
			where := ""
			if l.File != "" {
				where = " in " + l.File
			}
			return nil, fmt.Errorf("%q%s is not of the form name=value", r, where)
		}
		out = append(out, compose.KeyValue{Key: k, Value: v})
	}
	return out, nil
}

// one reads a single string, "" when it was not given.
func (l *lines) one() (string, error) {
	raw, err := l.read()
	if err != nil || len(raw) == 0 {
		return "", err
	}
	if len(raw) > 1 {
		return "", fmt.Errorf("wanted one line, got %d: %q", len(raw), raw)
	}
	return raw[0], nil
}

// config resolves the attributes, reading the files among them.
func (p *imageParams) config() (compose.Config, error) {
	c := compose.Config{User: p.User}
	var created string
	for _, step := range []struct {
		attr string
		read func() error
	}{
		{"entrypoint", into(&c.Entrypoint, p.Entrypoint.read)},
		{"cmd", into(&c.Cmd, p.Cmd.read)},
		{"env", into(&c.Env, p.Env.dict)},
		{"labels", into(&c.Labels, p.Labels.dict)},
		{"annotations", into(&c.Annotations, p.Annotations.dict)},
		{"exposed_ports", into(&c.ExposedPorts, p.ExposedPorts.list)},
		{"volumes", into(&c.Volumes, p.Volumes.list)},
		{"workdir", into(&c.WorkDir, p.WorkDir.one)},
		{"created", into(&created, p.Created.one)},
	} {
		if err := step.read(); err != nil {
			return c, fmt.Errorf("attribute %s: %w", step.attr, err)
		}
	}
	if created != "" {
		t, err := time.Parse(time.RFC3339, created)
		if err != nil {
			return c, fmt.Errorf("attribute created: %q is not a time such as 2006-01-02T15:04:05Z", created)
		}
		c.Created = t
	}
	return c, nil
}

func into[T any](dst *T, read func() (T, error)) func() error {
	return func() (err error) {
		*dst, err = read()
		return err
	}
}

// readParams decodes the JSON at path into v. A field we do not know means
// that Starlark and this tool have parted, which must not pass in silence.
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
