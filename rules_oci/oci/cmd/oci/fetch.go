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

// maxBlob is the maximum size of a blob in memory, in bytes.
const maxBlob = 16 << 20

type fetchCmd struct {
	Reference string `arg:"" help:"Image, as repository:tag or repository@digest."`
	Blob      bool   `help:"Fetch a blob instead of a manifest."`
	Output    string `required:"" placeholder:"FILE" help:"File to write."`
	registryFlags
}

// Run fetches a document and prints its digest. Repository rules call it for documents that are not in Bazel's repository cache.
func (c *fetchCmd) Run(ctx context.Context, std streams) error {
	client, err := c.client(std)
	if err != nil {
		return err
	}
	if c.Insecure {
		client.AllowInsecure(c.Reference)
	}
	ref, err := client.Reference(ctx, c.Reference)
	if err != nil {
		return err
	}
	digest, data, err := c.fetch(ctx, ref, client)
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
		return "", nil, fmt.Errorf("%s: expected the digest of the blob", ref)
	}
	err = client.Retry(ctx, ref.String(), func() error {
		r, err := client.Blob(ctx, byDigest)
		if err != nil {
			return err
		}
		data, err = io.ReadAll(io.LimitReader(r, maxBlob+1))
		return errors.Join(err, r.Close())
	})
	if err != nil {
		return "", nil, err
	}
	if len(data) > maxBlob {
		return "", nil, fmt.Errorf("%s: found more than %d bytes, which no config has", ref, maxBlob)
	}
	got, _, err := v1.SHA256(bytes.NewReader(data))
	if err == nil && got.String() != byDigest.DigestStr() {
		err = fmt.Errorf("%s: found the blob %s, expected the digest of the reference", ref, got)
	}
	return got.String(), data, err
}
