// Package tarlayer turns a tar file, compressed or not, into an image layer
// whose digest depends on the bytes of the tar alone.
//
// It must never import anything that reaches the network, nor look at the
// clock, the environment or the number of CPUs: two machines have to agree on
// every byte it writes.
package tarlayer

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// GzipLevel is part of the identity of every layer compressed here: another
// level gives other bytes and so another digest.
const GzipLevel = 6

// Compression names how the bytes of a layer are packed in a registry.
type Compression string

// The compressions a layer can have in a registry.
const (
	Gzip Compression = "gzip"
	Zstd Compression = "zstd"
)

// Magic numbers of what a tar file may begin with.
var (
	gzipMagic  = []byte{0x1f, 0x8b}
	zstdMagic  = []byte{0x28, 0xb5, 0x2f, 0xfd}
	xzMagic    = []byte{0xfd, '7', 'z', 'X', 'Z', 0x00}
	bzip2Magic = []byte("BZh")
)

// Layer is a compressed layer that lies in a file. It implements v1.Layer.
type Layer struct {
	path        string
	compression Compression
	digest      v1.Hash
	diffID      v1.Hash
	size        int64
}

var _ v1.Layer = (*Layer)(nil)

// FromFile reads the tar at path once from end to end and returns it as a
// layer. A tar which is gzip or zstd already is kept byte for byte; a plain
// one is compressed with gzip at GzipLevel into blobDir, under the hex of its
// digest.
func FromFile(path, blobDir string) (*Layer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()

	r := bufio.NewReaderSize(f, 1<<20)
	head, err := r.Peek(len(xzMagic))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case len(head) == 0:
		return nil, errors.New("the file is empty; a tar has at least its end mark, 1024 zero bytes")
	case bytes.HasPrefix(head, gzipMagic):
		return keep(path, r, Gzip)
	case bytes.HasPrefix(head, zstdMagic):
		return keep(path, r, Zstd)
	case bytes.HasPrefix(head, xzMagic), bytes.HasPrefix(head, bzip2Magic):
		return nil, errors.New("the tar is compressed with xz or bzip2, which OCI images cannot carry; give it plain, or as gzip or zstd")
	default:
		return compress(r, blobDir)
	}
}

// keep hashes an already compressed tar, outside and inside.
func keep(path string, r io.Reader, c Compression) (*Layer, error) {
	outer := newCounter()
	tee := io.TeeReader(r, outer)
	plain, err := decompress(tee, c)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", c, err)
	}
	defer plain.Close()

	inner := newCounter()
	if err := readTar(io.TeeReader(plain, inner)); err != nil {
		return nil, err
	}
	// A decompressor may stop before the end of the file; the digest may not.
	if _, err := io.Copy(io.Discard, tee); err != nil {
		return nil, err
	}
	return &Layer{path: path, compression: c, digest: outer.hash(), diffID: inner.hash(), size: outer.size}, nil
}

// compress writes the tar in r as a gzip blob into dir.
func compress(r io.Reader, dir string) (_ *Layer, err error) {
	tmp, err := os.CreateTemp(dir, ".layer-*")
	if err != nil {
		return nil, err
	}
	defer func() {
		tmp.Close()
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()

	outer, inner := newCounter(), newCounter()
	// One thread, no name, no time in the header: nothing but the tar's bytes
	// and GzipLevel decide on the output.
	zw, err := gzip.NewWriterLevel(io.MultiWriter(tmp, outer), GzipLevel)
	if err != nil {
		return nil, err
	}
	if err := readTar(io.TeeReader(r, io.MultiWriter(inner, zw))); err != nil {
		return nil, err
	}
	if err := zw.Close(); err != nil {
		return nil, err
	}
	// CreateTemp makes files private, but a layout is there to be read.
	if err := tmp.Chmod(0o644); err != nil {
		return nil, err
	}
	if err := tmp.Close(); err != nil {
		return nil, err
	}
	blob := filepath.Join(dir, outer.hash().Hex)
	if err := os.Rename(tmp.Name(), blob); err != nil {
		return nil, err
	}
	return &Layer{path: blob, compression: Gzip, digest: outer.hash(), diffID: inner.hash(), size: outer.size}, nil
}

// readTar consumes r to its end and fails where it is not a whole tar. A layer
// that no container runtime can unpack should break the build, not the robot.
func readTar(r io.Reader) error {
	tr := tar.NewReader(r)
	last := ""
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if last == "" {
				return fmt.Errorf("not a readable tar, from its first entry on: %w", err)
			}
			return fmt.Errorf("not a readable tar, after the entry %q: %w", last, err)
		}
		last = h.Name
	}
	// Padding behind the end mark is part of the digest too.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return fmt.Errorf("read the end of the tar: %w", err)
	}
	return nil
}

func decompress(r io.Reader, c Compression) (io.ReadCloser, error) {
	if c == Zstd {
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return gzip.NewReader(r)
}

// Digest implements v1.Layer.
func (l *Layer) Digest() (v1.Hash, error) { return l.digest, nil }

// DiffID implements v1.Layer.
func (l *Layer) DiffID() (v1.Hash, error) { return l.diffID, nil }

// Size implements v1.Layer.
func (l *Layer) Size() (int64, error) { return l.size, nil }

// MediaType implements v1.Layer with the OCI name of the layer's compression.
func (l *Layer) MediaType() (types.MediaType, error) {
	if l.compression == Zstd {
		return types.OCILayerZStd, nil
	}
	return types.OCILayer, nil
}

// Compression tells how the blob is packed.
func (l *Layer) Compression() Compression { return l.compression }

// Compressed implements v1.Layer.
func (l *Layer) Compressed() (io.ReadCloser, error) { return os.Open(l.path) }

// Uncompressed implements v1.Layer.
func (l *Layer) Uncompressed() (io.ReadCloser, error) {
	f, err := os.Open(l.path)
	if err != nil {
		return nil, err
	}
	plain, err := decompress(f, l.compression)
	if err != nil {
		f.Close()
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{plain, closers{plain, f}}, nil
}

type closers []io.Closer

func (cs closers) Close() error {
	var errs []error
	for _, c := range cs {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// counter is a sha256 that also counts.
type counter struct {
	sum  hash.Hash
	size int64
}

func newCounter() *counter { return &counter{sum: sha256.New()} }

func (c *counter) Write(p []byte) (int, error) {
	c.size += int64(len(p))
	return c.sum.Write(p)
}

func (c *counter) hash() v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(c.sum.Sum(nil))}
}
