package tree

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
)

// List prints one line for each entry of a tar, in the tar's order: path, type, mode, owner, and the size and SHA-256 of a file or
// the target of a link. It also prints times and user names, which a reproducible layer does not have.
func List(w io.Writer, r io.Reader) error {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the tar: %w", err)
		}
		line := []string{h.Name}
		meta := fmt.Sprintf("%04o %d:%d", h.Mode, h.Uid, h.Gid)
		switch h.Typeflag {
		case tar.TypeDir:
			line = append(line, "dir", meta)
		case tar.TypeReg:
			sum := sha256.New()
			if _, err := io.Copy(sum, tr); err != nil {
				return fmt.Errorf("read %s: %w", h.Name, err)
			}
			line = append(line, "file", meta, fmt.Sprintf("%d sha256=%x", h.Size, sum.Sum(nil)))
		case tar.TypeSymlink:
			line = append(line, "symlink", meta, "-> "+h.Linkname)
		case tar.TypeLink:
			line = append(line, "hardlink", meta, "-> "+h.Linkname)
		default:
			line = append(line, fmt.Sprintf("other(%c)", h.Typeflag), meta)
		}
		if h.ModTime.Unix() != 0 {
			line = append(line, fmt.Sprintf("time=%d", h.ModTime.Unix()))
		}
		if h.Uname != "" || h.Gname != "" {
			line = append(line, "names="+h.Uname+":"+h.Gname)
		}
		if _, err := fmt.Fprintln(w, strings.Join(line, " ")); err != nil {
			return err
		}
	}
}
