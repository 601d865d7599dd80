// Package ocidir reads and writes OCI image layouts as Bazel sees them:
// directories that hold exactly one image, or one index over several.
//
// A layout may be shallow: layers that its remote.json names are not in it, and
// none is ever asked for (packages origin and shallow).
//
// It must never import a package that reaches the network, and never write
// anything else into a layout that is not named by the image itself.
package ocidir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"krabby.dev/rules_oci/internal/origin"
)

const (
	markFile  = "oci-layout"
	indexFile = "index.json"
	mark      = `{"imageLayoutVersion":"1.0.0"}`
)

// Image returns the one image of the layout at dir. Nothing but index, manifest
// and config is read: layers are opened when someone asks for their bytes.
func Image(dir string) (v1.Image, error) {
	index, desc, err := only(dir)
	if err != nil {
		return nil, err
	}
	if !desc.MediaType.IsImage() {
		return nil, fmt.Errorf("the OCI layout %s holds a %s, wanted a single image (%s)", dir, desc.MediaType, types.OCIManifestSchema1)
	}
	return image(dir, index, desc.Digest)
}

// Artifact is what a layout may hold: a v1.Image or a v1.ImageIndex.
type Artifact interface {
	Digest() (v1.Hash, error)
	MediaType() (types.MediaType, error)
	RawManifest() ([]byte, error)
}

// Open returns what the layout at dir holds.
func Open(dir string) (Artifact, error) {
	index, desc, err := only(dir)
	if err != nil {
		return nil, err
	}
	switch {
	case desc.MediaType.IsImage():
		return image(dir, index, desc.Digest)
	case desc.MediaType.IsIndex():
		inner, err := index.ImageIndex(desc.Digest)
		if err != nil {
			return nil, fmt.Errorf("read the index %s of the OCI layout %s: %w", desc.Digest, dir, err)
		}
		return inner, nil
	default:
		return nil, fmt.Errorf("the OCI layout %s holds a %s, wanted an image or an index", dir, desc.MediaType)
	}
}

// only returns the index of the layout at dir and the one thing that it names.
func only(dir string) (v1.ImageIndex, v1.Descriptor, error) {
	none := v1.Descriptor{}
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, none, fmt.Errorf("%s does not exist; give the label of an oci_image or of an OCI layout directory", dir)
	case err != nil:
		return nil, none, err
	case !info.IsDir():
		return nil, none, fmt.Errorf("%s is a file, not an OCI layout directory; give the label of an oci_image", dir)
	}
	if _, err := os.Stat(filepath.Join(dir, markFile)); err != nil {
		return nil, none, fmt.Errorf("%s is not an OCI layout (it has no file %s); give the label of an oci_image", dir, markFile)
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, none, fmt.Errorf("read %s of the OCI layout %s: %w", indexFile, dir, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, none, fmt.Errorf("read %s of the OCI layout %s: %w", indexFile, dir, err)
	}
	if n := len(manifest.Manifests); n != 1 {
		return nil, none, fmt.Errorf("the OCI layout %s holds %d images, wanted exactly one", dir, n)
	}
	return index, manifest.Manifests[0], nil
}

func image(dir string, index v1.ImageIndex, digest v1.Hash) (v1.Image, error) {
	img, err := index.Image(digest)
	if err != nil {
		return nil, fmt.Errorf("read the image %s of the OCI layout %s: %w", digest, dir, err)
	}
	if _, err := img.ConfigFile(); err != nil {
		return nil, fmt.Errorf("read the config of the image %s of the OCI layout %s: %w", digest, dir, err)
	}
	return img, nil
}

// BlobDir is where the layout at dir keeps its blobs.
func BlobDir(dir string) string { return filepath.Join(dir, "blobs", "sha256") }

// Create makes the empty skeleton of a layout at dir, which may exist if it is
// empty (Bazel makes the directories of its outputs beforehand).
func Create(dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty; refusing to write an OCI layout over it", dir)
	}
	if err := os.MkdirAll(BlobDir(dir), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, markFile), []byte(mark), 0o644)
}

// Write completes the layout that Create began with img. Blobs that lie there
// already, such as layers compressed in place, are kept. Layers that absent
// names are left where they are, and the layout says where that is.
func Write(dir string, img v1.Image, absent origin.List) error {
	desc, err := writeImage(dir, img, absent)
	if err != nil {
		return err
	}
	return errors.Join(origin.Write(dir, missing(dir, absent)), writeIndexFile(dir, desc))
}

// WriteRaw is Write for an image that was pulled as manifest and config, byte
// for byte: its digest stays what it is in the registry.
func WriteRaw(dir string, manifest, config []byte, absent origin.List) error {
	var m v1.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return fmt.Errorf("read the manifest: %w", err)
	}
	var cf v1.ConfigFile
	if err := json.Unmarshal(config, &cf); err != nil {
		return fmt.Errorf("read the config: %w", err)
	}
	digest, size, err := v1.SHA256(bytes.NewReader(manifest))
	if err != nil {
		return err
	}
	if got, _, err := v1.SHA256(bytes.NewReader(config)); err != nil || got != m.Config.Digest {
		return errors.Join(err, fmt.Errorf("the manifest names the config %s, got %s", m.Config.Digest, got))
	}
	for h, data := range map[v1.Hash][]byte{digest: manifest, m.Config.Digest: config} {
		if err := os.WriteFile(filepath.Join(BlobDir(dir), h.Hex), data, 0o644); err != nil {
			return err
		}
	}
	mediaType := m.MediaType
	if mediaType == "" { // OCI lets it be left out.
		mediaType = types.OCIManifestSchema1
	}
	desc := &v1.Descriptor{MediaType: mediaType, Size: size, Digest: digest, Platform: cf.Platform()}
	return errors.Join(origin.Write(dir, missing(dir, absent)), writeIndexFile(dir, desc))
}

// WriteIndex completes the layout that Create began with an index over images,
// in their order, each with its platform.
func WriteIndex(dir string, images []v1.Image, absent origin.List) error {
	descs := make([]v1.Descriptor, len(images))
	for i, img := range images {
		desc, err := writeImage(dir, img, absent)
		if err != nil {
			return err
		}
		descs[i] = *desc
	}
	raw, err := marshalIndex(descs)
	if err != nil {
		return err
	}
	digest, size, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(BlobDir(dir), digest.Hex), raw, 0o644); err != nil {
		return err
	}
	desc := &v1.Descriptor{MediaType: types.OCIImageIndex, Size: size, Digest: digest}
	return errors.Join(origin.Write(dir, missing(dir, absent)), writeIndexFile(dir, desc))
}

// missing returns the origins of what is not in the layout: a layer of ours may be one of the base's too.
func missing(dir string, absent origin.List) origin.List {
	out := make(origin.List, len(absent))
	for i, o := range absent {
		o.Layers = slices.DeleteFunc(slices.Clone(o.Layers), func(h v1.Hash) bool {
			_, err := os.Stat(filepath.Join(BlobDir(dir), h.Hex))
			return err == nil
		})
		out[i] = o
	}
	return out
}

// writeImage writes the blobs of img and returns what an index says of it.
func writeImage(dir string, img v1.Image, absent origin.List) (*v1.Descriptor, error) {
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	for _, l := range layers {
		digest, err := l.Digest()
		if err != nil {
			return nil, err
		}
		if _, ok := absent.Find(digest); ok {
			continue
		}
		if err := writeLayer(dir, l); err != nil {
			return nil, err
		}
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return nil, err
	}
	configName, err := img.ConfigName()
	if err != nil {
		return nil, err
	}
	raw, err := img.RawManifest()
	if err != nil {
		return nil, err
	}
	desc, err := partial.Descriptor(img)
	if err != nil {
		return nil, err
	}
	for h, data := range map[v1.Hash][]byte{configName: config, desc.Digest: raw} {
		if err := os.WriteFile(filepath.Join(BlobDir(dir), h.Hex), data, 0o644); err != nil {
			return nil, err
		}
	}
	cf, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	desc.Platform = cf.Platform()
	desc.ArtifactType = "" // Of an image it would only repeat the config's type.
	return desc, nil
}

func writeIndexFile(dir string, desc *v1.Descriptor) error {
	raw, err := marshalIndex([]v1.Descriptor{*desc})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, indexFile), raw, 0o644)
}

func marshalIndex(descs []v1.Descriptor) ([]byte, error) {
	return json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: descs})
}

// writeLayer copies one blob. It copies rather than links: Bazel makes outputs
// read-only, and through a hard link that would reach the input, which may be
// a source file. Between two plain files Go lets the kernel copy, which shares
// the blocks where the file system can.
func writeLayer(dir string, l v1.Layer) (err error) {
	digest, err := l.Digest()
	if err != nil {
		return err
	}
	size, err := l.Size()
	if err != nil {
		return err
	}
	path := filepath.Join(BlobDir(dir), digest.Hex)
	if info, err := os.Stat(path); err == nil && info.Size() == size {
		return nil
	}
	src, err := l.Compressed()
	if err != nil {
		return fmt.Errorf("open layer %s: %w", digest, err)
	}
	defer src.Close()
	dst, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	n, err := io.Copy(dst, src)
	if err != nil {
		return fmt.Errorf("copy layer %s: %w", digest, err)
	}
	if n != size {
		return fmt.Errorf("layer %s has %d bytes, its manifest says %d", digest, n, size)
	}
	return nil
}
