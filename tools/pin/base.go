package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bazelbuild/buildtools/build"

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

	Insecure bool `help:"Permit HTTP, and HTTPS with an unverified certificate."`
	Pinned   bool `help:"Contact no registry; exit with 1 unless every base image has a digest. For releases."`
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
	r, err := root.registry(b.Insecure)
	if err != nil {
		return err
	}
	for i, name := range names {
		pin := pins.Bases[name]
		if b.Tag != "" {
			pin.Tag = b.Tag
		}
		c.Progress("[%d/%d] %s: %s:%s", i+1, len(names), name, pin.Image, pin.Tag)
		if pin, err = resolve(ctx, r, pin); err != nil {
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
func resolve(ctx context.Context, r *registryClient, pin facts.Pin) (facts.Pin, error) {
	tagged, err := r.fetch(ctx, pin.Image+":"+pin.Tag)
	if err != nil {
		return pin, err
	}
	pin.Digest = tagged.digest
	platforms := map[string]facts.Platform{}
	for platform, known := range pin.Platforms {
		image, err := r.imageFor(ctx, pin.Image, tagged, platform)
		if err != nil {
			return pin, fmt.Errorf("%s:%s: %w", pin.Image, pin.Tag, err)
		}
		config, err := r.config(ctx, pin.Image, image)
		if err != nil {
			return pin, err
		}
		if is := config.Platform(); !isFor(*is, platform) {
			return pin, fmt.Errorf("%s:%s: found platform %s, expected %s of the lock file", pin.Image, pin.Tag, is, platform)
		}
		itself := facts.FromConfig(config)
		platforms[platform] = facts.Platform{Digest: image.digest, Facts: itself.Merge(known.Facts), Source: facts.FromImage}
	}
	pin.Platforms = platforms
	return pin, nil
}

// baseEntry converts a pin to an entry of the lock file.
func baseEntry(pin facts.Pin) (lock.Entry, error) {
	raw, err := json.Marshal(pin)
	if err != nil {
		return nil, err
	}
	var entry lock.Entry
	err = json.Unmarshal(raw, &entry)
	return entry, err
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
