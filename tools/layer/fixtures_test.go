package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"krabby.dev/krabby/tools/layer/wheel/wheeltest"
)

// entry is one entry of a package's data archive.
type entry struct {
	name string
	typ  byte
	mode int64
	body string // Content of a file, target of a link.
	gid  int
}

// tarOf returns a tar with times and user names, as Debian's tools write it.
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

// arOf returns an ar archive. The arguments are the name and content of each member in turn.
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

// debOf returns a package as dpkg-deb builds it, with the compression ext.
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

// everything returns parameters that use every feature once.
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
		UsrMerge: new(true),
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

// withWheels returns the parameters of a layer with two wheels.
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

// runOf returns a self-extracting archive with the header lines that package makeself reads.
func runOf(t *testing.T, entries []entry) string {
	t.Helper()
	payload := tarOf(t, entries)
	return fmt.Sprintf("#!/bin/sh\n# This script was generated using Makeself 2.4.5\nfilesizes=\"%d\"\nskip=\"5\"\n\techo Compression: none\n%s", len(payload), payload)
}

func sdk() []entry {
	return []entry{
		{"./", tar.TypeDir, 0o700, "", 0},
		{"./lib/", tar.TypeDir, 0o700, "", 1000},
		{"./lib/libzed.so.5", tar.TypeReg, 0o600, "ELF library", 1000},
		{"./lib/libzed.so", tar.TypeSymlink, 0o777, "libzed.so.5", 0},
		{"./lib/same.so", tar.TypeLink, 0o600, "./lib/libzed.so.5", 1000},
		{"./tools/Explorer", tar.TypeReg, 0o700, "ELF program", 0},
		{"./99-zed.rules", tar.TypeReg, 0o666, "SUBSYSTEM==\"usb\"\n", 0},
		{"./doc/LICENSE", tar.TypeReg, 0o444, "terms\n", 0},
		{"./samples/main.cpp", tar.TypeReg, 0o644, "left out", 0},
		{"./install.sh", tar.TypeReg, 0o755, "never run", 0},
	}
}
