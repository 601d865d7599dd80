package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// describe runs `oci layer`.
func describe(t *testing.T, s source) (descriptor string, r result) {
	t.Helper()
	descriptor = filepath.Join(t.TempDir(), "layer.json")
	var out, errs bytes.Buffer
	code := run(context.Background(), []string{"oci", "layer", "--tar", s.Path, "--label", s.Label, "--image", "//:image", "--output", descriptor}, streams{&out, &errs})
	return descriptor, result{code, out.String(), errs.String()}
}

func TestLayer_descriptor(t *testing.T) {
	for name, layer := range map[string]source{
		"plain": tarSource(t, "//:plain", map[string]string{"a": "1"}),
		"gzip":  gzipSource(t, "//:gzip", map[string]string{"b": "2"}),
	} {
		t.Run(name, func(t *testing.T) {
			p := scratch(t)
			p.Layers = []source{layer}
			dir, _ := build(t, p)
			want := hashes(t, dir)

			descriptor, r := describe(t, layer)
			if r.code != 0 {
				t.Fatal(r.err)
			}
			p.Layers[0].Descriptor = descriptor
			dir, _ = build(t, p)
			got := hashes(t, dir)
			for file, hash := range want {
				if got[file] != hash {
					t.Errorf("%s: found %q, expected %q", file, got[file], hash)
				}
			}
			if len(got) != len(want) {
				t.Errorf("found files %v, expected %v", got, want)
			}
		})
	}
}

func TestLayer_noTar(t *testing.T) {
	descriptor, r := describe(t, source{Path: writeFile(t, "x.tar", []byte("no tar")), Label: "//:x"})
	if r.code != 1 || !strings.Contains(r.err, "oci layer: //:image: tars: //:x (") || !strings.Contains(r.err, "not a tar") {
		t.Errorf("exit code %d, stderr %q", r.code, r.err)
	}
	if _, err := os.Stat(descriptor); err == nil {
		t.Error("found a descriptor")
	}
}

// A descriptor of another tar has another size than the file.
func TestImage_foreignDescriptor(t *testing.T) {
	descriptor, r := describe(t, tarSource(t, "//:x", map[string]string{"a": strings.Repeat("1", 10_000)}))
	if r.code != 0 {
		t.Fatal(r.err)
	}
	p := scratch(t)
	p.Layers = []source{tarSource(t, "//:y", map[string]string{"a": "1"})}
	p.Layers[0].Descriptor = descriptor
	if r := tryBuild(t, p, filepath.Join(t.TempDir(), "image")); r.code != 1 || !strings.Contains(r.err, "copy layer sha256:") {
		t.Errorf("exit code %d, stderr %q", r.code, r.err)
	}
}
