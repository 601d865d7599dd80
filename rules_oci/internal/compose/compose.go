// Package compose makes the manifest and the config of an image from those of its base, its layers and the attributes of oci_image,
// byte for byte as rules_oci 2.3.2 does. README.md, "Two implementations", lists the exceptions.
//
// The documents are edited as JSON: what the image does not set stays as in the base. The package reads no layer of the base, so the
// cost does not depend on the size of the base. It must never import os or a package that reaches the network.
package compose

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"krabby.dev/rules_oci/internal/jsontree"
	"krabby.dev/rules_oci/internal/tarlayer"
)

// epoch is the time of an image without base, and of each layer: images do not depend on the time of the build.
const epoch = "1970-01-01T00:00:00Z"

// Image has the documents of an image.
type Image struct{ Manifest, Config []byte }

// Layer is a layer to add, and the label of the target that made it.
type Layer struct {
	*tarlayer.Layer
	Label string
}

// Platform is the platform of an image without base.
type Platform struct{ OS, Architecture, Variant string }

// Scratch returns an image without layers.
func Scratch(p Platform) (Image, error) {
	if err := p.check(); err != nil {
		return Image{}, err
	}
	config := object(
		"created", epoch, "config", &jsontree.Object{}, "history", []any{},
		"rootfs", object("type", "layers", "diff_ids", []any{}),
		"architecture", p.Architecture, "os", p.OS,
	)
	if p.Variant != "" {
		config.Set("variant", p.Variant)
	}
	manifest := object(
		"schemaVersion", json.Number("2"), "mediaType", string(types.OCIManifestSchema1),
		"config", object("mediaType", string(types.OCIConfigJSON), "size", json.Number("0")),
		"layers", []any{},
	)
	return format(manifest, config)
}

// Build adds layers to base, in order, and applies the attributes.
func Build(base Image, layers []Layer, attributes Attributes) (Image, error) {
	manifest, config, err := base.parse()
	if err != nil {
		return Image{}, err
	}
	docker := strings.HasPrefix(mediaType(manifest), "application/vnd.docker.")
	for _, layer := range layers {
		if err := addLayer(manifest, config, layer, docker); err != nil {
			return Image{}, err
		}
	}
	if err := attributes.apply(manifest, config); err != nil {
		return Image{}, err
	}
	return format(manifest, config)
}

// addLayer adds a layer to the manifest and the config.
func addLayer(manifest, config *jsontree.Object, layer Layer, docker bool) error {
	rootfs, err := config.Object("rootfs")
	if err != nil {
		return fmt.Errorf("config of the base: %w", err)
	}
	if err := rootfs.Append("diff_ids", layer.DiffID.String()); err != nil {
		return fmt.Errorf("config of the base: rootfs: %w", err)
	}
	if err := config.Append("history", object("created", epoch, "created_by", "bazel build "+layer.Label)); err != nil {
		return fmt.Errorf("config of the base: %w", err)
	}
	descriptor := object("size", number(layer.Size), "digest", layer.Digest.String(), "mediaType", layerMediaType(layer.Compression, docker))
	if err := manifest.Append("layers", descriptor); err != nil {
		return fmt.Errorf("manifest of the base: %w", err)
	}
	return nil
}

// layerMediaType returns the media type of a layer. A manifest with docker's media types has layers with docker's media types.
func layerMediaType(c tarlayer.Compression, docker bool) string {
	mediaType, separator := "application/vnd.oci.image.layer.v1.tar", "+"
	if docker {
		mediaType, separator = "application/vnd.docker.image.rootfs.diff.tar", "."
	}
	if c == tarlayer.None {
		return mediaType
	}
	return mediaType + separator + string(c)
}

// format formats the documents, with the digest of the config in the manifest. The manifest ends with a newline, the config does not.
func format(manifest, config *jsontree.Object) (Image, error) {
	image := Image{Config: jsontree.Format(config)}
	descriptor, err := manifest.Object("config")
	if err != nil {
		return Image{}, fmt.Errorf("manifest of the base: %w", err)
	}
	sum := sha256.Sum256(image.Config)
	descriptor.Set("digest", "sha256:"+hex.EncodeToString(sum[:]))
	descriptor.Set("size", number(int64(len(image.Config))))
	descriptor.Delete("data") // A copy of the base's config.
	image.Manifest = append(jsontree.Format(manifest), '\n')
	return image, nil
}

// object returns an object of keys and values.
func object(pairs ...any) *jsontree.Object {
	o := &jsontree.Object{}
	for i := 0; i < len(pairs); i += 2 {
		o.Set(pairs[i].(string), pairs[i+1])
	}
	return o
}

func number(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }

// Architectures and operating systems that container engines support, by their names in GOARCH and GOOS.
var (
	architectures    = []string{"386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x", "wasm"}
	operatingSystems = []string{"freebsd", "linux", "wasip1", "windows"}
	// otherNames maps other names of architectures, for the error message.
	otherNames = map[string]string{"x86_64": "amd64", "aarch64": "arm64", "armv7": "arm", "i386": "386", "x86": "386"}
)

func (p Platform) check() error {
	if p.OS == "" || p.Architecture == "" {
		return fmt.Errorf("missing os or architecture (found os=%q, architecture=%q); an image without base requires both, for example os=\"linux\", architecture=\"arm64\"", p.OS, p.Architecture)
	}
	if !slices.Contains(operatingSystems, p.OS) {
		return fmt.Errorf("unknown os %q; known: %s", p.OS, strings.Join(operatingSystems, ", "))
	}
	if !slices.Contains(architectures, p.Architecture) {
		hint := ""
		if name := otherNames[p.Architecture]; name != "" {
			hint = fmt.Sprintf("; use %q", name)
		}
		return fmt.Errorf("unknown architecture %q%s; known: %s", p.Architecture, hint, strings.Join(architectures, ", "))
	}
	return nil
}
