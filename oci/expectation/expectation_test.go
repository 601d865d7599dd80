package expectation_test

import (
	"archive/tar"
	"bytes"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"krabby.dev/krabby/oci/expectation"
)

var epoch = time.Unix(0, 0)

// good returns the files of a valid image.
func good() map[string]tar.Header {
	return map[string]tar.Header{
		"usr/bin/app": {Typeflag: tar.TypeReg, Mode: 0o755, ModTime: epoch},
		"etc/name":    {Typeflag: tar.TypeReg, Mode: 0o644, ModTime: epoch},
		"etc/link":    {Typeflag: tar.TypeSymlink, Linkname: "/etc/name", Mode: 0o777, ModTime: epoch},
		"tmp":         {Typeflag: tar.TypeDir, Mode: 0o1777, ModTime: epoch},
		"workspace":   {Typeflag: tar.TypeDir, Mode: 0o755, Uid: 10001, Gid: 10001, ModTime: epoch},
	}
}

func config() *v1.ConfigFile {
	return &v1.ConfigFile{
		Architecture: "arm64", OS: "linux",
		Config: v1.Config{
			User: "10001", WorkingDir: "/workspace", Entrypoint: []string{"/usr/bin/app"}, Env: []string{"PATH=/usr/bin"},
			Labels: map[string]string{"title": "app", "digest": "sha256:01"},
		},
	}
}

// image makes an image of files and their contents, by name.
func image(t *testing.T, config *v1.ConfigFile, files map[string]tar.Header, contents map[string]string) v1.Image {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, header := range files {
		header.Name = name
		header.Size = int64(len(contents[name]))
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, contents[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer := static.NewLayer(b.Bytes(), types.OCIUncompressedLayer)
	config.RootFS.Type = "layers"
	img, err := mutate.ConfigFile(empty.Image, config)
	if err != nil {
		t.Fatal(err)
	}
	img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: "bazel build //app:program"}})
	if err != nil {
		t.Fatal(err)
	}
	return mutate.Annotations(img, map[string]string{"note": "1"}).(v1.Image)
}

const wanted = `
architecture: arm64
os: linux
user: "10001"
workdir: /workspace
entrypoint: [/usr/bin/app]
env: [PATH=/usr/bin]
labels: {title: app, digest: "sha256:*"}
annotations: {note: "1"}
layers: ["//app:program"]
files:
  /usr/bin/app: {mode: "0755"}
  /etc/name: {contains: krabby}
  /etc/link: {type: link, target: /etc/name}
  /workspace: {type: directory, owner: "10001:10001"}
compressed_mb: 1
`

func read(t *testing.T, text string) *expectation.Expectation {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	e, err := expectation.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestCheck(t *testing.T) {
	file := func(mode int64) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Mode: mode, ModTime: epoch} }
	for _, test := range []struct {
		name     string
		config   func(c *v1.ConfigFile)
		files    map[string]tar.Header // Added or replaced.
		contents map[string]string
		expect   [2]string // Replaced in the expectation.
		want     []string
	}{
		{name: "none"},
		{
			name:   "another architecture",
			config: func(c *v1.ConfigFile) { c.Architecture = "amd64" },
			want:   []string{`architecture: found "amd64", expected "arm64"`},
		},
		{
			name:   "another user",
			config: func(c *v1.ConfigFile) { c.Config.User = "" },
			want:   []string{`user: found "", expected "10001"`},
		},
		{
			name:   "arguments",
			config: func(c *v1.ConfigFile) { c.Config.Cmd = []string{"--x"} },
			want:   []string{`cmd: found ["--x"], expected none`},
		},
		{
			name:   "a secret in the environment",
			config: func(c *v1.ConfigFile) { c.Config.Env = append(c.Config.Env, "NGC_API_KEY=x") },
			want: []string{
				`env: found ["PATH=/usr/bin","NGC_API_KEY=x"], expected ["PATH=/usr/bin"]`, "env NGC_API_KEY: looks like a secret",
			},
		},
		{
			name: "labels",
			config: func(c *v1.ConfigFile) {
				c.Config.Labels = map[string]string{"digest": "md5:01", "more": "1"}
			},
			want: []string{
				`label digest: found "md5:01", expected "sha256:*"`, `label more: found "1", expected none`, `label title: found none, expected "app"`,
			},
		},
		{
			name:   "an annotation",
			expect: [2]string{`note: "1"`, `note: "2"`},
			want:   []string{`annotation note: found "1", expected "2"`},
		},
		{
			name:   "the time of the build",
			config: func(c *v1.ConfigFile) { c.Created = v1.Time{Time: time.Unix(1, 0).UTC()} },
			want:   []string{"created: found 1970-01-01 00:00:01 +0000 UTC, expected none: images must not depend on the time of the build"},
		},
		{
			name:   "a layer",
			expect: [2]string{"//app:program", "//app:other"},
			want:   []string{`layers: found ["//app:program"], expected ["//app:other"]`},
		},
		{
			name:   "a file that is not there",
			expect: [2]string{"/etc/name:", "/etc/none:"},
			want:   []string{"/etc/none: not found"},
		},
		{
			name:     "content",
			contents: map[string]string{"etc/name": "spot"},
			want:     []string{`/etc/name: does not contain "krabby"`},
		},
		{
			name: "mode, owner, type and target",
			files: map[string]tar.Header{
				"usr/bin/app": file(0o644),
				"workspace":   {Typeflag: tar.TypeDir, Mode: 0o755, ModTime: epoch},
				"etc/link":    {Typeflag: tar.TypeSymlink, Linkname: "/etc/other", ModTime: epoch},
			},
			want: []string{
				"/etc/link: target: found /etc/other, expected /etc/name",
				"/usr/bin/app: mode: found 0644, expected 0755",
				"/workspace: owner: found 0:0, expected 10001:10001",
			},
		},
		{
			name:   "weight",
			expect: [2]string{"compressed_mb: 1", "compressed_mb: 0.0001"},
			want:   []string{"compressed: found 0.0 MB, expected at most 0.0001 MB"},
		},
		{
			name:  "setuid and setgid",
			files: map[string]tar.Header{"a": file(0o4755), "b": file(0o2755)},
			want: []string{
				"/a: mode 4755: setuid and setgid are not allowed",
				"/b: mode 2755: setuid and setgid are not allowed",
			},
		},
		{
			name:  "world-writable",
			files: map[string]tar.Header{"a": file(0o666), "d": {Typeflag: tar.TypeDir, Mode: 0o777, ModTime: epoch}},
			want:  []string{"/a: mode 0666: world-writable", "/d: mode 0777: world-writable"},
		},
		{
			name:  "a device",
			files: map[string]tar.Header{"dev/sda": {Typeflag: tar.TypeBlock, Mode: 0o600, ModTime: epoch}},
			want:  []string{"/dev/sda: found an entry of type '4', expected a file, directory or link"},
		},
		{
			name:  "a time",
			files: map[string]tar.Header{"a": {Typeflag: tar.TypeReg, Mode: 0o644, ModTime: time.Unix(5, 0)}},
			want:  []string{"/a: found time 5 s, expected 0: images must not depend on the time of the build"},
		},
		{
			name:  "build tools",
			files: map[string]tar.Header{"usr/bin/aarch64-linux-gnu-gcc-12": file(0o755), "opt/x/bin/pip3.11": file(0o755), "usr/share/make": file(0o644), "usr/bin/gold-digger": file(0o755)},
			want:  []string{"/opt/x/bin/pip3.11: is a build tool", "/usr/bin/aarch64-linux-gnu-gcc-12: is a build tool"},
		},
		{
			name:     "secrets",
			files:    map[string]tar.Header{"home/x/.netrc": file(0o600), "etc/tls.pem": file(0o600), "usr/lib/libcrypto.so": file(0o644)},
			contents: map[string]string{"etc/tls.pem": "-----BEGIN RSA PRIVATE KEY-----\n" + strings.Repeat("A", 64), "usr/lib/libcrypto.so": "-----BEGIN PRIVATE KEY-----\x00%s"},
			want:     []string{"/etc/tls.pem: contains a private key", "/home/x/.netrc: looks like a file of secrets"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, files, contents := config(), good(), map[string]string{"etc/name": "krabby"}
			if test.config != nil {
				test.config(c)
			}
			maps.Copy(files, test.files)
			maps.Copy(contents, test.contents)
			got, err := read(t, strings.Replace(wanted, test.expect[0], test.expect[1], 1)).Check(image(t, c, files, contents))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("found\n%s\nexpected\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestRead_unknownField(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(path, []byte("usr: 10001\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := expectation.Read(path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "usr") {
		t.Errorf("found error %v, expected one that names the file and the field", err)
	}
}
