package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"krabby.dev/rules_oci/internal/blobcache"
	"krabby.dev/rules_oci/internal/ocidir"
	"krabby.dev/rules_oci/internal/origin"
	"krabby.dev/rules_oci/internal/registry"
	"krabby.dev/rules_oci/internal/shallow"
)

// open returns the image or index of the layout at dir. Reading a missing layer fetches it from the repository in remote.json;
// without a client, it fails.
func open(ctx context.Context, dir string, client *registry.Client) (ocidir.Artifact, error) {
	artifact, err := ocidir.Open(dir)
	if err != nil {
		return nil, err
	}
	origins, err := origin.Read(dir)
	if err != nil {
		return nil, err
	}
	opener := rejectFetch
	if client != nil {
		opener = func(from origin.Origin, layer v1.Hash, size int64) (io.ReadCloser, error) {
			repo, err := client.Repository(ctx, from.Name())
			if err != nil {
				return nil, err
			}
			return fetchLayer(ctx, client, repo, layer, size)
		}
	}
	switch a := artifact.(type) {
	case v1.Image:
		return shallow.Image(a, origins, opener), nil
	case v1.ImageIndex:
		return shallow.Index(a, origins, opener), nil
	default:
		return artifact, nil
	}
}

func rejectFetch(from origin.Origin, _ v1.Hash, _ int64) (io.ReadCloser, error) {
	return nil, fmt.Errorf("only in %s/%s, which a build action does not reach: use `bazel run` of the oci_load, with `-- --tar FILE` for an archive", from.Registry, from.Repository)
}

// fetchLayer opens a layer in the blob cache, after fetching it if necessary.
func fetchLayer(ctx context.Context, client *registry.Client, repo name.Repository, layer v1.Hash, size int64) (io.ReadCloser, error) {
	dir, err := blobcache.Dir(os.Getenv)
	if err != nil {
		return nil, err
	}
	cache := blobcache.New(dir)
	r, err := cache.Open(layer, size)
	if !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	ref := repo.Digest(layer.String())
	client.Logf("fetching %s (%.1f MB) into %s", ref, float64(size)/1e6, dir)
	err = client.Retry(ctx, ref.String(), func() error {
		err := cache.Add(ctx, layer, size, func(offset int64) (io.ReadCloser, error) {
			r, err := client.BlobRange(ctx, ref, offset, size)
			return &progress{r, client, ref, offset, size, time.Now()}, err
		})
		if errors.Is(err, blobcache.ErrContent) {
			return registry.Permanent(err)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", ref, registry.Explain(repo, err))
	}
	return cache.Open(layer, size)
}

// progress logs how much of a layer has been received.
type progress struct {
	io.ReadCloser
	client     *registry.Client
	ref        name.Digest
	came, size int64
	said       time.Time
}

func (p *progress) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	p.came += int64(n)
	if time.Since(p.said) > 5*time.Second {
		p.said = time.Now()
		p.client.Logf("fetching %s: %.1f of %.1f MB", p.ref, float64(p.came)/1e6, float64(p.size)/1e6)
	}
	return n, err
}
