package facts

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// JetPack is a set of a base and a build of the ZED SDK that are made for one release of JetPack.
type JetPack struct {
	Nvidia string `json:"nvidia"` // Name of the base in the lock.
	ZED    string `json:"zed"`    // Name of the SDK in its lock.
}

// Versions renders docs/versions.md: the properties of the bases, and whether the images are compatible with them.
func Versions(lock *Lock, images []Image, sdks map[string]ZED) (string, error) {
	var b strings.Builder
	b.WriteString(`# Versions

The base images of ` + "`--//oci:base=nvidia`" + `, and the compatibility of the images with them. ` + "`//oci:versions`" + ` makes this page from
the locks of ` + "`third_party`" + `, and a test compares it with them.

`)
	images = slices.SortedFunc(slices.Values(images), func(a, b Image) int { return strings.Compare(a.Name, b.Name) })
	writeBases(&b, lock)
	for _, write := range []func(*strings.Builder, *Lock, []Image, map[string]ZED) error{writeImages, writeJetPacks, writeSDKs} {
		b.WriteString("\n")
		if err := write(&b, lock, images, sdks); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func writeBases(b *strings.Builder, lock *Lock) {
	b.WriteString("## Bases\n| | digest | platform | ")
	for _, f := range fields[1:] {
		fmt.Fprintf(b, "%s | ", f.name)
	}
	b.WriteString("known from |\n|" + strings.Repeat("---|", len(fields)+3) + "\n")
	for _, name := range sorted(lock.Bases) {
		pin := lock.Bases[name]
		for _, platform := range sorted(pin.Platforms) {
			p := pin.Platforms[platform]
			digest := "`" + short(pin.Digest) + "`"
			if pin.Digest == "" {
				digest = "**not pinned**: `./tools/bazel run //tools/pin -- base " + name + "`"
			}
			fmt.Fprintf(b, "| `%s:%s` | %s | %s | ", pin.Image, pin.Tag, digest, platform)
			for _, f := range fields[1:] {
				fmt.Fprintf(b, "%s | ", orUnknown(*f.get(&p.Facts)))
			}
			fmt.Fprintf(b, "%s |\n", map[string]string{FromDocuments: "NVIDIA's documents", FromImage: "the image"}[p.Source])
		}
	}
}

func writeImages(b *strings.Builder, lock *Lock, images []Image, _ map[string]ZED) error {
	b.WriteString("## Images\n| | platform | base | wheels for | fits |\n|---|---|---|---|---|\n")
	for _, image := range images {
		pin, p, err := lock.Find(image.Nvidia, image.Platform)
		if err != nil {
			return fmt.Errorf("%s: %w", image.Name, err)
		}
		parts := Parts{Architecture: image.Architecture(), Python: image.Python["nvidia"]}
		fmt.Fprintf(b, "| %s | %s | `%s` | %s | %s |\n", image.Name, image.Platform, pin.Tag,
			python(parts.Python), yesOrNo(incompatibilities(p.Facts, parts, nil)))
	}
	return nil
}

// writeJetPacks writes the sets of --//oci:jetpack.
func writeJetPacks(b *strings.Builder, lock *Lock, images []Image, sdks map[string]ZED) error {
	b.WriteString(`## JetPack
` + "`--//oci:base=nvidia --//oci:jetpack=RELEASE`" + ` builds on the base of this release of JetPack, with its ZED SDK. A set is complete if its parts
fit and are pinned.

| JetPack | | base | ZED SDK | wheels for | complete |
|---|---|---|---|---|---|
`)
	var rows []string
	for _, image := range images {
		for _, release := range sorted(image.JetPacks) {
			set := image.JetPacks[release]
			pin, p, err := lock.Find(set.Nvidia, image.Platform)
			if err != nil {
				return fmt.Errorf("%s: JetPack %s: %w", image.Name, release, err)
			}
			parts := Parts{Architecture: image.Architecture(), Python: image.Python["nvidia"]}
			name := "none"
			if image.ZED {
				sdk, ok := sdks[set.ZED]
				if !ok {
					return fmt.Errorf("%s: JetPack %s: ZED SDK %q not found; known: %s", image.Name, release, set.ZED, strings.Join(sorted(sdks), ", "))
				}
				parts.ZED, name = &sdk, sdk.String()
			}
			rows = append(rows, fmt.Sprintf("| %s | %s | `%s` | %s | %s | %s |\n", release, image.Name, pin.Tag, name, python(parts.Python),
				complete(set, pin, p, parts, sdks)))
		}
	}
	slices.Sort(rows)
	b.WriteString(strings.Join(rows, ""))
	return nil
}

// complete returns "yes" if the parts of a set fit and are pinned, or else what is missing.
func complete(set JetPack, pin Pin, platform Platform, parts Parts, sdks map[string]ZED) string {
	missing := incompatibilities(platform.Facts, parts, sdks)
	if pin.Digest == "" {
		missing = append(missing, "the base is not pinned: `./tools/bazel run //tools/pin -- base "+set.Nvidia+"`")
	}
	if parts.ZED != nil && parts.ZED.SHA256 == "" {
		missing = append(missing, "the SDK is not pinned: `./tools/bazel run //tools/pin -- archive "+set.ZED+"`")
	}
	return yesOrNo(missing)
}

// writeSDKs writes whether each build of the ZED SDK works on each base of the images that include one.
func writeSDKs(b *strings.Builder, lock *Lock, images []Image, sdks map[string]ZED) error {
	b.WriteString("## ZED SDK\n| | in | base | fits |\n|---|---|---|---|\n")
	for _, image := range images {
		bases := []string{image.Nvidia}
		for _, release := range sorted(image.JetPacks) {
			bases = append(bases, image.JetPacks[release].Nvidia)
		}
		slices.Sort(bases)
		for _, base := range slices.Compact(bases) {
			pin, p, err := lock.Find(base, image.Platform)
			if err != nil {
				return fmt.Errorf("%s: %w", image.Name, err)
			}
			for _, name := range sorted(sdks) {
				sdk := sdks[name]
				if image.ZED && sdk.Architecture == image.Architecture() {
					fmt.Fprintf(b, "| %s | %s | `%s` | %s |\n", sdk, image.Name, pin.Tag,
						yesOrNo(incompatibilities(p.Facts, Parts{Architecture: image.Architecture(), ZED: &sdk}, sdks)))
				}
			}
		}
	}
	return nil
}

func incompatibilities(base Base, parts Parts, sdks map[string]ZED) []string {
	var all []string
	for _, i := range Incompatibilities(base, parts, sdks) {
		all = append(all, i.String())
	}
	return all
}

func yesOrNo(missing []string) string {
	if len(missing) == 0 {
		return "yes"
	}
	return "**no**: " + strings.Join(missing, "; ")
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
