package push_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"krabby.dev/rules_oci/internal/push"
	"krabby.dev/rules_oci/internal/registry"
)

// server is a registry on this machine that remembers what was asked of it.
type server struct {
	repo name.Repository

	mu       sync.Mutex
	uploads  int      // Blobs that were sent.
	puts     []string // References of the manifests that were sent, in order.
	before   func(http.ResponseWriter, *http.Request) (answered bool)
	password string // Where not empty, asked for by way of a bearer token.
}

func start(t *testing.T) *server {
	t.Helper()
	s := &server{}
	inner := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		before, password := s.before, s.password
		s.mu.Unlock()
		if before != nil && before(w, r) || password != "" && !authorized(w, r, password) {
			return
		}
		s.mu.Lock()
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/blobs/uploads/") {
			s.uploads++
		}
		if _, reference, ok := strings.Cut(r.URL.Path, "/manifests/"); ok && r.Method == http.MethodPut {
			s.puts = append(s.puts, reference)
		}
		s.mu.Unlock()
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(listening.Close)
	repo, err := name.NewRepository(strings.TrimPrefix(listening.URL, "http://") + "/robots/locomotion")
	if err != nil {
		t.Fatal(err)
	}
	s.repo = repo
	return s
}

// authorized plays the token flow of the distribution specification: a challenge, a token for a password, the token.
func authorized(w http.ResponseWriter, r *http.Request, password string) bool {
	const token = "let-me-in"
	if r.URL.Path == "/token" {
		if _, given, ok := r.BasicAuth(); !ok || given != password {
			http.Error(w, "wrong password", http.StatusUnauthorized)
			return false
		}
		fmt.Fprintf(w, `{"token": %q}`, token)
		return false
	}
	if r.Header.Get("Authorization") == "Bearer "+token {
		return true
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="test"`, r.Host))
	http.Error(w, "who are you?", http.StatusUnauthorized)
	return false
}

func image(t *testing.T, layers ...string) v1.Image {
	t.Helper()
	img := v1.Image(mutate.MediaType(empty.Image, types.OCIManifestSchema1))
	for _, content := range layers {
		var err error
		if img, err = mutate.AppendLayers(img, static.NewLayer([]byte(content), types.OCILayer)); err != nil {
			t.Fatal(err)
		}
	}
	return img
}

func digest(t *testing.T, a push.Artifact) string {
	t.Helper()
	h, err := a.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

func content(t *testing.T, l v1.Layer) string {
	t.Helper()
	r, err := l.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// keychain is a Keychain of one answer.
type keychain struct {
	auth authn.Authenticator
	err  error
}

func (k keychain) Resolve(authn.Resource) (authn.Authenticator, error) { return k.auth, k.err }

// fastRetry repeats at once.
var fastRetry = registry.WithBackoff(remote.Backoff{Duration: time.Millisecond, Factor: 1, Steps: 4})

func anonymous() registry.Option { return registry.WithKeychain(keychain{auth: authn.Anonymous}) }

func TestPush_digestBeforeTags(t *testing.T) {
	s, img := start(t), image(t, "base", "program")
	got, err := push.Push(context.Background(), registry.New(anonymous()), img, s.repo, []string{"1.2", "latest"})
	if err != nil {
		t.Fatal(err)
	}
	if want := s.repo.Digest(digest(t, img)); got != want {
		t.Errorf("digest = %s, want %s", got, want)
	}
	if want := []string{digest(t, img), "1.2", "latest"}; !slices.Equal(s.puts, want) {
		t.Errorf("manifests were sent as %q, want %q", s.puts, want)
	}
	tagged, err := remote.Image(s.repo.Tag("1.2"))
	if err != nil {
		t.Fatal(err)
	}
	if digest(t, tagged) != digest(t, img) {
		t.Errorf("tag 1.2 names %s, want %s", digest(t, tagged), digest(t, img))
	}
}

func TestPush_skipsExistingBlobs(t *testing.T) {
	s := start(t)
	if _, err := push.Push(context.Background(), registry.New(anonymous()), image(t, "base", "old program"), s.repo, nil); err != nil {
		t.Fatal(err)
	}
	s.uploads = 0
	if _, err := push.Push(context.Background(), registry.New(anonymous()), image(t, "base", "new program"), s.repo, nil); err != nil {
		t.Fatal(err)
	}
	if want := 2; s.uploads != want { // The program and the config.
		t.Errorf("%d blobs were sent, want %d", s.uploads, want)
	}
	s.uploads = 0
	if _, err := push.Push(context.Background(), registry.New(anonymous()), image(t, "base", "new program"), s.repo, nil); err != nil {
		t.Fatal(err)
	}
	if s.uploads != 0 {
		t.Errorf("%d blobs were sent of an image that is there", s.uploads)
	}
}

func TestPush_imagesBeforeIndex(t *testing.T) {
	s, arm, x86 := start(t), image(t, "arm"), image(t, "x86")
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{Add: arm}, mutate.IndexAddendum{Add: x86})
	if _, err := push.Push(context.Background(), registry.New(anonymous()), index, s.repo, []string{"latest"}); err != nil {
		t.Fatal(err)
	}
	if len(s.puts) != 4 || s.puts[2] != digest(t, index) || s.puts[3] != "latest" ||
		!slices.Contains(s.puts[:2], digest(t, arm)) || !slices.Contains(s.puts[:2], digest(t, x86)) {
		t.Errorf("manifests were sent as %q, want both images, the index, then latest", s.puts)
	}
}

func TestPush_busyRegistry_retries(t *testing.T) {
	for _, code := range []int{http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			s := start(t)
			busy := 2
			s.before = func(w http.ResponseWriter, r *http.Request) bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				if busy == 0 || r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/") {
					return false
				}
				busy--
				w.WriteHeader(code)
				return true
			}
			var notes bytes.Buffer
			if _, err := push.Push(context.Background(), registry.New(anonymous(), fastRetry, registry.WithLog(&notes)), image(t, "base"), s.repo, nil); err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("responds %d", code); strings.Count(notes.String(), want) != 2 {
				t.Errorf("notes = %q, want %q twice", &notes, want)
			}
		})
	}
}

func TestPush_interruptedUpload_restarts(t *testing.T) {
	tests := []struct {
		name, want string
		fail       func(http.ResponseWriter)
	}{
		{"too many requests, in a registry's own words", "responds 429", func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusTooManyRequests)
			io.WriteString(w, `{"errors": [{"code": "SLOW_DOWN", "message": "please"}]}`)
		}},
		{"internal error", "responds 500", func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }},
		{"connection reset", "broke: ", func(w http.ResponseWriter) {
			connection, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				panic(err)
			}
			connection.(*net.TCPConn).SetLinger(0) // Close with a reset.
			connection.Close()
		}},
	}
	for _, tt := range tests {
		for _, method := range []string{http.MethodPost, http.MethodPatch, http.MethodPut} {
			t.Run(tt.name+" of "+method, func(t *testing.T) {
				s, failed := start(t), false
				s.before = func(w http.ResponseWriter, r *http.Request) bool {
					s.mu.Lock()
					defer s.mu.Unlock()
					if failed || r.Method != method {
						return false
					}
					failed = true
					io.Copy(io.Discard, r.Body) // What was sent is lost.
					tt.fail(w)
					return true
				}
				var notes bytes.Buffer
				img := image(t, "base", "program")
				if _, err := push.Push(context.Background(), registry.New(anonymous(), fastRetry, registry.WithLog(&notes)), img, s.repo, []string{"latest"}); err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(notes.String(), tt.want) {
					t.Errorf("notes = %q, want %q", &notes, tt.want)
				}
				there, err := remote.Image(s.repo.Tag("latest"))
				if err != nil {
					t.Fatal(err)
				}
				layers, err := there.Layers()
				if err != nil || len(layers) != 2 {
					t.Fatalf("%d layers (%v), want 2", len(layers), err)
				}
				for i, want := range []string{"base", "program"} {
					if got := content(t, layers[i]); got != want {
						t.Errorf("layer %d holds %q, want %q", i, got, want)
					}
				}
			})
		}
	}
}

func TestPush_busyRegistry_fails(t *testing.T) {
	s := start(t)
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	_, err := push.Push(context.Background(), registry.New(anonymous(), fastRetry), image(t, "base"), s.repo, nil)
	if err == nil || !strings.Contains(err.Error(), s.repo.Name()) || !strings.Contains(err.Error(), "503") {
		t.Errorf("error = %v, want one that names %s and 503", err, s.repo)
	}
}

func TestPush_credentials(t *testing.T) {
	s := start(t)
	s.password = "secret"
	right := registry.WithKeychain(keychain{auth: &authn.Basic{Username: "robot", Password: "secret"}})
	if _, err := push.Push(context.Background(), registry.New(right), image(t, "base"), s.repo, []string{"latest"}); err != nil {
		t.Errorf("with the right password: %v", err)
	}
	wrong := registry.WithKeychain(keychain{auth: &authn.Basic{Username: "robot", Password: "guess"}})
	_, err := push.Push(context.Background(), registry.New(wrong), image(t, "base"), s.repo, nil)
	if err == nil || !strings.Contains(err.Error(), s.repo.Name()) || !strings.Contains(err.Error(), "401") || !strings.Contains(err.Error(), "docker's configuration") {
		t.Errorf("with a wrong password: error = %v, want one that names %s, 401 and where credentials come from", err, s.repo)
	}
}

func TestPush_failingCredentialHelper(t *testing.T) {
	s := start(t)
	var notes bytes.Buffer
	ignorant := registry.WithKeychain(keychain{err: errors.New("credentials not found")})
	if _, err := push.Push(context.Background(), registry.New(ignorant, registry.WithLog(&notes)), image(t, "base"), s.repo, nil); err != nil {
		t.Errorf("of a registry that asks for no credentials: %v", err)
	}
	if want := "note: no credentials for " + s.repo.RegistryStr() + ": credentials not found"; !strings.Contains(notes.String(), want) {
		t.Errorf("notes = %q, want %q", &notes, want)
	}
}

func TestPush_invalidTag_sendsNothing(t *testing.T) {
	s := start(t)
	_, err := push.Push(context.Background(), registry.New(anonymous()), image(t, "base"), s.repo, []string{"latest", "not a tag"})
	if err == nil || !strings.Contains(err.Error(), `"not a tag"`) || s.uploads != 0 || len(s.puts) != 0 {
		t.Errorf("error = %v after %d blobs and %q, want one that names the tag, and nothing sent", err, s.uploads, s.puts)
	}
}
