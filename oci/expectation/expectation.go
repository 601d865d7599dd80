// Package expectation compares an image with its expected content in YAML.
//
// It reads images through go-containerregistry. It must never run or import the programs of an image. `validate.Image`
// checks digests.
package expectation

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"sigs.k8s.io/yaml"
)

// Expectation is a file of oci/testdata. An empty field means that the image must not have the property.
type Expectation struct {
	Architecture string            `json:"architecture"`
	OS           string            `json:"os"`
	User         string            `json:"user"`
	Workdir      string            `json:"workdir"`
	Entrypoint   []string          `json:"entrypoint"`
	Cmd          []string          `json:"cmd"`
	Env          []string          `json:"env"`
	Labels       map[string]string `json:"labels"`      // Values may be patterns, as of path.Match.
	Annotations  map[string]string `json:"annotations"` // Of the manifest, patterns as in Labels.
	// Layers are the labels of the targets that made them, lowest first.
	Layers []string `json:"layers"`
	// Files are files that the image must have, by absolute path.
	Files        map[string]File `json:"files"`
	CompressedMB float64         `json:"compressed_mb"` // Maximum size of the layers in a registry, in 10^6 bytes.
}

// File has the expected properties of a file.
type File struct {
	Type     string `json:"type"`     // "file", "directory" or "link"; file if empty.
	Mode     string `json:"mode"`     // Octal; 0644 for a file, 0755 for a directory, if empty. Links have none.
	Owner    string `json:"owner"`    // "UID:GID"; 0:0 if empty.
	Target   string `json:"target"`   // Of a link.
	Contains string `json:"contains"` // Text that the file must contain.
}

// Read reads an expectation. An unknown field is an error.
func Read(path string) (*Expectation, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var e Expectation
	if err := yaml.UnmarshalStrict(raw, &e); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &e, nil
}

// Check returns the differences between an image and the expectation, and violations of the rules for all images. The
// error is for an image that cannot be read.
func (e *Expectation) Check(image v1.Image) ([]string, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return nil, err
	}
	files, err := list(image)
	if err != nil {
		return nil, err
	}
	findings := slices.Concat(e.checkConfig(config, manifest), e.checkFiles(files), forbidden(config, files))
	var size int64
	for _, layer := range manifest.Layers {
		size += layer.Size
	}
	if mb := float64(size) / 1e6; mb > e.CompressedMB {
		findings = append(findings, fmt.Sprintf("compressed: found %.1f MB, expected at most %g MB", mb, e.CompressedMB))
	}
	return findings, nil
}

func (e *Expectation) checkConfig(config *v1.ConfigFile, manifest *v1.Manifest) []string {
	var layers []string
	for _, step := range config.History {
		layers = append(layers, strings.TrimPrefix(step.CreatedBy, "bazel build "))
	}
	var findings []string
	for _, field := range []struct {
		name        string
		found, want any
	}{
		{"architecture", config.Architecture, e.Architecture},
		{"os", config.OS, e.OS},
		{"user", config.Config.User, e.User},
		{"workdir", config.Config.WorkingDir, e.Workdir},
		{"entrypoint", config.Config.Entrypoint, e.Entrypoint},
		{"cmd", config.Config.Cmd, e.Cmd},
		{"env", config.Config.Env, e.Env},
		{"layers", layers, e.Layers},
	} {
		if found, want := asJSON(field.found), asJSON(field.want); found != want {
			findings = append(findings, fmt.Sprintf("%s: found %s, expected %s", field.name, found, want))
		}
	}
	findings = append(findings, compare("label", config.Config.Labels, e.Labels)...)
	findings = append(findings, compare("annotation", manifest.Annotations, e.Annotations)...)
	if !config.Created.IsZero() && config.Created.Unix() != 0 {
		findings = append(findings, fmt.Sprintf("created: found %v, expected none: images must not depend on the time of the build", config.Created))
	}
	return findings
}

// compare compares values with patterns, by name.
func compare(kind string, found, want map[string]string) []string {
	var findings []string
	for _, name := range names(found, want) {
		value, isThere := found[name]
		pattern, isWanted := want[name]
		switch {
		case !isThere:
			findings = append(findings, fmt.Sprintf("%s %s: found none, expected %q", kind, name, pattern))
		case !isWanted:
			findings = append(findings, fmt.Sprintf("%s %s: found %q, expected none", kind, name, value))
		default:
			if match, err := path.Match(pattern, value); value != pattern && (err != nil || !match) {
				findings = append(findings, fmt.Sprintf("%s %s: found %q, expected %q", kind, name, value, pattern))
			}
		}
	}
	return findings
}

func (e *Expectation) checkFiles(files map[string]entry) []string {
	var findings []string
	for _, name := range slices.Sorted(maps.Keys(e.Files)) {
		found, ok := files[name]
		if !ok {
			findings = append(findings, name+": not found")
			continue
		}
		want := e.Files[name]
		want.Type = cmp.Or(want.Type, "file")
		want.Owner = cmp.Or(want.Owner, "0:0")
		want.Mode = cmp.Or(want.Mode, map[string]string{"file": "0644", "directory": "0755"}[want.Type])
		for _, field := range []struct{ name, found, want string }{
			{"type", found.kind, want.Type},
			{"owner", found.owner, want.Owner},
			{"mode", found.mode(), want.Mode},
			{"target", found.target, want.Target},
		} {
			if field.found != field.want {
				findings = append(findings, fmt.Sprintf("%s: %s: found %s, expected %s", name, field.name, cmp.Or(field.found, "none"), cmp.Or(field.want, "none")))
			}
		}
		if !strings.Contains(string(found.content), want.Contains) {
			findings = append(findings, fmt.Sprintf("%s: does not contain %q", name, want.Contains))
		}
	}
	return findings
}

// asJSON formats a value. Empty and missing lists are the same.
func asJSON(v any) string {
	if list, ok := v.([]string); ok && len(list) == 0 {
		return "none"
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // Cannot happen for strings and lists of strings.
	}
	return string(text)
}

func names(dicts ...map[string]string) []string {
	all := map[string]bool{}
	for _, dict := range dicts {
		for name := range dict {
			all[name] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}
