// Command describe writes the labels and annotations of an image from its parts and its base, and fails if a part is not compatible
// with the base. The command `versions` writes docs/versions.md.
//
// It runs in build actions and must not use the clock, the environment or the network.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/tools/facts"
)

type flags struct {
	Labels   labelsCmd   `cmd:"" help:"Write labels and annotations of an image."`
	Versions versionsCmd `cmd:"" help:"Write the table of the bases and of the parts that fit them, as Markdown."`
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	return cli.Program{
		Name:        "describe",
		Description: "Describes images: labels, annotations and the table of their bases.",
		Flags:       &flags{},
	}.Run(context.Background(), args, stdout, stderr)
}

type labelsCmd struct {
	Image       string   `required:"" placeholder:"FILE" help:"Description of the image, as robot_image writes it."`
	Layout      string   `required:"" placeholder:"DIR" help:"OCI image layout of the base; manifest and config are sufficient."`
	Base        string   `required:"" enum:"nvidia,slim" help:"Kind of the base: nvidia or slim."`
	Nvidia      string   `placeholder:"NAME" help:"Name of NVIDIA's base in its lock; the default is that of the image."`
	NvidiaLock  string   `placeholder:"FILE" help:"Lock of NVIDIA's bases, for --base=nvidia."`
	PythonLock  string   `required:"" placeholder:"FILE" help:"Lock of Python wheels, with the version of ONNX Runtime."`
	ZEDLock     string   `name:"zed-lock" placeholder:"FILE" help:"Lock of the ZED SDK, for --zed."`
	ZED         string   `name:"zed" default:"none" placeholder:"NAME" help:"Build of the ZED SDK in the image, or none."`
	User        string   `help:"User that the image sets; empty if the image keeps the user of its base."`
	Policy      []string `placeholder:"FILE" help:"Manifest of a policy in the image; repeat the flag for each."`
	Labels      string   `required:"" placeholder:"FILE" help:"File for the labels, one name=value per line."`
	Annotations string   `required:"" placeholder:"FILE" help:"File for the annotations, one name=value per line."`
}

// slimName is the name of the slim base in labels. No registry has an image of this name.
const slimName = "krabby-slim"

// Validate requires the locks of what is in the image.
func (c *labelsCmd) Validate() error {
	if c.Base == "nvidia" && c.NvidiaLock == "" {
		return errors.New("missing --nvidia-lock, which --base=nvidia requires")
	}
	if c.ZED != "none" && c.ZEDLock == "" {
		return errors.New("missing --zed-lock, which --zed requires")
	}
	return nil
}

// Run writes the labels and annotations.
func (c *labelsCmd) Run(console *cli.Console) error {
	image, err := facts.ReadImage(c.Image)
	if err != nil {
		return err
	}
	if err := c.write(image, console); err != nil {
		return fmt.Errorf("%s: %w", image.Name, err)
	}
	return nil
}

func (c *labelsCmd) write(image facts.Image, console *cli.Console) error {
	digest, config, err := readBase(c.Layout)
	if err != nil {
		return fmt.Errorf("reading the base: %w", err)
	}
	if c.User == "" && isRoot(config.Config.User) {
		return fmt.Errorf("the user of the base is root: set the user of the image")
	}
	parts := facts.Parts{Architecture: image.Architecture(), Python: image.Python[c.Base]}
	var sdks map[string]facts.ZED
	if c.ZEDLock != "" {
		if sdks, err = facts.ReadSDKs(c.ZEDLock); err != nil {
			return err
		}
	}
	zed := c.ZED
	if zed != "none" {
		sdk, ok := sdks[zed]
		if !ok {
			return fmt.Errorf("%s: ZED SDK %q not found, expected one of %s", c.ZEDLock, zed, strings.Join(slices.Sorted(maps.Keys(sdks)), ", "))
		}
		parts.ZED, zed = &sdk, sdk.Label()
	}
	name, known, err := c.base(image, config, console)
	if err != nil {
		return err
	}
	if found := facts.Incompatibilities(known, parts, sdks); len(found) > 0 {
		var lines []string
		for _, i := range found {
			lines = append(lines, i.String())
		}
		return fmt.Errorf("does not fit its base %s: %s", name, strings.Join(lines, "; "))
	}
	robots, policies, err := readPolicies(c.Policy)
	if err != nil {
		return err
	}

	annotations := map[string]string{
		"org.opencontainers.image.title":       image.Name,
		"org.opencontainers.image.description": image.Description,
		"org.opencontainers.image.licenses":    image.Licenses,
		"org.opencontainers.image.base.name":   name,
		"org.opencontainers.image.base.digest": digest.String(),
	}
	labels := maps.Clone(annotations)
	labels["dev.krabby.robot"] = strings.Join(robots, ",")
	labels["dev.krabby.policies"] = strings.Join(policies, ",")
	if parts.Python != "" {
		labels["dev.krabby.python"] = parts.Python
	}
	if image.ZED {
		labels["dev.krabby.zed"] = zed
	}
	if labels["dev.krabby.onnxruntime"], err = onnxRuntime(c.PythonLock, image.Architecture()); err != nil {
		return err
	}
	return errors.Join(writeDict(c.Labels, labels), writeDict(c.Annotations, annotations))
}

// base returns the name of the base and the facts of its config and of the lock.
func (c *labelsCmd) base(image facts.Image, config *v1.ConfigFile, console *cli.Console) (string, facts.Base, error) {
	configured := facts.FromConfig(config)
	if c.Base == "slim" {
		return slimName, configured, nil
	}
	lock, err := facts.ReadLock(c.NvidiaLock)
	if err != nil {
		return "", configured, err
	}
	base := cmp.Or(c.Nvidia, image.Nvidia)
	pin, platform, err := lock.Find(base, image.Platform)
	if err != nil {
		return "", configured, err
	}
	name := pin.Image + ":" + pin.Tag
	if pin.Digest == "" {
		console.Progress("warning: %s: the base %s is not pinned, so its tag can name another image in the next build: run `./tools/bazel run //tools/pin -- base %s`",
			image.Name, name, image.Nvidia)
	}
	if found := platform.Contradictions(configured); len(found) > 0 {
		return "", configured, fmt.Errorf("%s contradicts %s (%s): run `./tools/bazel run //tools/pin -- base %s` and review the changes",
			name, c.NvidiaLock, strings.Join(found, "; "), image.Nvidia)
	}
	return name, configured.Merge(platform.Facts), nil
}

// readBase reads the digest and the config of the single image in a layout.
func readBase(dir string) (v1.Hash, *v1.ConfigFile, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return v1.Hash{}, nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return v1.Hash{}, nil, err
	}
	if n := len(manifest.Manifests); n != 1 {
		return v1.Hash{}, nil, fmt.Errorf("%s: found %d images, expected 1", filepath.Join(dir, "index.json"), n)
	}
	digest := manifest.Manifests[0].Digest
	image, err := index.Image(digest)
	if err != nil {
		return v1.Hash{}, nil, err
	}
	config, err := image.ConfigFile()
	return digest, config, err
}

// isRoot reports whether the user of a config, "user" or "user:group", is root. An empty user is root.
func isRoot(user string) bool {
	name, _, _ := strings.Cut(user, ":")
	return name == "" || name == "0" || name == "root"
}

// onnxRuntime returns the version of ONNX Runtime, whose library is in a wheel.
func onnxRuntime(lock, architecture string) (string, error) {
	raw, err := os.ReadFile(lock)
	if err != nil {
		return "", err
	}
	var locked struct {
		Wheels map[string]struct{ Version string }
	}
	if err := json.Unmarshal(raw, &locked); err != nil {
		return "", fmt.Errorf("%s: %w", lock, err)
	}
	entry := "onnxruntime_" + architecture
	version := locked.Wheels[entry].Version
	if version == "" {
		return "", fmt.Errorf("%s: %s has no version", lock, entry)
	}
	return version, nil
}

// readPolicies returns the robots and the names of the policies, sorted.
func readPolicies(manifests []string) (robots, policies []string, err error) {
	for _, path := range manifests {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, err
		}
		var manifest struct{ Name, Robot string }
		if err := json.Unmarshal(raw, &manifest); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		robots, policies = append(robots, manifest.Robot), append(policies, manifest.Name)
	}
	slices.Sort(robots)
	slices.Sort(policies)
	return slices.Compact(robots), policies, nil
}

// writeDict writes a file of labels or annotations for oci_image: one name=value per line, sorted.
func writeDict(path string, dict map[string]string) error {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(dict)) {
		if strings.ContainsAny(dict[name], "\r\n") {
			return fmt.Errorf("%s: found %q, expected a value without line breaks", name, dict[name])
		}
		fmt.Fprintf(&b, "%s=%s\n", name, dict[name])
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

type versionsCmd struct {
	Image      []string `required:"" placeholder:"FILE" help:"Description of an image, as robot_image writes it; repeat the flag for each."`
	NvidiaLock string   `required:"" placeholder:"FILE" help:"Lock of NVIDIA's bases."`
	ZEDLock    string   `required:"" name:"zed-lock" placeholder:"FILE" help:"Lock of the ZED SDK."`
	Output     string   `required:"" placeholder:"FILE" help:"File to write."`
}

// Run writes the table.
func (c *versionsCmd) Run() error {
	lock, err := facts.ReadLock(c.NvidiaLock)
	if err != nil {
		return err
	}
	sdks, err := facts.ReadSDKs(c.ZEDLock)
	if err != nil {
		return err
	}
	var images []facts.Image
	for _, path := range c.Image {
		image, err := facts.ReadImage(path)
		if err != nil {
			return err
		}
		images = append(images, image)
	}
	text, err := facts.Versions(lock, images, sdks)
	if err != nil {
		return err
	}
	return os.WriteFile(c.Output, []byte(text), 0o644)
}
