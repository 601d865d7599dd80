// Package sources gives tests this repository's own sources, as the @sources repository packs them.
//
// It must be imported by tests only: whatever depends on it is built again after every change of any source.
package sources

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bazelbuild/rules_go/go/runfiles"
	"github.com/pmezard/go-difflib/difflib"
)

// archive is the runfile path of sources.tar, set by the linker (x_defs).
var archive string

// Read returns all sources, by their paths in the workspace.
func Read(t testing.TB) fs.FS {
	t.Helper()
	path, err := runfiles.Rlocation(archive)
	if err != nil {
		t.Fatalf("finding the sources (%q): %v", archive, err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatalf("opening the sources: %v", err)
	}
	defer file.Close()
	tree, err := unpack(file)
	if err != nil {
		t.Fatalf("reading %s: %v", path, err)
	}
	if len(tree) == 0 {
		t.Fatalf("reading %s: no file in it", path)
	}
	return tree
}

func unpack(r io.Reader) (fstest.MapFS, error) {
	tree := fstest.MapFS{}
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return tree, nil
		} else if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", header.Name, err)
		}
		tree[header.Name] = &fstest.MapFile{Data: data, Mode: header.FileInfo().Mode()}
	}
}

// Diff says how the files of two trees differ, as a unified diff sorted by path; it is empty if they do not.
func Diff(before, after fs.FS) (string, error) {
	old, err := load(before)
	if err != nil {
		return "", err
	}
	new, err := load(after)
	if err != nil {
		return "", err
	}
	paths := []string{}
	for path, data := range old {
		if other, ok := new[path]; !ok || !bytes.Equal(data, other) {
			paths = append(paths, path)
		}
	}
	for path := range new {
		if _, ok := old[path]; !ok {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)

	var diffs strings.Builder
	for _, path := range paths {
		err := difflib.WriteUnifiedDiff(&diffs, difflib.UnifiedDiff{
			A:        lines(old[path]),
			B:        lines(new[path]),
			FromFile: "a/" + path,
			ToFile:   "b/" + path,
			Context:  3,
		})
		if err != nil {
			return "", fmt.Errorf("comparing %s: %w", path, err)
		}
	}
	return diffs.String(), nil
}

func lines(data []byte) []string {
	lines := slices.Collect(strings.Lines(string(data)))
	if n := len(lines); n > 0 && !strings.HasSuffix(lines[n-1], "\n") {
		lines[n-1] += "\n\\ No newline at end of file\n"
	}
	return lines
}

func load(tree fs.FS) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		files[path], err = fs.ReadFile(tree, path)
		return err
	})
	return files, err
}
