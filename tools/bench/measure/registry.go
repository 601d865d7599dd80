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

// Registry is an image registry in this process, in memory, that counts the bytes of bodies in both directions.
type Registry struct {
	server   *httptest.Server
	received atomic.Int64
	served   atomic.Int64

	mu       sync.Mutex
	phantoms map[string]int64 // Sizes by digest.
}

// StartRegistry starts an empty registry. The caller closes it.
func StartRegistry() *Registry {
	r := &Registry{phantoms: map[string]int64{}}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		request.Body = &countingBody{request.Body, &r.received}
		counting := &countingWriter{w, &r.served}
		if !r.servePhantom(counting, request) {
			inner.ServeHTTP(counting, request)
		}
	}))
	return r
}

// AddPhantom has the registry claim a blob, in every repository. Its bytes are zeros whatever the digest says: who reads
// them is counted, and finds them wrong.
func (r *Registry) AddPhantom(digest string, size int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phantoms[digest] = size
}

// servePhantom answers questions about phantoms: whether one is there, for its bytes, and to mount it in a repository.
func (r *Registry) servePhantom(w http.ResponseWriter, request *http.Request) bool {
	digest := path.Base(request.URL.Path)
	if request.Method == http.MethodPost {
		digest = request.URL.Query().Get("mount")
	}
	r.mu.Lock()
	size, ok := r.phantoms[digest]
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

// Host is the registry's name and port, as references to images begin.
func (r *Registry) Host() string { return strings.TrimPrefix(r.server.URL, "http://") }

// Received is how many bytes clients have sent.
func (r *Registry) Received() int64 { return r.received.Load() }

// Served is how many bytes clients have got.
func (r *Registry) Served() int64 { return r.served.Load() }

// Close stops the registry and forgets what it holds.
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
	// Counted first: a client that has all may look before Write returns.
	w.n.Add(int64(len(p)))
	n, err := w.ResponseWriter.Write(p)
	w.n.Add(int64(n - len(p)))
	return n, err
}
