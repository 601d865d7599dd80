package uv

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"

	"github.com/BurntSushi/toml"

	"krabby.dev/krabby/tools/layer/wheel"
)

// pylock is a pylock.toml as PEP 751 defines it, as far as this package uses it.
type pylock struct {
	LockVersion string          `toml:"lock-version"`
	CreatedBy   string          `toml:"created-by"`
	Packages    []pylockPackage `toml:"packages"`
}

type pylockPackage struct {
	Name    string        `toml:"name"`
	Version string        `toml:"version"`
	Wheels  []pylockWheel `toml:"wheels,omitempty"`
}

type pylockWheel struct {
	Name   string            `toml:"name"`
	URL    string            `toml:"url"`
	Path   string            `toml:"path"`
	Hashes map[string]string `toml:"hashes"`
}

// preferences returns a pylock.toml of versions only.
func preferences(versions map[string]string) []byte {
	lock := pylock{LockVersion: "1.0", CreatedBy: "pin"}
	for _, project := range slices.Sorted(maps.Keys(versions)) {
		lock.Packages = append(lock.Packages, pylockPackage{Name: project, Version: versions[project]})
	}
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(lock); err != nil {
		panic(err) // The type has no value that TOML cannot express.
	}
	return b.Bytes()
}

// parse reads the releases of a pylock.toml.
func parse(raw []byte) ([]Release, error) {
	var lock pylock
	if err := toml.Unmarshal(raw, &lock); err != nil {
		return nil, fmt.Errorf("pylock.toml of uv: %w", err)
	}
	var releases []Release
	for _, p := range lock.Packages {
		release := Release{Project: wheel.Normalize(p.Name), Version: p.Version}
		for _, w := range p.Wheels {
			name, err := w.filename()
			if err != nil {
				return nil, fmt.Errorf("pylock.toml of uv: %s: %w", p.Name, err)
			}
			if w.Hashes["sha256"] == "" {
				return nil, fmt.Errorf("%s: the index has no sha256 of this file", name)
			}
			release.Wheels = append(release.Wheels, Wheel{Filename: name, SHA256: w.Hashes["sha256"]})
		}
		if len(release.Wheels) == 0 {
			return nil, fmt.Errorf("%s: no wheel on an index: requirements by address and source distributions are not supported", p.Name)
		}
		releases = append(releases, release)
	}
	slices.SortFunc(releases, func(a, b Release) int { return cmp.Compare(a.Project, b.Project) })
	return releases, nil
}

// filename returns the name of the file, which PEP 751 allows to be the end of its address or path.
func (w pylockWheel) filename() (string, error) {
	if w.Name != "" {
		return w.Name, nil
	}
	if w.Path != "" {
		return path.Base(w.Path), nil
	}
	address, err := url.Parse(w.URL)
	if err != nil {
		return "", err
	}
	return path.Base(address.Path), nil
}
