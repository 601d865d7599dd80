package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"krabby.dev/rules_oci/internal/ocidir"
	"krabby.dev/rules_oci/internal/origin"
	"krabby.dev/rules_oci/internal/registry"
	"krabby.dev/rules_oci/internal/registrytest"
)

const baseRepo = "nvidia/pytorch"

// testRegistry is a registry, and what oci.pull's repositories and the rules make of its images.
type testRegistry struct {
	t       *testing.T
	origin  *registrytest.Server
	cache   string   // The user's.
	environ []string // Of the tool.
}

func newTestRegistry(t *testing.T) *testRegistry {
	t.Helper()
	b := &testRegistry{t: t, origin: registrytest.Start(t), cache: t.TempDir()}
	b.environ = append(emptyDockerConfig(t), "KRABBY_CACHE="+b.cache)
	return b
}

// fetch does what oci.pull's repository rule does, and returns the files.
func (b *testRegistry) fetch(reference string, flags ...string) (path string, data []byte) {
	b.t.Helper()
	path = filepath.Join(b.t.TempDir(), "fetched")
	r := tool(b.t, b.t.TempDir(), b.environ, "oci", append([]string{"fetch", reference, "--output", path}, flags...)...)
	if r.code != 0 {
		b.t.Fatalf("oci fetch %s: exit %d: %s", reference, r.code, r.err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	if want := fmt.Sprintf("sha256:%x\n", sha256.Sum256(data)); r.out != want {
		b.t.Errorf("oci fetch %s prints %q, wrote %q", reference, r.out, want)
	}
	return path, data
}

// pull returns the layout of @name, an image in the registry.
func (b *testRegistry) pull(repo, tag string) (layout string) {
	b.t.Helper()
	where := b.origin.Host + "/" + repo
	manifest, data := b.fetch(where + ":" + tag)
	var m v1.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		b.t.Fatal(err)
	}
	config, _ := b.fetch(where+"@"+m.Config.Digest.String(), "--blob")
	layout = filepath.Join(b.t.TempDir(), "layout")
	params := writeJSON(b.t, layoutParams{Label: "@pytorch//:pytorch", Registry: b.origin.Host, Repository: repo, Manifest: manifest, Config: config})
	var out, errs bytes.Buffer
	if code := run(context.Background(), []string{"oci", "layout", "--params", params, "--output", layout}, streams{&out, &errs}); code != 0 {
		b.t.Fatalf("oci layout: exit %d: %s", code, &errs)
	}
	return layout
}

// image builds an image with one small layer on a base.
func (b *testRegistry) image(base, program string) (layout string) {
	b.t.Helper()
	layout, _ = build(b.t, imageParams{
		Label: "//robot:app", Base: &source{Path: base, Label: "@pytorch"},
		Layers:     []source{tarSource(b.t, "//robot:app.tar", map[string]string{"app/locomotion": program})},
		Entrypoint: textLines("/app/locomotion"),
	})
	return layout
}

// push pushes a layout to a repository, and returns what the tool said.
func (b *testRegistry) push(layout, repository string) result {
	b.t.Helper()
	return tool(b.t, b.t.TempDir(), b.environ, pushTarget(b.t, layout, pushParams{Repository: values(repository), RemoteTags: values("latest")}))
}

// archive has the tool write an archive, and returns the names and contents of its files.
func (b *testRegistry) archive(layout, format string, flags ...string) (map[string]string, result) {
	b.t.Helper()
	params := writeJSON(b.t, loadParams{Label: "//robot:app.load", Image: layout, Format: format, RepoTags: values("app:dev")})
	path := filepath.Join(b.t.TempDir(), "image.tar")
	r := tool(b.t, b.t.TempDir(), b.environ, "oci", append([]string{"load", "--params", params, "--tar", path}, flags...)...)
	data, err := os.ReadFile(path)
	if r.code != 0 {
		if err == nil {
			b.t.Errorf("a load that failed left an archive of %d bytes", len(data))
		}
		return nil, r
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return untar(b.t, bytes.NewReader(data)), r
}

func untar(t *testing.T, r io.Reader) map[string]string {
	t.Helper()
	found := map[string]string{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		found[h.Name] = string(data)
	}
}

func layersOf(t *testing.T, layout string) []v1.Hash {
	t.Helper()
	img, err := ocidir.Image(layout)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	var out []v1.Hash
	for _, l := range manifest.Layers {
		out = append(out, l.Digest)
	}
	return out
}

// sum is how many bytes of some blobs a registry has served or received.
func sum(counts map[v1.Hash]int64, of ...registrytest.Blob) (total int64) {
	for _, b := range of {
		total += counts[b.Digest]
	}
	return total
}

// baseOf20GB costs nothing, unless someone reads it.
func baseOf20GB() []registrytest.Blob {
	var layers []registrytest.Blob
	for n := range 40 {
		layers = append(layers, registrytest.Sparse(fmt.Sprint("layer ", n), 500_000_000))
	}
	return layers
}

func TestImage_largeBase_readsNoLayer(t *testing.T) {
	b, layers := newTestRegistry(t), baseOf20GB()
	manifest, config := b.origin.Image(t, baseRepo, "25.10", "arm64", layers...)
	base := b.pull(baseRepo, "25.10")
	if got := sum(b.origin.ServedBytes(), layers...); got != 0 {
		t.Errorf("the pull fetched %d bytes of layers", got)
	}

	b.origin.Stop() // Whoever asks for anything from here on fails.
	for _, program := range []string{"one", "two"} {
		layout := b.image(base, program)
		var size int64
		err := filepath.WalkDir(layout, func(_ string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			size += info.Size()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		// Manifest and config name each layer of the base; so does remote.json.
		if limit := int64(2*len(manifest) + 4*len(config) + 4000); size > limit {
			t.Errorf("program %s: the image has %d bytes on disk, want at most %d", program, size, limit)
		}
		if got := len(layersOf(t, layout)); got != len(layers)+1 {
			t.Errorf("program %s: the image has %d layers, want the base's %d and one", program, got, len(layers))
		}
	}
}

func TestLayout_keepsDigest(t *testing.T) {
	b := newTestRegistry(t)
	manifest, config := b.origin.Image(t, baseRepo, "25.10", "arm64", registrytest.Random(1, 1000))
	base, err := ocidir.Image(b.pull(baseRepo, "25.10"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := base.RawManifest(); err != nil || !bytes.Equal(got, manifest) {
		t.Errorf("the manifest is %s (%v), want %s", got, err, manifest)
	}
	if got, err := base.RawConfigFile(); err != nil || !bytes.Equal(got, config) {
		t.Errorf("the config is %s (%v), want %s", got, err, config)
	}
}

func TestPush_registryOfBase_sendsOwnLayers(t *testing.T) {
	for _, tt := range []struct {
		name, repo string
		mounted    int
	}{
		{"the base's own repository has it", baseRepo, 0},
		{"another repository mounts it", "robots/locomotion", 40},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, layers := newTestRegistry(t), baseOf20GB()
			b.origin.Image(t, baseRepo, "25.10", "arm64", layers...)
			layout := b.image(b.pull(baseRepo, "25.10"), "program")
			b.origin.ResetCounts()
			if r := b.push(layout, b.origin.Host+"/"+tt.repo); r.code != 0 || !strings.Contains(r.err, "sent 1 layers with") {
				t.Fatalf("exit %d: %s", r.code, r.err)
			}
			if served := b.origin.ServedBytes(); len(served) != 0 {
				t.Errorf("blobs were read: %v", served)
			}
			if got := b.origin.ReceivedBytes(); sum(got, layers...) != 0 || len(got) != 2 { // Our layer and the config.
				t.Errorf("received %v, want our layer and the config", got)
			}
			if got := b.origin.Mounts(); got != tt.mounted {
				t.Errorf("%d blobs were mounted, want %d", got, tt.mounted)
			}
			for _, h := range layersOf(t, layout) {
				if !b.origin.Has(tt.repo, h) {
					t.Errorf("%s has no layer %s", tt.repo, h)
				}
			}
		})
	}
}

func TestPush_mountToken(t *testing.T) {
	for host, flow := range registrytest.TokenFlows() {
		t.Run(host, func(t *testing.T) {
			b, layers := newTestRegistry(t), baseOf20GB()
			b.origin.Image(t, baseRepo, "25.10", "arm64", layers...)
			flow.Login = true
			b.origin.RequireToken(flow)
			b.environ = append(b.environ, "DOCKER_CONFIG="+b.login())
			layout := b.image(b.pull(baseRepo, "25.10"), "program")
			if r := b.push(layout, b.origin.Host+"/robots/locomotion"); r.code != 0 {
				t.Fatalf("exit %d: %s", r.code, r.err)
			}
			if got := b.origin.Mounts(); got != len(layers) {
				t.Errorf("%d blobs were mounted, want %d", got, len(layers))
			}
		})
	}
}

// login returns a docker configuration with the password of the registry.
func (b *testRegistry) login() (dir string) {
	b.t.Helper()
	config := fmt.Sprintf(`{"auths": {%q: {"username": %q, "password": %q}}}`, b.origin.Host, registrytest.User, registrytest.Password)
	return filepath.Dir(writeFile(b.t, "config.json", []byte(config)))
}

func TestPush_otherRegistry_copiesBase(t *testing.T) {
	b, layer := newTestRegistry(t), registrytest.Random(1, 100_000)
	b.origin.Image(t, baseRepo, "25.10", "arm64", layer)
	layout := b.image(b.pull(baseRepo, "25.10"), "program")
	ours := registrytest.Start(t)
	if r := b.push(layout, ours.Host+"/robots/locomotion"); r.code != 0 || !strings.Contains(r.err, "fetching "+b.origin.Host) {
		t.Fatalf("exit %d: %s, want 0 and what is fetched", r.code, r.err)
	}
	if got := ours.ReceivedBytes()[layer.Digest]; got != layer.Size {
		t.Errorf("%d bytes of the base's layer came, want %d", got, layer.Size)
	}
	b.origin.ResetCounts()
	if r := b.push(layout, registrytest.Start(t).Host+"/robots/locomotion"); r.code != 0 {
		t.Fatalf("to a third registry: exit %d: %s", r.code, r.err)
	}
	if got := b.origin.Requests(); got != 0 {
		t.Errorf("the base's registry was asked %d times for what is in the cache", got)
	}
}

func TestPush_index_sendsOwnLayers(t *testing.T) {
	b := newTestRegistry(t)
	arm, x86 := registrytest.Sparse("arm", 5e9), registrytest.Sparse("x86", 5e9)
	b.origin.Image(t, baseRepo, "arm", "arm64", arm)
	b.origin.Image(t, baseRepo, "x86", "amd64", x86)
	index, r := buildIndex(t,
		source{Path: b.image(b.pull(baseRepo, "arm"), "program"), Label: "//robot:arm"},
		source{Path: b.image(b.pull(baseRepo, "x86"), "program"), Label: "//robot:x86"})
	if r.code != 0 {
		t.Fatalf("oci index: exit %d: %s", r.code, r.err)
	}
	b.origin.ResetCounts()
	if r := b.push(index, b.origin.Host+"/robots/testing"); r.code != 0 {
		t.Fatalf("exit %d: %s", r.code, r.err)
	}
	if got := b.origin.ReceivedBytes(); sum(got, arm, x86) != 0 || len(got) != 3 { // One layer, two configs.
		t.Errorf("received %v, want our layer and two configs", got)
	}
	if got := b.origin.Mounts(); got != 2 {
		t.Errorf("%d blobs were mounted, want 2", got)
	}
}

func TestLoad_shallowImage_fetchesOnce(t *testing.T) {
	for _, format := range []string{"docker", "oci"} {
		t.Run(format, func(t *testing.T) {
			b, layers := newTestRegistry(t), []registrytest.Blob{registrytest.Random(1, 100_000), registrytest.Random(2, 1000)}
			b.origin.Image(t, baseRepo, "25.10", "arm64", layers...)
			layout := b.image(b.pull(baseRepo, "25.10"), "program")
			b.origin.ResetCounts()
			first, r := b.archive(layout, format)
			if r.code != 0 {
				t.Fatalf("exit %d: %s", r.code, r.err)
			}
			for _, h := range layersOf(t, layout) {
				if got := fmt.Sprintf("%x", sha256.Sum256([]byte(first["blobs/sha256/"+h.Hex]))); got != h.Hex {
					t.Errorf("the layer %s in the archive is sha256:%s", h, got)
				}
			}
			b.origin.ResetCounts()
			if second, r := b.archive(layout, format); r.code != 0 || !maps.Equal(first, second) || b.origin.Requests() != 0 {
				t.Errorf("the second time: exit %d: %s: the same archive: %v; the registry was asked %d times, want not once", r.code, r.err, maps.Equal(first, second), b.origin.Requests())
			}
		})
	}
}

func TestLoad_offline_fetchesNothing(t *testing.T) {
	b := newTestRegistry(t)
	b.origin.Image(t, baseRepo, "25.10", "arm64", registrytest.Random(1, 1000))
	layout := b.image(b.pull(baseRepo, "25.10"), "program")
	b.origin.ResetCounts()
	_, r := b.archive(layout, "docker", "--offline")
	if r.code != 1 || !strings.Contains(r.err, b.origin.Host+"/"+baseRepo) || !strings.Contains(r.err, "-- --tar FILE") || !strings.Contains(r.err, "//robot:app.load") {
		t.Errorf("exit %d: %q, want 1, where the layer is and what to run instead", r.code, r.err)
	}
	if got := b.origin.Requests(); got != 0 {
		t.Errorf("the registry was asked %d times", got)
	}
}

func TestLoad_interruptedLayer_resumes(t *testing.T) {
	b, layer := newTestRegistry(t), registrytest.Random(1, 100_000)
	b.origin.Image(t, baseRepo, "25.10", "arm64", layer)
	layout := b.image(b.pull(baseRepo, "25.10"), "program")
	b.origin.ResetCounts()
	b.origin.Fail(1, func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, layer.Digest.String()) }, func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", fmt.Sprint(layer.Size))
		io.CopyN(w, layer.Open(), 60_000)
		panic(http.ErrAbortHandler)
	})
	files, r := b.archive(layout, "docker")
	if r.code != 0 || !strings.Contains(r.err, "retrying in") {
		t.Fatalf("exit %d: %s, want 0 and a note", r.code, r.err)
	}
	if got := fmt.Sprintf("%x", sha256.Sum256([]byte(files["blobs/sha256/"+layer.Digest.Hex]))); got != layer.Digest.Hex {
		t.Errorf("the layer in the archive is sha256:%s, want %s", got, layer.Digest)
	}
	if got := b.origin.Ranges(); !slices.Equal(got, []string{"bytes=60000-99999"}) {
		t.Errorf("asked for the ranges %q, want what was missing", got)
	}
}

func TestProgress(t *testing.T) {
	ref, err := name.NewDigest("registry.example/nvidia/pytorch@sha256:" + strings.Repeat("0", 64))
	if err != nil {
		t.Fatal(err)
	}
	var notes bytes.Buffer
	r := &progress{
		ReadCloser: io.NopCloser(strings.NewReader(strings.Repeat("x", 1_000_000))),
		client:     registry.New(registry.WithLog(&notes)), ref: ref, came: 2_000_000, size: 5_000_000,
		said: time.Now().Add(-time.Minute),
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, 1_000_000)); err != nil {
		t.Fatal(err)
	}
	if want := "fetching " + ref.String() + ": 3.0 of 5.0 MB\n"; notes.String() != want {
		t.Errorf("notes = %q, want %q once", &notes, want)
	}
}

func TestFetchLayer_wrongContent(t *testing.T) {
	b, layer := newTestRegistry(t), registrytest.Random(1, 1000)
	b.origin.Image(t, baseRepo, "25.10", "arm64", layer)
	layout := b.image(b.pull(baseRepo, "25.10"), "program")
	b.origin.Corrupt(baseRepo, layer.Digest)
	b.origin.ResetCounts()
	ours := registrytest.Start(t)
	want := ", expected " + layer.Digest.String()
	if _, r := b.archive(layout, "docker"); r.code != 1 || !strings.Contains(r.err, want) || !strings.Contains(r.err, b.origin.Host+"/"+baseRepo) {
		t.Errorf("archive: exit %d: %q, want 1, %q and where it came from", r.code, r.err, want)
	}
	if got := b.origin.ServedBytes()[layer.Digest]; got != layer.Size {
		t.Errorf("%d bytes were fetched, want %d: asking again would only bring the same", got, layer.Size)
	}
	if r := b.push(layout, ours.Host+"/robots/locomotion"); r.code != 1 || !strings.Contains(r.err, want) {
		t.Errorf("push: exit %d: %q, want 1 and %q", r.code, r.err, want)
	}
	if got := ours.ReceivedBytes(); got[layer.Digest] != 0 || ours.Has("robots/locomotion", layer.Digest) {
		t.Errorf("the other registry got %v", got)
	}
	if left, err := filepath.Glob(filepath.Join(b.cache, "blobs", "sha256", "*")); err != nil || len(left) != 0 {
		t.Errorf("the cache keeps %q (%v)", left, err)
	}
}

func TestFetch_wrongContent(t *testing.T) {
	b := newTestRegistry(t)
	_, config := b.origin.Image(t, baseRepo, "25.10", "arm64")
	h := v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256(config))}
	b.origin.Corrupt(baseRepo, h)
	reference := b.origin.Host + "/" + baseRepo + "@" + h.String()
	path := filepath.Join(t.TempDir(), "config.json")
	r := tool(t, t.TempDir(), b.environ, "oci", "fetch", reference, "--blob", "--output", path)
	if _, err := os.Stat(path); r.code != 1 || !strings.Contains(r.err, reference+": found the blob") || err == nil {
		t.Errorf("exit %d: %q (file: %v), want 1, what was asked for, and no file", r.code, r.err, err)
	}
}

func TestFetch_failingCredentialHelper(t *testing.T) {
	b := newTestRegistry(t)
	b.origin.Image(t, baseRepo, "25.10", "arm64")
	b.origin.RequireToken(registrytest.TokenFlows()["nvcr.io"])
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "docker-credential-broken"), []byte("#!/bin/sh\necho no such keychain; exit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	config := writeFile(t, "config.json", []byte(`{"credsStore": "broken"}`))
	environ := append(b.environ, "DOCKER_CONFIG="+filepath.Dir(config), "PATH="+bin+":/usr/bin:/bin")
	r := tool(t, t.TempDir(), environ, "oci", "fetch", b.origin.Host+"/"+baseRepo+":25.10", "--output", filepath.Join(t.TempDir(), "x"))
	if r.code != 0 || !strings.Contains(r.err, "note: no credentials for "+b.origin.Host) {
		t.Errorf("exit %d: %q, want 0 and a note", r.code, r.err)
	}
}

func TestLayout_badInput(t *testing.T) {
	b := newTestRegistry(t)
	manifest, config := b.origin.Image(t, baseRepo, "25.10", "arm64")
	for _, tt := range []struct {
		name, manifest, config, registry, want string
	}{
		{"another config", string(manifest), `{"os": "linux"}`, "nvcr.io", "of the manifest"},
		{"no manifest", "<html>", string(config), "nvcr.io", "read the manifest"},
		{"a registry that is none", string(manifest), string(config), "not a registry", "remote.json: repository not a registry/nvidia/pytorch"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			params := writeJSON(t, layoutParams{
				Label: "@pytorch//:pytorch", Registry: tt.registry, Repository: baseRepo,
				Manifest: writeFile(t, "manifest.json", []byte(tt.manifest)), Config: writeFile(t, "config.json", []byte(tt.config)),
			})
			var out, errs bytes.Buffer
			code := run(context.Background(), []string{"oci", "layout", "--params", params, "--output", filepath.Join(t.TempDir(), "layout")}, streams{&out, &errs})
			if code != 1 || !strings.Contains(errs.String(), tt.want) || !strings.Contains(errs.String(), "@pytorch//:pytorch") {
				t.Errorf("exit %d: %q, want 1, %q and the label", code, &errs, tt.want)
			}
		})
	}
}

func TestImage_layerAlsoInBase(t *testing.T) {
	b := newTestRegistry(t)
	whole := b.image(b.pull(baseRepo, b.withImage("empty")), "program")
	program := layersOf(t, whole)[0]
	b.origin.Image(t, baseRepo, "25.10", "arm64", registrytest.Sparse("other", 1e9), registrytest.Blob{Digest: program, Size: 2048})
	layout := b.image(b.pull(baseRepo, "25.10"), "program")
	absent, err := origin.Read(layout)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := absent.Find(program); ok || len(absent) != 1 || len(absent[0].Layers) != 1 {
		t.Errorf("absent are %v, want the other layer only", absent)
	}
}

func (b *testRegistry) withImage(tag string) string {
	b.origin.Image(b.t, baseRepo, tag, "arm64")
	return tag
}
