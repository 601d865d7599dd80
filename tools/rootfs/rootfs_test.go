package rootfs

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnpack(t *testing.T) {
	pack := func(t *testing.T, entries ...tar.Header) string {
		t.Helper()
		var archive bytes.Buffer
		w := tar.NewWriter(&archive)
		for _, header := range entries {
			content := strings.Repeat("x", int(header.Size))
			if err := errors.Join(w.WriteHeader(&header), func() error { _, err := w.Write([]byte(content)); return err }()); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "a.tar")
		if err := os.WriteFile(path, archive.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Run("files and links", func(t *testing.T) {
		dir := t.TempDir()
		err := Unpack(pack(t,
			tar.Header{Typeflag: tar.TypeDir, Name: "usr/", Mode: 0o755},
			tar.Header{Typeflag: tar.TypeReg, Name: "usr/a", Mode: 0o755, Size: 3},
			tar.Header{Typeflag: tar.TypeSymlink, Name: "lib", Linkname: "usr"},
			tar.Header{Typeflag: tar.TypeLink, Name: "usr/b", Linkname: "usr/a"},
		), dir)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "lib/b")); err != nil || string(got) != "xxx" {
			t.Errorf("lib/b = %q, %v, want xxx", got, err)
		}
	})
	t.Run("repeated absolute link", func(t *testing.T) {
		dir := t.TempDir()
		link := tar.Header{Typeflag: tar.TypeSymlink, Name: "usr/lib/l", Linkname: "/etc/a"}
		file := tar.Header{Typeflag: tar.TypeReg, Name: "etc/a", Mode: 0o644, Size: 2}
		usr, etc := tar.Header{Typeflag: tar.TypeDir, Name: "usr/lib", Mode: 0o755}, tar.Header{Typeflag: tar.TypeDir, Name: "etc", Mode: 0o755}
		if err := errors.Join(Unpack(pack(t, usr, etc, file, link), dir), Unpack(pack(t, usr, link), dir)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "usr/lib/l")); err != nil || string(got) != "xx" {
			t.Errorf("usr/lib/l = %q, %v, want the file of the archive", got, err)
		}
	})
	for name, entries := range map[string][]tar.Header{
		"path leads out":      {{Typeflag: tar.TypeReg, Name: "../a", Size: 1}},
		"path through a link": {{Typeflag: tar.TypeSymlink, Name: "out", Linkname: "/tmp"}, {Typeflag: tar.TypeReg, Name: "out/a", Size: 1}},
		"path through a relative link": {
			{Typeflag: tar.TypeDir, Name: "usr/", Mode: 0o755},
			{Typeflag: tar.TypeSymlink, Name: "usr/out", Linkname: "../../"},
			{Typeflag: tar.TypeReg, Name: "usr/out/a", Size: 1},
		},
		"conflicting link": {
			{Typeflag: tar.TypeSymlink, Name: "lib", Linkname: "usr/lib"},
			{Typeflag: tar.TypeSymlink, Name: "lib", Linkname: "usr/lib64"},
		},
		"duplicate file":      {{Typeflag: tar.TypeReg, Name: "a", Size: 1}, {Typeflag: tar.TypeReg, Name: "a", Size: 1}},
		"device":              {{Typeflag: tar.TypeChar, Name: "null"}},
		"hard link leads out": {{Typeflag: tar.TypeLink, Name: "a", Linkname: "../above"}},
		"missing directory":   {{Typeflag: tar.TypeReg, Name: "no/folder", Size: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := Unpack(pack(t, entries...), t.TempDir()); err == nil {
				t.Error("got no error")
			}
		})
	}
}
