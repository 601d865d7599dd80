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

// Paths are the paths of a layer. Their JSON is the result of an action, so that a check after a change reads one layer.
type Paths struct {
	Layer   string           `json:"layer"`
	Entries map[string]Entry `json:"entries"`
	Removed []string         `json:"removed,omitempty"` // Paths of lower layers.
}

// Check returns an error for the first entry that hides a link or a directory of a lower layer. The first layer is the lowest.
func Check(layers []Paths) error {
	below := map[string]placed{}
	for _, l := range layers {
		for _, p := range l.Removed {
			remove(below, p)
		}
		for _, p := range slices.Sorted(maps.Keys(l.Entries)) {
			if err := compare(below, p, placed{l.Entries[p], l.Layer}); err != nil {
				return err
			}
		}
		for p, e := range l.Entries {
			below[p] = placed{e, l.Layer}
		}
	}
	return nil
}

// Entry is an entry of a layer. Directories include those that a layer does not have itself, but that a path leads through.
type Entry struct {
	Kind   byte   `json:"kind"` // Type flag of tar.
	Target string `json:"target,omitempty"`
}

// placed is an entry and its layer.
type placed struct {
	Entry
	layer string
}

// compare returns an error if the entry e at p hides an entry of the layers below.
func compare(below map[string]placed, p string, e placed) error {
	old, ok := below[p]
	switch {
	case !ok:
		return nil
	case e.Kind == tar.TypeDir && old.Kind == tar.TypeSymlink:
		return fmt.Errorf("layer %s: /%s is a directory, which hides the link to %s of layer %s: put its files where the link leads", e.layer, p, old.Target, old.layer)
	case e.Kind != tar.TypeDir && e.Kind != tar.TypeSymlink && old.Kind == tar.TypeSymlink && isDirectory(below, p):
		return fmt.Errorf("layer %s: /%s is a file, which hides the link to the directory %s of layer %s", e.layer, p, old.Target, old.layer)
	case e.Kind != tar.TypeDir && old.Kind == tar.TypeDir:
		return fmt.Errorf("layer %s: /%s is no directory, and hides the directory of layer %s", e.layer, p, old.layer)
	}
	return nil
}

// isDirectory follows the link at p.
func isDirectory(entries map[string]placed, p string) bool {
	for range 40 {
		e, ok := entries[p]
		if !ok || e.Kind != tar.TypeSymlink {
			return ok && e.Kind == tar.TypeDir || p == ""
		}
		if path.IsAbs(e.Target) {
			p = clean(e.Target)
		} else {
			p = clean(path.Join(path.Dir(p), e.Target))
		}
	}
	return false
}

func remove(entries map[string]placed, p string) {
	for q := range entries {
		if q == p || strings.HasPrefix(q, p+"/") {
			delete(entries, q)
		}
	}
}

func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// Read reads the paths of a layer.
func Read(l Layer) (p Paths, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("layer %s: %w", l.Name, err)
		}
	}()
	r, err := l.Open()
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	plain, err := tree.Decompress(r)
	if err != nil {
		return p, err
	}
	p = Paths{Layer: l.Name, Entries: map[string]Entry{}}
	for tr := tar.NewReader(plain); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return p, nil
		}
		if err != nil {
			return p, err
		}
		p.add(h)
	}
}

func (p *Paths) add(h *tar.Header) {
	name := clean(h.Name)
	dir, base := path.Dir(name), path.Base(name)
	switch {
	case name == "" || h.Typeflag == tar.TypeXGlobalHeader:
		return
	case base == opaque:
		p.Removed = append(p.Removed, dir)
		return
	case strings.HasPrefix(base, whiteout):
		p.Removed = append(p.Removed, path.Join(dir, strings.TrimPrefix(base, whiteout)))
		return
	}
	p.Entries[name] = Entry{h.Typeflag, h.Linkname}
	for ; dir != "."; dir = path.Dir(dir) {
		if _, ok := p.Entries[dir]; !ok {
			p.Entries[dir] = Entry{tar.TypeDir, ""}
		}
	}
}
