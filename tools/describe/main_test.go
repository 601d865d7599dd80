package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// inputs is a directory with the input files of describe.
type inputs struct {
	t   *testing.T
	dir string
}

func newInputs(t *testing.T) *inputs {
	m := &inputs{t, t.TempDir()}
	m.write("image.json", `{"name": "krabby-x", "description": "X = y", "licenses": "Apache-2.0", "platform": "linux/arm64",
		"nvidia": "b", "python": {"nvidia": "3.12"}}`)
	m.write("nvidia.json", `{"bases": {"b": {"image": "r.example/i", "tag": "1", "digest": "", "platforms": {
		"linux/arm64": {"digest": "", "facts": {"architecture": "arm64", "cuda": "13.0"}, "source": "documents"}}}}}`)
	m.write("python.json", `{"wheels": {"onnxruntime_arm64": {"version": "1.2.3"}, "onnxruntime_amd64": {"version": "9"}}}`)
	m.write("zed.json", `{"archives": {
		"1.0": {"version": "1.0", "architecture": "arm64", "os": "ubuntu 22.04", "l4t": "36.4", "cuda": "12.6", "file": "x"},
		"1.0-new": {"version": "1.0", "architecture": "arm64", "os": "ubuntu 24.04", "l4t": "38.2", "cuda": "13.0"}}}`)
	m.write("manifest.json", `{"name": "go1_joystick", "robot": "go1"}`)
	return m
}

func (m *inputs) write(name, content string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(content), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m *inputs) read(name string) string {
	m.t.Helper()
	content, err := os.ReadFile(filepath.Join(m.dir, name))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(content)
}

// base writes the layout of the base and returns its digest.
func (m *inputs) base(user string, env ...string) string {
	m.t.Helper()
	config, err := empty.Image.ConfigFile()
	if err != nil {
		m.t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config.Env, config.Config.User = "linux", "arm64", env, user
	image, err := mutate.ConfigFile(empty.Image, config)
	if err != nil {
		m.t.Fatal(err)
	}
	path, err := layout.Write(filepath.Join(m.dir, "base"), empty.Index)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := path.AppendImage(image); err != nil {
		m.t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		m.t.Fatal(err)
	}
	return digest.String()
}

// labels runs the command labels and returns its exit code and standard error.
func (m *inputs) labels(more ...string) (code int, stderr string) {
	at := func(name string) string { return filepath.Join(m.dir, name) }
	args := []string{
		"labels", "--image", at("image.json"), "--layout", at("base"), "--nvidia-lock", at("nvidia.json"), "--python-lock", at("python.json"), "--zed-lock", at("zed.json"),
		"--policy", at("manifest.json"), "--labels", at("labels"), "--annotations", at("annotations"),
	}
	var stdout, diagnostics bytes.Buffer
	code = run(append(args, more...), &stdout, &diagnostics)
	return code, diagnostics.String()
}

func TestLabels(t *testing.T) {
	for _, test := range []struct{ base, name, python string }{
		{"nvidia", "r.example/i:1", "dev.krabby.python=3.12\n"},
		{"slim", "krabby-slim", ""}, // Without wheels.
	} {
		t.Run(test.base, func(t *testing.T) {
			m := newInputs(t)
			digest := m.base("", "PYVER=3.12")
			if code, stderr := m.labels("--base", test.base, "--user=10001"); code != 0 {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			annotations := "org.opencontainers.image.base.digest=" + digest + "\n" +
				"org.opencontainers.image.base.name=" + test.name + "\n" +
				"org.opencontainers.image.description=X = y\n" +
				"org.opencontainers.image.licenses=Apache-2.0\n" +
				"org.opencontainers.image.title=krabby-x\n"
			if got := m.read("annotations"); got != annotations {
				t.Errorf("annotations are\n%s\nwant\n%s", got, annotations)
			}
			labels := "dev.krabby.onnxruntime=1.2.3\ndev.krabby.policies=go1_joystick\n" + test.python + "dev.krabby.robot=go1\n" + annotations
			if got := m.read("labels"); got != labels {
				t.Errorf("labels are\n%s\nwant\n%s", got, labels)
			}
		})
	}
}

func TestLabels_invalid(t *testing.T) {
	for _, test := range []struct {
		name string
		base string
		user string // User of the base.
		env  string // Environment of the base.
		set  string // User that the image sets.
		args []string
		edit func(m *inputs)
		want string
	}{
		{
			name: "wheels for another Python", base: "nvidia", env: "PYVER=3.10", set: "10001",
			want: "krabby-x: does not fit its base r.example/i:1: the wheels: found a base with Python 3.10, expected Python 3.12",
		},
		{
			name: "a base that contradicts the lock", base: "nvidia", env: "CUDA_VERSION=12.6", set: "10001",
			want: "CUDA: found 12.6 in the image, expected 13.0): run `./tools/bazel run //tools/pin -- base b`",
		},
		{
			name: "a ZED SDK for an older base", base: "nvidia", set: "10001", args: []string{"--zed=1.0"},
			want: "ZED SDK 1.0 for L4T 36.4 (CUDA 12.6): found a base with CUDA 13.0, which runs on L4T 38, expected CUDA 12 on a robot with L4T 36.4; " +
				"use ZED SDK 1.0 for L4T 38.2 (CUDA 13.0), or a base with CUDA 12.6 for L4T 36.4, or no SDK",
		},
		{name: "an unknown ZED SDK", base: "slim", set: "1", args: []string{"--zed=2"}, want: `zed.json: ZED SDK "2" not found, expected one of 1.0, 1.0-new`},
		{name: "root by default", base: "nvidia", want: "the user of the base is root"},
		{name: "root by name", base: "nvidia", user: "root:root", want: "the user of the base is root"},
		{name: "root by number", base: "slim", user: "0", want: "the user of the base is root"},
		{
			name: "a base without an entry in the lock", base: "nvidia", set: "1",
			edit: func(m *inputs) { m.write("nvidia.json", `{"bases": {}}`) }, want: `base "b" not found; known:`,
		},
		{
			name: "no version of ONNX Runtime", base: "slim", set: "1",
			edit: func(m *inputs) { m.write("python.json", `{"wheels": {}}`) }, want: "onnxruntime_arm64 has no version",
		},
		{
			name: "a description of two lines", base: "slim", set: "1",
			edit: func(m *inputs) {
				m.write("image.json", strings.Replace(m.read("image.json"), "X = y", `X\ny`, 1))
			}, want: `org.opencontainers.image.description: found "X\ny", expected a value without line breaks`,
		},
		{
			name: "no base", base: "slim", set: "1",
			edit: func(m *inputs) { os.RemoveAll(filepath.Join(m.dir, "base")) }, want: "krabby-x: reading the base: ",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newInputs(t)
			m.base(test.user, test.env)
			if test.edit != nil {
				test.edit(m)
			}
			code, stderr := m.labels(append(test.args, "--base", test.base, "--user="+test.set)...)
			if code != 1 || !strings.Contains(stderr, test.want) {
				t.Errorf("exit code %d, stderr %q; want 1 and %q", code, stderr, test.want)
			}
		})
	}
}

func TestLabels_locks(t *testing.T) {
	m := newInputs(t)
	m.base("1")
	at := func(name string) string { return filepath.Join(m.dir, name) }
	args := []string{"labels", "--image", at("image.json"), "--layout", at("base"), "--python-lock", at("python.json"), "--labels", at("labels"), "--annotations", at("annotations")}
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--base=slim"}, 0, ""},
		{[]string{"--base=nvidia"}, 2, "missing --nvidia-lock"},
		{[]string{"--base=slim", "--zed=1.0"}, 2, "missing --zed-lock"},
		{[]string{"--base=slim", "--zed=1.0", "--zed-lock", at("zed.json")}, 0, ""},
	} {
		var out, err bytes.Buffer
		if code := run(append(args, test.args...), &out, &err); code != test.code || !strings.Contains(err.String(), test.want) {
			t.Errorf("%q: exit code %d, %q; expected %d and %q", test.args, code, err.String(), test.code, test.want)
		}
	}
}

func TestLabels_zedSDK(t *testing.T) {
	m := newInputs(t)
	m.base("")
	m.write("image.json", strings.Replace(m.read("image.json"), `"nvidia": "b"`, `"nvidia": "b", "zed": true`, 1))
	for _, test := range []struct{ sdk, want string }{{"none", "none"}, {"1.0-new", "1.0 (L4T 38.2, CUDA 13.0)"}} {
		if code, stderr := m.labels("--base=nvidia", "--user=1", "--zed="+test.sdk); code != 0 {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		if got := m.read("labels"); !strings.Contains(got, "dev.krabby.zed="+test.want+"\n") {
			t.Errorf("labels are\n%s\nwant dev.krabby.zed=%s", got, test.want)
		}
	}
}

func TestLabels_otherBase(t *testing.T) {
	m := newInputs(t)
	m.base("")
	m.write("nvidia.json", strings.Replace(m.read("nvidia.json"), `{"bases": {`, `{"bases": {"old": {"image": "r.example/i", "tag": "0", "digest": "sha256:01", "platforms": {
		"linux/arm64": {"digest": "", "facts": {"architecture": "arm64", "cuda": "12.6"}, "source": "documents"}}}, `, 1))
	if code, stderr := m.labels("--base=nvidia", "--nvidia=old", "--user=1", "--zed=1.0"); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if got, want := m.read("labels"), "org.opencontainers.image.base.name=r.example/i:0\n"; !strings.Contains(got, want) {
		t.Errorf("labels are\n%s\nexpected %s", got, want)
	}
	if code, stderr := m.labels("--base=nvidia", "--nvidia=old", "--user=1", "--zed=1.0-new"); code != 1 || !strings.Contains(stderr, "ZED SDK 1.0 for L4T 38.2 (CUDA 13.0): found a base with CUDA 12.6") {
		t.Errorf("exit code %d, stderr %q, expected an error", code, stderr)
	}
}

func TestLabels_baseWithoutDigest_warns(t *testing.T) {
	m := newInputs(t)
	m.base("")
	const warning = "warning: krabby-x: the base r.example/i:1 is not pinned"
	if code, stderr := m.labels("--base=nvidia", "--user=1"); code != 0 || !strings.Contains(stderr, warning) || !strings.Contains(stderr, "-- base b`") {
		t.Errorf("exit code %d, stderr %q, want %q", code, stderr, warning)
	}
	m.write("nvidia.json", strings.Replace(m.read("nvidia.json"), `"tag": "1", "digest": ""`, `"tag": "1", "digest": "sha256:01"`, 1))
	if code, stderr := m.labels("--base=nvidia", "--user=1"); code != 0 || stderr != "" {
		t.Errorf("with a digest: exit code %d, stderr %q, want 0 and nothing", code, stderr)
	}
}

func TestLabels_userOfBase(t *testing.T) {
	m := newInputs(t)
	m.base("1234:1234")
	if code, stderr := m.labels("--base=nvidia", "--user="); code != 0 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestLabels_usage(t *testing.T) {
	m := newInputs(t)
	m.base("1")
	if code, stderr := m.labels("--base=debian"); code != 2 || !strings.Contains(stderr, `--base must be one of "nvidia","slim"`) {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}
