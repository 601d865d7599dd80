package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"krabby.dev/krabby/tools/layer/wheel/wheeltest"
)

var update = flag.Bool("update", false, "rewrite the golden files under testdata: go test ./tools/layer -update")

// TestMain lets the test binary run as the tool, so that tests can give it an environment of its own.
func TestMain(m *testing.M) {
	if os.Getenv("LAYER_TEST_ROLE") == "tool" {
		if os.Getenv("LAYER_TEST_UMASK") == "077" {
			syscall.Umask(0o077)
		}
		main()
	}
	os.Exit(m.Run())
}

// runTool calls the tool and returns its exit code and its output.
func runTool(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = layerTool().Run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// layer runs `layer build` and returns the tar, or the tool's message as an error.
func layer(t *testing.T, p params) ([]byte, error) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "layer.tar")
	code, _, stderr := runTool(t, "build", "--params", writeJSON(t, p), "--output", out)
	if code != 0 {
		if code != 1 || strings.Count(stderr, "\n") != 1 {
			t.Errorf("exit code %d, standard error %q; want 1 and one line", code, stderr)
		}
		if _, err := os.Stat(out); err == nil {
			t.Error("a failed build left its output")
		}
		return nil, errors.New(stderr)
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
	code, stdout, stderr := runTool(t, "list", write(t, "layer.tar", string(data)))
	if code != 0 {
		t.Fatalf("layer list: exit code %d: %s", code, stderr)
	}
	return stdout
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

// TestGolden compares the entries of a layer. To update the golden file: go test ./tools/layer -update
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
		t.Errorf("%s differs (update it with: go test ./tools/layer -update); got:\n%s", golden, got)
	}
}

func TestGolden_wheels(t *testing.T) {
	data, err := layer(t, withWheels(t))
	if err != nil {
		t.Fatal(err)
	}
	checkGolden(t, "testdata/wheels.txt", list(t, data))
}

func TestBuild_reproducible(t *testing.T) {
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
			p := everything(t) // Source paths differ each time.
			p.Wheels, p.Python = withWheels(t).Wheels, withWheels(t).Python
			p.Compression = compression
			// Large enough for a parallel compressor to split it.
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
				t.Errorf("compression %q: different bytes with %q", compression, env)
			}
		}
	}
}

func TestBuild_orderOfParameters(t *testing.T) {
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
		t.Error("the order of the parameters changed the bytes")
	}
}

func TestDeb_compressions(t *testing.T) {
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
			t.Errorf("data.tar%s unpacks to\n%s, want\n%s", ext, got, first)
		}
	}
}

func TestDeb_noUsrMerge(t *testing.T) {
	data, err := layer(t, params{Label: "//l", UsrMerge: new(false), Debs: []source{{write(t, "a.deb", debOf(t, ".gz", control, tinyDeb())), "//d"}}})
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

func TestUsrMerge_links(t *testing.T) {
	amd64 := []entry{{"./lib64/ld-linux-x86-64.so.2", tar.TypeSymlink, 0o777, "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", 0}}
	own := []entry{{"./lib", tar.TypeSymlink, 0o777, "usr/lib", 0}}
	for name, tc := range map[string]struct {
		data []entry
		want string
		not  string
	}{
		"lib64":              {amd64, "lib64 symlink 0777 0:0 -> usr/lib64\n", "lib32"},
		"no lib64":           {tinyDeb(), "lib symlink 0777 0:0 -> usr/lib\n", "lib64"},
		"links of a package": {own, "lib symlink 0777 0:0 -> usr/lib\n", "lib64"},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := layer(t, params{Label: "//l", UsrMerge: new(true), Debs: []source{{write(t, "a.deb", debOf(t, ".gz", control, tc.data)), "//d"}}})
			if err != nil {
				t.Fatal(err)
			}
			got := list(t, data)
			if !strings.Contains(got, tc.want) || strings.Contains(got, tc.not) {
				t.Errorf("want %q and no %q in\n%s", tc.want, tc.not, got)
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
				t.Errorf("bundle is %q, want the certificates sorted by path", got)
			}
			return
		}
	}
}

func TestBuild_equalEntries(t *testing.T) {
	p := params{Label: "//l", Files: []file{
		{source{write(t, "a", "same"), "//a"}, "/x", "0644"},
		{source{write(t, "b", "same"), "//b"}, "x", "0644"},
	}}
	data, err := layer(t, p)
	if err != nil {
		t.Fatal(err)
	}
	if got := list(t, data); strings.Count(got, "\n") != 1 {
		t.Errorf("got\n%s\nwant one entry", got)
	}
}

func TestBuild_errors(t *testing.T) {
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
		{"same path, other content", params{Files: []file{{a, "/x", "0644"}, {b, "/x", "0644"}}}, []string{"/x", "//:a", "//:b", "conflicting contents"}},
		{"same path, other mode", params{Files: []file{{a, "/x", "0644"}, {a, "/x", "0755"}}}, []string{"/x", "conflicting modes: 0644 from //:a", "0755"}},
		{"file and directory", params{Files: []file{{a, "/x", "0644"}}, Directories: []directory{{"/x", "0755", ""}}}, []string{"/x", "//:a", "directories", "directory"}},
		{"file below a file", params{Files: []file{{a, "/x", "0644"}, {b, "/x/y", "0644"}}}, []string{"/x/y", "is below /x", "//:a"}},
		{"file below a link", params{UsrMerge: new(false), Files: []file{{a, "/lib/y", "0644"}}, Symlinks: []symlink{{"/lib", "usr/lib"}}}, []string{"/lib/y", "is below /lib", "symlink"}},
		{"file in place of a directory", params{Files: []file{{a, "/lib", "0644"}}}, []string{"/lib (from //:a) is a file"}},
		{"two links", params{Symlinks: []symlink{{"/x", "a"}, {"/x", "b"}}}, []string{"/x", `"a"`, `"b"`}},
		{"destination leads out", params{Files: []file{{a, "/app/../../etc/passwd", "0644"}}}, []string{"..", "//:a"}},
		{"destination is the root", params{Files: []file{{a, "/", "0644"}}}, []string{"root of the image", "//:a"}},
		{"missing source", params{Files: []file{{source{"/nowhere", "//:n"}, "/x", "0644"}}}, []string{"//:n", "no such file"}},
		{"device as source", params{Files: []file{{source{"/dev/null", "//:n"}, "/x", "0644"}}}, []string{"//:n", "special file", "/dev/null"}},
		{"directory as file", params{Files: []file{{source{t.TempDir(), "//:n"}, "/x", "0644"}}}, []string{"//:n", "found a directory, expected a regular file"}},
		{"invalid mode", params{Files: []file{{a, "/x", "rwx"}}}, []string{"//:a", `"rwx"`, "octal"}},
		{"owner name", params{Owner: "root:root"}, []string{`"root:root"`, "uid:gid"}},
		{"modes without files", params{Files: []file{{a, "/x", "0644"}}, Modes: []modeRule{{"/y", "0755"}}}, []string{"modes: /y", "no file"}},
		{"link without target", params{Symlinks: []symlink{{"/x", ""}}}, []string{"/x: no target"}},
		{"unknown compression", params{Compression: "lzma"}, []string{`"lzma"`, "gzip", "zstd"}},
		{"no certificates", params{CABundle: true}, []string{"ca_bundle", "add ca-certificates"}},

		{"not a package", deb("hello, world"), append(names, "not a Debian package")},
		{"empty package", deb(""), append(names, "not a Debian package")},
		{"truncated in data", deb(good[:len(good)-40]), append(names, "data.tar")},
		{"truncated in a header", deb(good[:8+30]), append(names, "truncated")},
		{"no data", deb(arOf("debian-binary", "2.0\n", "control.tar", string(tarOf(t, []entry{{"control", tar.TypeReg, 0o644, control, 0}})))), append(names, "member data.tar not found")},
		{"damaged size", deb(strings.Replace(good, "4         `", "4x        `", 1)), append(names, "damaged size")},
		{"damaged data", deb(good[:len(good)-60] + strings.Repeat("!", 60)), append(names, "data.tar")},
		{"future format", deb(arOf("debian-binary", "3.0\n")), append(names, "expected 2.x")},
		{"unknown compression in it", deb(arOf("debian-binary", "2.0\n", "control.tar.lz", "x")), append(names, `".lz"`)},
		{"no name", deb(debOf(t, ".gz", "Version: 1\n", nil)), append(names, "Package")},
		{"name leads out", deb(debOf(t, ".gz", "Package: ../../etc/passwd\n", nil)), append(names, "invalid field Package")},
		{"path leads out", with(entry{"./../etc/passwd", tar.TypeReg, 0o644, "x", 0}), append(names, "..", "lead out")},
		{"absolute path", with(entry{"/etc/passwd", tar.TypeReg, 0o644, "x", 0}), append(names, "absolute")},
		{"hard link leads out", with(entry{"./x", tar.TypeLink, 0o644, "../../etc/shadow", 0}), append(names, "..")},
		{"hard link without target", with(entry{"./x", tar.TypeLink, 0o644, "./y", 0}), append(names, "hard link")},
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
				t.Fatal("got no error")
			}
			for _, w := range append(tc.want, "//oci:layer") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q, want %q in it", err, w)
				}
			}
		})
	}
}

func TestWheels_errors(t *testing.T) {
	file := func(name, body string) wheeltest.File { return wheeltest.File{Name: name, Mode: 0o644, Body: body} }
	module := []wheeltest.File{file("tiny.py", "def main(): return 1\n")}
	other := wheeltest.Write(t, "other-1-py3-none-any.whl", nil, module...)
	twin := wheeltest.Write(t, "Tiny-3-py3-none-any.whl", nil)
	bad := wheeltest.Pack(t, "bad-1-py3-none-any.whl", append(wheeltest.Metadata("bad", "1"), wheeltest.Record("bad", "1", module)))

	for name, tc := range map[string]struct {
		change func(*params)
		want   []string
	}{
		"damaged":             {func(p *params) { p.Wheels[1] = source{bad, "//wheels:bad"} }, []string{"//wheels:bad: bad-1-py3-none-any.whl: RECORD: tiny.py not found in the wheel"}},
		"missing dependency":  {func(p *params) { p.Wheels = p.Wheels[:1] }, []string{"wheels: missing dependency: libtiny-1.0-cp311-cp311-manylinux_2_28_aarch64.whl requires tiny>=2: no wheel of tiny found"}},
		"another Python":      {func(p *params) { p.Python.Version = "3.12" }, []string{"libtiny-1.0-cp311-cp311-manylinux_2_28_aarch64.whl: wrong tag: it is for Python cp311-cp311, not for Python 3.12"}},
		"another machine":     {func(p *params) { p.Python.Architecture = "amd64" }, []string{"manylinux_2_28_aarch64 is for another architecture"}},
		"an older glibc":      {func(p *params) { p.Python.Glibc = "2.27" }, []string{"manylinux_2_28_aarch64 requires glibc 2.28"}},
		"one path, two files": {func(p *params) { p.Wheels = append(p.Wheels, source{other, "//wheels:other"}) }, []string{"/opt/krabby/python/site-packages/tiny.py: conflicting contents: sha256 ", " from tiny-2.1-py3-none-any.whl, ", " from other-1-py3-none-any.whl"}},
		"one project twice":   {func(p *params) { p.Wheels = append(p.Wheels, source{twin, "//wheels:twin"}) }, []string{"tiny-2.1-py3-none-any.whl and Tiny-3-py3-none-any.whl are wheels of the same project tiny"}},
		"no Python":           {func(p *params) { p.Python = nil }, []string{"wheels: no Python version"}},
		"no such Python":      {func(p *params) { p.Python.Version = "311" }, []string{`invalid Python version "311"`}},
		"no such prefix":      {func(p *params) { p.Python.Prefix = "/usr/../etc" }, []string{`invalid path "/usr/../etc": expected an absolute path`}},
		"no such file":        {func(p *params) { p.Wheels[0].Path = "/nowhere/a-1-py3-none-any.whl" }, []string{"//wheels:libtiny", "no such file"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := withWheels(t)
			tc.change(&p)
			_, err := layer(t, p)
			if err == nil {
				t.Fatal("got no error")
			}
			for _, w := range append(tc.want, "//oci:wheels") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q, want %q in it", err, w)
				}
			}
		})
	}
}

func TestBuild_zstd(t *testing.T) {
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
		t.Errorf("compressed from %d to %d bytes: entries\n%s\nwant\n%s", len(plain), len(compressed), b, a)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"build"}, {"bake"}, {"list"}} {
		if code, _, stderr := runTool(t, args...); code != 2 {
			t.Errorf("layer %q: exit code %d (%s), want 2", args, code, stderr)
		}
	}
	if code, stdout, _ := runTool(t, "--help"); code != 0 || !strings.Contains(stdout, "build") {
		t.Errorf("--help: exit code %d, output %q", code, stdout)
	}
}
