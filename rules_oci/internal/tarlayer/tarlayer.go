// Package tarlayer reads a tar file, compressed or not, as an image layer. Its properties depend on the bytes of the file only.
//
// It must never import a package that reaches the network.
package tarlayer

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Compression is the compression of a layer.
type Compression string

// Compressions of layers.
const (
	None Compression = ""
	Gzip Compression = "gzip"
	Zstd Compression = "zstd"
)

// First bytes of compressed files.
var (
	gzipMagic  = []byte{0x1f, 0x8b}
	zstdMagic  = []byte{0x28, 0xb5, 0x2f, 0xfd}
	xzMagic    = []byte{0xfd, '7', 'z', 'X', 'Z', 0x00}
	bzip2Magic = []byte("BZh")
)

// Layer is a layer in a file. Its JSON describes the layer to an action that does not read the file.
type Layer struct {
	Compression Compression `json:"compression,omitempty"`
	Digest      v1.Hash     `json:"digest"`  // Of the file.
	DiffID      v1.Hash     `json:"diff_id"` // Of the uncompressed tar.
	Size        int64       `json:"size"`    // Of the file, in bytes.
}

// FromFile reads the tar at path once, and checks that it is complete.
func FromFile(path string) (*Layer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	compression, err := detect(r)
	if err != nil {
		return nil, err
	}
	file, content := newCounter(), newCounter()
	all := io.TeeReader(r, file)
	plain, err := decompress(all, compression)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", compression, err)
	}
	defer plain.Close()
	if err := readTar(io.TeeReader(plain, content)); err != nil {
		return nil, err
	}
	// A decompressor may stop before the end of the file.
	if _, err := io.Copy(io.Discard, all); err != nil {
		return nil, err
	}
	return &Layer{Compression: compression, Digest: file.hash(), DiffID: content.hash(), Size: file.size}, nil
}

// detect returns the compression of a file by its first bytes.
func detect(r *bufio.Reader) (Compression, error) {
	head, err := r.Peek(len(xzMagic))
	if err != nil && !errors.Is(err, io.EOF) {
		return None, err
	}
	switch {
	case len(head) == 0:
		return None, errors.New("the file is empty; a tar has at least 1024 zero bytes")
	case bytes.HasPrefix(head, gzipMagic):
		return Gzip, nil
	case bytes.HasPrefix(head, zstdMagic):
		return Zstd, nil
	case bytes.HasPrefix(head, xzMagic), bytes.HasPrefix(head, bzip2Magic):
		return None, errors.New("the tar is compressed with xz or bzip2, which OCI images do not support; use no compression, gzip or zstd")
	default:
		return None, nil
	}
}

func decompress(r io.Reader, c Compression) (io.ReadCloser, error) {
	switch c {
	case Gzip:
		return gzip.NewReader(r)
	case Zstd:
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	default:
		return io.NopCloser(r), nil
	}
}

// readTar reads r to its end. A layer that no container engine can unpack is an error.
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
				return fmt.Errorf("not a tar: first entry: %w", err)
			}
			return fmt.Errorf("not a tar: after the entry %q: %w", last, err)
		}
		last = h.Name
	}
	// The digest includes the padding after the end mark.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return fmt.Errorf("read the end of the tar: %w", err)
	}
	return nil
}

// counter computes the sha256 and the size of its input.
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
