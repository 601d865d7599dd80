package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"krabby.dev/rules_oci/internal/registry"
	"krabby.dev/rules_oci/internal/registrytest"
)

// keychain is a Keychain of one answer.
type keychain struct {
	auth authn.Authenticator
	err  error
}

func (k keychain) Resolve(authn.Resource) (authn.Authenticator, error) { return k.auth, k.err }

var (
	anonymous     = keychain{auth: authn.Anonymous}
	login         = keychain{auth: &authn.Basic{Username: registrytest.User, Password: registrytest.Password}}
	wrong         = keychain{auth: &authn.Basic{Username: registrytest.User, Password: "guess"}}
	failingHelper = keychain{err: errors.New("credentials not found in native keychain")}
)

// fastRetry repeats at once.
var fastRetry = registry.WithBackoff(remote.Backoff{Duration: time.Millisecond, Factor: 1, Steps: 4})

const repo = "nvidia/pytorch"

// base is a registry with one image of one layer.
func base(t *testing.T) (*registrytest.Server, registrytest.Blob) {
	t.Helper()
	s, layer := registrytest.Start(t), registrytest.Random(1, 1000)
	s.Image(t, repo, "25.10", "arm64", layer)
	return s, layer
}

func tag(t *testing.T, s *registrytest.Server) name.Tag {
	t.Helper()
	ref, err := name.NewTag(s.Host + "/" + repo + ":25.10")
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// read fetches manifest and layer.
func read(t *testing.T, s *registrytest.Server, layer registrytest.Blob, opts ...registry.Option) error {
	t.Helper()
	c, ref := registry.New(append(opts, fastRetry)...), tag(t, s)
	if _, _, err := c.Manifest(context.Background(), ref); err != nil {
		return registry.Explain(ref.Context(), err)
	}
	r, err := c.Blob(context.Background(), ref.Context().Digest(layer.Digest.String()))
	if err != nil {
		return registry.Explain(ref.Context(), err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err == nil && int64(len(data)) != layer.Size {
		return fmt.Errorf("the layer came with %d bytes, want %d", len(data), layer.Size)
	}
	return err
}

func TestClient_tokenFlows(t *testing.T) {
	for host, flow := range registrytest.TokenFlows() {
		for _, tt := range []struct {
			name    string
			private bool
			who     keychain
			want    string // In the error.
		}{
			{name: "public, without login", who: anonymous},
			{name: "public, with login", who: login},
			{name: "public, with a helper that knows nothing of it", who: failingHelper},
			{name: "private, with login", private: true, who: login},
			{name: "private, without login", private: true, who: anonymous, want: "UNAUTHORIZED"},
			{name: "private, with a wrong password", private: true, who: wrong, want: "UNAUTHORIZED"},
		} {
			t.Run(host+", "+tt.name, func(t *testing.T) {
				s, layer := base(t)
				flow.Login = tt.private
				s.RequireToken(flow)
				err := read(t, s, layer, registry.WithKeychain(tt.who))
				switch {
				case tt.want == "" && err != nil:
					t.Error(err)
				case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), s.Host+"/"+repo) || !strings.Contains(err.Error(), "docker's configuration")):
					t.Errorf("error = %v, want one with %s, the image, and where credentials come from", err, tt.want)
				}
			})
		}
	}
}

func TestClient_failingCredentialHelper(t *testing.T) {
	s, layer := base(t)
	var notes bytes.Buffer
	if err := read(t, s, layer, registry.WithKeychain(failingHelper), registry.WithLog(&notes)); err != nil {
		t.Error(err)
	}
	if want := "note: no credentials for " + s.Host + ": credentials not found in native keychain"; !strings.Contains(notes.String(), want) {
		t.Errorf("notes = %q, want %q", &notes, want)
	}
}

// of matches requests by method and what their path holds.
func of(method, part string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == method && strings.Contains(r.URL.Path, part) }
}

func answer(code int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(code) }
}

func TestClient_busyRegistry_retries(t *testing.T) {
	for _, part := range []string{"/manifests/", "/blobs/", "/v2/", "/token"} {
		for _, code := range []int{http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable} {
			t.Run(fmt.Sprintf("%d at %s", code, part), func(t *testing.T) {
				s, layer := base(t)
				s.RequireToken(registrytest.TokenFlows()["docker.io"])
				s.Fail(3, of(http.MethodGet, part), answer(code))
				var notes bytes.Buffer
				if err := read(t, s, layer, registry.WithKeychain(anonymous), registry.WithLog(&notes)); err != nil {
					t.Error(err)
				}
				if want := fmt.Sprintf("note: %s responds %d", s.Host, code); strings.Count(notes.String(), want) != 3 {
					t.Errorf("notes = %q, want %q three times", &notes, want)
				}
			})
		}
	}
}

func TestClient_refusal_explains(t *testing.T) {
	tests := []struct {
		code  int
		tries int
		want  string
	}{
		{http.StatusUnauthorized, 1, "docker's configuration"},
		{http.StatusForbidden, 1, "docker's configuration"},
		{http.StatusNotFound, 1, "name, tag and digest"},
		{http.StatusTooManyRequests, 4, "429"},
		{http.StatusServiceUnavailable, 4, "503"},
	}
	for _, part := range []string{"/manifests/", "/blobs/"} {
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%d at %s", tt.code, part), func(t *testing.T) {
				s, layer := base(t)
				s.Fail(100, of(http.MethodGet, part), answer(tt.code))
				err := read(t, s, layer, registry.WithKeychain(anonymous))
				if err == nil || !strings.Contains(err.Error(), fmt.Sprint(tt.code)) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), s.Host+"/"+repo) {
					t.Errorf("error = %v, want one with %d, %q and the image", err, tt.code, tt.want)
				}
				if got := 100 - s.FailuresLeft(); got != tt.tries {
					t.Errorf("it was asked %d times, want %d", got, tt.tries)
				}
			})
		}
	}
}

func TestClient_unreachable(t *testing.T) {
	s, layer := base(t)
	s.Stop()
	if err := read(t, s, layer, registry.WithKeychain(anonymous)); err == nil || !strings.Contains(err.Error(), s.Host+" is not reachable") {
		t.Errorf("error = %v, want one that says that %s is not reached", err, s.Host)
	}
}

func TestBlobRange(t *testing.T) {
	s, layer := base(t)
	ref := tag(t, s).Context().Digest(layer.Digest.String())
	for _, knows := range []bool{true, false} {
		t.Run(fmt.Sprintf("of a registry that knows ranges: %v", knows), func(t *testing.T) {
			s.IgnoreRanges(!knows)
			c := registry.New(registry.WithKeychain(anonymous), fastRetry)
			whole, err := c.Blob(context.Background(), ref)
			if err != nil {
				t.Fatal(err)
			}
			defer whole.Close()
			want, err := io.ReadAll(whole)
			if err != nil {
				t.Fatal(err)
			}
			rest, err := c.BlobRange(context.Background(), ref, 400, layer.Size)
			if err != nil {
				t.Fatal(err)
			}
			defer rest.Close()
			got, err := io.ReadAll(rest)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want[400:]) {
				t.Errorf("got %d bytes, want the last %d", len(got), layer.Size-400)
			}
		})
	}
}

func TestRetry(t *testing.T) {
	broke := errors.New("connection reset")
	for _, tt := range []struct {
		name  string
		fails int
		with  error
		tries int
		ok    bool
	}{
		{"a success", 0, nil, 1, true},
		{"two breaks", 2, broke, 3, true},
		{"nothing but breaks", 100, broke, 4, false},
		{"wrong content", 100, registry.Permanent(broke), 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tries := 0
			var notes bytes.Buffer
			err := registry.New(fastRetry, registry.WithLog(&notes)).Retry(context.Background(), "the layer", func() error {
				if tries++; tries <= tt.fails {
					return tt.with
				}
				return nil
			})
			if (err == nil) != tt.ok || !tt.ok && !errors.Is(err, broke) || tries != tt.tries {
				t.Errorf("%v after %d tries, want success %v after %d", err, tries, tt.ok, tt.tries)
			}
			if got := strings.Count(notes.String(), "note: the layer: connection reset; retrying in 1ms"); got != tt.tries-1 {
				t.Errorf("%d notes, want one before each try but the first: %q", got, &notes)
			}
		})
	}
}
