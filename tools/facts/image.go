package facts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// Image describes an image of this repository independently of its base. oci/robot_image.bzl writes it.
type Image struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Licenses    string            `json:"licenses"`
	Platform    string            `json:"platform"` // "os/architecture".
	Nvidia      string            `json:"nvidia"`   // Name of its base in the lock.
	Python      map[string]string `json:"python"`   // Python version of the wheels by kind of base, "nvidia" or "slim".
	ZED         bool              `json:"zed"`      // Whether it includes the ZED SDK.
}

// ReadImage reads an Image from a JSON file.
func ReadImage(path string) (Image, error) {
	var image Image
	return image, readJSON(path, &image)
}

// Architecture returns the architecture of the platform.
func (i Image) Architecture() string {
	_, architecture, _ := strings.Cut(i.Platform, "/")
	return architecture
}

// Versions renders docs/versions.md: the properties of the bases, and whether the images are compatible with them.
func Versions(lock *Lock, images []Image, sdks map[string]ZED) (string, error) {
	var b strings.Builder
	fmt.Fprint(&b, `# Versions

The base images of `+"`--//oci:base=nvidia`"+`, and the compatibility of the images with them. `+"`//oci:versions`"+` makes this page from
the locks of `+"`third_party`"+`, and a test compares it with them.

## Bases
| | digest | platform | `)
	for _, f := range fields[1:] {
		fmt.Fprintf(&b, "%s | ", f.name)
	}
	fmt.Fprint(&b, "known from |\n|"+strings.Repeat("---|", len(fields)+3)+"\n")
	for _, name := range sorted(lock.Bases) {
		pin := lock.Bases[name]
		for _, platform := range sorted(pin.Platforms) {
			p := pin.Platforms[platform]
			digest := "`" + short(pin.Digest) + "`"
			if pin.Digest == "" {
				digest = "**not pinned**: `./tools/bazel run //tools/pin -- base " + name + "`"
			}
			fmt.Fprintf(&b, "| `%s:%s` | %s | %s | ", pin.Image, pin.Tag, digest, platform)
			for _, f := range fields[1:] {
				fmt.Fprintf(&b, "%s | ", orUnknown(*f.get(&p.Facts)))
			}
			fmt.Fprintf(&b, "%s |\n", map[string]string{FromDocuments: "NVIDIA's documents", FromImage: "the image"}[p.Source])
		}
	}

	fmt.Fprint(&b, "\n## Images\n| | platform | base | wheels for | fits |\n|---|---|---|---|---|\n")
	for _, image := range images {
		pin, p, err := lock.Find(image.Nvidia, image.Platform)
		if err != nil {
			return "", fmt.Errorf("%s: %w", image.Name, err)
		}
		parts := Parts{Architecture: image.Architecture(), Python: image.Python["nvidia"]}
		fmt.Fprintf(&b, "| %s | %s | `%s` | %s | %s |\n", image.Name, image.Platform, pin.Tag,
			python(parts.Python), result(Incompatibilities(p.Facts, parts, nil)))
	}

	fmt.Fprint(&b, "\n## ZED SDK\n| | in | fits |\n|---|---|---|\n")
	for _, image := range images {
		if !image.ZED {
			continue
		}
		_, p, err := lock.Find(image.Nvidia, image.Platform)
		if err != nil {
			return "", fmt.Errorf("%s: %w", image.Name, err)
		}
		for _, name := range sorted(sdks) {
			sdk := sdks[name]
			fmt.Fprintf(&b, "| %s | %s | %s |\n", sdk, image.Name,
				result(Incompatibilities(p.Facts, Parts{Architecture: image.Architecture(), ZED: &sdk}, sdks)))
		}
	}
	return b.String(), nil
}

func result(found []Incompatibility) string {
	if len(found) == 0 {
		return "yes"
	}
	var all []string
	for _, i := range found {
		all = append(all, i.String())
	}
	return "**no**: " + strings.Join(all, "; ")
}

func python(version string) string {
	if version == "" {
		return "none"
	}
	return "Python " + version
}

func orUnknown(s string) string {
	if s == "" {
		return "?"
	}
	return s
}

func short(digest string) string { return digest[:min(len(digest), len("sha256:")+12)] }

func sorted[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

// readJSON reads a file into v. An unknown field is an error.
func readJSON(path string, v any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
