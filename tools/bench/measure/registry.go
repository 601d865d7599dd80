package measure

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Registry is an in-memory image registry that counts the bytes of request and response bodies.
type Registry struct {
	server   *httptest.Server
	received atomic.Int64
	served   atomic.Int64

	mu        sync.Mutex
	synthetic map[string]int64 // Sizes of synthetic blobs by digest.
}

// StartRegistry starts an empty registry. The caller closes it.
func StartRegistry() *Registry {
	r := &Registry{synthetic: map[string]int64{}}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		request.Body = &countingBody{request.Body, &r.received}
		counting := &countingWriter{w, &r.served}
		if !r.serveSynthetic(counting, request) {
			inner.ServeHTTP(counting, request)
		}
	}))
	return r
}

// AddSyntheticBlob adds a blob of a size to all repositories. Its content is zeros, which do not match the digest: a client that
// reads the blob is counted and detects a wrong digest.
func (r *Registry) AddSyntheticBlob(digest string, size int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.synthetic[digest] = size
}

// serveSynthetic answers HEAD, GET and mount requests for synthetic blobs. It reports whether the request was one of them.
func (r *Registry) serveSynthetic(w http.ResponseWriter, request *http.Request) bool {
	digest := path.Base(request.URL.Path)
	if request.Method == http.MethodPost {
		digest = request.URL.Query().Get("mount")
	}
	r.mu.Lock()
	size, ok := r.synthetic[digest]
	r.mu.Unlock()
	if !ok {
		return false
	}
	w.Header().Set("Docker-Content-Digest", digest)
	switch request.Method {
	case http.MethodPost:
		repository, _, _ := strings.Cut(request.URL.Path, "/blobs/")
		w.Header().Set("Location", repository+"/blobs/"+digest)
		w.WriteHeader(http.StatusCreated)
	case http.MethodHead:
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	default:
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		io.CopyN(w, zeros{}, size)
	}
	return true
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Host returns the registry's host and port, with which image references start.
func (r *Registry) Host() string { return strings.TrimPrefix(r.server.URL, "http://") }

// Received returns the number of bytes in request bodies.
func (r *Registry) Received() int64 { return r.received.Load() }

// Served returns the number of bytes in response bodies.
func (r *Registry) Served() int64 { return r.served.Load() }

// Close stops the registry and drops its content.
func (r *Registry) Close() { r.server.Close() }

type countingBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

type countingWriter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	// Count before the write: a client with the whole body may read the counter before Write returns.
	w.n.Add(int64(len(p)))
	n, err := w.ResponseWriter.Write(p)
	w.n.Add(int64(n - len(p)))
	return n, err
}
