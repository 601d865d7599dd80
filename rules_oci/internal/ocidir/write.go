package ocidir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"krabby.dev/rules_oci/internal/jsontree"
	"krabby.dev/rules_oci/internal/origin"
)

// Orders of the keys of a descriptor in the index of a layout: rules_oci has one for images and another for pulled images and indexes.
var (
	builtKeys  = []string{"mediaType", "digest", "size"}
	pulledKeys = []string{"mediaType", "size", "digest"}
)

// Layers are the files of layers by digest.
type Layers map[v1.Hash]string

// WriteImage writes the layout of an image that was built to dir, which must be missing or empty. A layer is copied from its file in
// layers, or is absent and its repository is recorded. The layout's index has the media type of that of the base.
func WriteImage(dir, indexMediaType string, manifest, config []byte, layers Layers, absent origin.List) error {
	return writeSingle(dir, indexMediaType, builtKeys, manifest, config, layers, absent)
}

// WritePulled writes the layout of an image in a registry to dir.
func WritePulled(dir string, manifest, config []byte, absent origin.List) error {
	return writeSingle(dir, string(types.OCIImageIndex), pulledKeys, manifest, config, nil, absent)
}

func writeSingle(dir, indexMediaType string, keys []string, manifest, config []byte, layers Layers, absent origin.List) error {
	return write(dir, func() error {
		digest, err := writeImage(dir, manifest, config, layers, absent)
		if err != nil {
			return err
		}
		entry := descriptor(keys, mediaTypeOf(manifest), digest, len(manifest))
		index := []any{"schemaVersion", json.Number("2")}
		if indexMediaType != "" {
			index = append(index, "mediaType", indexMediaType)
		}
		return errors.Join(writeOrigins(dir, absent), writeIndexFile(dir, append(index, "manifests", []any{entry})...))
	})
}

// IndexImage is an image of an index.
type IndexImage struct {
	Documents
	Layers Layers
}

// WriteIndex writes the layout of an index to dir: the document of the index and its images.
func WriteIndex(dir string, index []byte, images []IndexImage, absent origin.List) error {
	return write(dir, func() error {
		for _, image := range images {
			if _, err := writeImage(dir, image.Manifest, image.Config, image.Layers, absent); err != nil {
				return err
			}
		}
		digest, err := writeBlob(dir, index)
		if err != nil {
			return err
		}
		entry := descriptor(pulledKeys, string(types.OCIImageIndex), digest, len(index))
		return errors.Join(writeOrigins(dir, absent), writeIndexFile(dir, "manifests", []any{entry}))
	})
}

// write creates an empty layout and calls fill. If that fails, nothing is left in dir.
func write(dir string, fill func() error) error {
	// Bazel creates the directories of its outputs.
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty: an OCI layout is written to an empty directory", dir)
	}
	if err := os.MkdirAll(BlobDir(dir), 0o755); err != nil {
		return err
	}
	err := os.WriteFile(filepath.Join(dir, versionFile), []byte(version), 0o644)
	if err == nil {
		err = fill()
	}
	if err != nil {
		for _, name := range []string{"blobs", versionFile, indexFile, origin.File} {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, name)))
		}
	}
	return err
}

// writeImage writes the blobs of an image and returns the digest of its manifest.
func writeImage(dir string, manifest, config []byte, layers Layers, absent origin.List) (v1.Hash, error) {
	m, err := v1.ParseManifest(bytes.NewReader(manifest))
	if err != nil {
		return v1.Hash{}, fmt.Errorf("read the manifest: %w", err)
	}
	for _, layer := range m.Layers {
		path, ok := layers[layer.Digest]
		if !ok {
			if _, ok := absent.Find(layer.Digest); !ok {
				return v1.Hash{}, fmt.Errorf("layer %s not found", layer.Digest)
			}
			continue
		}
		if err := copyBlob(path, BlobPath(dir, layer.Digest), layer.Size); err != nil {
			return v1.Hash{}, fmt.Errorf("copy layer %s: %w", layer.Digest, err)
		}
	}
	digest, err := writeBlob(dir, config)
	if err != nil {
		return v1.Hash{}, err
	}
	if digest != m.Config.Digest {
		return v1.Hash{}, fmt.Errorf("found the config %s, expected %s of the manifest", digest, m.Config.Digest)
	}
	return writeBlob(dir, manifest)
}

func writeBlob(dir string, data []byte) (v1.Hash, error) {
	digest, _, err := v1.SHA256(bytes.NewReader(data))
	if err != nil {
		return digest, err
	}
	return digest, os.WriteFile(BlobPath(dir, digest), data, 0o644)
}

// copyBlob copies a file unless it exists. It does not link it: Bazel makes outputs read-only, and through a hard link it would change
// a source file.
func copyBlob(from, to string, size int64) (err error) {
	if info, err := os.Stat(to); err == nil && info.Size() == size {
		return nil
	}
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	n, err := io.Copy(dst, src)
	if err == nil && n != size {
		err = fmt.Errorf("found %d bytes, expected %d of the manifest", n, size)
	}
	return err
}

// writeOrigins records the repositories of the layers that are not in the layout.
func writeOrigins(dir string, absent origin.List) error {
	missing := slices.Clone(absent)
	for i, o := range missing {
		missing[i].Layers = slices.DeleteFunc(slices.Clone(o.Layers), func(h v1.Hash) bool {
			_, err := os.Stat(BlobPath(dir, h))
			return err == nil
		})
	}
	return origin.Write(dir, missing)
}

func writeIndexFile(dir string, pairs ...any) error {
	index := &jsontree.Object{}
	for i := 0; i < len(pairs); i += 2 {
		index.Set(pairs[i].(string), pairs[i+1])
	}
	return os.WriteFile(filepath.Join(dir, indexFile), append(jsontree.Format(index), '\n'), 0o644)
}

// descriptor returns a descriptor with an order of keys.
func descriptor(keys []string, mediaType string, digest v1.Hash, size int) *jsontree.Object {
	values := map[string]any{"mediaType": mediaType, "digest": digest.String(), "size": json.Number(strconv.Itoa(size))}
	entry := &jsontree.Object{}
	for _, key := range keys {
		entry.Set(key, values[key])
	}
	return entry
}

// mediaTypeOf returns the media type of a manifest. An OCI manifest may omit it.
func mediaTypeOf(manifest []byte) string {
	var m struct {
		MediaType string `json:"mediaType"`
	}
	if err := json.Unmarshal(manifest, &m); err != nil || m.MediaType == "" {
		return string(types.OCIManifestSchema1)
	}
	return m.MediaType
}

// Files returns the layers that are in the layout at dir.
func Files(dir string, manifest []byte) (Layers, error) {
	m, err := v1.ParseManifest(bytes.NewReader(manifest))
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	files := Layers{}
	for _, layer := range m.Layers {
		if path := BlobPath(dir, layer.Digest); exists(path) {
			files[layer.Digest] = path
		}
	}
	return files, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Add adds the layers of other.
func (l Layers) Add(other Layers) { maps.Copy(l, other) }
