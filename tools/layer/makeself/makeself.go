// Package makeself reads self-extracting archives of makeself(1): a shell script followed by a compressed tar. It runs no code of
// an archive.
//
// It must not import a package that accesses the file system; callers select the files and decide where they go.
package makeself

import (
	"archive/tar"
	"compress/bzip2"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Archive is an archive with a valid header and correct checksums.
type Archive struct {
	Version     string // Version of makeself.
	Label       string // Title that the archive's author gave it.
	Compression string // makeself's name: "gzip", "zstd", "none" and so on.
	Size        int64  // Size of the payload in bytes.

	payload io.ReaderAt
	header  header
}

// Open reads the header of the archive in r, which has size bytes, and verifies all checksums of the header.
func Open(r io.ReaderAt, size int64) (*Archive, error) {
	h, err := readHeader(r, size)
	if err != nil {
		return nil, err
	}
	a := &Archive{
		Version:     h.version,
		Label:       h.label,
		Compression: h.compression,
		Size:        h.payload,
		payload:     io.NewSectionReader(r, h.offset, h.payload),
		header:      h,
	}
	return a, a.verify()
}

func (a *Archive) verify() error {
	sums := a.header.sums
	if len(sums) == 0 {
		return nil
	}
	writers := make([]io.Writer, len(sums))
	for i, s := range sums {
		writers[i] = s
	}
	if _, err := io.Copy(io.MultiWriter(writers...), a.reader()); err != nil {
		return fmt.Errorf("read the payload: %w", err)
	}
	for _, s := range sums {
		if found := s.found(); found != s.expected {
			return fmt.Errorf("the payload is damaged: wrong %s: found %s, expected %s; fetch the archive again", s.name, found, s.expected)
		}
	}
	return nil
}

func (a *Archive) reader() io.Reader { return io.NewSectionReader(a.payload, 0, a.Size) }

// Walk calls file for each wanted entry in the archive's order. Names are relative, without "." or a trailing slash. The reader
// that file gets is valid until file returns.
//
// Entries that an installer could do harm with are errors: a path that leads out of the archive and a device node in any entry, and
// a link that leads out, setuid and setgid in a wanted entry. Contents of more than limit bytes are an error too.
func (a *Archive) Walk(limit int64, wanted func(name string) bool, file func(*tar.Header, io.Reader) error) error {
	if a.header.unpacked > limit {
		return fmt.Errorf("the header claims %d bytes unpacked, more than the limit of %d for an archive of this size", a.header.unpacked, limit)
	}
	plain, err := a.decompress()
	if err != nil {
		return fmt.Errorf("payload (%s): %w", a.Compression, err)
	}
	if err := walk(&bounded{r: plain, limit: limit, left: limit}, wanted, file); err != nil {
		return fmt.Errorf("payload (%s): %w", a.Compression, err)
	}
	return nil
}

// maxWindow is the largest zstd window in bytes that `zstd -d` accepts by default. The archive's script calls that program.
const maxWindow = 128 << 20

// decompressors are the supported compressions by makeself's names.
var decompressors = map[string]func(io.Reader) (io.Reader, error){
	"none":   func(r io.Reader) (io.Reader, error) { return r, nil },
	"base64": func(r io.Reader) (io.Reader, error) { return decodeBase64(r), nil }, // Of makeself before 2.7.
	"gzip":   gunzip,
	"pigz":   gunzip,
	"bzip2":  func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil },
	"pbzip2": func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil },
	"xz":     func(r io.Reader) (io.Reader, error) { return xz.NewReader(r) },
	"zstd": func(r io.Reader) (io.Reader, error) {
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	},
}

func decodeBase64(r io.Reader) io.Reader { return base64.NewDecoder(base64.StdEncoding, r) }

func gunzip(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }

func (a *Archive) decompress() (io.Reader, error) {
	payload := a.reader()
	if a.header.base64 && a.Compression != "base64" {
		payload = decodeBase64(payload)
	}
	return decompressors[a.Compression](payload) // readHeader checks the name.
}

func walk(r *bounded, wanted func(string) bool, file func(*tar.Header, io.Reader) error) error {
	tr := tar.NewReader(r)
	total := int64(0)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("tar: %w", err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		if err := checkEntry(h); err != nil {
			return err
		}
		// The sizes in the headers count, because a sparse file is larger than its stored bytes.
		if h.Size > r.limit-total {
			return fmt.Errorf("%s claims %d bytes: together with earlier files more than the limit of %d for an archive of this size", h.Name, h.Size, r.limit)
		}
		total += h.Size
		h.Name = clean(h.Name)
		if h.Name == "" || !wanted(h.Name) {
			continue
		}
		if err := checkWanted(h); err != nil {
			return err
		}
		if err := file(h, tr); err != nil {
			return err
		}
	}
	// Compressed formats have their checksums at the end.
	_, err := io.Copy(io.Discard, r)
	return err
}

func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// checkEntry rejects paths and types that no entry may have.
func checkEntry(h *tar.Header) error {
	switch {
	case path.IsAbs(h.Name):
		return fmt.Errorf("path %q is absolute", h.Name)
	case slices.Contains(strings.Split(h.Name, "/"), ".."):
		return fmt.Errorf("path %q contains \"..\", which can lead out of the archive", h.Name)
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeLink:
		return nil
	case tar.TypeChar, tar.TypeBlock:
		return fmt.Errorf("%s is a device node, which layers cannot contain", h.Name)
	case tar.TypeFifo:
		return fmt.Errorf("%s is a named pipe, which layers cannot contain", h.Name)
	default:
		return fmt.Errorf("%s: unknown tar entry type %q", h.Name, h.Typeflag)
	}
}

// checkWanted rejects links and modes that an image must not have.
func checkWanted(h *tar.Header) error {
	switch h.Typeflag {
	case tar.TypeSymlink:
		if target := path.Join(path.Dir(h.Name), h.Linkname); path.IsAbs(h.Linkname) || leadsOut(target) {
			return fmt.Errorf("%s is a link to %q, which leads out of the archive", h.Name, h.Linkname)
		}
	case tar.TypeLink:
		if path.IsAbs(h.Linkname) || leadsOut(path.Clean(h.Linkname)) {
			return fmt.Errorf("%s is a hard link to %q, which leads out of the archive", h.Name, h.Linkname)
		}
		h.Linkname = clean(h.Linkname)
	}
	const setID = 0o6000
	if h.Typeflag != tar.TypeSymlink && h.Mode&setID != 0 {
		return fmt.Errorf("%s has mode %04o: setuid and setgid are not allowed", h.Name, h.Mode&0o7777)
	}
	return nil
}

func leadsOut(cleaned string) bool { return cleaned == ".." || strings.HasPrefix(cleaned, "../") }

// bounded reads at most limit bytes, so that a small archive cannot fill the disk.
type bounded struct {
	r           io.Reader
	limit, left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // One more byte than allowed distinguishes the end from an excess.
	}
	n, err := b.r.Read(p)
	if int64(n) > b.left {
		return int(b.left), fmt.Errorf("the payload unpacks to more than the limit of %d bytes for an archive of this size", b.limit)
	}
	b.left -= int64(n)
	return n, err
}
