// Package origin says where the blobs are that a shallow layout has not: in which repository of which registry. It is
// written into the layout as remote.json, beside what the image specification knows.
//
// It only names places. It must never go there: no import may reach the network.
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

// Origin is an image in a registry whose layers were left there.
type Origin struct {
	Registry   string    `json:"registry"`
	Repository string    `json:"repository"`
	Digest     v1.Hash   `json:"digest"` // Of the image's manifest.
	Layers     []v1.Hash `json:"layers"` // Compressed, as the manifest names them.
}

// Repo is the repository as a reference.
func (o Origin) Repo() (name.Repository, error) {
	repo, err := name.NewRepository(o.Registry + "/" + o.Repository)
	if err != nil {
		return name.Repository{}, fmt.Errorf("%s names %s/%s: %w", File, o.Registry, o.Repository, err)
	}
	return repo, nil
}

// List is what a layout says of its absent layers.
type List []Origin

// Find returns the origin of a layer, and whether there is one.
func (l List) Find(layer v1.Hash) (Origin, bool) {
	for _, o := range l {
		if slices.Contains(o.Layers, layer) {
			return o, true
		}
	}
	return Origin{}, false
}

// Read returns the origins of the layout at dir, none for a layout that is whole.
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

// Write puts the origins into the layout at dir; a whole layout gets no file.
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

// Merge returns the origins of all lists, each image once, in their order.
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
