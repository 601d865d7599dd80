// Package blobcache keeps blobs on this machine under their own sha256, so that a base of many gigabytes comes once.
//
// It believes nobody: a blob is hashed when it comes, and again when it is read. It must never import a package that
// reaches the network; who asks brings the bytes.
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

// At returns the cache in dir, which need not exist.
func At(dir string) Cache { return Cache{dir: dir} }

// Dir is where this user's cache is: blobs in $KRABBY_CACHE, or in krabby where caches are kept.
func Dir(getenv func(string) string) (string, error) {
	switch {
	case getenv("KRABBY_CACHE") != "":
		return filepath.Join(getenv("KRABBY_CACHE"), "blobs"), nil
	case getenv("XDG_CACHE_HOME") != "":
		return filepath.Join(getenv("XDG_CACHE_HOME"), "krabby", "blobs"), nil
	case getenv("HOME") != "":
		return filepath.Join(getenv("HOME"), ".cache", "krabby", "blobs"), nil
	default:
		return "", errors.New("there is no place to keep blobs: set KRABBY_CACHE to a directory, or HOME")
	}
}

func (c Cache) path(h v1.Hash) string { return filepath.Join(c.dir, h.Algorithm, h.Hex) }

// Open returns the blob, or an error that is fs.ErrNotExist where the cache has none of that digest and size. A blob that
// has changed since it came fails at its end, and is gone the next time.
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
		err = fmt.Errorf("%s has %d bytes, not %d: %w", path, info.Size(), size, fs.ErrNotExist)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &reader{f: f, hash: sha256.New(), want: h}, nil
}

// ErrContent says that what came is not what its digest says.
var ErrContent = errors.New("wrong content")

// Add brings a blob into the cache from what open returns, and refuses it if it is not what h and size say. What came
// before open's reader broke is kept, and the next Add asks open for the rest only. Of several processes one fetches a
// blob, and the others wait for it.
func (c Cache) Add(ctx context.Context, h v1.Hash, size int64, open func(offset int64) (io.ReadCloser, error)) error {
	if err := os.MkdirAll(filepath.Dir(c.path(h)), 0o755); err != nil {
		return err
	}
	// Under another name until it is whole and proven: whoever finds a blob may use it.
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
		// One byte more would tell that there is more; all of it might not fit.
		came, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(src, size-before+1))
		if err := errors.Join(err, src.Close()); err != nil {
			return err
		}
		if n += came; n < size {
			return fmt.Errorf("%s ended after %d of %d bytes: %w", h, n, size, io.ErrUnexpectedEOF)
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
		// The fault may be in what was kept. It is gone, so this comes to an end.
		return c.Add(ctx, h, size, open)
	}
	if n > size {
		return fmt.Errorf("%w: expected %s with %d bytes, got more", ErrContent, h, size)
	}
	return fmt.Errorf("%w: expected %s with %d bytes, got sha256:%s", ErrContent, h, size, got)
}

// claim opens the file that a blob comes to, for this process alone. There is none to claim if the blob has come meanwhile.
func (c Cache) claim(ctx context.Context, h v1.Hash, size int64) (*os.File, error) {
	incoming := c.path(h) + ".incoming"
	for {
		if info, err := os.Stat(c.path(h)); err == nil && info.Size() == size {
			return nil, nil
		}
		f, err := os.OpenFile(incoming, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			mine, err := f.Stat()
			if err != nil {
				return nil, errors.Join(err, f.Close())
			}
			// Who had it before may have renamed or removed it.
			if there, err := os.Stat(incoming); err == nil && os.SameFile(mine, there) {
				return f, nil
			}
		} else if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", incoming, err), f.Close())
		}
		f.Close()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// reader hashes what passes through it, and fails instead of ending when that is not what the name says.
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
		return n, fmt.Errorf("%s was damaged: it is sha256:%s; it is removed, the next run fetches it anew", r.f.Name(), got)
	}
	return n, io.EOF
}

func (r *reader) Close() error { return r.f.Close() }
