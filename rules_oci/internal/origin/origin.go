// Package origin records the repository of layers that are missing in a shallow layout. The record is the file remote.json
// of the layout, an extension of the image specification.
//
// It must never import a package that reaches the network.
package origin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// File is the name of the file in a layout.
const File = "remote.json"

// Origin is an image whose layers are only in a registry.
type Origin struct {
	Registry   string    `json:"registry"`
	Repository string    `json:"repository"`
	Insecure   bool      `json:"insecure,omitempty"` // Whether HTTP is permitted.
	Digest     v1.Hash   `json:"digest"`             // Digest of the manifest.
	Layers     []v1.Hash `json:"layers"`             // Digests of the layers in the manifest.
}

// Repo returns the repository, to compare it. A client parses Name to reach it.
func (o Origin) Repo() (name.Repository, error) {
	repo, err := name.NewRepository(o.Registry + "/" + o.Repository)
	if err != nil {
		return name.Repository{}, fmt.Errorf("%s: repository %s/%s: %w", File, o.Registry, o.Repository, err)
	}
	return repo, nil
}

// Name returns the name of the repository for registry.Client.
func (o Origin) Name() string {
	if o.Insecure {
		return "http://" + o.Registry + "/" + o.Repository
	}
	return o.Registry + "/" + o.Repository
}

// List has the origins of the missing layers of a layout.
type List []Origin

// Find returns the origin of a layer.
func (l List) Find(layer v1.Hash) (Origin, bool) {
	for _, o := range l {
		if slices.Contains(o.Layers, layer) {
			return o, true
		}
	}
	return Origin{}, false
}

// Read returns the origins of the layout at dir, or none if the layout is complete.
func Read(dir string) (List, error) {
	path := filepath.Join(dir, File)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list List
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return list, nil
}

// Write writes the origins to the layout at dir. A complete layout has no such file.
func Write(dir string, list List) error {
	if len(list) == 0 {
		return nil
	}
	data, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, File), append(data, '\n'), 0o644)
}

// Merge returns the origins of all lists without duplicates.
func Merge(lists ...List) List {
	var merged List
	for _, o := range slices.Concat(lists...) {
		same := func(m Origin) bool {
			return m.Registry == o.Registry && m.Repository == o.Repository && m.Digest == o.Digest
		}
		if !slices.ContainsFunc(merged, same) {
			merged = append(merged, o)
		}
	}
	return merged
}
