package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"krabby.dev/rules_oci/internal/registry"
)

// largest is how many bytes a blob may have that is kept in memory.
const largest = 16 << 20

type fetchCmd struct {
	Reference string `arg:"" help:"The image: repository:tag or repository@digest."`
	Blob      bool   `help:"Fetch a blob, rather than a manifest."`
	Output    string `required:"" placeholder:"FILE" help:"Where to write it."`
}

// Run fetches one document and prints its digest. Repository rules call it for what Bazel's repository cache has not.
func (c *fetchCmd) Run(ctx context.Context, std streams) error {
	ref, err := name.ParseReference(c.Reference)
	if err != nil {
		return err
	}
	digest, data, err := c.fetch(ctx, ref, registry.New(registry.WithLog(std.err)))
	if err != nil {
		return registry.Explain(ref.Context(), err)
	}
	if err := os.WriteFile(c.Output, data, 0o644); err != nil {
		return err
	}
	fmt.Fprintln(std.out, digest)
	return nil
}

func (c *fetchCmd) fetch(ctx context.Context, ref name.Reference, client *registry.Client) (digest string, data []byte, err error) {
	if !c.Blob {
		hash, data, err := client.Manifest(ctx, ref)
		return hash.String(), data, err
	}
	byDigest, ok := ref.(name.Digest)
	if !ok {
		return "", nil, fmt.Errorf("%s: a blob has no tag, only a digest", ref)
	}
	err = client.Retry(ctx, ref.String(), func() error {
		r, err := client.Blob(ctx, byDigest)
		if err != nil {
			return err
		}
		data, err = io.ReadAll(io.LimitReader(r, largest+1))
		return errors.Join(err, r.Close())
	})
	if err != nil {
		return "", nil, err
	}
	if len(data) > largest {
		return "", nil, fmt.Errorf("%s has more than %d bytes: a config has not", ref, largest)
	}
	got, _, err := v1.SHA256(bytes.NewReader(data))
	if err == nil && got.String() != byDigest.DigestStr() {
		err = fmt.Errorf("%s: the registry answers with another blob, %s", ref, got)
	}
	return got.String(), data, err
}
