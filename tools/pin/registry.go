package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"krabby.dev/krabby/tools/pin/client"
)

// registryClient reads documents of images with the program of rules_oci, so that pins reach registries as builds do: it decides about schemes,
// certificates, credentials and retries.
type registryClient struct {
	program  string
	insecure bool
}

// document is a manifest, an index or a config.
type document struct {
	digest string
	data   []byte
}

// fetch returns the document that a reference names by tag or digest. flags are those of the program.
func (r *registryClient) fetch(ctx context.Context, reference string, flags ...string) (document, error) {
	dir, err := os.MkdirTemp("", "pin-image-")
	if err != nil {
		return document{}, err
	}
	defer os.RemoveAll(dir)
	output := filepath.Join(dir, "document")
	flags = append(flags, "--output", output)
	if r.insecure {
		flags = append(flags, "--insecure")
	}
	digest, err := client.Run(ctx, client.Command{
		Name: r.program, Title: "fetching " + reference, Args: append([]string{"fetch", reference}, flags...),
		Reason: ociReason,
	})
	if err != nil {
		return document{}, err
	}
	data, err := os.ReadFile(output)
	return document{strings.TrimSpace(digest), data}, err
}

// ociReason returns the error of the program, which can have several lines after notes, as one line.
func ociReason(stderr string) string {
	notes, text, found := strings.Cut(stderr, "oci fetch <reference>: ")
	if !found {
		text = notes
	}
	return strings.Join(strings.Fields(text), " ")
}

// config returns the config of an image's manifest.
func (r *registryClient) config(ctx context.Context, repository string, image document) (*v1.ConfigFile, error) {
	manifest, err := v1.ParseManifest(bytes.NewReader(image.data))
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", image.digest, err)
	}
	config, err := r.fetch(ctx, repository+"@"+manifest.Config.Digest.String(), "--blob")
	if err != nil {
		return nil, err
	}
	file, err := v1.ParseConfigFile(bytes.NewReader(config.data))
	if err != nil {
		return nil, fmt.Errorf("config %s: %w", config.digest, err)
	}
	return file, nil
}

// imageFor returns the manifest of a platform: the document itself, or an entry of the index. An entry without a platform has that of its
// config.
func (r *registryClient) imageFor(ctx context.Context, repository string, tagged document, platform string) (document, error) {
	index, err := v1.ParseIndexManifest(bytes.NewReader(tagged.data))
	if err != nil {
		return document{}, fmt.Errorf("manifest %s: %w", tagged.digest, err)
	}
	if index.Manifests == nil {
		return tagged, nil
	}
	var known []string
	for _, m := range index.Manifests {
		if m.Platform != nil && !isFor(*m.Platform, platform) {
			known = append(known, m.Platform.String())
			continue
		}
		image, err := r.fetch(ctx, repository+"@"+m.Digest.String())
		if err != nil || m.Platform != nil {
			return image, err
		}
		config, err := r.config(ctx, repository, image)
		if err != nil {
			return document{}, err
		}
		if isFor(*config.Platform(), platform) {
			return image, nil
		}
		known = append(known, config.Platform().String())
	}
	return document{}, fmt.Errorf("no image for %s in the index (found %s)", platform, strings.Join(known, ", "))
}

// isFor reports whether an image for p is one for a platform such as linux/arm64 or linux/arm64/v8, which are the same. It has the rules of
// rules_oci/internal/platform, which another module cannot import.
func isFor(p v1.Platform, platform string) bool {
	wanted, err := v1.ParsePlatform(platform)
	if err != nil || p.OS != wanted.OS || p.Architecture != wanted.Architecture {
		return false
	}
	if p.Architecture == "arm64" {
		p.Variant, wanted.Variant = cmp.Or(p.Variant, "v8"), cmp.Or(wanted.Variant, "v8")
	}
	return wanted.Variant == "" || p.Variant == wanted.Variant
}
