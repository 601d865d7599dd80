package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"krabby.dev/krabby/tools/bench/measure"
)

// Number of layers of a base, the same for all sizes.
const syntheticLayers = 20

// Sizes of bases: small, and that of NVIDIA's images.
const small, large = 50e6, 20e9

// editOnBases measures the build of a new image after a changed line, on bases that are in a registry. One build on each base comes
// before; its requests do not count.
func (s *suite) editOnBases(ctx context.Context) error {
	var tools []tool
	for _, base := range []struct {
		name string
		size int64
	}{{"bench_small", small}, {"bench_large", large}} {
		registry := measure.StartRegistry()
		defer registry.Close()
		digest, err := pushSynthetic(ctx, registry, s.architecture, base.size)
		if err != nil {
			return err
		}
		image, err := s.image.addOnBase(base.name, registry.Host()+"/base", digest)
		if err != nil {
			return err
		}
		tools = append(tools, tool{toolOnBase(krabbyName, base.size), func(int) ([]outcome, error) {
			served := registry.Served()
			cost, err := s.checkout.editAndBuild(ctx, image)
			served = registry.Served() - served
			run := result(cost)
			run.Received = &served
			return []outcome{run}, err
		}})
		s.progress("building once on a base of %s", bytesText(float64(base.size)))
		if _, err := s.checkout.build(ctx, image); err != nil {
			return err
		}
	}
	if err := s.compare(tools, "one changed line of Go, shallow base"); err != nil {
		return err
	}
	return s.checkout.restore()
}

// toolOnBase returns the name of a tool in a comparison of bases.
func toolOnBase(name string, size int64) string {
	return fmt.Sprintf("%s, base of %s", name, bytesText(float64(size)))
}

// shallow measures adding a changed layer to a base in a registry and pushing to that registry. Each run fetches the base's manifest
// and configuration.
func (s *suite) shallow(ctx context.Context) error {
	return s.compare([]tool{
		s.onBase(ctx, krabbyName, small, s.shallowPush),
		s.onBase(ctx, krabbyName, large, s.shallowPush),
		s.onBase(ctx, craneName, small, s.craneAppendPush),
		s.onBase(ctx, craneName, large, s.craneAppendPush),
	}, "pull, add a changed layer, push")
}

func (s *suite) onBase(ctx context.Context, name string, size int64, run func(ctx context.Context, host string, layers []file) (measure.Cost, error)) tool {
	return tool{toolOnBase(name, size), func(i int) ([]outcome, error) {
		registry := measure.StartRegistry()
		defer registry.Close()
		if _, err := pushSynthetic(ctx, registry, s.architecture, size); err != nil {
			return nil, err
		}
		received, served := registry.Received(), registry.Served()
		cost, err := run(ctx, registry.Host(), s.changed[i])
		received, served = registry.Received()-received, registry.Served()-served
		result := result(cost)
		result.Sent, result.Received = &received, &served
		return []outcome{result}, err
	}}
}

// shallowPush runs the commands of oci.pull, oci_image and oci_push.
func (s *suite) shallowPush(ctx context.Context, host string, layers []file) (measure.Cost, error) {
	dir := filepath.Join(s.scratch, "shallow")
	if err := removeAll(dir); err != nil {
		return measure.Cost{}, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return measure.Cost{}, err
	}
	base := file{Path: filepath.Join(dir, "base"), Label: "synthetic"}
	manifest, config, image := filepath.Join(dir, "manifest.json"), filepath.Join(dir, "config.json"), filepath.Join(dir, "image")
	p, err := s.image.params.with(base, layers)
	if err != nil {
		return measure.Cost{}, err
	}
	for path, value := range map[string]any{
		base.Path + ".json":  map[string]string{"label": base.Label, "registry": host, "repository": "base", "manifest": manifest, "config": config},
		image + ".json":      p,
		image + ".push.json": pushParams(image, host+"/image"),
	} {
		if err := writeJSON(path, value); err != nil {
			return measure.Cost{}, err
		}
	}
	var total measure.Cost
	call := func(args ...string) error {
		cost, _, err := measure.Command(ctx, s.image.ociCommand(args...))
		total.Time += cost.Time
		total.Bytes = total.Bytes.Add(cost.Bytes)
		if err != nil {
			return fmt.Errorf("oci %s: %w", args[0], err)
		}
		return nil
	}
	if err := call("fetch", host+"/base:latest", "--output", manifest); err != nil {
		return total, err
	}
	pulled, err := readManifest(manifest)
	if err != nil {
		return total, err
	}
	for _, args := range [][]string{
		{"fetch", "--blob", host + "/base@" + pulled.Config.Digest.String(), "--output", config},
		{"layout", "--params", base.Path + ".json", "--output", base.Path},
		{"image", "--params", image + ".json", "--output", image},
		{"push", "--params", image + ".push.json"},
	} {
		if err := call(args...); err != nil {
			return total, err
		}
	}
	return total, nil
}

func readManifest(path string) (*v1.Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return v1.ParseManifest(f)
}

// craneAppendPush does the same with one command of crane.
func (s *suite) craneAppendPush(ctx context.Context, host string, layers []file) (measure.Cost, error) {
	args := []string{"append", "--base", host + "/base", "--new_tag", host + "/image:latest"}
	for _, layer := range layers {
		args = append(args, "--new_layer", layer.Path)
	}
	cost, _, err := measure.Command(ctx, exec.Command(s.crane, args...))
	return cost, err
}

// pushSynthetic pushes an image of synthetic layers to the registry as "base" and returns its digest.
func pushSynthetic(ctx context.Context, registry *measure.Registry, architecture string, size int64) (string, error) {
	image, err := mutate.ConfigFile(mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1),
		&v1.ConfigFile{OS: "linux", Architecture: architecture})
	if err != nil {
		return "", err
	}
	for i := range syntheticLayers {
		layer := syntheticLayer{number: i, size: size / syntheticLayers}
		digest, err := layer.Digest()
		if err != nil {
			return "", err
		}
		registry.AddSyntheticBlob(digest.String(), layer.size)
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			return "", err
		}
	}
	tag, err := name.NewTag(registry.Host() + "/base:latest")
	if err != nil {
		return "", err
	}
	if err := remote.Write(tag, image, remote.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("pushing a synthetic base: %w", err)
	}
	digest, err := image.Digest()
	return digest.String(), err
}

// syntheticLayer is a layer with a digest and a size, and without content.
type syntheticLayer struct {
	number int
	size   int64
}

// Digest returns a digest of number and size.
func (l syntheticLayer) Digest() (v1.Hash, error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "synthetic layer %d of %d bytes", l.number, l.size))
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}, nil
}

// DiffID returns the digest.
func (l syntheticLayer) DiffID() (v1.Hash, error) { return l.Digest() }

// Compressed returns an error: no operation may read the content.
func (l syntheticLayer) Compressed() (io.ReadCloser, error) {
	return nil, fmt.Errorf("layer %d of the synthetic base has no content", l.number)
}

// Uncompressed returns an error.
func (l syntheticLayer) Uncompressed() (io.ReadCloser, error) { return l.Compressed() }

// Size returns the size in the manifest.
func (l syntheticLayer) Size() (int64, error) { return l.size, nil }

// MediaType returns the media type of OCI layers.
func (l syntheticLayer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }
