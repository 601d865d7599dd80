// Package compose says what an image is: a base, layers on top, and the
// changes that the attributes of oci_image make to the base's config.
//
// It works on the interfaces of go-containerregistry alone and asks a base for
// its manifest and config, never for the bytes of its layers, so that a base
// of any size costs the same. It must never import os or a package that
// reaches the network.
package compose

import (
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"krabby.dev/rules_oci/internal/tarlayer"
)

// dockerLayerZstd is what containerd calls a zstd layer below a Docker
// manifest; go-containerregistry has no name for it.
const dockerLayerZstd types.MediaType = "application/vnd.docker.image.rootfs.diff.tar.zstd"

// epoch stands wherever a format wants a time: a build has none.
var epoch = v1.Time{Time: time.Unix(0, 0).UTC()}

// KeyValue is one entry of an ordered dictionary.
type KeyValue struct{ Key, Value string }

// Config holds what the attributes of oci_image change. A nil slice or empty
// string leaves what the base has; an empty slice that is not nil clears it.
type Config struct {
	Entrypoint   []string // Setting it also clears the Cmd of the base.
	Cmd          []string
	Env          []KeyValue // Merged; $NAME and ${NAME} expand from base and earlier entries.
	Labels       []KeyValue // Merged.
	Annotations  []KeyValue // Of the manifest, merged.
	ExposedPorts []string   // Merged.
	Volumes      []string   // Merged.
	User         string
	WorkDir      string
	Created      time.Time // The zero time keeps the base's, or the epoch without one.
}

// Addition is one layer and where it came from, as the history will tell it.
type Addition struct {
	Layer  *tarlayer.Layer
	Origin string
}

// Scratch returns an image without layers for the platform.
func Scratch(p v1.Platform) (v1.Image, error) {
	if err := checkPlatform(p); err != nil {
		return nil, err
	}
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	return mutate.ConfigFile(img, &v1.ConfigFile{
		Architecture: p.Architecture,
		OS:           p.OS,
		Variant:      p.Variant,
		Created:      epoch,
		RootFS:       v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}},
	})
}

// Image puts the layers on base, in order, and applies the config.
func Image(base v1.Image, adds []Addition, c Config) (v1.Image, error) {
	mediaType, err := base.MediaType()
	if err != nil {
		return nil, fmt.Errorf("read the base's manifest: %w", err)
	}
	docker := mediaType == types.DockerManifestSchema2

	addenda := make([]mutate.Addendum, len(adds))
	for i, a := range adds {
		addenda[i] = mutate.Addendum{
			Layer:     a.Layer,
			MediaType: layerMediaType(a.Layer.Compression(), docker),
			History:   v1.History{Created: epoch, CreatedBy: a.Origin},
		}
	}
	img, err := mutate.Append(base, addenda...)
	if err != nil {
		return nil, fmt.Errorf("append layers: %w", err)
	}

	cf, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the base's config: %w", err)
	}
	cf = cf.DeepCopy()
	if err := c.apply(cf); err != nil {
		return nil, err
	}
	if img, err = mutate.ConfigFile(img, cf); err != nil {
		return nil, fmt.Errorf("write the config: %w", err)
	}

	if len(c.Annotations) > 0 {
		annotations := make(map[string]string, len(c.Annotations))
		for _, a := range c.Annotations {
			annotations[a.Key] = a.Value
		}
		img = mutate.Annotations(img, annotations).(v1.Image)
	}
	return img, nil
}

func layerMediaType(c tarlayer.Compression, docker bool) types.MediaType {
	switch {
	case docker && c == tarlayer.Zstd:
		return dockerLayerZstd
	case docker:
		return types.DockerLayer
	case c == tarlayer.Zstd:
		return types.OCILayerZStd
	default:
		return types.OCILayer
	}
}

func (c Config) apply(cf *v1.ConfigFile) error {
	if !c.Created.IsZero() {
		cf.Created = v1.Time{Time: c.Created.UTC()}
	}
	if c.Entrypoint != nil {
		cf.Config.Entrypoint = c.Entrypoint
		// The base's arguments were meant for the base's entrypoint.
		cf.Config.Cmd = nil
	}
	if c.Cmd != nil {
		cf.Config.Cmd = c.Cmd
	}
	if c.User != "" {
		cf.Config.User = c.User
	}
	if c.WorkDir != "" {
		cf.Config.WorkingDir = c.WorkDir
	}
	env, err := mergeEnv(cf.Config.Env, c.Env)
	if err != nil {
		return err
	}
	cf.Config.Env = env
	for _, l := range c.Labels {
		if cf.Config.Labels == nil {
			cf.Config.Labels = map[string]string{}
		}
		cf.Config.Labels[l.Key] = l.Value
	}
	cf.Config.ExposedPorts = addKeys(cf.Config.ExposedPorts, c.ExposedPorts)
	cf.Config.Volumes = addKeys(cf.Config.Volumes, c.Volumes)
	return nil
}

func addKeys(set map[string]struct{}, keys []string) map[string]struct{} {
	for _, k := range keys {
		if set == nil {
			set = map[string]struct{}{}
		}
		set[k] = struct{}{}
	}
	return set
}

// architectures are the values of GOARCH that container runtimes know, and
// operatingSystems those of GOOS.
var (
	architectures    = []string{"386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x", "wasm"}
	operatingSystems = []string{"freebsd", "linux", "wasip1", "windows"}
	// meant maps the names other worlds use to ours, for the error message.
	meant = map[string]string{"x86_64": "amd64", "aarch64": "arm64", "armv7": "arm", "i386": "386", "x86": "386"}
)

func checkPlatform(p v1.Platform) error {
	if p.OS == "" || p.Architecture == "" {
		return fmt.Errorf("an image without base needs both os and architecture (got os=%q, architecture=%q), for example os=\"linux\", architecture=\"arm64\"", p.OS, p.Architecture)
	}
	if !slices.Contains(operatingSystems, p.OS) {
		return fmt.Errorf("unknown os %q; known: %s", p.OS, strings.Join(operatingSystems, ", "))
	}
	if !slices.Contains(architectures, p.Architecture) {
		hint := ""
		if m := meant[p.Architecture]; m != "" {
			hint = fmt.Sprintf("; images call it %q", m)
		}
		return fmt.Errorf("unknown architecture %q%s; known: %s", p.Architecture, hint, strings.Join(architectures, ", "))
	}
	return nil
}
