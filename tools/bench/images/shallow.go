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

// A base of as many layers whatever its size, so that it is the size that makes a difference.
const syntheticLayers = 20

// Sizes of bases: one that nobody minds, and one of NVIDIA's.
const small, large = 50e6, 20e9

// editOnBases measures the way from a changed line to a new image once more, on bases that are in a registry. What comes
// from there is counted from when each base was built on once.
func (s *suite) editOnBases(ctx context.Context) error {
	var contenders []contender
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
		image, err := s.checkout.addOnBase(base.name, registry.Host()+"/base", digest)
		if err != nil {
			return err
		}
		contenders = append(contenders, contender{toolOnBase(krabbyName, base.size), func(int) ([]outcome, error) {
			served := registry.Served()
			cost, err := s.editAndBuild(ctx, image)
			served = registry.Served() - served
			run := result(cost)
			run.Received = &served
			return []outcome{run}, err
		}})
		s.progress("building on a base of %s, once", bytesText(float64(base.size)))
		if _, err := s.checkout.build(ctx, image); err != nil {
			return err
		}
	}
	return s.compare(contenders, "one changed line of Go, shallow base")
}

// toolOnBase names a tool in a comparison of bases.
func toolOnBase(tool string, size int64) string {
	return fmt.Sprintf("%s, base of %s", tool, bytesText(float64(size)))
}

// shallow puts a changed layer on a base that is in a registry, and pushes to that registry. From nothing: the base's
// manifest and config are fetched each time.
func (s *suite) shallow(ctx context.Context) error {
	return s.compare([]contender{
		s.onBase(ctx, krabbyName, small, s.shallowPush),
		s.onBase(ctx, krabbyName, large, s.shallowPush),
		s.onBase(ctx, craneName, small, s.craneAppendPush),
		s.onBase(ctx, craneName, large, s.craneAppendPush),
	}, "pull, add a changed layer, push")
}

func (s *suite) onBase(ctx context.Context, tool string, size int64, run func(ctx context.Context, host string, layers []file) (measure.Cost, error)) contender {
	return contender{toolOnBase(tool, size), func(i int) ([]outcome, error) {
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

// shallowPush does what oci.pull, oci_image and oci_push have the tool do.
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
	p, err := s.checkout.params.with(base, layers)
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
		cost, _, err := measure.Command(ctx, s.checkout.tool(args...))
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

// craneAppendPush does the same in one go.
func (s *suite) craneAppendPush(ctx context.Context, host string, layers []file) (measure.Cost, error) {
	args := []string{"append", "--base", host + "/base", "--new_tag", host + "/image:latest"}
	for _, layer := range layers {
		args = append(args, "--new_layer", layer.Path)
	}
	cost, _, err := measure.Command(ctx, exec.Command(s.crane, args...))
	return cost, err
}

// pushSynthetic puts an image into the registry as "base", whose layers have sizes and nothing else, and returns its digest.
func pushSynthetic(ctx context.Context, registry *measure.Registry, architecture string, size int64) (string, error) {
	image, err := mutate.ConfigFile(mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1),
		&v1.ConfigFile{OS: "linux", Architecture: architecture})
	if err != nil {
		return "", err
	}
	for i := range syntheticLayers {
		layer := phantom{number: i, size: size / syntheticLayers}
		digest, err := layer.Digest()
		if err != nil {
			return "", err
		}
		registry.AddPhantom(digest.String(), layer.size)
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

// phantom is a layer that a registry claims to have.
type phantom struct {
	number int
	size   int64
}

// Digest is of nothing that exists.
func (p phantom) Digest() (v1.Hash, error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "phantom %d of %d bytes", p.number, p.size))
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}, nil
}

// DiffID is as made up as the digest.
func (p phantom) DiffID() (v1.Hash, error) { return p.Digest() }

// Compressed fails: what wants the bytes should not.
func (p phantom) Compressed() (io.ReadCloser, error) {
	return nil, fmt.Errorf("layer %d of the synthetic base was asked for its bytes", p.number)
}

// Uncompressed fails as well.
func (p phantom) Uncompressed() (io.ReadCloser, error) { return p.Compressed() }

// Size is what the registry says.
func (p phantom) Size() (int64, error) { return p.size, nil }

// MediaType is that of most layers.
func (p phantom) MediaType() (types.MediaType, error) { return types.OCILayer, nil }
