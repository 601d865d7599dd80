package blobcache_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"krabby.dev/rules_oci/internal/blobcache"
)

const text = "the layer of a base"

func hashOf(t *testing.T, content string) v1.Hash {
	t.Helper()
	h, _, err := v1.SHA256(strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// from is a source of content that breaks where it says so.
func from(content string, broken error) func(int64) (io.ReadCloser, error) {
	return func(offset int64) (io.ReadCloser, error) {
		r := io.Reader(strings.NewReader(content[min(offset, int64(len(content))):]))
		if broken != nil {
			r = io.MultiReader(r, failing{broken})
		}
		return io.NopCloser(r), nil
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func read(t *testing.T, c blobcache.Cache, h v1.Hash, size int) (string, error) {
	t.Helper()
	r, err := c.Open(h, int64(size))
	if err != nil {
		return "", err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	return string(data), err
}

func TestAdd_content(t *testing.T) {
	broke := errors.New("connection reset")
	tests := []struct {
		name, content string
		broken, want  error
	}{
		{name: "the blob", content: text},
		{name: "another of the same size", content: strings.ToUpper(text), want: blobcache.ErrContent},
		{name: "more", content: text + "!", want: blobcache.ErrContent},
		{name: "less", content: text[:7], want: io.ErrUnexpectedEOF},
		{name: "a connection that breaks", content: text[:7], broken: broke, want: broke},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			c, h := blobcache.New(dir), hashOf(t, text)
			err := c.Add(context.Background(), h, int64(len(text)), from(tt.content, tt.broken))
			if !errors.Is(err, tt.want) {
				t.Fatalf("Add: %v, want %v", err, tt.want)
			}
			got, err := read(t, c, h, len(text))
			if tt.want == nil && (err != nil || got != text) {
				t.Errorf("the cache has %q (%v), want %q", got, err, text)
			}
			if tt.want != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the cache has %q (%v), want none", got, err)
			}
			if errors.Is(tt.want, blobcache.ErrContent) {
				if left, _ := filepath.Glob(filepath.Join(dir, "sha256", "*")); len(left) > 0 {
					t.Errorf("%q is left of what was refused", left)
				}
			}
		})
	}
}

func TestAdd_interrupted_resumes(t *testing.T) {
	c, h := blobcache.New(t.TempDir()), hashOf(t, text)
	broke := errors.New("connection reset")
	if err := c.Add(context.Background(), h, int64(len(text)), from(text[:7], broke)); !errors.Is(err, broke) {
		t.Fatalf("error = %v, want %v", err, broke)
	}
	var asked []int64
	err := c.Add(context.Background(), h, int64(len(text)), func(offset int64) (io.ReadCloser, error) {
		asked = append(asked, offset)
		return from(text, nil)(offset)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(asked) != 1 || asked[0] != 7 {
		t.Errorf("asked for the bytes from %v on, want from 7", asked)
	}
	if got, err := read(t, c, h, len(text)); got != text || err != nil {
		t.Errorf("the cache has %q (%v), want %q", got, err, text)
	}
}

func TestAdd_wrongPartialContent_startsOver(t *testing.T) {
	dir := t.TempDir()
	c, h := blobcache.New(dir), hashOf(t, text)
	if err := os.MkdirAll(filepath.Join(dir, "sha256"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, start := range []string{"rubbish", strings.Repeat("rubbish", 10)} {
		if err := os.WriteFile(filepath.Join(dir, "sha256", h.Hex+".incoming"), []byte(start), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := c.Add(context.Background(), h, int64(len(text)), from(text, nil)); err != nil {
			t.Fatal(err)
		}
		if got, err := read(t, c, h, len(text)); got != text || err != nil {
			t.Errorf("after %q the cache has %q (%v), want %q", start, got, err, text)
		}
		if err := os.Remove(filepath.Join(dir, "sha256", h.Hex)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpen_damaged_removes(t *testing.T) {
	dir := t.TempDir()
	c, h := blobcache.New(dir), hashOf(t, text)
	if err := c.Add(context.Background(), h, int64(len(text)), from(text, nil)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sha256", h.Hex), []byte(strings.ToUpper(text)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := read(t, c, h, len(text)); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("error = %v, want one that says it is damaged", err)
	}
	if _, err := c.Open(h, int64(len(text))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error = %v, want none of that blob", err)
	}
}

func TestAdd_wrongSize_fetchesAgain(t *testing.T) {
	dir := t.TempDir()
	c, h := blobcache.New(dir), hashOf(t, text)
	if err := os.MkdirAll(filepath.Join(dir, "sha256"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sha256", h.Hex), []byte(text[:3]), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Open(h, int64(len(text))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error = %v, want none of that size", err)
	}
	if err := c.Add(context.Background(), h, int64(len(text)), from(text, nil)); err != nil {
		t.Fatal(err)
	}
	if got, err := read(t, c, h, len(text)); got != text || err != nil {
		t.Errorf("the cache has %q (%v), want %q", got, err, text)
	}
}

func TestAdd_concurrent(t *testing.T) {
	c := blobcache.New(t.TempDir())
	content := strings.Repeat(text, 1000)
	h := hashOf(t, content)
	var opened atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			err := c.Add(context.Background(), h, int64(len(content)), func(offset int64) (io.ReadCloser, error) {
				opened.Add(1)
				return io.NopCloser(bytes.NewReader([]byte(content)[offset:])), nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := opened.Load(); got != 1 {
		t.Errorf("it was fetched %d times, want once", got)
	}
	if got, err := read(t, c, h, len(content)); got != content || err != nil {
		t.Errorf("the cache has %d bytes (%v), want %d", len(got), err, len(content))
	}
}

func TestAdd_canceledWhileWaiting(t *testing.T) {
	c, h := blobcache.New(t.TempDir()), hashOf(t, text)
	inside, done := make(chan bool), make(chan error)
	go func() {
		done <- c.Add(context.Background(), h, int64(len(text)), func(offset int64) (io.ReadCloser, error) {
			inside <- true
			<-inside
			return from(text, nil)(offset)
		})
	}()
	<-inside
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := c.Add(ctx, h, int64(len(text)), from(text, nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want %v", err, context.Canceled)
	}
	inside <- true
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestDir(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"HOME": "/home/robot"}, "/home/robot/.cache/krabby/blobs"},
		{map[string]string{"HOME": "/home/robot", "XDG_CACHE_HOME": "/var/cache"}, "/var/cache/krabby/blobs"},
		{map[string]string{"HOME": "/home/robot", "XDG_CACHE_HOME": "/var/cache", "KRABBY_CACHE": "/big"}, "/big/blobs"},
	} {
		if got, err := blobcache.Dir(func(k string) string { return tt.env[k] }); got != tt.want || err != nil {
			t.Errorf("with %v: %q (%v), want %q", tt.env, got, err, tt.want)
		}
	}
	if _, err := blobcache.Dir(func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), "KRABBY_CACHE") {
		t.Errorf("error = %v, want one that says what to set", err)
	}
}
