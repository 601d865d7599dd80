package compose_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"krabby.dev/rules_oci/internal/compose"
	"krabby.dev/rules_oci/internal/jsontree"
	"krabby.dev/rules_oci/internal/tarlayer"
)

const ociManifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"sha256:x"},"layers":[]}`

func text(s string) *string { return &s }

// build builds an image on a base with this config, and returns its config.
func build(t *testing.T, config string, a compose.Attributes, layers ...compose.Layer) *jsontree.Object {
	t.Helper()
	image, err := compose.Build(compose.Image{Manifest: []byte(ociManifest), Config: []byte(config)}, layers, a)
	if err != nil {
		t.Fatal(err)
	}
	built, err := jsontree.ParseObject(image.Config)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// compact returns the value at a path without line breaks.
func compact(t *testing.T, o *jsontree.Object, path ...string) string {
	t.Helper()
	var value any = o
	for _, key := range path {
		value = value.(*jsontree.Object).Get(key)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, jsontree.Format(value)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The expected values are the output of rules_oci's image.sh, but for "equal names in the base".
func TestBuild_env(t *testing.T) {
	const base = `{"config":{"Env":["PATH=/usr/bin:/bin","EMPTY=","URL=a=b","BARE"]}}`
	for _, test := range []struct{ name, base, env, want string }{
		{"not set", base, "-", `["PATH=/usr/bin:/bin","EMPTY=","URL=a=b","BARE"]`},
		{"no lines", base, "", `["PATH=/usr/bin:/bin","EMPTY=","URL=a=b","BARE="]`},
		{"replaced in place", base, "PATH=/x", `["PATH=/x","EMPTY=","URL=a=b","BARE="]`},
		{"appended in order", `{}`, "Z=1\nA=2\n", `["Z=1","A=2"]`},
		{"both forms", base, "URL=$URL:${PATH}:end", `["PATH=/usr/bin:/bin","EMPTY=","URL=a=b:/usr/bin:/bin:end","BARE="]`},
		{"unknown name", `{}`, "A=1$NOPE/2", `["A=1/2"]`},
		{"longest name", `{"config":{"Env":["A=1"]}}`, "B=$AX", `["A=1","B="]`},
		{"brace after a name", `{"config":{"Env":["A=1"]}}`, "B=$A}x", `["A=1","B=1x"]`},
		{"missing brace", `{"config":{"Env":["A=1"]}}`, "B=${A", `["A=1","B=1"]`},
		{"earlier line", `{}`, "H=/h\nP=$H/p", `["H=/h","P=/h/p"]`},
		{"later line", `{}`, "P=$H/p\nH=/h", `["P=/p","H=/h"]`},
		{"no expansion of values", `{}`, "A=$$\nB=$A", `["A=$$","B=$$"]`},
		{"dollar without name", `{}`, "A=5 $ and ${", `["A=5 $ and ${"]`},
		{"line without value", `{}`, "A", `["A="]`},
		{"base without config", `{"config":null}`, "A=1", `["A=1"]`},
		{"equal names in the base", `{"config":{"Env":["PATH=/opt:/a","X=1","PATH=/b"]}}`, "PATH=/opt:$PATH", `["PATH=/opt:/b","X=1"]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := compose.Attributes{Env: text(test.env)}
			if test.env == "-" {
				a.Env = nil
			}
			if got := compact(t, build(t, test.base, a), "config", "Env"); got != test.want {
				t.Errorf("found %s, expected %s", got, test.want)
			}
		})
	}
}

// The expected values are the output of rules_oci's image.sh.
func TestBuild_config(t *testing.T) {
	const base = `{"os":"linux","config":{"Cmd":["all"],"Entrypoint":["/bin/base"],"ExposedPorts":{"80/tcp":{}},"Labels":{"a":"1","b":"2"}},"rootfs":{"type":"layers","diff_ids":[]}}`
	for _, test := range []struct {
		name, base string
		attributes compose.Attributes
		want       string
	}{
		{"nothing", `{"a":1,"config":{}}`, compose.Attributes{}, `{"a":1,"config":{}}`},
		{"base without config", `{"a":1}`, compose.Attributes{User: "1"}, `{"a":1,"config":{"User":"1"}}`},
		{"null Cmd", `{"config":{"Cmd":null,"OnBuild":null}}`, compose.Attributes{}, `{"config":{"OnBuild":null}}`},
		{
			"unknown fields", `{"x":[1.50],"config":{"StopTimeout":3,"Healthcheck":{"StartInterval":1000000000}},"os":"linux"}`,
			compose.Attributes{WorkDir: "/w"},
			`{"x":[1.50],"config":{"StopTimeout":3,"Healthcheck":{"StartInterval":1000000000},"WorkingDir":"/w"},"os":"linux"}`,
		},
		{
			"entrypoint removes cmd", base, compose.Attributes{Entrypoint: text("/app\n")},
			`{"os":"linux","config":{"Entrypoint":["/app"],"ExposedPorts":{"80/tcp":{}},"Labels":{"a":"1","b":"2"}},"rootfs":{"type":"layers","diff_ids":[]}}`,
		},
		{
			"dictionaries", base, compose.Attributes{ExposedPorts: text("90"), Volumes: text("/a,/b"), Labels: text("b=x=y\n\nc\n=z"), Cmd: text("")},
			`{"os":"linux","config":{"Cmd":[],"Entrypoint":["/bin/base"],"ExposedPorts":{"80/tcp":{},"90":{}},"Labels":{"a":"1","b":"x=y","c":"","":"z"},"Volumes":{"/a":{},"/b":{}}},"rootfs":{"type":"layers","diff_ids":[]}}`,
		},
		{
			"order of new keys", `{}`, compose.Attributes{
				Created: text("2024-01-02T03:04:05Z"), Entrypoint: text("e"), Cmd: text("c%5Cnd"), ExposedPorts: text(""), Volumes: text("v"), Env: text("E=1"),
				Labels: text("l=1"), User: "u", WorkDir: "w",
			},
			`{"created":"2024-01-02T03:04:05Z","config":{"Cmd":["c\nd"],"Entrypoint":["e"],"ExposedPorts":{},"Volumes":{"v":{}},"Env":["E=1"],"Labels":{"l":"1"},"User":"u","WorkingDir":"w"}}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := compact(t, build(t, test.base, test.attributes)); got != test.want {
				t.Errorf("found\n%s\nexpected\n%s", got, test.want)
			}
		})
	}
}

// layer returns a layer of an empty file app.
func layer(t *testing.T) compose.Layer {
	t.Helper()
	var data bytes.Buffer
	tw := tar.NewWriter(&data)
	if err := tw.WriteHeader(&tar.Header{Name: "app", Mode: 0o755}); err != nil {
		t.Fatal(err)
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "app.tar")
	if err := os.WriteFile(path, data.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := tarlayer.FromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return compose.Layer{Layer: l, Label: "//app"}
}

// The base has layers that exist nowhere.
func TestBuild_readsNoBaseLayer(t *testing.T) {
	const docker = `{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":2,"digest":"sha256:x","data":"e30="},
		"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":5000000000,"digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111"}]}`
	l := layer(t)
	image, err := compose.Build(compose.Image{Manifest: []byte(docker), Config: []byte(`{"rootfs":{"diff_ids":["sha256:y"]}}`)}, []compose.Layer{l}, compose.Attributes{User: "10001"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := v1.ParseManifest(bytes.NewReader(image.Manifest))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Layers) != 2 || m.Layers[0].Size != 5000000000 || m.Layers[1].Digest != l.Digest || m.Layers[1].MediaType != "application/vnd.docker.image.rootfs.diff.tar" {
		t.Errorf("layers: found %+v, expected the base's and ours with docker's media type", m.Layers)
	}
	if digest, size, _ := v1.SHA256(bytes.NewReader(image.Config)); m.Config.Digest != digest || m.Config.Size != size || m.Config.Data != nil {
		t.Errorf("config: found %+v, expected %s with %d bytes and no data", m.Config, digest, size)
	}
	want := `{"rootfs":{"diff_ids":["sha256:y","` + l.DiffID.String() + `"]},"history":[{"created":"1970-01-01T00:00:00Z","created_by":"bazel build //app"}],"config":{"User":"10001"}}`
	config, err := jsontree.ParseObject(image.Config)
	if err != nil {
		t.Fatal(err)
	}
	if got := compact(t, config); got != want {
		t.Errorf("found %s, expected %s", got, want)
	}
}

func TestBuild_invalidBase(t *testing.T) {
	for _, test := range []struct{ name, manifest, config, want string }{
		{"manifest of an artifact", strings.Replace(ociManifest, "image.manifest", "artifact.manifest", 1), `{}`, `manifest of the base: found media type "application/vnd.oci.artifact.manifest.v1+json"`},
		{"config of another type", strings.Replace(ociManifest, "vnd.oci.image.config.v1+json", "octet-stream", 1), `{}`, `config of the base: found media type "application/octet-stream"`},
		{"HTML as config", strings.Replace(ociManifest, "application/vnd.oci.image.config.v1+json", "text/html", 1), `<html>`, `config of the base: found media type "text/html"`},
		{"no JSON as config", ociManifest, `<html>`, "config of the base: invalid character"},
		{"array as config", ociManifest, `[]`, "config of the base: found an array"},
		{"cut config", ociManifest, `{"config":`, "config of the base: "},
		{"no JSON as manifest", `<html>`, `{}`, "manifest of the base: invalid character"},
		{"config without object", strings.Replace(ociManifest, `"config":{`, `"config":[],"x":{`, 1), `{}`, "manifest of the base: config: found an array"},
		{"environment of numbers", ociManifest, `{"config":{"Env":[1]}}`, "config of the base: Env: found a number"},
		{"diff_ids without array", ociManifest, `{"rootfs":{"diff_ids":{}}}`, "config of the base: rootfs: diff_ids: found an object"},
		{"rootfs without object", ociManifest, `{"rootfs":1}`, "config of the base: rootfs: found a number"},
	} {
		t.Run(test.name, func(t *testing.T) {
			base := compose.Image{Manifest: []byte(test.manifest), Config: []byte(test.config)}
			_, err := compose.Build(base, []compose.Layer{layer(t)}, compose.Attributes{Env: text("A=1")})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, expected %q", err, test.want)
			}
		})
	}
}

func TestIndex(t *testing.T) {
	descriptor, err := jsontree.ParseObject([]byte(`{"mediaType":"m","digest":"sha256:d","size":3}`))
	if err != nil {
		t.Fatal(err)
	}
	index, err := compose.Index([]compose.IndexEntry{
		{Descriptor: descriptor, Config: []byte(`{"architecture":"arm64","os":"linux","variant":"v8","os.features":null}`)},
		{Descriptor: descriptor, Config: []byte(`{"os.version":"1","os":"linux"}`)},
	}, text("a=1\nb=x=y\n"))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.index.v1+json",
  "manifests": [
    {
      "mediaType": "m",
      "digest": "sha256:d",
      "size": 3,
      "platform": {
        "os": "linux",
        "architecture": "arm64",
        "variant": "v8"
      }
    },
    {
      "mediaType": "m",
      "digest": "sha256:d",
      "size": 3,
      "platform": {
        "os": "linux",
        "os.version": "1"
      }
    }
  ],
  "annotations": {
    "a": "1",
    "b": "x=y"
  }
}
`
	if string(index) != want {
		t.Errorf("found\n%s\nexpected\n%s", index, want)
	}
	if descriptor.Get("platform") != nil {
		t.Error("the descriptor of the image has changed")
	}
}
