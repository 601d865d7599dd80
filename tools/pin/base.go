package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/bazelbuild/buildtools/build"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/tools/facts"
	"krabby.dev/krabby/tools/pin/lock"
)

const (
	baseLock   = "third_party/nvidia/lock.json"
	bases      = "bases"
	moduleFile = "MODULE.bazel"
)

type baseCmd struct {
	Base string `arg:"" optional:"" help:"Name of the base image in the lock file. Without one, all are pinned."`
	Tag  string `help:"New tag of the base image." placeholder:"TAG"`
	checkFlag

	Pinned bool `help:"Contact no registry; exit with 1 unless every base image has a digest. For releases."`
}

func (*baseCmd) Help() string {
	return `Reads manifests and configs from the registry, no layers. The lock file gets the digest of the tag and the config's versions
of CUDA, Python and other software; oci.pull in MODULE.bazel gets the digest too. Credentials are docker's; NVIDIA's public images
require none.`
}

// Validate is called by kong.
func (b *baseCmd) Validate() error {
	if b.Tag != "" && b.Base == "" {
		return fmt.Errorf("--tag requires BASE")
	}
	return nil
}

func (b *baseCmd) Run(ctx context.Context, root *flags, c *cli.Console) error {
	f, err := root.readLock(baseLock)
	if err != nil {
		return err
	}
	pins, err := facts.ReadLock(filepath.Join(root.Workspace, baseLock))
	if err != nil {
		return err
	}
	module, err := readModule(filepath.Join(root.Workspace, moduleFile))
	if err != nil {
		return err
	}
	var names []string
	if b.Base != "" {
		names = []string{b.Base}
	}
	if names, err = selected(f, baseLock, bases, names); err != nil {
		return err
	}
	if b.Pinned {
		return requireDigests(pins, names)
	}
	for i, name := range names {
		pin := pins.Bases[name]
		if b.Tag != "" {
			pin.Tag = b.Tag
		}
		c.Progress("[%d/%d] %s: %s:%s", i+1, len(names), name, pin.Image, pin.Tag)
		if pin, err = resolve(ctx, pin); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		entry, err := baseEntry(pin)
		if err != nil {
			return err
		}
		f.Set(bases, name, entry)
		if err := module.setPull(name, pin); err != nil {
			return err
		}
	}
	if !b.Check {
		if err := module.write(); err != nil {
			return err
		}
	}
	return finish(c, f, baseLock, b.Check)
}

// requireDigests returns an error if a base image has a tag only, which can name another image later.
func requireDigests(pins *facts.Lock, names []string) error {
	var missing []string
	for _, name := range names {
		if pin := pins.Bases[name]; pin.Digest == "" {
			missing = append(missing, fmt.Sprintf("%s (%s:%s)", name, pin.Image, pin.Tag))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s: no digest of %s: run 'pin base' on a machine that reaches the registry, and commit the lock file", baseLock, strings.Join(missing, ", "))
	}
	return nil
}

// resolve returns the pin with the digests of its tag in the registry and the facts of its platforms' configs.
func resolve(ctx context.Context, pin facts.Pin) (facts.Pin, error) {
	ref, err := name.ParseReference(pin.Image + ":" + pin.Tag)
	if err != nil {
		return pin, err
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithTransport(retry())}
	found, err := remote.Get(ref, options...)
	if err != nil {
		return pin, fmt.Errorf("fetching %s: %w", ref, err)
	}
	pin.Digest = found.Digest.String()
	platforms := map[string]facts.Platform{}
	for platform, known := range pin.Platforms {
		image, err := imageFor(found, platform)
		if err != nil {
			return pin, fmt.Errorf("%s: %w", ref, err)
		}
		digest, err := image.Digest()
		if err != nil {
			return pin, err
		}
		config, err := image.ConfigFile()
		if err != nil {
			return pin, fmt.Errorf("%s: reading the config: %w", ref, err)
		}
		if is := config.Platform(); !isFor(*is, platform) {
			return pin, fmt.Errorf("%s: found platform %s, expected %s of the lock file", ref, is, platform)
		}
		itself := facts.FromConfig(config)
		platforms[platform] = facts.Platform{Digest: digest.String(), Facts: itself.Merge(known.Facts), Source: facts.FromImage}
	}
	pin.Platforms = platforms
	return pin, nil
}

// retry returns a transport that repeats a request if the registry is busy or the connection breaks.
func retry() http.RoundTripper {
	return transport.NewRetry(remote.DefaultTransport, transport.WithRetryStatusCodes(
		http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout))
}

// imageFor returns the image of a platform: the image itself, or an entry of the index. An entry without a platform has that of its
// config.
func imageFor(found *remote.Descriptor, platform string) (v1.Image, error) {
	if !found.MediaType.IsIndex() {
		return found.Image()
	}
	index, err := found.ImageIndex()
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var known []string
	for _, m := range manifest.Manifests {
		if !m.MediaType.IsImage() {
			continue
		}
		image, err := index.Image(m.Digest)
		if err != nil {
			return nil, err
		}
		if m.Platform == nil {
			config, err := image.ConfigFile()
			if err != nil {
				return nil, err
			}
			m.Platform = config.Platform()
		}
		if isFor(*m.Platform, platform) {
			return image, nil
		}
		known = append(known, m.Platform.String())
	}
	return nil, fmt.Errorf("no image for %s in the index (found %s)", platform, strings.Join(known, ", "))
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

// baseEntry converts a pin to an entry of the lock file.
func baseEntry(pin facts.Pin) (lock.Entry, error) {
	raw, err := json.Marshal(pin)
	if err != nil {
		return nil, err
	}
	var entry lock.Entry
	return entry, json.Unmarshal(raw, &entry)
}

// module is MODULE.bazel. Its oci.pull tags repeat the digests of the lock file because a tag cannot read a file.
type module struct {
	path string
	file *build.File
}

func readModule(path string) (*module, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	file, err := build.ParseModule(path, raw)
	if err != nil {
		return nil, err
	}
	return &module{path, file}, nil
}

// setPull sets the digest and the tag of a pin in its oci.pull.
func (m *module) setPull(name string, pin facts.Pin) error {
	for _, rule := range m.file.Rules("oci.pull") {
		if rule.Name() == name {
			rule.SetAttr("digest", &build.StringExpr{Value: pin.Digest})
			rule.SetAttr("tag", &build.StringExpr{Value: pin.Tag})
			return nil
		}
	}
	return fmt.Errorf("oci.pull(name = %q) not found in %s", name, moduleFile)
}

func (m *module) write() error {
	return os.WriteFile(m.path, build.Format(m.file), 0o644)
}
