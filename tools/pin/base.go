package main

import (
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

	"krabby.dev/krabby/tools/facts"
	"krabby.dev/krabby/tools/pin/lock"
	"krabby.dev/krabby/tools/program"
)

const (
	baseLock   = "third_party/nvidia/lock.json"
	bases      = "bases"
	moduleFile = "MODULE.bazel"
)

type baseCmd struct {
	Base  string `arg:"" optional:"" help:"Name of the base in the lock; all of them without one."`
	Tag   string `help:"Another tag for it." placeholder:"TAG"`
	Check bool   `help:"Write nothing; print what would change and exit with 1 if anything would."`

	Pinned bool `help:"Ask no registry; exit with 1 unless every base has its digest. For releases."`
}

func (*baseCmd) Help() string {
	return `The registry is asked what the tag names now; manifests and configs are read, no layers. What the config says of CUDA, Python
and the like goes into the lock, the digest there and into oci.pull in MODULE.bazel. Credentials are docker's; NVIDIA's public
images need none.`
}

// Validate is kong's hook.
func (b *baseCmd) Validate() error {
	if b.Tag != "" && b.Base == "" {
		return fmt.Errorf("--tag belongs to one BASE")
	}
	return nil
}

func (b *baseCmd) Run(ctx context.Context, root *cli, c *program.Console) error {
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
	names := f.Names(bases)
	if b.Base != "" {
		names = []string{b.Base}
	}
	for _, name := range names {
		if _, ok := pins.Bases[name]; !ok {
			return program.Usagef("%s is not in %s (known: %s)", name, baseLock, strings.Join(f.Names(bases), ", "))
		}
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
		entry, err := asEntry(pin)
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

// requireDigests fails where a base is only known by a tag, which may name another image tomorrow.
func requireDigests(pins *facts.Lock, names []string) error {
	var missing []string
	for _, name := range names {
		if pin := pins.Bases[name]; pin.Digest == "" {
			missing = append(missing, fmt.Sprintf("%s (%s:%s)", name, pin.Image, pin.Tag))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s has no digest of %s: run 'pin base' where the registry can be reached, and commit the lock", baseLock, strings.Join(missing, ", "))
	}
	return nil
}

// resolve asks the registry what the pin's tag names, and reads the configs of its platforms.
func resolve(ctx context.Context, pin facts.Pin) (facts.Pin, error) {
	ref, err := name.ParseReference(pin.Image + ":" + pin.Tag)
	if err != nil {
		return pin, err
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithTransport(retry())}
	found, err := remote.Get(ref, options...)
	if err != nil {
		return pin, fmt.Errorf("asking for %s: %w", ref, err)
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
		if is := config.OS + "/" + config.Architecture; is != platform {
			return pin, fmt.Errorf("%s: the image is for %s, the lock has it for %s", ref, is, platform)
		}
		itself := facts.FromConfig(config)
		platforms[platform] = facts.Platform{Digest: digest.String(), Facts: itself.Over(known.Facts), Source: facts.FromImage}
	}
	pin.Platforms = platforms
	return pin, nil
}

// retry is a transport that asks again where a registry is busy or breaks off.
func retry() http.RoundTripper {
	return transport.NewRetry(remote.DefaultTransport, transport.WithRetryStatusCodes(
		http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout))
}

func imageFor(found *remote.Descriptor, platform string) (v1.Image, error) {
	if !found.MediaType.IsIndex() {
		return found.Image()
	}
	wanted, err := v1.ParsePlatform(platform)
	if err != nil {
		return nil, err
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
		if m.Platform == nil {
			continue
		}
		if m.Platform.Satisfies(*wanted) {
			return index.Image(m.Digest)
		}
		known = append(known, m.Platform.String())
	}
	return nil, fmt.Errorf("no image for %s among %s", platform, strings.Join(known, ", "))
}

// asEntry gives a pin the form of the lock.
func asEntry(pin facts.Pin) (lock.Entry, error) {
	raw, err := json.Marshal(pin)
	if err != nil {
		return nil, err
	}
	var entry lock.Entry
	return entry, json.Unmarshal(raw, &entry)
}

// module is MODULE.bazel, where oci.pull needs the digests as well: a module extension's tags cannot read a file.
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

// setPull writes digest and tag of a pin into its oci.pull.
func (m *module) setPull(name string, pin facts.Pin) error {
	for _, rule := range m.file.Rules("oci.pull") {
		if rule.Name() == name {
			rule.SetAttr("digest", &build.StringExpr{Value: pin.Digest})
			rule.SetAttr("tag", &build.StringExpr{Value: pin.Tag})
			return nil
		}
	}
	return fmt.Errorf("%s has no oci.pull(name = %q)", moduleFile, name)
}

func (m *module) write() error {
	return os.WriteFile(m.path, build.Format(m.file), 0o644)
}
