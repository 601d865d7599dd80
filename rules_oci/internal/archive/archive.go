// Package archive writes an image as a tar stream for container engines: in Docker's `save` format or as an OCI layout.
//
// It must never import a package that reaches the network. It must never seek in its output, which may be a pipe.
package archive

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Format is the format of the tar stream.
type Format string

// Formats that engines read. Docker reads OCI only with its containerd image store.
const (
	Docker Format = "docker"
	OCI    Format = "oci"
)

// Artifact is a v1.Image or, in the OCI format, a v1.ImageIndex.
type Artifact interface {
	Digest() (v1.Hash, error)
	Size() (int64, error)
	MediaType() (types.MediaType, error)
	RawManifest() ([]byte, error)
}

// Write writes a with its tags to w. The archive does not contain the layers `without`, which the reader has. The bytes
// depend on the artifact, the tags and `without` only.
func Write(w io.Writer, f Format, a Artifact, tags []string, without ...v1.Hash) error {
	if f != Docker && f != OCI {
		return fmt.Errorf("unknown format %q; known: %s, %s", f, Docker, OCI)
	}
	refs := make([]name.Tag, len(tags))
	for i, t := range tags {
		ref, err := name.NewTag(t)
		if err != nil {
			return fmt.Errorf("repo tag %q: %w", t, err)
		}
		refs[i] = ref
	}
	aw := &writer{tw: tar.NewWriter(w), written: map[string]bool{}}
	for _, h := range without {
		aw.written[path(h)] = true
	}
	for _, d := range []string{"blobs/", "blobs/sha256/"} {
		if err := aw.tw.WriteHeader(&tar.Header{Name: d, Typeflag: tar.TypeDir, Mode: 0o755, Format: tar.FormatUSTAR}); err != nil {
			return err
		}
	}
	if err := aw.write(f, a, refs); err != nil {
		return err
	}
	return aw.tw.Close()
}

// writer writes each blob once.
type writer struct {
	tw      *tar.Writer
	written map[string]bool
}

func (w *writer) write(f Format, a Artifact, refs []name.Tag) error {
	if f == OCI {
		if err := w.artifact(a); err != nil {
			return err
		}
		return writeIndex(w.tw, a, refs)
	}
	img, ok := a.(v1.Image)
	if !ok {
		return fmt.Errorf("the format %s cannot contain an index; use the format %s", Docker, OCI)
	}
	b, err := w.image(img)
	if err != nil {
		return err
	}
	return writeDockerManifest(w.tw, b, refs)
}

// artifact writes the blobs of an image or of the images of an index, and its manifest.
func (w *writer) artifact(a Artifact) error {
	switch a := a.(type) {
	case v1.Image:
		if _, err := w.image(a); err != nil {
			return err
		}
	case v1.ImageIndex:
		manifest, err := a.IndexManifest()
		if err != nil {
			return err
		}
		for _, desc := range manifest.Manifests {
			img, err := a.Image(desc.Digest)
			if err != nil {
				return fmt.Errorf("image %s: %w", desc.Digest, err)
			}
			if err := w.artifact(img); err != nil {
				return err
			}
		}
	}
	digest, err := a.Digest()
	if err != nil {
		return err
	}
	raw, err := a.RawManifest()
	if err != nil {
		return err
	}
	return w.file(path(digest), raw)
}

// blobs are paths in the archive.
type blobs struct {
	config string
	layers []string
}

// image writes the config and the layers.
func (w *writer) image(img v1.Image) (blobs, error) {
	var b blobs
	configName, err := img.ConfigName()
	if err != nil {
		return b, err
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return b, err
	}
	b.config = path(configName)
	if err := w.file(b.config, config); err != nil {
		return b, err
	}
	layers, err := img.Layers()
	if err != nil {
		return b, err
	}
	for _, l := range layers {
		digest, err := l.Digest()
		if err != nil {
			return b, err
		}
		p := path(digest)
		b.layers = append(b.layers, p)
		if w.written[p] {
			continue
		}
		w.written[p] = true
		if err := writeLayer(w.tw, p, l); err != nil {
			return b, fmt.Errorf("layer %s: %w", digest, err)
		}
	}
	return b, nil
}

func (w *writer) file(path string, data []byte) error {
	if w.written[path] {
		return nil
	}
	w.written[path] = true
	return writeFile(w.tw, path, data)
}

func writeLayer(tw *tar.Writer, path string, l v1.Layer) error {
	size, err := l.Size()
	if err != nil {
		return err
	}
	r, err := l.Compressed()
	if err != nil {
		return err
	}
	defer r.Close()
	if err := tw.WriteHeader(header(path, size)); err != nil {
		return err
	}
	_, err = io.Copy(tw, r)
	return err
}

func writeDockerManifest(tw *tar.Writer, b blobs, refs []name.Tag) error {
	repoTags := make([]string, len(refs))
	for i, r := range refs {
		repoTags[i] = familiar(r)
	}
	data, err := json.Marshal([]struct {
		Config   string
		RepoTags []string
		Layers   []string
	}{{b.config, repoTags, b.layers}})
	if err != nil {
		return err
	}
	return writeFile(tw, "manifest.json", data)
}

func writeIndex(tw *tar.Writer, a Artifact, refs []name.Tag) error {
	desc, err := partial.Descriptor(a)
	if err != nil {
		return err
	}
	desc.ArtifactType = "" // For an image it repeats the type of the config.
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	for _, r := range refs {
		d := *desc.DeepCopy()
		d.Annotations = map[string]string{
			// Podman and umoci read the first, containerd the second.
			"org.opencontainers.image.ref.name": familiar(r),
			"io.containerd.image.name":          qualified(r),
		}
		index.Manifests = append(index.Manifests, d)
	}
	if len(refs) == 0 {
		index.Manifests = append(index.Manifests, *desc)
	}
	data, err := json.Marshal(index)
	if err != nil {
		return err
	}
	if err := writeFile(tw, "index.json", data); err != nil {
		return err
	}
	return writeFile(tw, "oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
}

// familiar returns the tag as written by the user, with ":latest" if it had none.
func familiar(t name.Tag) string {
	s := t.String()
	if !strings.HasSuffix(s, ":"+t.TagStr()) {
		s += ":" + t.TagStr()
	}
	return s
}

// qualified returns the tag with its registry, in the form of containerd.
func qualified(t name.Tag) string {
	if rest, ok := strings.CutPrefix(t.Name(), name.DefaultRegistry+"/"); ok {
		return "docker.io/" + rest
	}
	return t.Name()
}

func path(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }

func header(path string, size int64) *tar.Header {
	return &tar.Header{Name: path, Typeflag: tar.TypeReg, Mode: 0o644, Size: size}
}

func writeFile(tw *tar.Writer, path string, data []byte) error {
	if err := tw.WriteHeader(header(path, int64(len(data)))); err != nil {
		return err
	}
	_, err := tw.Write(data)
	return err
}
