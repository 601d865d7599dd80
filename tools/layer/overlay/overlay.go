// Package overlay finds layers that hide a link or a directory of a lower layer: a directory /lib above the link /lib -> usr/lib takes
// the libraries of the base away, and the image does not start.
//
// It must not import a package about images; callers find the layers.
package overlay

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"krabby.dev/krabby/tools/layer/tree"
)

// Layer is a layer of an image: a tar, uncompressed or compressed with gzip or zstd.
type Layer struct {
	Name string // For error messages.
	Open func() (io.ReadCloser, error)
}

// whiteout is the prefix of a file that removes an entry of lower layers, and opaque removes the entries of a directory.
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// Check returns an error for the first entry that hides a link or a directory of a lower layer. The first layer is the lowest.
func Check(layers []Layer) error {
	below := map[string]entry{}
	for _, l := range layers {
		own, removed, err := read(l)
		if err != nil {
			return fmt.Errorf("layer %s: %w", l.Name, err)
		}
		for _, p := range removed {
			remove(below, p)
		}
		for _, p := range slices.Sorted(maps.Keys(own)) {
			if err := compare(below, p, own[p]); err != nil {
				return err
			}
		}
		maps.Copy(below, own)
	}
	return nil
}

// entry is a path of a layer. Directories include those that a layer does not have itself, but that a path leads through.
type entry struct {
	layer  string
	kind   byte // Type flag of tar.
	target string
}

// compare returns an error if the entry e at p hides an entry of the layers below.
func compare(below map[string]entry, p string, e entry) error {
	old, ok := below[p]
	switch {
	case !ok:
		return nil
	case e.kind == tar.TypeDir && old.kind == tar.TypeSymlink:
		return fmt.Errorf("layer %s: /%s is a directory, which hides the link to %s of layer %s: put its files where the link leads", e.layer, p, old.target, old.layer)
	case e.kind != tar.TypeDir && e.kind != tar.TypeSymlink && old.kind == tar.TypeSymlink && isDirectory(below, p):
		return fmt.Errorf("layer %s: /%s is a file, which hides the link to the directory %s of layer %s", e.layer, p, old.target, old.layer)
	case e.kind != tar.TypeDir && old.kind == tar.TypeDir:
		return fmt.Errorf("layer %s: /%s is no directory, and hides the directory of layer %s", e.layer, p, old.layer)
	}
	return nil
}

// isDirectory follows the link at p.
func isDirectory(entries map[string]entry, p string) bool {
	for range 40 {
		e, ok := entries[p]
		if !ok || e.kind != tar.TypeSymlink {
			return ok && e.kind == tar.TypeDir || p == ""
		}
		if path.IsAbs(e.target) {
			p = clean(e.target)
		} else {
			p = clean(path.Join(path.Dir(p), e.target))
		}
	}
	return false
}

func remove(entries map[string]entry, p string) {
	for q := range entries {
		if q == p || strings.HasPrefix(q, p+"/") {
			delete(entries, q)
		}
	}
}

func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// read returns the entries of a layer with all parent directories, and the paths that it removes from lower layers.
func read(l Layer) (entries map[string]entry, removed []string, err error) {
	r, err := l.Open()
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	plain, err := tree.Decompress(r)
	if err != nil {
		return nil, nil, err
	}
	entries = map[string]entry{}
	for tr := tar.NewReader(plain); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return entries, removed, nil
		}
		if err != nil {
			return nil, nil, err
		}
		p := clean(h.Name)
		dir, base := path.Dir(p), path.Base(p)
		switch {
		case p == "" || h.Typeflag == tar.TypeXGlobalHeader:
			continue
		case base == opaque:
			removed = append(removed, dir)
			continue
		case strings.HasPrefix(base, whiteout):
			removed = append(removed, path.Join(dir, strings.TrimPrefix(base, whiteout)))
			continue
		}
		entries[p] = entry{l.Name, h.Typeflag, h.Linkname}
		for ; dir != "."; dir = path.Dir(dir) {
			if _, ok := entries[dir]; !ok {
				entries[dir] = entry{l.Name, tar.TypeDir, ""}
			}
		}
	}
}
