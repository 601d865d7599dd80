package expectation

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// entry is a file of an image.
type entry struct {
	kind    string // "file", "directory", "link", or a description of another type.
	bits    int64  // Permissions, setuid, setgid and sticky bit as in the tar.
	owner   string
	target  string
	content []byte
	seconds int64 // Of its time, since the epoch.
}

// mode returns the permissions in octal, or nothing for a link.
func (e entry) mode() string {
	if e.kind == "link" {
		return ""
	}
	return fmt.Sprintf("%04o", e.bits)
}

var kinds = map[byte]string{tar.TypeReg: "file", tar.TypeDir: "directory", tar.TypeSymlink: "link", tar.TypeLink: "file"}

// list returns the files of the image by absolute path. A hard link is listed as its target.
func list(image v1.Image) (map[string]entry, error) {
	stream := mutate.Extract(image)
	defer stream.Close()
	files := map[string]entry{}
	for reader := tar.NewReader(stream); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the layers: %w", err)
		}
		name := path.Join("/", header.Name)
		if header.Typeflag == tar.TypeLink {
			linked, ok := files[path.Join("/", header.Linkname)]
			if !ok {
				return nil, fmt.Errorf("%s: target of the hard link not found: %s", name, header.Linkname)
			}
			files[name] = linked
			continue
		}
		kind, ok := kinds[header.Typeflag]
		if !ok {
			kind = fmt.Sprintf("entry of type %q", header.Typeflag)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		files[name] = entry{
			kind: kind, bits: header.Mode & 0o7777, owner: fmt.Sprintf("%d:%d", header.Uid, header.Gid), target: header.Linkname,
			content: content, seconds: header.ModTime.Unix(),
		}
	}
}
