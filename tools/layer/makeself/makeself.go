// Package makeself reads self-extracting archives as makeself(1) makes them, a
// shell script with a compressed tar behind it, as data. It runs nothing.
//
// It must never import a package that touches the file system; whoever calls
// decides which files are wanted and where they go.
package makeself

import (
	"archive/tar"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Archive is an archive whose header was understood and whose checksums, where
// it has any, are true.
type Archive struct {
	Version     string // Of the makeself that made it.
	Label       string // What the maker calls it.
	Compression string // As makeself calls it: "gzip", "zstd", "none" and so on.
	Size        int64  // Of the payload, in bytes.

	payload io.ReaderAt
	header  header
}

// Open reads the header of the archive in r, which has size bytes, and verifies
// the payload against every checksum that the header carries.
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
			return fmt.Errorf("the payload is damaged: its %s is %s, the header says %s; fetch the archive again", s.name, found, s.expected)
		}
	}
	return nil
}

func (a *Archive) reader() io.Reader { return io.NewSectionReader(a.payload, 0, a.Size) }

// Walk calls file for each wanted entry in the archive's order. Names are
// relative, without "." or a trailing slash; a content must be read, if at all,
// before file returns.
//
// It fails on what an installer that runs as root could do harm with: a path
// that leads out of the archive or a device node, wanted or not, and among the
// wanted entries links that lead out, setuid and setgid. It fails, too, when
// there is more than limit bytes.
func (a *Archive) Walk(limit int64, wanted func(name string) bool, file func(*tar.Header, io.Reader) error) error {
	if a.header.unpacked > limit {
		return fmt.Errorf("the header claims %d bytes unpacked, which for an archive of this size may be %d at most", a.header.unpacked, limit)
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

// maxWindow is the largest zstd window that `zstd -d`, which the archive itself
// would call, accepts without being told to.
const maxWindow = 128 << 20

// decompressors are makeself's compressions that can be read, by its names.
var decompressors = map[string]func(io.Reader) (io.Reader, error){
	"none":   func(r io.Reader) (io.Reader, error) { return r, nil },
	"gzip":   gunzip,
	"pigz":   gunzip,
	"bzip2":  func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil },
	"pbzip2": func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil },
	"xz":     func(r io.Reader) (io.Reader, error) { return xz.NewReader(r) },
	"zstd": func(r io.Reader) (io.Reader, error) {
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	},
}

func gunzip(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }

func (a *Archive) decompress() (io.Reader, error) {
	return decompressors[a.Compression](a.reader()) // readHeader knows the name.
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
		// Not only what is stored: a sparse file is larger than that.
		if h.Size > r.limit-total {
			return fmt.Errorf("%s claims %d bytes, with what is before it more than the %d that an archive of this size may unpack to", h.Name, h.Size, r.limit)
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
	// To the end, where compressed formats keep their checksums.
	_, err := io.Copy(io.Discard, r)
	return err
}

func clean(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// checkEntry refuses what no honest archive has anywhere.
func checkEntry(h *tar.Header) error {
	switch {
	case path.IsAbs(h.Name):
		return fmt.Errorf("path %q is absolute, which could lead anywhere", h.Name)
	case slices.Contains(strings.Split(h.Name, "/"), ".."):
		return fmt.Errorf("path %q has \"..\" in it, which could lead out of the archive", h.Name)
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeLink:
		return nil
	case tar.TypeChar, tar.TypeBlock:
		return fmt.Errorf("%s is a device node, which has no place in an image", h.Name)
	case tar.TypeFifo:
		return fmt.Errorf("%s is a named pipe, which has no place in an image", h.Name)
	default:
		return fmt.Errorf("%s is a tar entry of type %q, which is not known", h.Name, h.Typeflag)
	}
}

// checkWanted refuses what must not get into an image.
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
		return fmt.Errorf("%s has mode %04o: setuid or setgid, which the allow-list cannot grant", h.Name, h.Mode&0o7777)
	}
	return nil
}

func leadsOut(cleaned string) bool { return cleaned == ".." || strings.HasPrefix(cleaned, "../") }

// bounded reads no more than limit bytes, so that a small archive cannot fill
// the disk.
type bounded struct {
	r           io.Reader
	limit, left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // One more than allowed, to tell the end from too much.
	}
	n, err := b.r.Read(p)
	if int64(n) > b.left {
		return int(b.left), fmt.Errorf("it unpacks to more than the %d bytes that an archive of this size may", b.limit)
	}
	b.left -= int64(n)
	return n, err
}
