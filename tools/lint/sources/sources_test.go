package sources

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"testing"
	"testing/fstest"
)

func TestRead(t *testing.T) {
	tree := Read(t)
	for _, path := range []string{"MODULE.bazel", ".bazelrc", "tools/lint/sources/sources_test.go", "rules_oci/go.mod"} {
		if _, err := fs.Stat(tree, path); err != nil {
			t.Error(err)
		}
	}
	for _, path := range []string{".git", ".bazelrc.network", "bazel-bin", "third_party/dist"} {
		if _, err := fs.Stat(tree, path); err == nil {
			t.Errorf("Read returned %s, which is not a source", path)
		}
	}
}

func TestUnpack_truncated(t *testing.T) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 5, Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	tree, err := unpack(bytes.NewReader(archive.Bytes()[:515]))
	if err == nil {
		t.Errorf("unpack of a truncated file = %v, want an error", tree)
	}
}

func TestDiff(t *testing.T) {
	before := fstest.MapFS{
		"same":    {Data: []byte("x\n")},
		"changed": {Data: []byte("one\ntwo\n")},
		"gone":    {Data: []byte("old\n")},
	}
	for name, test := range map[string]struct {
		after fstest.MapFS
		want  string
	}{
		"equal": {before, ""},
		"changed, missing and new file": {
			fstest.MapFS{
				"same":    {Data: []byte("x\n")},
				"changed": {Data: []byte("one\n2\n")},
				"dir/new": {Data: []byte("new\n")},
			},
			"--- a/changed\n+++ b/changed\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n" +
				"--- a/dir/new\n+++ b/dir/new\n@@ -0,0 +1 @@\n+new\n" +
				"--- a/gone\n+++ b/gone\n@@ -1 +0,0 @@\n-old\n",
		},
		"no newline at the end": {
			fstest.MapFS{"same": before["same"], "changed": {Data: []byte("one\ntwo")}, "gone": before["gone"]},
			"--- a/changed\n+++ b/changed\n@@ -1,2 +1,2 @@\n one\n-two\n+two\n\\ No newline at end of file\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Diff(before, test.after)
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("Diff = %q, want %q", got, test.want)
			}
		})
	}
}
