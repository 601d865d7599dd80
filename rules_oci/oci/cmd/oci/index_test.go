package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"krabby.dev/rules_oci/internal/ocidir"
)

// platformImage builds a small image for an architecture.
func platformImage(t *testing.T, architecture string) source {
	t.Helper()
	dir, _ := build(t, imageParams{
		Label: "//robot:" + architecture, OS: "linux", Architecture: architecture,
		Layers: []source{
			gzipSource(t, "//robot:shared.tar", map[string]string{"etc/robot": "go1"}),
			gzipSource(t, "//robot:program.tar", map[string]string{"app": architecture}),
		},
	})
	return source{Path: dir, Label: "//robot:" + architecture}
}

func buildIndex(t *testing.T, images ...source) (dir string, r result) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "index")
	params := writeJSON(t, indexParams{Label: "//robot:all", Images: images})
	return dir, tool(t, t.TempDir(), nil, "oci", "index", "--params", params, "--output", dir, "--digest", dir+".sha256")
}

func TestIndex_platforms(t *testing.T) {
	arm, x86 := platformImage(t, "arm64"), platformImage(t, "amd64")
	dir, r := buildIndex(t, x86, arm)
	if r.code != 0 {
		t.Fatalf("exit %d: %s", r.code, r.err)
	}
	opened, err := ocidir.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	index, ok := opened.(v1.ImageIndex)
	if !ok {
		t.Fatalf("the layout holds a %T, want an index", opened)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var platforms []string
	for _, m := range manifest.Manifests {
		platforms = append(platforms, m.Platform.String())
	}
	if got := strings.Join(platforms, " "); got != "linux/amd64 linux/arm64" {
		t.Errorf("platforms %q, want them in the order of the images", got)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(dir + ".sha256"); err != nil || string(got) != digest.String()+"\n" {
		t.Errorf("digest file %q (%v), want %s", got, err, digest)
	}
	// Two manifests, two configs, two programs, what they share, and the index.
	if blobs, err := os.ReadDir(ocidir.BlobDir(dir)); err != nil || len(blobs) != 8 {
		t.Errorf("%d blobs (%v), want 8: shared ones once", len(blobs), err)
	}
}

func TestIndex_reproducible(t *testing.T) {
	arm, x86 := platformImage(t, "arm64"), platformImage(t, "amd64")
	first, _ := buildIndex(t, x86, arm)
	second, _ := buildIndex(t, x86, arm)
	if a, b := hashes(t, first), hashes(t, second); !maps.Equal(a, b) {
		t.Errorf("two builds differ: %v and %v", a, b)
	}
}

func TestIndex_duplicatePlatform(t *testing.T) {
	one := platformImage(t, "arm64")
	other := one
	other.Label = "//robot:other"
	_, r := buildIndex(t, one, other)
	if want := "//robot:arm64 and //robot:other are both for linux/arm64/v8"; r.code != 1 || !strings.Contains(r.err, want) {
		t.Errorf("exit %d: %q, want 1 and %q", r.code, r.err, want)
	}
}

func TestImage_indexAsBase(t *testing.T) {
	dir, _ := buildIndex(t, platformImage(t, "arm64"), platformImage(t, "amd64"))
	p := imageParams{Label: "//robot:app", Base: &source{Path: dir, Label: "//robot:all"}}
	if r := tryBuild(t, p, filepath.Join(t.TempDir(), "image")); r.code != 1 || !strings.Contains(r.err, "expected an image") {
		t.Errorf("exit %d: %q, want 1 and what was wanted", r.code, r.err)
	}
}
