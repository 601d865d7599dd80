// Package shallow completes an image whose layout lacks layers. It opens a missing layer in its repository when the layer is
// read.
//
// It must never fetch or store a layer itself: the Opener does.
package shallow

import (
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"krabby.dev/rules_oci/internal/origin"
)

// Opener opens a layer of an image in a registry.
type Opener func(from origin.Origin, layer v1.Hash, size int64) (io.ReadCloser, error)

// Layer is a layer that is not in the layout.
type Layer struct {
	v1.Layer
	from origin.Origin
	repo name.Repository
	open Opener
}

// Repository returns the repository of the layer.
func (l *Layer) Repository() name.Repository { return l.repo }

// Compressed opens the layer in its repository.
func (l *Layer) Compressed() (io.ReadCloser, error) {
	digest, err := l.Digest()
	if err != nil {
		return nil, err
	}
	size, err := l.Size()
	if err != nil {
		return nil, err
	}
	return l.open(l.from, digest, size)
}

// Image returns img. Its layers in origins are opened by open, the others by img.
func Image(img v1.Image, origins origin.List, open Opener) v1.Image {
	if len(origins) == 0 {
		return img
	}
	return &image{img, origins, open}
}

type image struct {
	v1.Image
	origins origin.List
	open    Opener
}

func (i *image) Layers() ([]v1.Layer, error) {
	layers, err := i.Image.Layers()
	if err != nil {
		return nil, err
	}
	out := make([]v1.Layer, len(layers))
	for n, l := range layers {
		if out[n], err = i.layer(l); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (i *image) LayerByDigest(h v1.Hash) (v1.Layer, error) {
	l, err := i.Image.LayerByDigest(h)
	if err != nil {
		return nil, err
	}
	return i.layer(l)
}

func (i *image) LayerByDiffID(h v1.Hash) (v1.Layer, error) {
	l, err := i.Image.LayerByDiffID(h)
	if err != nil {
		return nil, err
	}
	return i.layer(l)
}

func (i *image) layer(l v1.Layer) (v1.Layer, error) {
	digest, err := l.Digest()
	if err != nil {
		return nil, err
	}
	o, ok := i.origins.Find(digest)
	if !ok {
		return l, nil
	}
	repo, err := o.Repo()
	if err != nil {
		return nil, err
	}
	return &Layer{l, o, repo, i.open}, nil
}

// Index applies Image to every image of an index.
func Index(index v1.ImageIndex, origins origin.List, open Opener) v1.ImageIndex {
	if len(origins) == 0 {
		return index
	}
	return &imageIndex{index, origins, open}
}

// under is v1.ImageIndex by another name: an embedded field must not have the name of one of its methods.
type under = v1.ImageIndex

type imageIndex struct {
	under
	origins origin.List
	open    Opener
}

func (i *imageIndex) Image(h v1.Hash) (v1.Image, error) {
	img, err := i.under.Image(h)
	if err != nil {
		return nil, err
	}
	return Image(img, i.origins, i.open), nil
}

func (i *imageIndex) ImageIndex(h v1.Hash) (v1.ImageIndex, error) {
	index, err := i.under.ImageIndex(h)
	if err != nil {
		return nil, err
	}
	return Index(index, i.origins, i.open), nil
}
