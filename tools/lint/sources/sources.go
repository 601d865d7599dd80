// Package sources provides the sources of this repository to tests. Under Bazel they come from the repository @sources, under plain
// `go test` from the git checkout.
//
// Only tests may import it: every change of a source rebuilds its dependents.
package sources

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bazelbuild/rules_go/go/runfiles"
	"github.com/pmezard/go-difflib/difflib"
)

// archive is the runfile path of sources.tar, set by the linker (x_defs). It is empty under plain `go test`.
var archive string

// Read returns all sources by their paths in the workspace.
func Read(t testing.TB) fs.FS {
	t.Helper()
	read := readArchive
	if archive == "" && os.Getenv("TEST_TARGET") == "" {
		read = readCheckout
	}
	tree, err := read()
	if err != nil {
		t.Fatalf("reading the sources: %v", err)
	}
	if len(tree) == 0 {
		t.Fatal("reading the sources: no files found")
	}
	return tree
}

func readArchive() (fstest.MapFS, error) {
	path, err := runfiles.Rlocation(archive)
	if err != nil {
		return nil, fmt.Errorf("runfile %q: %w", archive, err)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return unpack(file)
}

// readCheckout returns the files of the git checkout that contains the working directory, without ignored files.
func readCheckout() (fstest.MapFS, error) {
	root, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return nil, fmt.Errorf("git rev-parse: %w", err)
	}
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = strings.TrimSpace(string(root))
	names, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	tree := fstest.MapFS{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		path := filepath.Join(list.Dir, name)
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue // The file is deleted but tracked, or a symbolic link.
		}
		if err != nil {
			return nil, err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		tree[name] = &fstest.MapFile{Data: data, Mode: info.Mode()}
	}
	return tree, nil
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

// Diff returns the differences between the files of two trees as a unified diff, sorted by path. It is empty for equal trees.
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
