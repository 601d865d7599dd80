package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"krabby.dev/rules_oci/internal/ocidir"
	"krabby.dev/rules_oci/internal/origin"
	"krabby.dev/rules_oci/internal/registrytest"
)

// labRegistry starts a registry that supports HTTP only, at an address that is not reached by HTTP without permission.
func labRegistry(t *testing.T) (host string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skipf("127.0.0.2 is no address of this machine: %v", err)
	}
	server := httptest.NewUnstartedServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return listener.Addr().String()
}

func TestPush_insecure(t *testing.T) {
	dir, _ := build(t, scratch(t))
	for _, test := range []struct {
		name   string
		params pushParams
		args   []string
		code   int
		want   string
	}{
		{name: "not permitted", code: 1, want: "permit it with --insecure"},
		{name: "flag", args: []string{"--insecure"}},
		{name: "attribute", params: pushParams{Insecure: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			host := labRegistry(t)
			test.params.Repository = values(host + "/robot")
			r := tool(t, t.TempDir(), emptyDockerConfig(t), pushTarget(t, dir, test.params), test.args...)
			if r.code != test.code || !strings.Contains(r.err, test.want) {
				t.Errorf("exit %d: %s, expected %d and %q", r.code, r.err, test.code, test.want)
			}
			if test.code == 0 && !strings.HasPrefix(r.out, host+"/robot@sha256:") {
				t.Errorf("stdout %q, expected the reference", r.out)
			}
		})
	}
}

// The permission for the registry of a base is in the layout, so that its layers can be fetched.
func TestLoad_insecureBase(t *testing.T) {
	host := labRegistry(t)
	dir, img := build(t, scratch(t))
	program := pushTarget(t, dir, pushParams{Repository: values(host + "/base"), RemoteTags: values("1")})
	if r := tool(t, t.TempDir(), emptyDockerConfig(t), program, "--insecure"); r.code != 0 {
		t.Fatal(r.err)
	}
	manifest, err := img.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	layout := filepath.Join(t.TempDir(), "layout")
	params := layoutParams{
		Label: "@base", Registry: host, Repository: "base", Insecure: true,
		Manifest: writeFile(t, "manifest.json", manifest), Config: writeFile(t, "config.json", config),
	}
	if r := tool(t, t.TempDir(), nil, "oci", "layout", "--params", writeJSON(t, params), "--output", layout); r.code != 0 {
		t.Fatal(r.err)
	}
	app, _ := build(t, imageParams{Label: "//app", Base: &source{Path: layout, Label: "@base"}, User: "1"})
	load := writeJSON(t, loadParams{Label: "//app:load", Image: app, Format: "oci", RepoTags: values("app:1")})
	archive := filepath.Join(t.TempDir(), "app.tar")
	environ := append(emptyDockerConfig(t), "KRABBY_CACHE="+t.TempDir())
	if r := tool(t, t.TempDir(), environ, "oci", "load", "--params", load, "--tar", archive); r.code != 0 {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
}

func TestFetch_insecure(t *testing.T) {
	host := labRegistry(t)
	dir, img := build(t, scratch(t))
	program := pushTarget(t, dir, pushParams{Repository: values(host + "/base"), RemoteTags: values("1")})
	if r := tool(t, t.TempDir(), emptyDockerConfig(t), program, "--insecure"); r.code != 0 {
		t.Fatal(r.err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	output := filepath.Join(t.TempDir(), "manifest")
	if r := tool(t, t.TempDir(), emptyDockerConfig(t), "oci", "fetch", host+"/base:1", "--output", output); r.code != 1 || !strings.Contains(r.err, "permit it with --insecure") {
		t.Errorf("without permission: exit %d: %s", r.code, r.err)
	}
	r := tool(t, t.TempDir(), emptyDockerConfig(t), "oci", "fetch", host+"/base:1", "--output", output, "--insecure")
	if r.code != 0 || strings.TrimSpace(r.out) != digest.String() {
		t.Errorf("exit %d: %q %s, expected %s", r.code, r.out, r.err, digest)
	}
}

func TestPush_hangingCredentialHelper(t *testing.T) {
	address, home := startRegistry(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "docker-credential-slow"), []byte("#!/bin/sh\nsleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "config.json"), []byte(`{"credsStore": "slow"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	dir, _ := build(t, scratch(t))
	program := pushTarget(t, dir, pushParams{Repository: values(address + "/robot")})
	start := time.Now()
	r := tool(t, t.TempDir(), []string{"DOCKER_CONFIG=" + home, "PATH=" + home + ":/usr/bin:/bin", "OCI_CREDENTIAL_TIMEOUT=500ms"}, program)
	if r.code != 1 || !strings.Contains(r.err, address+": the credential helper does not respond within 500ms; check credHelpers") {
		t.Errorf("exit %d: %s, expected 1 and the helper's registry", r.code, r.err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
	r = tool(t, t.TempDir(), []string{"OCI_CREDENTIAL_TIMEOUT=soon"}, program)
	if r.code != 1 || !strings.Contains(r.err, `OCI_CREDENTIAL_TIMEOUT: found "soon"`) {
		t.Errorf("exit %d: %s, expected 1 and the variable", r.code, r.err)
	}
}

func TestLoad_engineWithoutDaemon(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := loadTarget(t, "docker", "app:1")
	with := func(names ...string) []string {
		bin := t.TempDir()
		for _, name := range names {
			if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
				t.Fatal(err)
			}
		}
		return []string{"PATH=" + bin, "FAKE_DOCKER=" + t.TempDir()} // No state: the daemon does not respond.
	}
	r := tool(t, t.TempDir(), with("docker", "podman"), program)
	if r.code != 0 || !strings.Contains(r.err, "note: skipping docker: ") || !strings.Contains(r.err, "Cannot connect") || !strings.Contains(r.err, "podman") || !strings.Contains(r.out, "app:1") {
		t.Errorf("exit %d: %q %q, expected a load by podman", r.code, r.out, r.err)
	}
	r = tool(t, t.TempDir(), with("docker", "nerdctl"), program)
	if r.code != 1 || !strings.Contains(r.err, "no container engine responds") || !strings.Contains(r.err, "--loader podman") {
		t.Errorf("exit %d: %q, expected 1 and --loader podman", r.code, r.err)
	}
}

// A layout in the archive has the names that umoci and podman read, and the digest of the image.
func TestLoad_format_refName(t *testing.T) {
	program := loadTarget(t, "docker", "app:1", "registry.example/app")
	archive := filepath.Join(t.TempDir(), "app.tar")
	if r := tool(t, t.TempDir(), nil, program, "--tar", archive, "--format", "oci"); r.code != 0 {
		t.Fatal(r.err)
	}
	data, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	files := untar(t, bytes.NewReader(data))
	var index v1.IndexManifest
	if err := json.Unmarshal([]byte(files["index.json"]), &index); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range index.Manifests {
		names = append(names, entry.Annotations["org.opencontainers.image.ref.name"])
		if _, ok := files["blobs/sha256/"+entry.Digest.Hex]; !ok {
			t.Errorf("%s not found in the archive", entry.Digest)
		}
	}
	if got := strings.Join(names, " "); got != "app:1 registry.example/app:latest" {
		t.Errorf("names: found %q", got)
	}
}

// editLayout changes the index of an index layout.
func editLayout(t *testing.T, dir string, edit func(*v1.IndexManifest)) string {
	t.Helper()
	opened, err := ocidir.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := opened.(v1.ImageIndex).IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	edited := manifest.DeepCopy()
	edit(edited)
	data, err := json.Marshal(edited)
	if err != nil {
		t.Fatal(err)
	}
	digest, size, err := v1.SHA256(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ocidir.BlobPath(dir, digest), data, 0o644); err != nil {
		t.Fatal(err)
	}
	top, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, Manifests: []v1.Descriptor{{MediaType: manifest.MediaType, Digest: digest, Size: size}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "index.json"), top, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestLoad_indexEntryWithoutPlatform(t *testing.T) {
	b := newTestRegistry(t)
	index, r := buildIndex(t, platformImage(t, "arm64"), platformImage(t, "amd64"))
	if r.code != 0 {
		t.Fatal(r.err)
	}
	editLayout(t, index, func(m *v1.IndexManifest) {
		for i := range m.Manifests {
			m.Manifests[i].Platform = nil
		}
	})
	for platform, want := range map[string]int{"linux/arm64": 0, "linux/arm64/v8": 0, "linux/amd64": 0, "linux/arm64/v9": 1, "linux/s390x": 1} {
		if _, r := b.archive(index, "docker", "--platform", platform); r.code != want {
			t.Errorf("%s: exit %d: %s, expected %d", platform, r.code, r.err, want)
		}
	}
}

// baseLayout writes a layout of an image with a manifest and a config. Empty digests are those of the documents.
func baseLayout(t *testing.T, mediaType, configType string, config []byte, edit func(manifest map[string]any)) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "base")
	if err := os.MkdirAll(ocidir.BlobDir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	put := func(data []byte) v1.Hash {
		digest, _, err := v1.SHA256(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(ocidir.BlobPath(dir, digest), data, 0o644); err != nil {
			t.Fatal(err)
		}
		return digest
	}
	manifest := map[string]any{
		"schemaVersion": 2, "mediaType": mediaType, "layers": []any{},
		"config": map[string]any{"mediaType": configType, "size": len(config), "digest": put(config).String()},
	}
	if edit != nil {
		edit(manifest)
	}
	data, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []any{map[string]any{"mediaType": mediaType, "size": len(data), "digest": put(data).String()}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"index.json": index, "oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestImage_badBase(t *testing.T) {
	const (
		image  = "application/vnd.oci.image.manifest.v1+json"
		config = "application/vnd.oci.image.config.v1+json"
	)
	wrongDigest := baseLayout(t, image, config, []byte(`{}`), nil)
	blobs, err := filepath.Glob(filepath.Join(ocidir.BlobDir(wrongDigest), "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, blob := range blobs {
		if data, err := os.ReadFile(blob); err == nil && string(data) == "{}" {
			if err := os.WriteFile(blob, []byte("{ }"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct {
		name, base string
		want       []string
	}{
		{"neither docker nor OCI", baseLayout(t, image, "application/octet-stream", []byte(`{}`), nil), []string{`found media type "application/octet-stream"`, config, "docker"}},
		{"HTML", baseLayout(t, image, "text/html", []byte(`<html>`), nil), []string{`found media type "text/html"`}},
		{"artifact", baseLayout(t, "application/vnd.example+json", config, []byte(`{}`), nil), []string{"found a application/vnd.example+json", "expected an image"}},
		{"config that is no JSON", baseLayout(t, image, config, []byte(`config`), nil), []string{"config of the base: invalid character"}},
		{"config that is no object", baseLayout(t, image, config, []byte(`[]`), nil), []string{"config of the base: found an array"}},
		{"wrong digest of the config", wrongDigest, []string{"config: ", "expected the digest of its name"}},
		{"missing layer", baseLayout(t, image, config, []byte(`{}`), func(m map[string]any) {
			m["layers"] = []any{map[string]any{"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": 1, "digest": "sha256:" + strings.Repeat("1", 64)}}
		}), []string{"layer sha256:1111", "not found"}},
		{"wrong size of a layer", baseLayout(t, image, config, []byte(`{}`), func(m map[string]any) {
			digest := m["config"].(map[string]any)["digest"]
			m["layers"] = []any{map[string]any{"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": 3, "digest": digest}}
		}), []string{"found 2 bytes, expected 3 of the manifest"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "image")
			r := tryBuild(t, imageParams{Label: "//robot:app", Base: &source{Path: test.base, Label: "@base"}, Layers: scratch(t).Layers, Env: textLines("A=1")}, dir)
			if r.code != 1 || strings.Count(r.err, "\n") != 1 {
				t.Errorf("exit %d: %q, expected 1 and one line", r.code, r.err)
			}
			for _, want := range append(test.want, "//robot:app", "@base") {
				if !strings.Contains(r.err, want) {
					t.Errorf("%q does not contain %q", r.err, want)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
				t.Errorf("files are left: %q", left)
			}
		})
	}
}

// A registry may report another size than it serves.
func TestLoad_wrongSize(t *testing.T) {
	for _, test := range []struct {
		name  string
		claim int64
		want  string
	}{
		{"the layer is larger", 500, "found more than 500 bytes"},
		{"the layer is smaller", 2000, "ended after 1000 of 2000 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newTestRegistry(t)
			served := registrytest.Random(1, 1000)
			b.origin.Image(t, baseRepo, "25.10", "arm64", served)
			claimed := served
			claimed.Size = test.claim
			layout := b.pullWith(baseRepo, claimed)
			_, r := b.archive(layout, "docker")
			if r.code != 1 || !strings.Contains(r.err, test.want) || !strings.Contains(r.err, b.origin.Host) {
				t.Errorf("exit %d: %s, expected 1 and %q", r.code, r.err, test.want)
			}
		})
	}
}

// pullWith returns the layout of an image whose manifest claims a layer.
func (b *testRegistry) pullWith(repo string, layer registrytest.Blob) string {
	b.t.Helper()
	dir := baseLayout(b.t, "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json",
		[]byte(`{"architecture":"arm64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:`+strings.Repeat("1", 64)+`"]}}`), func(m map[string]any) {
			m["layers"] = []any{map[string]any{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "size": layer.Size, "digest": layer.Digest.String()}}
		})
	documents, err := ocidir.Read(dir)
	if err != nil {
		b.t.Fatal(err)
	}
	layout := filepath.Join(b.t.TempDir(), "layout")
	absent := origin.List{{Registry: b.origin.Host, Repository: repo, Digest: layer.Digest, Layers: []v1.Hash{layer.Digest}}}
	if err := ocidir.WritePulled(layout, documents.Manifest, documents.Config, absent); err != nil {
		b.t.Fatal(err)
	}
	return layout
}

// The entry of an image's layout has no platform.
func TestImage_layoutEntry(t *testing.T) {
	dir, _ := build(t, scratch(t))
	data, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil || bytes.Contains(data, []byte("platform")) || bytes.Contains(data, []byte("annotations")) {
		t.Errorf("index.json: found %s (%v), expected no platform and no annotations", data, err)
	}
}

// A tar that ends early is an error, and nothing is written.
func TestImage_tarOfNothing(t *testing.T) {
	var data bytes.Buffer
	if err := tar.NewWriter(&data).Close(); err != nil {
		t.Fatal(err)
	}
	spec := scratch(t)
	spec.Layers = []source{{Path: writeFile(t, "empty.tar", data.Bytes()), Label: "//:empty"}}
	if _, img := build(t, spec); img == nil {
		t.Error("a tar without entries is a layer")
	}
}
