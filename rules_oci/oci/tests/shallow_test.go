package tests

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"krabby.dev/rules_oci/internal/ocidir"
	"krabby.dev/rules_oci/internal/origin"
	"krabby.dev/rules_oci/internal/registrytest"
)

// runfile returns the output of the target in a variable.
func runfile(t *testing.T, variable string) string {
	t.Helper()
	if os.Getenv("TEST_SRCDIR") == "" {
		t.Skip("requires outputs of Bazel: bazel test @rules_oci//oci/tests:tests_test")
	}
	return filepath.Join(os.Getenv("TEST_SRCDIR"), os.Getenv(variable))
}

// sizeOf returns the size of a layout in bytes.
func sizeOf(t *testing.T, layout string) (size int64) {
	t.Helper()
	// The layout may be a symlink, which WalkDir does not follow.
	layout, err := filepath.EvalSymlinks(layout)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(layout, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := os.Stat(path)
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

func TestImage_largeBase_isSmall(t *testing.T) {
	layout := runfile(t, "IMAGE")
	if size := sizeOf(t, layout); size < 1000 || size > 10_000 {
		t.Errorf("the image has %d bytes on disk, want a few kilobytes", size)
	}
	img, err := ocidir.Image(layout)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	absent, err := origin.Read(layout)
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Layers) != 5 {
		t.Fatalf("the image has %d layers, want the base's 4 and ours", len(manifest.Layers))
	}
	var total int64
	for n, l := range manifest.Layers {
		_, err := os.Stat(filepath.Join(ocidir.BlobDir(layout), l.Digest.Hex))
		from, ok := absent.Find(l.Digest)
		if ours := n == 4; ours != (err == nil) || ours == ok {
			t.Errorf("layer %d is there: %v, and elsewhere: %v; only the last is ours", n, err == nil, ok)
		}
		if ok && (from.Registry != "registry.example" || from.Repository != "nvidia/pytorch") {
			t.Errorf("layer %d is in %s/%s", n, from.Registry, from.Repository)
		}
		total += l.Size
	}
	if total < 20e9 {
		t.Errorf("the layers have %d bytes, want at least the base's 20 GB", total)
	}
	digest, err := os.ReadFile(runfile(t, "DIGEST"))
	if err != nil {
		t.Fatal(err)
	}
	if want, err := img.Digest(); err != nil || strings.TrimSpace(string(digest)) != want.String() {
		t.Errorf("the target .digest says %s, want %s (%v)", digest, want, err)
	}
}

func TestIndex_largeBases_isSmall(t *testing.T) {
	layout := runfile(t, "INDEX")
	if size := sizeOf(t, layout); size < 2000 || size > 20_000 {
		t.Errorf("the index has %d bytes on disk, want a few kilobytes", size)
	}
	artifact, err := ocidir.Open(layout)
	if err != nil {
		t.Fatal(err)
	}
	index, ok := artifact.(v1.ImageIndex)
	if !ok {
		t.Fatalf("the layout holds a %T, want an index", artifact)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	absent, err := origin.Read(layout)
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 2 || len(absent) != 2 {
		t.Errorf("the index has %d images on %d bases, want 2 on 2", len(manifest.Manifests), len(absent))
	}
}

// The repository rules of oci.pull run this program. `go build` made it from the list of modules in pull.bzl.
func TestFetcher(t *testing.T) {
	fetcher := runfile(t, "FETCHER")
	s := registrytest.Start(t)
	s.RequireToken(registrytest.TokenFlows()["nvcr.io"])
	layer := registrytest.Sparse("layer", 5e9)
	manifest, _ := s.Image(t, "nvidia/pytorch", "25.10", "arm64", layer)
	path := filepath.Join(t.TempDir(), "manifest.json")
	cmd := exec.CommandContext(context.Background(), fetcher, "fetch", s.Host+"/nvidia/pytorch:25.10", "--output", path)
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, manifest) {
		t.Errorf("got %s (%v), want %s", got, err, manifest)
	}
	if got := s.ServedBytes(); len(got) != 0 {
		t.Errorf("blobs were served: %v", got)
	}
}
