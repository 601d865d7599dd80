package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"krabby.dev/krabby/tools/layer/wheel/wheeltest"
)

var update = flag.Bool("update", false, "rewrite the golden files under testdata: go test ./tools/layer -update")

// TestMain lets the test binary stand in for the tool, so that tests see a
// whole process with its environment.
func TestMain(m *testing.M) {
	if os.Getenv("LAYER_TEST_ROLE") == "tool" {
		if os.Getenv("LAYER_TEST_UMASK") == "077" {
			syscall.Umask(0o077)
		}
		main()
	}
	os.Exit(m.Run())
}

// layer runs `layer build` and returns the tar.
func layer(t *testing.T, p params) ([]byte, error) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "layer.tar")
	var stdout, stderr bytes.Buffer
	code := run([]string{"build", "--params", writeJSON(t, p), "--output", out}, &stdout, &stderr)
	if code != 0 {
		if code != 1 || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("a failure must be exit code 1 and one line, got %d and %q", code, stderr.String())
		}
		if _, err := os.Stat(out); err == nil {
			t.Error("a failed build left its output behind")
		}
		return nil, fmt.Errorf("%s", stderr.String())
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return data, nil
}

// list runs `layer list` on a tar.
func list(t *testing.T, data []byte) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run([]string{"list", write(t, "layer.tar", string(data))}, &stdout, &stderr); code != 0 {
		t.Fatalf("layer list: exit %d: %s", code, stderr.String())
	}
	return stdout.String()
}

func writeJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "params.json", string(data))
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// entry is one entry of a package's data archive.
type entry struct {
	name string
	typ  byte
	mode int64
	body string // Or the target of a link.
	gid  int
}

// tarOf writes entries as Debian's tools would: with a time and names.
func tarOf(t *testing.T, entries []entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.typ, Mode: e.mode, Gid: e.gid, Uname: "root", Gname: "root", ModTime: time.Unix(1e9, 0)}
		if e.typ == tar.TypeReg {
			h.Size = int64(len(e.body))
		} else {
			h.Linkname = e.body
		}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if e.typ == tar.TypeReg {
			if _, err := io.WriteString(tw, e.body); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func compress(t *testing.T, ext string, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	var w io.WriteCloser
	var err error
	switch ext {
	case "":
		return data
	case ".gz":
		w = gzip.NewWriter(&buf)
	case ".xz":
		w, err = xz.NewWriter(&buf)
	case ".zst":
		w, err = zstd.NewWriter(&buf)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// arOf writes members, name and content in turn.
func arOf(members ...string) string {
	var b strings.Builder
	b.WriteString("!<arch>\n")
	for i := 0; i < len(members); i += 2 {
		name, body := members[i], members[i+1]
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n%s", name, 1000000000, 0, 0, "100644", len(body), body)
		if len(body)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// debOf makes a package as dpkg-deb does, packed with ext.
func debOf(t *testing.T, ext, control string, data []entry) string {
	t.Helper()
	c := tarOf(t, []entry{{"./", tar.TypeDir, 0o755, "", 0}, {"./control", tar.TypeReg, 0o644, control, 0}})
	return arOf(
		"debian-binary", "2.0\n",
		"control.tar"+ext, string(compress(t, ext, c)),
		"data.tar"+ext, string(compress(t, ext, tarOf(t, data))),
	)
}

const control = "Package: libtiny1\nVersion: 1.2-3\nArchitecture: arm64\nDescription: a tiny library\n for a tiny robot\n"

func tinyDeb() []entry {
	return []entry{
		{"./", tar.TypeDir, 0o755, "", 0},
		{"./lib/", tar.TypeDir, 0o755, "", 0},
		{"./lib/aarch64-linux-gnu/", tar.TypeDir, 0o755, "", 0},
		{"./lib/aarch64-linux-gnu/libtiny.so.1.2", tar.TypeReg, 0o644, "ELF library", 0},
		{"./lib/aarch64-linux-gnu/libtiny.so.1", tar.TypeSymlink, 0o777, "libtiny.so.1.2", 0},
		{"./usr/bin/tiny", tar.TypeReg, 0o755, "ELF program", 0},
		{"./usr/bin/atiny", tar.TypeLink, 0o755, "./usr/bin/tiny", 0},
		{"./usr/sbin/tiny-lock", tar.TypeReg, 0o2755, "ELF setgid", 42},
		{"./usr/share/doc/libtiny1/changelog.gz", tar.TypeReg, 0o644, "dropped", 0},
		{"./usr/share/doc/libtiny1/copyright", tar.TypeReg, 0o644, "MIT\n", 0},
		{"./usr/share/man/man1/tiny.1.gz", tar.TypeReg, 0o644, "dropped", 0},
	}
}

// everything uses every feature once.
func everything(t *testing.T) params {
	tree := t.TempDir()
	for name, body := range map[string]string{"policy.onnx": "weights", "meta/manifest.json": "{}\n", "meta/run.sh": "#!/bin/sh\n"} {
		path := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return params{
		Label:    "//oci:everything",
		Owner:    "0:0",
		UsrMerge: true,
		Files: []file{
			{source{write(t, "locomotion", "ELF robot"), "//hal:locomotion"}, "/app/locomotion", "0755"},
			{source{write(t, "passwd", "krabby:x:10001:10001::/workspace:\n"), "//oci:passwd"}, "/etc/passwd", "0644"},
			{source{write(t, "tool", "moved by usr_merge"), "//oci:tool"}, "/sbin/tool", "0755"},
		},
		Trees:       []file{{source{tree, "//policy"}, "/app/policy", "0644"}},
		Modes:       []modeRule{{"/app/policy/**/*.sh", "0755"}},
		Symlinks:    []symlink{{"/app/current", "policy/policy.onnx"}},
		Directories: []directory{{"/tmp", "1777", ""}, {"/workspace", "0755", "10001:10001"}, {"/app", "0750", "0:10001"}},
		Debs:        []source{{write(t, "libtiny1.deb", debOf(t, ".xz", control, tinyDeb())), "//debian:libtiny1"}},
		DebInclude:  []string{"usr/share/doc/*/copyright"},
		DebExclude:  []string{"usr/share/doc/**", "usr/share/man/**"},
		Archive: &archive{
			source: source{write(t, "sdk.run", runOf(t, sdk())), "@zed//:archive"},
			Files: []placement{
				{"/usr/local/zed", []string{"lib/**", "tools/*", "settings/**"}},
				{"/etc/udev/rules.d/", []string{"*.rules"}},
				{"/usr/share/doc/zed/", []string{"doc/LICENSE"}},
			},
			Optional: []string{"settings/**"},
		},
	}
}

// TestGolden shows exactly what a layer is made of. After a wanted change:
// go test ./tools/layer -update
func TestGolden(t *testing.T) {
	data, err := layer(t, everything(t))
	if err != nil {
		t.Fatal(err)
	}
	checkGolden(t, "testdata/everything.txt", list(t, data))
}

func checkGolden(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (regenerate with: go test ./tools/layer -update); got:\n%s", golden, got)
	}
}

// withWheels are two wheels of a Python like Debian's.
func withWheels(t *testing.T) params {
	library := wheeltest.Write(t, "libtiny-1.0-cp311-cp311-manylinux_2_28_aarch64.whl", []string{"Requires-Dist: tiny>=2"},
		wheeltest.File{Name: "libtiny/__init__.py", Mode: 0o600, Body: "import libtiny.core\n"},
		wheeltest.File{Name: "libtiny/core.so", Mode: 0o755, Body: "ELF library"},
		wheeltest.File{Name: "libtiny-1.0.data/data/share/libtiny/robot.json", Mode: 0o644, Body: "{}\n"})
	program := wheeltest.Write(t, "tiny-2.1-py3-none-any.whl", nil,
		wheeltest.File{Name: "tiny.py", Mode: 0o644, Body: "def main(): pass\n"},
		wheeltest.File{Name: "tiny-2.1.dist-info/entry_points.txt", Mode: 0o644, Body: "[console_scripts]\ntiny = tiny:main\n"})
	return params{
		Label:  "//oci:wheels",
		Wheels: []source{{library, "//wheels:libtiny"}, {program, "//wheels:tiny"}},
		Python: &python{Version: "3.11", Architecture: "arm64", Glibc: "2.35", Prefix: "/opt/krabby/python"},
	}
}

func TestGoldenWheels(t *testing.T) {
	data, err := layer(t, withWheels(t))
	if err != nil {
		t.Fatal(err)
	}
	checkGolden(t, "testdata/wheels.txt", list(t, data))
}

func TestSameBytesEverywhere(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, compression := range []string{"", "gzip", "zstd"} {
		var first []byte
		for i, env := range [][]string{
			{"GOMAXPROCS=1", "TZ=UTC", "LC_ALL=C"},
			{"GOMAXPROCS=8", "TZ=Asia/Tokyo", "LC_ALL=tr_TR.UTF-8", "LAYER_TEST_UMASK=077", "TMPDIR=" + t.TempDir()},
		} {
			p := everything(t) // Other source paths each time.
			p.Wheels, p.Python = withWheels(t).Wheels, withWheels(t).Python
			p.Compression = compression
			// Large enough that a parallel compressor would split it.
			p.Files = append(p.Files, file{source{write(t, "big", strings.Repeat("0123456789abcdef", 1<<17)), "//big"}, "/big", "0644"})
			for _, f := range p.Files {
				if err := os.Chtimes(f.Path, time.Now(), time.Unix(int64(1e9*(i+1)), 0)); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(f.Path, []os.FileMode{0o644, 0o500}[i]); err != nil {
					t.Fatal(err)
				}
			}
			out := filepath.Join(t.TempDir(), "deep", "layer.tar")
			if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(self, "build", "--params", writeJSON(t, p), "--output", out)
			cmd.Env = append(os.Environ(), append([]string{"LAYER_TEST_ROLE=tool"}, env...)...)
			if msg, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, msg)
			}
			data, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = data
			}
			if !bytes.Equal(data, first) {
				t.Errorf("compression %q: other bytes with %q", compression, env)
			}
		}
	}
}

func TestOrderOfParametersDoesNotMatter(t *testing.T) {
	p := everything(t)
	a, err := layer(t, p)
	if err != nil {
		t.Fatal(err)
	}
	p.Files[0], p.Files[2] = p.Files[2], p.Files[0]
	p.Directories[0], p.Directories[2] = p.Directories[2], p.Directories[0]
	b, err := layer(t, p)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("another order of the parameters gave other bytes")
	}
}

func TestDebCompressions(t *testing.T) {
	var first string
	for _, ext := range []string{"", ".gz", ".xz", ".zst"} {
		data, err := layer(t, params{Label: "//l", Debs: []source{{write(t, "a.deb", debOf(t, ext, control, tinyDeb())), "//d"}}})
		if err != nil {
			t.Errorf("data.tar%s: %v", ext, err)
			continue
		}
		got := list(t, data)
		if first == "" {
			first = got
		}
		if got != first {
			t.Errorf("data.tar%s unpacks to\n%s, wanted\n%s", ext, got, first)
		}
	}
}

func TestDebWithoutUsrMergeKeepsItsPaths(t *testing.T) {
	data, err := layer(t, params{Label: "//l", Debs: []source{{write(t, "a.deb", debOf(t, ".gz", control, tinyDeb())), "//d"}}})
	if err != nil {
		t.Fatal(err)
	}
	got := list(t, data)
	for _, want := range []string{"\nlib/ dir", "\nlib/aarch64-linux-gnu/libtiny.so.1 symlink"} {
		if !strings.Contains("\n"+got, want) {
			t.Errorf("no line begins with %q in\n%s", want, got)
		}
	}
}

func TestUsrMergeOnlyLinksWhatIsThere(t *testing.T) {
	amd64 := []entry{{"./lib64/ld-linux-x86-64.so.2", tar.TypeSymlink, 0o777, "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", 0}}
	own := []entry{{"./lib", tar.TypeSymlink, 0o777, "usr/lib", 0}}
	for name, tc := range map[string]struct {
		data []entry
		want string
		not  string
	}{
		"lib64":                      {amd64, "lib64 symlink 0777 0:0 -> usr/lib64\n", "lib32"},
		"no lib64":                   {tinyDeb(), "lib symlink 0777 0:0 -> usr/lib\n", "lib64"},
		"a package brings its links": {own, "lib symlink 0777 0:0 -> usr/lib\n", "lib64"},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := layer(t, params{Label: "//l", UsrMerge: true, Debs: []source{{write(t, "a.deb", debOf(t, ".gz", control, tc.data)), "//d"}}})
			if err != nil {
				t.Fatal(err)
			}
			got := list(t, data)
			if !strings.Contains(got, tc.want) || strings.Contains(got, tc.not) {
				t.Errorf("wanted %q and no %q in\n%s", tc.want, tc.not, got)
			}
		})
	}
}

func TestCABundle(t *testing.T) {
	certs := []entry{
		{"./usr/share/ca-certificates/mozilla/b.crt", tar.TypeReg, 0o644, "B", 0},
		{"./usr/share/ca-certificates/mozilla/a.crt", tar.TypeReg, 0o644, "A\n", 0},
	}
	data, err := layer(t, params{Label: "//l", CABundle: true, Debs: []source{{write(t, "a.deb", debOf(t, ".gz", control, certs)), "//d"}}})
	if err != nil {
		t.Fatal(err)
	}
	tr := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := tr.Next()
		if err != nil {
			t.Fatalf("no bundle: %v", err)
		}
		if h.Name == "etc/ssl/certs/ca-certificates.crt" {
			if got, _ := io.ReadAll(tr); string(got) != "A\nB\n" {
				t.Errorf("bundle is %q, want the certificates in order", got)
			}
			return
		}
	}
}

func TestSameThingTwiceIsNoConflict(t *testing.T) {
	p := params{Label: "//l", Files: []file{
		{source{write(t, "a", "same"), "//a"}, "/x", "0644"},
		{source{write(t, "b", "same"), "//b"}, "x", "0644"},
	}}
	data, err := layer(t, p)
	if err != nil {
		t.Fatal(err)
	}
	if got := list(t, data); strings.Count(got, "\n") != 1 {
		t.Errorf("wanted one entry, got\n%s", got)
	}
}

func TestBadInputSaysWhatAndWhere(t *testing.T) {
	a, b := source{write(t, "a", "one"), "//:a"}, source{write(t, "b", "two"), "//:b"}
	good := debOf(t, ".xz", control, tinyDeb())
	deb := func(content string) params {
		return params{Debs: []source{{write(t, "libbad.deb", content), "//debian:libbad"}}}
	}
	with := func(e ...entry) params { return deb(debOf(t, ".gz", control, e)) }
	names := []string{"//debian:libbad", "libbad.deb"}

	for _, tc := range []struct {
		name string
		p    params
		want []string
	}{
		{"same path, other content", params{Files: []file{{a, "/x", "0644"}, {b, "/x", "0644"}}}, []string{"/x", "//:a", "//:b", "different content"}},
		{"same path, other mode", params{Files: []file{{a, "/x", "0644"}, {a, "/x", "0755"}}}, []string{"/x", "mode 0644", "0755"}},
		{"file and directory", params{Files: []file{{a, "/x", "0644"}}, Directories: []directory{{"/x", "0755", ""}}}, []string{"/x", "//:a", "directories", "directory"}},
		{"file below a file", params{Files: []file{{a, "/x", "0644"}, {b, "/x/y", "0644"}}}, []string{"/x/y", "lies below /x", "//:a"}},
		{"file below a link", params{Files: []file{{a, "/lib/y", "0644"}}, Symlinks: []symlink{{"/lib", "usr/lib"}}}, []string{"/lib/y", "below /lib", "symlink"}},
		{"two links", params{Symlinks: []symlink{{"/x", "a"}, {"/x", "b"}}}, []string{"/x", `"a"`, `"b"`}},
		{"destination leads out", params{Files: []file{{a, "/app/../../etc/passwd", "0644"}}}, []string{"..", "//:a"}},
		{"destination is the root", params{Files: []file{{a, "/", "0644"}}}, []string{"root of the image", "//:a"}},
		{"missing source", params{Files: []file{{source{"/nowhere", "//:n"}, "/x", "0644"}}}, []string{"//:n", "no such file"}},
		{"device as source", params{Files: []file{{source{"/dev/null", "//:n"}, "/x", "0644"}}}, []string{"//:n", "special file", "/dev/null"}},
		{"directory as file", params{Files: []file{{source{t.TempDir(), "//:n"}, "/x", "0644"}}}, []string{"//:n", "is a directory"}},
		{"mode that is none", params{Files: []file{{a, "/x", "rwx"}}}, []string{"//:a", `"rwx"`, "octal"}},
		{"owner by name", params{Owner: "root:root"}, []string{`"root:root"`, "uid:gid"}},
		{"modes for nothing", params{Files: []file{{a, "/x", "0644"}}, Modes: []modeRule{{"/y", "0755"}}}, []string{"modes: /y", "no file"}},
		{"link without target", params{Symlinks: []symlink{{"/x", ""}}}, []string{"/x has no target"}},
		{"unknown compression", params{Compression: "lzma"}, []string{`"lzma"`, "gzip", "zstd"}},
		{"no certificates", params{CABundle: true}, []string{"ca_bundle", "add ca-certificates"}},

		{"not a package", deb("hello, world"), append(names, "not a Debian package")},
		{"empty package", deb(""), append(names, "not a Debian package")},
		{"truncated in data", deb(good[:len(good)-40]), append(names, "data.tar")},
		{"truncated in a header", deb(good[:8+30]), append(names, "truncated")},
		{"no data", deb(arOf("debian-binary", "2.0\n", "control.tar", string(tarOf(t, []entry{{"control", tar.TypeReg, 0o644, control, 0}})))), append(names, "ends before its member data.tar")},
		{"damaged size", deb(strings.Replace(good, "4         `", "4x        `", 1)), append(names, "damaged size")},
		{"damaged data", deb(good[:len(good)-60] + strings.Repeat("!", 60)), append(names, "data.tar")},
		{"future format", deb(arOf("debian-binary", "3.0\n")), append(names, "only 2.x")},
		{"unknown compression in it", deb(arOf("debian-binary", "2.0\n", "control.tar.lz", "x")), append(names, `".lz"`)},
		{"no name", deb(debOf(t, ".gz", "Version: 1\n", nil)), append(names, "Package")},
		{"name leads out", deb(debOf(t, ".gz", "Package: ../../etc/passwd\n", nil)), append(names, "no name for a package")},
		{"path leads out", with(entry{"./../etc/passwd", tar.TypeReg, 0o644, "x", 0}), append(names, "..", "lead out")},
		{"absolute path", with(entry{"/etc/passwd", tar.TypeReg, 0o644, "x", 0}), append(names, "absolute")},
		{"hard link leads out", with(entry{"./x", tar.TypeLink, 0o644, "../../etc/shadow", 0}), append(names, "..")},
		{"hard link to nothing", with(entry{"./x", tar.TypeLink, 0o644, "./y", 0}), append(names, "hard link")},
		{"device node", with(entry{"./dev/mem", tar.TypeChar, 0o600, "", 0}), append(names, "./dev/mem", "device node")},
		{"named pipe", with(entry{"./run/p", tar.TypeFifo, 0o600, "", 0}), append(names, "named pipe")},
		{"two packages, one path", params{Debs: []source{
			{write(t, "a.deb", debOf(t, ".gz", control, []entry{{"./etc/x", tar.TypeReg, 0o644, "1", 0}})), "//debian:a"},
			{write(t, "b.deb", debOf(t, ".gz", "Package: other\n", []entry{{"./etc/x", tar.TypeReg, 0o644, "2", 0}})), "//debian:b"},
		}}, []string{"/etc/x", "//debian:a", "//debian:b"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.p.Label = "//oci:layer"
			_, err := layer(t, tc.p)
			if err == nil {
				t.Fatal("was accepted")
			}
			for _, w := range append(tc.want, "//oci:layer") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
		})
	}
}

func TestWheelsThatCannotBeInstalledAreNamed(t *testing.T) {
	file := func(name, body string) wheeltest.File { return wheeltest.File{Name: name, Mode: 0o644, Body: body} }
	module := []wheeltest.File{file("tiny.py", "def main(): return 1\n")}
	other := wheeltest.Write(t, "other-1-py3-none-any.whl", nil, module...)
	twin := wheeltest.Write(t, "Tiny-3-py3-none-any.whl", nil)
	bad := wheeltest.Pack(t, "bad-1-py3-none-any.whl", append(wheeltest.Metadata("bad", "1"), wheeltest.Record("bad", "1", module)))

	for what, tc := range map[string]struct {
		change func(*params)
		want   []string
	}{
		"damaged":             {func(p *params) { p.Wheels[1] = source{bad, "//wheels:bad"} }, []string{"//wheels:bad: bad-1-py3-none-any.whl: RECORD: tiny.py is in it, but not in the wheel"}},
		"missing dependency":  {func(p *params) { p.Wheels = p.Wheels[:1] }, []string{"wheels: missing dependency: libtiny-1.0-cp311-cp311-manylinux_2_28_aarch64.whl requires tiny>=2: found no wheel of tiny"}},
		"another Python":      {func(p *params) { p.Python.Version = "3.12" }, []string{"libtiny-1.0-cp311-cp311-manylinux_2_28_aarch64.whl: wrong tag: it is for Python cp311-cp311, not for Python 3.12"}},
		"another machine":     {func(p *params) { p.Python.Architecture = "amd64" }, []string{"manylinux_2_28_aarch64 is another architecture"}},
		"an older glibc":      {func(p *params) { p.Python.Glibc = "2.27" }, []string{"manylinux_2_28_aarch64 needs glibc 2.28"}},
		"one path, two files": {func(p *params) { p.Wheels = append(p.Wheels, source{other, "//wheels:other"}) }, []string{"/opt/krabby/python/site-packages/tiny.py: tiny-2.1-py3-none-any.whl and other-1-py3-none-any.whl bring different content"}},
		"one project twice":   {func(p *params) { p.Wheels = append(p.Wheels, source{twin, "//wheels:twin"}) }, []string{"tiny-2.1-py3-none-any.whl and Tiny-3-py3-none-any.whl are both of tiny"}},
		"no Python":           {func(p *params) { p.Python = nil }, []string{"wheels: for which Python is not said"}},
		"no such Python":      {func(p *params) { p.Python.Version = "311" }, []string{`python "311" is not a version`}},
		"no such prefix":      {func(p *params) { p.Python.Prefix = "/usr/../etc" }, []string{`"/usr/../etc" is not an absolute path`}},
		"no such file":        {func(p *params) { p.Wheels[0].Path = "/nowhere/a-1-py3-none-any.whl" }, []string{"//wheels:libtiny", "no such file"}},
	} {
		t.Run(what, func(t *testing.T) {
			p := withWheels(t)
			tc.change(&p)
			_, err := layer(t, p)
			if err == nil {
				t.Fatal("was accepted")
			}
			for _, w := range append(tc.want, "//oci:wheels") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
		})
	}
}

func TestZstdLayerHoldsTheSameFiles(t *testing.T) {
	p := everything(t)
	plain, err := layer(t, p)
	if err != nil {
		t.Fatal(err)
	}
	p.Compression = "zstd"
	compressed, err := layer(t, p)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := list(t, plain), list(t, compressed); a != b || len(compressed) >= len(plain) {
		t.Errorf("compressed from %d to %d bytes it lists as\n%s\nwant\n%s", len(plain), len(compressed), b, a)
	}
}

func TestWrongUseExitsWithTwo(t *testing.T) {
	for _, args := range [][]string{{}, {"build"}, {"bake"}, {"list"}} {
		var out, errs bytes.Buffer
		if code := run(args, &out, &errs); code != 2 {
			t.Errorf("layer %q: exit %d (%s), want 2", args, code, errs.String())
		}
	}
	var out, errs bytes.Buffer
	if code := run([]string{"--help"}, &out, &errs); code != 0 || !strings.Contains(out.String(), "build") {
		t.Errorf("--help: exit %d, said %q", code, out.String())
	}
}
