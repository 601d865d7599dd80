// Package registrytest is a registry for tests. It can require tokens like the public registries, counts the bytes of the
// blobs that it serves and receives, has separate blobs for each repository, and fails on request.
//
// Only tests may import it.
package registrytest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// TokenFlow describes how a registry issues tokens.
type TokenFlow struct {
	Path    string // Of the token server.
	Realm   string // Of the challenge. Empty: Path on the registry.
	Service string // Empty: the challenge has no service.
	Field   string // Field of the response with the token.
	Login   bool   // Whether a token requires the password.
}

// TokenFlows returns the token flows of public registries.
func TokenFlows() map[string]TokenFlow {
	return map[string]TokenFlow{
		"nvcr.io":   {Path: "/proxy_auth", Field: "token"},
		"docker.io": {Path: "/token", Service: "registry.docker.io", Field: "token"},
		"ghcr.io":   {Path: "/token", Service: "ghcr.io", Field: "token"},
		"gcr.io":    {Path: "/v2/token", Service: "gcr.io", Field: "access_token"},
	}
}

// User and Password are the valid credentials.
const (
	User     = "robot"
	Password = "secret"
)

// Blob generates its content when it is read.
type Blob struct {
	Digest v1.Hash
	Size   int64
	open   func() io.Reader
}

// Open returns the content.
func (b Blob) Open() io.Reader { return b.open() }

// Random returns a blob of pseudo-random bytes.
func Random(seed byte, size int64) Blob {
	b := Blob{Size: size, open: func() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{seed}), size) }}
	sum := sha256.New()
	io.Copy(sum, b.open())
	b.Digest = v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}
	return b
}

// Sparse returns a blob of any size whose content does not match its digest. It is for blobs that are never read.
func Sparse(name string, size int64) Blob {
	return Blob{Digest: hashOf([]byte(name)), Size: size, open: func() io.Reader { return io.LimitReader(zeros{}, size) }}
}

func bytesBlob(data []byte) Blob {
	return Blob{Digest: hashOf(data), Size: int64(len(data)), open: func() io.Reader { return bytes.NewReader(data) }}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func hashOf(data []byte) v1.Hash {
	sum := sha256.Sum256(data)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// Server is a registry.
type Server struct {
	Host string

	inner    http.Handler
	close    func()
	mu       sync.Mutex
	flow     *TokenFlow
	before   func(http.ResponseWriter, *http.Request) (answered bool)
	failures int // Left.
	whole    bool
	ranges   []string
	blobs    map[string]map[v1.Hash]Blob // By repository.
	served   map[v1.Hash]int64
	got      map[v1.Hash]int64
	mounted  int
	asked    int
}

// Start starts a registry that stops at the end of the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{blobs: map[string]map[v1.Hash]Blob{}}
	s.ResetCounts()
	s.inner = registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithBlobHandler(store{s}))
	listening := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(listening.Close)
	s.close = listening.Close
	s.Host = strings.TrimPrefix(listening.URL, "http://")
	return s
}

// Stop stops the registry before the test ends.
func (s *Server) Stop() { s.close() }

// RequireToken makes the registry require tokens.
func (s *Server) RequireToken(f TokenFlow) { s.with(func() { s.flow = &f }) }

// Fail makes f respond to the next n requests that match.
func (s *Server) Fail(n int, match func(*http.Request) bool, f func(http.ResponseWriter)) {
	s.with(func() {
		s.failures = n
		s.before = func(w http.ResponseWriter, r *http.Request) (answered bool) {
			s.with(func() {
				if answered = s.failures > 0 && match(r); answered {
					s.failures--
				}
			})
			if answered {
				f(w)
			}
			return answered
		}
	})
}

// FailuresLeft returns how many failures of Fail are left.
func (s *Server) FailuresLeft() (n int) {
	s.with(func() { n = s.failures })
	return n
}

// Ranges returns the requested ranges of blobs.
func (s *Server) Ranges() (ranges []string) {
	s.with(func() { ranges = slices.Clone(s.ranges) })
	return ranges
}

// IgnoreRanges makes the registry ignore ranges.
func (s *Server) IgnoreRanges(yes bool) { s.with(func() { s.whole = yes }) }

// ResetCounts sets all counts to zero.
func (s *Server) ResetCounts() {
	s.with(func() { s.served, s.got, s.mounted, s.asked = map[v1.Hash]int64{}, map[v1.Hash]int64{}, 0, 0 })
}

// Requests returns the number of requests.
func (s *Server) Requests() (n int) {
	s.with(func() { n = s.asked })
	return n
}

// ServedBytes returns the bytes that were served of each blob.
func (s *Server) ServedBytes() (served map[v1.Hash]int64) {
	s.with(func() { served = maps.Clone(s.served) })
	return served
}

// ReceivedBytes returns the bytes that were received of each blob.
func (s *Server) ReceivedBytes() (got map[v1.Hash]int64) {
	s.with(func() { got = maps.Clone(s.got) })
	return got
}

// Mounts returns how many blobs were mounted from another repository.
func (s *Server) Mounts() (n int) {
	s.with(func() { n = s.mounted })
	return n
}

// Has reports whether a repository has a blob.
func (s *Server) Has(repo string, h v1.Hash) (ok bool) {
	s.with(func() { _, ok = s.blobs[repo][h] })
	return ok
}

// Corrupt replaces the content of a blob by another one of the same size.
func (s *Server) Corrupt(repo string, h v1.Hash) {
	s.with(func() { s.blobs[repo][h] = Blob{h, s.blobs[repo][h].Size, Sparse("", s.blobs[repo][h].Size).open} })
}

// Image adds an image with these layers to a repository, and returns its manifest and config.
func (s *Server) Image(t testing.TB, repo, tag, architecture string, layers ...Blob) (manifest, config []byte) {
	t.Helper()
	cf := v1.ConfigFile{
		Architecture: architecture,
		OS:           "linux",
		Config:       v1.Config{Env: []string{"PATH=/usr/bin"}},
		RootFS:       v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}},
	}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Layers: []v1.Descriptor{}}
	for _, l := range layers {
		s.with(func() { s.put(repo, l) })
		cf.RootFS.DiffIDs = append(cf.RootFS.DiffIDs, hashOf([]byte("uncompressed "+l.Digest.Hex)))
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: types.OCILayer, Size: l.Size, Digest: l.Digest})
	}
	config = marshal(t, cf)
	blob := bytesBlob(config)
	s.with(func() { s.put(repo, blob) })
	m.Config = v1.Descriptor{MediaType: types.OCIConfigJSON, Size: blob.Size, Digest: blob.Digest}
	manifest = marshal(t, m)
	s.Manifest(t, repo, tag, types.OCIManifestSchema1, manifest)
	return manifest, config
}

// Manifest adds a manifest to a repository, by its digest and by a tag.
func (s *Server) Manifest(t testing.TB, repo, tag string, mediaType types.MediaType, data []byte) {
	t.Helper()
	for _, reference := range []string{hashOf(data).String(), tag} {
		r := httptest.NewRequest(http.MethodPut, "/v2/"+repo+"/manifests/"+reference, bytes.NewReader(data))
		r.Header.Set("Content-Type", string(mediaType))
		w := httptest.NewRecorder()
		s.inner.ServeHTTP(w, r)
		if w.Code != http.StatusCreated {
			t.Fatalf("put manifest %s: %d %s", reference, w.Code, w.Body)
		}
	}
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (s *Server) with(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *Server) put(repo string, b Blob) {
	if s.blobs[repo] == nil {
		s.blobs[repo] = map[v1.Hash]Blob{}
	}
	s.blobs[repo][b.Digest] = b
}

// ServeHTTP implements http.Handler, for servers at other addresses.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.serve(w, r) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	var before func(http.ResponseWriter, *http.Request) bool
	var flow *TokenFlow
	s.with(func() {
		s.asked++
		before, flow = s.before, s.flow
		if of := r.Header.Get("Range"); of != "" {
			s.ranges = append(s.ranges, of)
		}
		if s.whole {
			r.Header.Del("Range")
		}
	})
	if before != nil && before(w, r) {
		return
	}
	if flow != nil {
		if r.URL.Path == flow.Path {
			flow.serveToken(w, r)
			return
		}
		if !allowed(r) {
			challenge := fmt.Sprintf("Bearer realm=%q", cmp.Or(flow.Realm, "http://"+r.Host+flow.Path))
			if flow.Service != "" {
				challenge += fmt.Sprintf(`,service=%q`, flow.Service)
			}
			w.Header().Set("WWW-Authenticate", challenge)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
			return
		}
	}
	if !s.mount(w, r) {
		s.inner.ServeHTTP(w, r)
	}
}

// serveToken issues a token for the requested actions, or for pulling only without the password.
func (f TokenFlow) serveToken(w http.ResponseWriter, r *http.Request) {
	user, password, given := r.BasicAuth()
	known := user == User && password == Password
	if given && !known || !given && f.Login || r.URL.Query().Get("service") != f.Service {
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
		return
	}
	var granted []string
	for _, scope := range r.URL.Query()["scope"] { // repository:NAME:ACTION,ACTION
		parts := strings.Split(scope, ":")
		repo := strings.Join(parts[1:len(parts)-1], ":")
		for _, action := range strings.Split(parts[len(parts)-1], ",") {
			if known || action == "pull" {
				granted = append(granted, action+":"+repo)
			}
		}
	}
	token := base64.RawURLEncoding.EncodeToString([]byte(strings.Join(granted, " ")))
	fmt.Fprintf(w, `{%q:"t%s"}`, f.Field, token)
}

// allowed reports whether the token of the request permits it.
func allowed(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer t")
	granted, err := base64.RawURLEncoding.DecodeString(token)
	if !ok || err != nil {
		return false
	}
	has := func(action, repo string) bool {
		return slices.Contains(strings.Fields(string(granted)), action+":"+repo)
	}
	repo := repoOf(r)
	from := r.URL.Query().Get("from")
	switch {
	case repo == "":
		return true
	case from != "" && !has("pull", from):
		return false
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return has("pull", repo)
	default:
		return has("push", repo)
	}
}

func repoOf(r *http.Request) string {
	path := strings.TrimPrefix(r.URL.Path, "/v2/")
	for _, kind := range []string{"/blobs/", "/manifests/", "/tags/"} {
		if repo, _, ok := strings.Cut(path, kind); ok {
			return repo
		}
	}
	return ""
}

// mount responds to a request to mount a blob from another repository that has it.
func (s *Server) mount(w http.ResponseWriter, r *http.Request) bool {
	query := r.URL.Query()
	h, err := v1.NewHash(query.Get("mount"))
	if r.Method != http.MethodPost || err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.blobs[query.Get("from")][h]
	if !ok {
		return false
	}
	s.put(repoOf(r), b)
	s.mounted++
	w.Header().Set("Location", "/v2/"+repoOf(r)+"/blobs/"+h.String())
	w.WriteHeader(http.StatusCreated)
	return true
}

// store stores the blobs of the registry.
type store struct{ s *Server }

func (st store) find(repo string, h v1.Hash) (Blob, error) {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	if b, ok := st.s.blobs[repo][h]; ok {
		return b, nil
	}
	return Blob{}, registry.ErrNotFound
}

// Stat implements registry.BlobStatHandler.
func (st store) Stat(_ context.Context, repo string, h v1.Hash) (int64, error) {
	b, err := st.find(repo, h)
	return b.Size, err
}

// Get implements registry.BlobHandler.
func (st store) Get(_ context.Context, repo string, h v1.Hash) (io.ReadCloser, error) {
	b, err := st.find(repo, h)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(&counted{st.s, h, b.open()}), nil
}

// Put implements registry.BlobPutHandler.
func (st store) Put(_ context.Context, repo string, h v1.Hash, r io.ReadCloser) error {
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	st.s.with(func() {
		st.s.got[h] += int64(len(data))
		st.s.put(strings.TrimSuffix(repo, "/blobs"), bytesBlob(data)) // The library removes the last two elements of the path.
	})
	return nil
}

type counted struct {
	s *Server
	h v1.Hash
	r io.Reader
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.s.with(func() { c.s.served[c.h] += int64(n) })
	return n, err
}
