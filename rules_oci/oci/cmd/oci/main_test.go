package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/klauspost/compress/zstd"

	"krabby.dev/rules_oci/internal/ocidir"
)

var update = flag.Bool("update", false, "rewrite the golden files under testdata: go test ./oci/cmd/oci -update")

// TestMain lets the test binary stand in for other programs, so that tests see
// whole processes: under the name of a container runtime it is that runtime,
// and with OCI_TEST_ROLE=tool it is the tool itself.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "podman":
		fakeRuntime()
	case "docker":
		os.Exit(fakeDocker(os.Getenv("FAKE_DOCKER"), os.Args[1:]))
	case "broken", "nerdctl":
		fmt.Fprintln(os.Stderr, "Cannot connect to the daemon")
		os.Exit(1)
	}
	if os.Getenv("OCI_TEST_ROLE") == "tool" {
		if os.Getenv("OCI_TEST_UMASK") == "077" {
			syscall.Umask(0o077)
		}
		main()
	}
	os.Exit(m.Run())
}

// fakeRuntime answers "load" as docker does, by telling what it was given.
func fakeRuntime() {
	if got := strings.Join(os.Args[1:], " "); got != "load" {
		fmt.Fprintf(os.Stderr, "unexpected arguments %q\n", got)
		os.Exit(1)
	}
	tr := tar.NewReader(os.Stdin)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			os.Exit(0)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if h.Name == "manifest.json" {
			io.Copy(os.Stdout, tr)
		}
	}
}

// result is how a process ended.
type result struct {
	code     int
	out, err string
}

// tool runs the tool under the name program with the environment env added, in dir.
func tool(t *testing.T, dir string, env []string, program string, args ...string) result {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Args[0] = program
	cmd.Dir = dir
	// With -race every process would wait a second before it ends.
	cmd.Env = append(os.Environ(), append([]string{"OCI_TEST_ROLE=tool", "GORACE=atexit_sleep_ms=0"}, env...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// build runs `oci image` in-process and fails the test when it fails.
func build(t *testing.T, p imageParams) (dir string, img v1.Image) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "image")
	if r := tryBuild(t, p, dir); r.code != 0 {
		t.Fatalf("oci image: exit %d: %s", r.code, r.err)
	}
	img, err := ocidir.Image(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, img
}

func tryBuild(t *testing.T, p imageParams, dir string) result {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(context.Background(), []string{"oci", "image", "--params", writeJSON(t, p), "--output", dir, "--digest", dir + ".sha256"}, streams{&out, &errs})
	return result{code, out.String(), errs.String()}
}

func writeJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "params.json", data)
}

func writeFile(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// tarOf makes a tar with one file of each name and content.
func tarOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(tw, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func tarSource(t *testing.T, label string, files map[string]string) source {
	t.Helper()
	return source{Path: writeFile(t, "layer.tar", tarOf(t, files)), Label: label}
}

// textLines returns lines as the text of an attribute.
func textLines(lines ...string) *text { return &text{Inline: strings.Join(lines, "\n")} }

// gzipSource is tarSource with compression. validate.Image supports no other layers.
func gzipSource(t *testing.T, label string, files map[string]string) source {
	t.Helper()
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	if _, err := w.Write(tarOf(t, files)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return source{Path: writeFile(t, "layer.tar.gz", compressed.Bytes()), Label: label}
}

func values(v ...string) *lines { return &lines{Values: v} }

func scratch(t *testing.T) imageParams {
	return imageParams{
		Label: "//robot:base", OS: "linux", Architecture: "arm64", Variant: "v8",
		Layers:     []source{gzipSource(t, "//robot:rootfs.tar", map[string]string{"etc/passwd": "krabby:x:10001:10001::/workspace:\n"})},
		Entrypoint: textLines("/bin/base", "--serve"),
		Cmd:        textLines("all"),
		Env:        textLines("PATH=/usr/bin:/bin", "LANG=C.UTF-8"),
		Labels:     textLines("org.opencontainers.image.title=base", "robot=go1"),
		User:       "10001",
		WorkDir:    values("/workspace"),
	}
}

func derived(t *testing.T, base string) imageParams {
	return imageParams{
		Label: "//robot:app", Base: &source{Path: base, Label: "//robot:base"},
		Layers:       []source{tarSource(t, "//robot:app.tar", map[string]string{"app/locomotion": "ELF"})},
		Entrypoint:   textLines("/app/locomotion"),
		Env:          textLines("PATH=/app:$PATH", "KRABBY_HOME=/app", "KRABBY_POLICY=${KRABBY_HOME}/policy"),
		Labels:       textLines("org.opencontainers.image.title=locomotion"),
		Annotations:  textLines("org.opencontainers.image.licenses=Apache-2.0"),
		ExposedPorts: textLines("6000/tcp"),
		Volumes:      textLines("/workspace"),
	}
}

// TestImage_golden shows exactly what an image is made of. After a wanted change:
// go test ./oci/cmd/oci -update
func TestImage_golden(t *testing.T) {
	base, baseImg := build(t, scratch(t))
	_, appImg := build(t, derived(t, base))
	for name, img := range map[string]v1.Image{"base": baseImg, "app": appImg} {
		manifest, err := img.RawManifest()
		if err != nil {
			t.Fatal(err)
		}
		config, err := img.RawConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		for part, raw := range map[string][]byte{"manifest": manifest, "config": config} {
			got := bytes.NewBuffer(raw)
			golden := filepath.Join("testdata", name+"."+part+".json")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("%s differs (regenerate with: go test ./oci/cmd/oci -update); got:\n%s", golden, got.String())
			}
		}
	}
}

func TestImage_valid(t *testing.T) {
	plain := tarOf(t, map[string]string{"a": "plain"})
	var gz bytes.Buffer
	zw := gzip.NewWriter(&gz)
	zw.Write(tarOf(t, map[string]string{"b": "gzip"}))
	zw.Close()
	var zs bytes.Buffer
	zz, _ := zstd.NewWriter(&zs)
	zz.Write(tarOf(t, map[string]string{"c": "zstd"}))
	zz.Close()

	base, _ := build(t, scratch(t))
	p := derived(t, base)
	p.Layers = []source{
		{Path: writeFile(t, "a.tar", plain), Label: "//:a"},
		{Path: writeFile(t, "b.tar.gz", gz.Bytes()), Label: "//:b"},
		{Path: writeFile(t, "c.tar.zst", zs.Bytes()), Label: "//:c"},
	}
	dir, img := build(t, p)
	// Fast: go-containerregistry cannot unpack zstd in a layer of a layout.
	if err := validate.Image(img, validate.Fast); err != nil {
		t.Fatal(err)
	}
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"tar+gzip", "v1.tar", "tar+gzip", "tar+zstd"} {
		if got := string(m.Layers[i].MediaType); !strings.HasSuffix(got, want) {
			t.Errorf("layer %d is %s, want %s", i, got, want)
		}
	}
	for i, want := range map[int][]byte{1: plain, 2: gz.Bytes(), 3: zs.Bytes()} {
		got, err := os.ReadFile(filepath.Join(ocidir.BlobDir(dir), m.Layers[i].Digest.Hex))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("layer %d: the bytes differ from those of the tar", i)
		}
	}

	p.Layers = p.Layers[1:2]
	if _, img = build(t, p); err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(img); err != nil {
		t.Error(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	dir, _ = build(t, p)
	if got, _ := os.ReadFile(dir + ".sha256"); string(got) != digest.String()+"\n" {
		t.Errorf("digest file says %q, want %s", got, digest)
	}
}

func TestImage_layoutFiles(t *testing.T) {
	dir, img := build(t, scratch(t))
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"index.json", "oci-layout", "blobs/sha256/" + digest.Hex, "blobs/sha256/" + m.Config.Digest.Hex, "blobs/sha256/" + m.Layers[0].Digest.Hex}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(hashes(t, dir))); !slices.Equal(got, want) {
		t.Errorf("layout holds %q, want %q", got, want)
	}
}

// TestImage_mergesWithBase follows rules_oci: lists replace, dictionaries merge, and
// an entrypoint takes the base's cmd with it.
func TestImage_mergesWithBase(t *testing.T) {
	base, _ := build(t, scratch(t))
	over := func(p imageParams) imageParams {
		p.Label, p.Base = "//robot:app", &source{Path: base, Label: "//robot:base"}
		return p
	}
	for _, tc := range []struct {
		name            string
		p               imageParams
		entrypoint, cmd []string
	}{
		{"nothing set keeps both", imageParams{}, []string{"/bin/base", "--serve"}, []string{"all"}},
		{"entrypoint clears the base's cmd", imageParams{Entrypoint: textLines("/app")}, []string{"/app"}, nil},
		{"entrypoint with its own cmd", imageParams{Entrypoint: textLines("/app"), Cmd: textLines("x")}, []string{"/app"}, []string{"x"}},
		{"cmd alone keeps the entrypoint", imageParams{Cmd: textLines("x")}, []string{"/bin/base", "--serve"}, []string{"x"}},
		{"empty cmd clears it", imageParams{Cmd: textLines()}, []string{"/bin/base", "--serve"}, nil},
		{"from files, one argument a line", imageParams{
			Entrypoint: &text{File: writeFile(t, "e", []byte("/app\n--a b,c\n\n"))},
		}, []string{"/app", "--a b,c"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, img := build(t, over(tc.p))
			cf, err := img.ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(cf.Config.Entrypoint, tc.entrypoint) || !slices.Equal(cf.Config.Cmd, tc.cmd) {
				t.Errorf("got %q %q, want %q %q", cf.Config.Entrypoint, cf.Config.Cmd, tc.entrypoint, tc.cmd)
			}
			if cf.Config.User != "10001" || cf.Config.WorkingDir != "/workspace" || cf.Architecture != "arm64" || cf.Variant != "v8" {
				t.Errorf("user, workdir or platform of the base were lost: %+v", cf)
			}
		})
	}

	_, img := build(t, derived(t, base))
	cf, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"PATH=/app:/usr/bin:/bin", "LANG=C.UTF-8", "KRABBY_HOME=/app", "KRABBY_POLICY=/app/policy"}; !slices.Equal(cf.Config.Env, want) {
		t.Errorf("env %q, want %q", cf.Config.Env, want)
	}
	if want := map[string]string{"org.opencontainers.image.title": "locomotion", "robot": "go1"}; !maps.Equal(cf.Config.Labels, want) {
		t.Errorf("labels %q, want %q", cf.Config.Labels, want)
	}
	var origins []string
	for _, h := range cf.History {
		origins = append(origins, h.CreatedBy)
	}
	if want := []string{"bazel build //robot:rootfs.tar", "bazel build //robot:app.tar"}; !slices.Equal(origins, want) {
		t.Errorf("layers come from %q, want %q", origins, want)
	}
}

func TestImage_reproducible(t *testing.T) {
	// Large enough that a parallel compressor would split it.
	big := make([]byte, 3<<20)
	for i := range big {
		big[i] = byte(i * i >> 7)
	}
	p := scratch(t)
	p.Layers = append(p.Layers, tarSource(t, "//robot:big.tar", map[string]string{"big": string(big)}))
	var want map[string]string
	for _, env := range [][]string{
		{"GOMAXPROCS=1", "TZ=UTC", "LC_ALL=C"},
		{"GOMAXPROCS=8", "TZ=Asia/Tokyo", "LC_ALL=tr_TR.UTF-8", "OCI_TEST_UMASK=077", "TMPDIR=" + t.TempDir()},
	} {
		dir := filepath.Join(t.TempDir(), "deep", "er", "image")
		if r := tool(t, t.TempDir(), env, "oci", "image", "--params", writeJSON(t, p), "--output", dir); r.code != 0 {
			t.Fatalf("exit %d: %s", r.code, r.err)
		}
		got := hashes(t, dir)
		if want == nil {
			want = got
		}
		if !maps.Equal(got, want) {
			t.Errorf("with %q the layout is %v, before it was %v", env, got, want)
		}
	}
}

// hashes maps each file below dir to the sha256 of its content.
func hashes(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		rel, err := filepath.Rel(dir, path)
		out[rel] = hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestImage_badInput(t *testing.T) {
	base, _ := build(t, scratch(t))
	with := func(change func(*imageParams)) imageParams {
		p := scratch(t)
		p.Label = "//robot:app"
		change(&p)
		return p
	}
	onBase := func(path string) imageParams {
		return imageParams{Label: "//robot:app", Base: &source{Path: path, Label: "//robot:base"}}
	}
	layer := func(name string, data []byte) imageParams {
		return with(func(p *imageParams) { p.Layers = []source{{Path: writeFile(t, name, data), Label: "//robot:" + name}} })
	}
	notLayout := t.TempDir()
	good := tarOf(t, map[string]string{"app/bin": strings.Repeat("x", 4000)})
	torn := onBase(filepath.Join(t.TempDir(), "torn"))
	if err := os.CopyFS(torn.Base.Path, os.DirFS(base)); err != nil {
		t.Fatal(err)
	}
	img, err := ocidir.Image(base)
	if err != nil {
		t.Fatal(err)
	}
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(ocidir.BlobDir(torn.Base.Path), m.Layers[0].Digest.Hex)); err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct {
		name string
		p    imageParams
		want []string
	}{
		{"base missing", onBase("/nowhere"), []string{"//robot:app", "base //robot:base", "/nowhere: no such directory", "oci_image"}},
		{"base is a file", onBase(writeFile(t, "f", nil)), []string{"//robot:base", "is a file, not an OCI layout"}},
		{"base is not a layout", onBase(notLayout), []string{"//robot:base", "oci-layout not found"}},
		{"base lacks a layer", torn, []string{"layer " + m.Layers[0].Digest.String()}},
		{"platform beside base", with(func(p *imageParams) { p.Base = &source{Path: base, Label: "//robot:base"} }), []string{"remove os, architecture and variant", "//robot:base"}},
		{"no platform", with(func(p *imageParams) { p.OS, p.Architecture = "", "" }), []string{"missing os or architecture"}},
		{"another name of the architecture", with(func(p *imageParams) { p.Architecture = "aarch64" }), []string{`unknown architecture "aarch64"`, `use "arm64"`, "amd64"}},
		{"unknown os", with(func(p *imageParams) { p.OS = "qnx" }), []string{`unknown os "qnx"`, "linux"}},
		{"empty tar", layer("empty.tar", nil), []string{"//robot:empty.tar", "the file is empty"}},
		{"not a tar", layer("text.tar", bytes.Repeat([]byte("no tar "), 500)), []string{"//robot:text.tar", "not a tar"}},
		{"truncated tar", layer("cut.tar", good[:2000]), []string{"//robot:cut.tar", `after the entry "app/bin"`}},
		{"xz", layer("a.tar.xz", []byte("\xfd7zXZ\x00rest")), []string{"//robot:a.tar.xz", "gzip or zstd"}},
		{"missing tar", with(func(p *imageParams) { p.Layers = []source{{Path: "/nowhere.tar", Label: "//robot:n"}} }), []string{"//robot:n", "no such file"}},
		{"created with line break", with(func(p *imageParams) { p.Created = textLines("2024-01-02T03:04:05Z", "") }), []string{"attribute created", "without line break"}},
		{"ports on lines", with(func(p *imageParams) { p.ExposedPorts = textLines("80", "81") }), []string{"attribute exposed_ports", "separated by commas"}},
		{"missing file of an attribute", with(func(p *imageParams) { p.Env = &text{File: "/nowhere"} }), []string{"attribute env", "/nowhere"}},
		{"created is no time", with(func(p *imageParams) { p.Created = textLines("yesterday") }), []string{"attribute created", "yesterday"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := tryBuild(t, tc.p, filepath.Join(t.TempDir(), "image"))
			if r.code != 1 {
				t.Errorf("exit %d, want 1", r.code)
			}
			if n := strings.Count(r.err, "\n"); n != 1 {
				t.Errorf("%d lines, want one: %q", n, r.err)
			}
			for _, w := range tc.want {
				if !strings.Contains(r.err, w) {
					t.Errorf("%q does not say %q", r.err, w)
				}
			}
		})
	}
}

func TestImage_unknownParameter(t *testing.T) {
	var out, errs bytes.Buffer
	args := []string{"oci", "image", "--params", writeJSON(t, map[string]string{"labell": "x"}), "--output", filepath.Join(t.TempDir(), "image")}
	if code := run(context.Background(), args, streams{&out, &errs}); code != 1 || !strings.Contains(errs.String(), "unknown field") {
		t.Errorf("exit %d: %q, expected 1 and the unknown field", code, &errs)
	}
}

func TestRun_wrongUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"image"}, {"bake"}, {"load", "--nope"}} {
		var out, errs bytes.Buffer
		if code := run(context.Background(), append([]string{"oci"}, args...), streams{&out, &errs}); code != 2 {
			t.Errorf("oci %q: exit %d (%s), want 2", args, code, errs.String())
		}
	}
	var out, errs bytes.Buffer
	if code := run(context.Background(), []string{"oci", "--help"}, streams{&out, &errs}); code != 0 || !strings.Contains(out.String(), "load") {
		t.Errorf("--help: exit %d, said %q", code, out.String())
	}
}

// loadTarget lays out what Bazel makes of an oci_load: a program with its
// parameters beside it and a runfiles directory.
func loadTarget(t *testing.T, format string, tags ...string) (program string) {
	t.Helper()
	dir, _ := build(t, scratch(t))
	program = filepath.Join(t.TempDir(), "load")
	runfiles := program + ".runfiles"
	if err := os.CopyFS(filepath.Join(runfiles, "_main", "robot", "base"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(loadParams{Label: "//robot:load", Image: "_main/robot/base", Format: format, RepoTags: values(tags...)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program+".json", data, 0o644); err != nil {
		t.Fatal(err)
	}
	return program
}

func TestLoad_streamsToEngine(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := loadTarget(t, "docker", "krabby-locomotion:dev", "registry.example:5000/robot/locomotion")
	bin := t.TempDir()
	for _, name := range []string{"podman", "broken"} {
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}

	r := tool(t, t.TempDir(), []string{"PATH=" + bin}, program)
	if r.code != 0 {
		t.Fatalf("exit %d: %s", r.code, r.err)
	}
	var manifest []struct {
		RepoTags, Layers []string
	}
	if err := json.Unmarshal([]byte(r.out), &manifest); err != nil {
		t.Fatalf("%v in %q", err, r.out)
	}
	if got, want := manifest[0].RepoTags, []string{"krabby-locomotion:dev", "registry.example:5000/robot/locomotion:latest"}; !slices.Equal(got, want) {
		t.Errorf("tags %q, want %q", got, want)
	}
	if len(manifest[0].Layers) != 1 {
		t.Errorf("layers %q, want one", manifest[0].Layers)
	}

	r = tool(t, t.TempDir(), []string{"PATH=" + bin}, program, "--loader", filepath.Join(bin, "broken"))
	if r.code != 1 || !strings.Contains(r.err, "Cannot connect to the daemon") || !strings.Contains(r.err, "//robot:load") {
		t.Errorf("a failing runtime: exit %d: %q", r.code, r.err)
	}

	r = tool(t, t.TempDir(), []string{"PATH=" + t.TempDir()}, program)
	if r.code != 1 || !strings.Contains(r.err, "searched: docker, podman, nerdctl, ctr") {
		t.Errorf("no runtime: exit %d: %q", r.code, r.err)
	}
}

func TestLoad_tar_workingDirectory(t *testing.T) {
	for format, want := range map[string]string{"docker": "manifest.json", "oci": "index.json"} {
		t.Run(format, func(t *testing.T) {
			program := loadTarget(t, format, "krabby-locomotion:dev")
			here := t.TempDir()
			r := tool(t, t.TempDir(), []string{"BUILD_WORKING_DIRECTORY=" + here, "PATH="}, program, "--tar", "image.tar")
			if r.code != 0 {
				t.Fatalf("exit %d: %s", r.code, r.err)
			}
			first, err := os.ReadFile(filepath.Join(here, "image.tar"))
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]string{}
			tr := tar.NewReader(bytes.NewReader(first))
			for {
				h, err := tr.Next()
				if err == io.EOF {
					break
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
			if !strings.Contains(found[want], "krabby-locomotion:dev") {
				t.Errorf("%s is %q, want it to name krabby-locomotion:dev", want, found[want])
			}
			second := tool(t, t.TempDir(), []string{"TZ=Asia/Tokyo"}, program, "--tar", "-")
			if second.out != string(first) {
				t.Error("two archives of one image differ")
			}
		})
	}
}

func TestLoad_invalidTag(t *testing.T) {
	program := loadTarget(t, "docker", "Krabby Locomotion")
	r := tool(t, t.TempDir(), nil, program, "--tar", filepath.Join(t.TempDir(), "x.tar"))
	if r.code != 1 || !strings.Contains(r.err, `repo tag "Krabby Locomotion"`) {
		t.Errorf("exit %d: %q", r.code, r.err)
	}
}
