// Package push sends images and indexes to a registry: first by digest, then the tags, so that a tag never names a missing
// image.
//
// It must never build an image or choose its destination.
package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"krabby.dev/rules_oci/internal/registry"
)

// Artifact is a v1.Image or a v1.ImageIndex.
type Artifact interface {
	Digest() (v1.Hash, error)
	RawManifest() ([]byte, error)
}

// Push sends a to repo and then sets the tags. It does not send blobs that the registry has: blobs in repo are skipped, and
// layers with a repository on the same registry (shallow.Layer) are mounted from it. It returns the digest; the error names
// the reference that failed.
func Push(ctx context.Context, client *registry.Client, a Artifact, repo name.Repository, tags []string) (name.Digest, error) {
	refs := make([]name.Tag, len(tags))
	for i, tag := range tags {
		if _, err := name.NewTag(repo.Name()+":"+tag, name.StrictValidation); err != nil {
			return name.Digest{}, fmt.Errorf("tag %q: %w", tag, err)
		}
		refs[i] = repo.Tag(tag) // Keeps the scheme of the registry.
	}
	hash, err := a.Digest()
	if err != nil {
		return name.Digest{}, err
	}
	digest := repo.Digest(hash.String())
	with := client.Options(ctx, repo.Registry)
	client.Logf("pushing %s", digest)
	sent := &tally{sizes: map[v1.Hash]int64{}}
	switch a := a.(type) {
	case v1.Image:
		err = remote.Write(digest, image{a, repo, sent}, with...)
	case v1.ImageIndex:
		err = remote.WriteIndex(digest, index{a, repo, sent}, with...)
	default:
		err = errors.New("neither an image nor an index")
	}
	if err != nil {
		return name.Digest{}, fmt.Errorf("%s: %w", digest, registry.Explain(repo, err))
	}
	client.Logf("sent %s; the registry had the rest", sent)
	for _, ref := range refs {
		client.Logf("tagging %s", ref)
		if err := remote.Tag(ref, a, with...); err != nil {
			return name.Digest{}, fmt.Errorf("%s: %w", ref, registry.Explain(repo, err))
		}
	}
	return digest, nil
}

// image is an image to push to a repository.
type image struct {
	v1.Image
	to   name.Repository
	sent *tally
}

func (i image) Layers() ([]v1.Layer, error) {
	layers, err := i.Image.Layers()
	if err != nil {
		return nil, err
	}
	out := make([]v1.Layer, len(layers))
	for n, l := range layers {
		out[n] = counted{l, i.sent}
		from, ok := l.(interface{ Repository() name.Repository })
		if !ok || from.Repository().RegistryStr() != i.to.RegistryStr() {
			continue
		}
		digest, err := l.Digest()
		if err != nil {
			return nil, err
		}
		out[n] = &remote.MountableLayer{Layer: out[n], Reference: from.Repository().Digest(digest.String())}
	}
	return out, nil
}

// under is v1.ImageIndex by another name: an embedded field must not have the name of one of its methods.
type under = v1.ImageIndex

type index struct {
	under
	to   name.Repository
	sent *tally
}

func (i index) Image(h v1.Hash) (v1.Image, error) {
	img, err := i.under.Image(h)
	if err != nil {
		return nil, err
	}
	return image{img, i.to, i.sent}, nil
}

func (i index) ImageIndex(h v1.Hash) (v1.ImageIndex, error) {
	inner, err := i.under.ImageIndex(h)
	if err != nil {
		return nil, err
	}
	return index{inner, i.to, i.sent}, nil
}

// counted is a layer that is counted when it is sent.
type counted struct {
	v1.Layer
	sent *tally
}

func (c counted) Compressed() (io.ReadCloser, error) {
	digest, err := c.Digest()
	if err != nil {
		return nil, err
	}
	size, err := c.Size()
	if err != nil {
		return nil, err
	}
	c.sent.add(digest, size)
	return c.Layer.Compressed()
}

// tally counts the layers that were sent. Retries do not count.
type tally struct {
	mu    sync.Mutex
	sizes map[v1.Hash]int64
}

func (t *tally) add(h v1.Hash, size int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sizes[h] = size
}

func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var bytes int64
	for _, size := range t.sizes {
		bytes += size
	}
	return fmt.Sprintf("%d layers with %.1f MB", len(t.sizes), float64(bytes)/1e6)
}
