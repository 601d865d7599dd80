package tree

import (
	"archive/tar"
	"fmt"
	"io"
	"time"
)

// WriteTar writes the tree with all parent directories as a tar.
func (t *Tree) WriteTar(w io.Writer) error {
	paths, entries, err := t.complete()
	if err != nil {
		return err
	}
	tw := tar.NewWriter(w)
	first := map[inode]string{}
	for _, p := range paths {
		if err := writeEntry(tw, p, entries[p], first); err != nil {
			return fmt.Errorf("/%s (from %s): %w", p, entries[p].Source, err)
		}
	}
	return tw.Close()
}

// inode is the key of entries that become hard links to each other.
type inode struct {
	content *Content
	mode    int64
	owner   Owner
}

func writeEntry(tw *tar.Writer, p string, e Entry, first map[inode]string) error {
	h := &tar.Header{
		Name:    p,
		Mode:    e.Mode,
		Uid:     e.Owner.UID,
		Gid:     e.Owner.GID,
		ModTime: time.Unix(0, 0),
	}
	switch e.Kind {
	case Dir:
		h.Typeflag = tar.TypeDir
		h.Name += "/"
		return tw.WriteHeader(h)
	case Symlink:
		h.Typeflag = tar.TypeSymlink
		h.Linkname = e.Target
		return tw.WriteHeader(h)
	}
	node := inode{e.Content, e.Mode, e.Owner}
	if target, ok := first[node]; ok {
		h.Typeflag = tar.TypeLink
		h.Linkname = target
		return tw.WriteHeader(h)
	}
	first[node] = p

	r, err := e.Content.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	h.Typeflag = tar.TypeReg
	h.Size = e.Content.Size
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(tw, r)
	return err
}
