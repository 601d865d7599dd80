// Package ocidir reads and writes OCI image layouts: directories with one image, or with one index over several.
//
// A layout may be shallow: the layers in its remote.json are missing (packages origin and shallow).
//
// It must never import a package that reaches the network, and never write files to a layout that the image does not refer to.
package ocidir

import (
	"bytes"

	"errors"
	"fmt"

	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"krabby.dev/rules_oci/internal/jsontree"
)

const (
	versionFile = "oci-layout"
	indexFile   = "index.json"
	version     = `{"imageLayoutVersion":"1.0.0"}`
)

// Image returns the only image of the layout at dir. It reads index, manifest and config; layers are opened when they are read.
func Image(dir string) (v1.Image, error) {
	index, desc, err := only(dir)
	if err != nil {
		return nil, err
	}
	if !desc.MediaType.IsImage() {
		return nil, notImage(dir, desc)
	}
	return image(dir, index, desc.Digest)
}

func notImage(dir string, desc v1.Descriptor) error {
	return fmt.Errorf("found a %s in the OCI layout %s, expected an image (%s)", desc.MediaType, dir, types.OCIManifestSchema1)
}

// Artifact is a v1.Image or a v1.ImageIndex.
type Artifact interface {
	Digest() (v1.Hash, error)
	MediaType() (types.MediaType, error)
	RawManifest() ([]byte, error)
}

// Open returns the image or index of the layout at dir.
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
		return nil, fmt.Errorf("found a %s in the OCI layout %s, expected an image or an index", desc.MediaType, dir)
	}
}

// only returns the index of the layout at dir and its only entry.
func only(dir string) (v1.ImageIndex, v1.Descriptor, error) {
	none := v1.Descriptor{}
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, none, fmt.Errorf("%s: no such directory; use the label of an oci_image or of an OCI layout directory", dir)
	case err != nil:
		return nil, none, err
	case !info.IsDir():
		return nil, none, fmt.Errorf("%s is a file, not an OCI layout directory; use the label of an oci_image", dir)
	}
	if _, err := os.Stat(filepath.Join(dir, versionFile)); err != nil {
		return nil, none, fmt.Errorf("%s is not an OCI layout: %s not found; use the label of an oci_image", dir, versionFile)
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
		return nil, none, fmt.Errorf("found %d images in the OCI layout %s, expected 1", n, dir)
	}
	return index, manifest.Manifests[0], nil
}

func image(dir string, index v1.ImageIndex, digest v1.Hash) (v1.Image, error) {
	img, err := index.Image(digest)
	if err != nil {
		return nil, fmt.Errorf("read the image %s of the OCI layout %s: %w", digest, dir, err)
	}
	return img, nil
}

// Documents are the documents of the image of a layout.
type Documents struct {
	Manifest, Config []byte
	Entry            *jsontree.Object // The descriptor of the manifest in the layout's index.
	IndexMediaType   string           // Of the layout's index, which may omit it.
}

// Read returns the documents of the only image of the layout at dir, after checking their digests.
func Read(dir string) (Documents, error) {
	var d Documents
	_, desc, err := only(dir)
	if err != nil {
		return d, err
	}
	if !desc.MediaType.IsImage() {
		return d, notImage(dir, desc)
	}
	raw, err := os.ReadFile(filepath.Join(dir, indexFile))
	if err != nil {
		return d, err
	}
	index, err := jsontree.ParseObject(raw)
	if err != nil {
		return d, fmt.Errorf("read %s of the OCI layout %s: %w", indexFile, dir, err)
	}
	d.IndexMediaType, _ = index.Get("mediaType").(string)
	d.Entry = index.Get("manifests").([]any)[0].(*jsontree.Object) // only has parsed it.
	if d.Manifest, err = readBlob(dir, d.Entry); err != nil {
		return d, fmt.Errorf("manifest: %w", err)
	}
	manifest, err := jsontree.ParseObject(d.Manifest)
	if err != nil {
		return d, fmt.Errorf("manifest: %w", err)
	}
	config, err := manifest.Object("config")
	if err != nil {
		return d, fmt.Errorf("manifest: %w", err)
	}
	if d.Config, err = readBlob(dir, config); err != nil {
		return d, fmt.Errorf("config: %w", err)
	}
	return d, nil
}

// readBlob reads the blob of a descriptor and checks its digest.
func readBlob(dir string, descriptor *jsontree.Object) ([]byte, error) {
	text, _ := descriptor.Get("digest").(string)
	want, err := v1.NewHash(text)
	if err != nil {
		return nil, err
	}
	path := BlobPath(dir, want)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if got, _, err := v1.SHA256(bytes.NewReader(data)); err != nil || got != want {
		return nil, errors.Join(err, fmt.Errorf("%s: found %s, expected the digest of its name", path, got))
	}
	return data, nil
}

// BlobDir returns the directory of the blobs of the layout at dir.
func BlobDir(dir string) string { return filepath.Join(dir, "blobs", "sha256") }

// BlobPath returns the path of a blob of the layout at dir.
func BlobPath(dir string, h v1.Hash) string { return filepath.Join(BlobDir(dir), h.Hex) }
