package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/bazelbuild/rules_go/go/runfiles"

	"krabby.dev/krabby/tools/layer/makeself"
)

// eachArchive runs a test for every archive of the environment variable ARCHIVES, with its name and its bytes.
func eachArchive(t *testing.T, test func(t *testing.T, name string, data []byte)) {
	t.Helper()
	paths := strings.Fields(os.Getenv("ARCHIVES"))
	if len(paths) == 0 && os.Getenv("TEST_TARGET") == "" {
		t.Skip("ARCHIVES is not set: run this test with Bazel")
	} else if len(paths) == 0 {
		t.Fatal("ARCHIVES is not set")
	}
	for _, p := range paths {
		file, err := runfiles.Rlocation(p)
		if err != nil {
			t.Fatalf("runfile %q: %v", p, err)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(path.Base(p), ".run")
		t.Run(name, func(t *testing.T) { test(t, name, data) })
	}
}

func open(data []byte) (*makeself.Archive, error) {
	return makeself.Open(bytes.NewReader(data), int64(len(data)))
}

func contentOf(data []byte) (string, error) {
	a, err := open(data)
	if err != nil {
		return "", err
	}
	var lines strings.Builder
	everything := func(string) bool { return true }
	err = a.Walk(1<<20, everything, func(h *tar.Header, r io.Reader) error {
		content, err := io.ReadAll(r)
		fmt.Fprintf(&lines, "%s %c %04o %d %s\n", h.Name, h.Typeflag, h.Mode, len(content), h.Linkname)
		return err
	})
	return lines.String(), err
}

const content = "install.sh 0 0755 45 \n" +
	"lib/libsynthetic.so 2 0777 0 libsynthetic.so.5\n" +
	"lib/libsynthetic.so.5 0 0644 832 \n"

func TestUnpack(t *testing.T) {
	eachArchive(t, func(t *testing.T, name string, data []byte) {
		got, err := contentOf(data)
		if how, unsupported := strings.CutPrefix(name, "unsupported_"); unsupported {
			want := map[string]string{
				"openssl": "the payload is encrypted (openssl)",
			}[how]
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("entries %q, error %v; want the error %q", got, err, want)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if got != content {
			t.Errorf("entries\n%swant\n%s", got, content)
		}
		a, err := open(data)
		if err != nil {
			t.Fatal(err)
		}
		how, _, _ := strings.Cut(name, "_")
		if a.Compression != how || a.Version != "2.4.5" || a.Label != "A synthetic SDK" {
			t.Errorf("header has %q, %q, %q", a.Compression, a.Version, a.Label)
		}
	})
}

func TestUnpack_damaged(t *testing.T) {
	eachArchive(t, func(t *testing.T, name string, data []byte) {
		if strings.HasPrefix(name, "unsupported_") {
			return
		}
		for _, n := range []int{1, 100, len(data) / 2} {
			if _, err := contentOf(data[:len(data)-n]); err == nil || !strings.Contains(err.Error(), "truncated") {
				t.Errorf("%d bytes less: error %v, want one with truncated", n, err)
			}
		}
		a, err := open(data)
		if err != nil {
			t.Fatal(err)
		}
		// Without a checksum of makeself, that of the compression detects damage in the middle of the data.
		damaged := bytes.Clone(data)
		damaged[int64(len(data))-a.Size/2] ^= 0x10
		want := "the payload is damaged"
		if strings.HasSuffix(name, "_nosum") {
			want = "payload ("
		}
		if _, err := contentOf(damaged); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("flipped bit: error %v, want one with %q", err, want)
		}
	})
}

func TestUnpack_wrongChecksum(t *testing.T) {
	fields := map[string]string{
		"gzip_crc":    `CRCsum="`,
		"gzip_md5":    `MD5="`,
		"gzip_sha256": `SHA="`,
	}
	eachArchive(t, func(t *testing.T, name string, data []byte) {
		field, ok := fields[name]
		if !ok {
			return
		}
		delete(fields, name)
		at := bytes.Index(data, []byte(field)) + len(field)
		data[at] = '0' + (data[at]-'0'+1)%9 // Another digit. A value of zeros stands for no checksum.
		if _, err := contentOf(data); err == nil || !strings.Contains(err.Error(), "the payload is damaged: wrong ") {
			t.Errorf("error %v", err)
		}
	})
	if len(fields) > 0 {
		t.Errorf("no archives for %v", fields)
	}
}
