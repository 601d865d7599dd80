// Package blobcache stores blobs on this machine by their sha256, so that a base of many gigabytes is fetched once.
//
// A blob is hashed when it is added and whenever it is read. The package must never import a package that reaches the
// network: the caller supplies the bytes.
package blobcache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Cache is a directory of blobs. Any number of processes may share it.
type Cache struct{ dir string }

// New returns the cache in dir, which need not exist.
func New(dir string) Cache { return Cache{dir: dir} }

// Dir returns the directory of this user's cache: blobs in $KRABBY_CACHE, $XDG_CACHE_HOME/krabby or ~/.cache/krabby.
func Dir(getenv func(string) string) (string, error) {
	switch {
	case getenv("KRABBY_CACHE") != "":
		return filepath.Join(getenv("KRABBY_CACHE"), "blobs"), nil
	case getenv("XDG_CACHE_HOME") != "":
		return filepath.Join(getenv("XDG_CACHE_HOME"), "krabby", "blobs"), nil
	case getenv("HOME") != "":
		return filepath.Join(getenv("HOME"), ".cache", "krabby", "blobs"), nil
	default:
		return "", errors.New("no directory for the blob cache: set KRABBY_CACHE to a directory, or HOME")
	}
}

func (c Cache) path(h v1.Hash) string { return filepath.Join(c.dir, h.Algorithm, h.Hex) }

// Open opens a blob. The error is fs.ErrNotExist if the cache has no blob of that digest and size. Reading a blob that
// has changed since it was added fails at its end and removes it.
func (c Cache) Open(h v1.Hash, size int64) (io.ReadCloser, error) {
	if h.Algorithm != "sha256" {
		return nil, fmt.Errorf("%s is not a sha256", h)
	}
	path := c.path(h)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() != size {
		err = fmt.Errorf("%s: found %d bytes, expected %d: %w", path, info.Size(), size, fs.ErrNotExist)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &reader{f: f, hash: sha256.New(), want: h}, nil
}

// ErrContent is the error of content that does not match its digest or size.
var ErrContent = errors.New("wrong content")

// Add stores the blob that open reads, after checking its digest and size. If the reader fails, the bytes that it
// returned are kept, and the next Add calls open with their number as the offset. Of several processes that add the
// same blob one fetches it, and the others wait.
func (c Cache) Add(ctx context.Context, h v1.Hash, size int64, open func(offset int64) (io.ReadCloser, error)) error {
	if err := os.MkdirAll(filepath.Dir(c.path(h)), 0o755); err != nil {
		return err
	}
	// The file has another name until it is complete and verified.
	f, err := c.claim(ctx, h, size)
	if err != nil || f == nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	before, err := io.Copy(sum, f)
	if err != nil {
		return err
	}
	n := before
	if before < size {
		src, err := open(before)
		if err != nil {
			return err
		}
		// One more byte shows that the blob is too large without storing all of it.
		read, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(src, size-before+1))
		if err := errors.Join(err, src.Close()); err != nil {
			return err
		}
		if n += read; n < size {
			return fmt.Errorf("%w: %s ended after %d of %d bytes: %w", ErrContent, h, n, size, io.ErrUnexpectedEOF)
		}
	}
	got := hex.EncodeToString(sum.Sum(nil))
	if n == size && got == h.Hex {
		return os.Rename(f.Name(), c.path(h))
	}
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	if before > 0 {
		// The kept bytes may be wrong. They are removed now, so this happens once.
		return c.Add(ctx, h, size, open)
	}
	if n > size {
		return fmt.Errorf("%w: found more than %d bytes, expected %s", ErrContent, size, h)
	}
	return fmt.Errorf("%w: found sha256:%s, expected %s", ErrContent, got, h)
}

// claim opens the file that a blob is received in and locks it. It returns nil if another process has added the blob.
func (c Cache) claim(ctx context.Context, h v1.Hash, size int64) (*os.File, error) {
	for {
		if c.has(h, size) {
			return nil, nil
		}
		f, err := lock(c.path(h) + ".incoming")
		if err != nil {
			return nil, err
		}
		if f != nil {
			if !c.has(h, size) {
				return f, nil
			}
			// Another process added the blob between the check and the lock: this file is a new, empty one.
			return nil, errors.Join(os.Remove(f.Name()), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// has reports whether the cache has a blob of this digest and size.
func (c Cache) has(h v1.Hash, size int64) bool {
	info, err := os.Stat(c.path(h))
	return err == nil && info.Size() == size
}

// lock opens and locks the file at path, which it creates if necessary. It returns nil if another process has the lock,
// or had it and renamed or removed the file.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, f.Close()
	} else if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	locked, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if current, err := os.Stat(path); err != nil || !os.SameFile(locked, current) {
		return nil, f.Close()
	}
	return f, nil
}

// reader hashes what it reads, and fails at the end if the hash is not that of the name.
type reader struct {
	f    *os.File
	hash hash.Hash
	want v1.Hash
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.f.Read(p)
	r.hash.Write(p[:n])
	if err != io.EOF {
		return n, err
	}
	if got := hex.EncodeToString(r.hash.Sum(nil)); got != r.want.Hex {
		os.Remove(r.f.Name())
		return n, fmt.Errorf("%s is damaged: found sha256:%s; it is removed, and the next run fetches it again", r.f.Name(), got)
	}
	return n, io.EOF
}

func (r *reader) Close() error { return r.f.Close() }
