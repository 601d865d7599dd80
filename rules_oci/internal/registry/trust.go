package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// certsDirs returns the directories with certificates for registries, as docker and containers/image read them: a directory
// HOST[:PORT] has CAs in *.crt, and client certificates in *.cert with keys in *.key.
func certsDirs(getenv func(string) string) []string {
	dirs := []string{"/etc/containers/certs.d", "/etc/docker/certs.d"}
	if home := getenv("HOME"); home != "" {
		dirs = append(dirs, filepath.Join(home, ".config/containers/certs.d"), filepath.Join(home, ".config/docker/certs.d"))
	}
	return dirs
}

// trust decides for each registry how to reach it: HTTPS or HTTP, and which certificates to accept.
type trust struct {
	dirs []string // Of certificates.

	mu       sync.Mutex
	insecure map[string]string // Scheme by host, once known; empty before.
	clients  map[string]http.RoundTripper
}

// allowInsecure permits HTTP and unverified certificates for a host.
func (t *trust) allowInsecure(host string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.insecure[host]; !ok {
		t.insecure[host] = ""
	}
}

// options returns the options for a reference to a registry. An insecure registry is reached by HTTPS if it supports it.
func (t *trust) options(ctx context.Context, host string) []name.Option {
	t.mu.Lock()
	defer t.mu.Unlock()
	scheme, insecure := t.insecure[host]
	if !insecure {
		return nil
	}
	if scheme == "" {
		scheme = "http"
		if supportsTLS(ctx, host) {
			scheme = "https"
		}
		t.insecure[host] = scheme
	}
	if scheme == "https" {
		return nil
	}
	return []name.Option{name.Insecure}
}

// supportsTLS reports whether a host responds to HTTPS, with any certificate.
func supportsTLS(ctx context.Context, host string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/v2/", nil)
	if err != nil {
		return false
	}
	response, err := withTLS(&tls.Config{InsecureSkipVerify: true}).RoundTrip(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return true
}

func withTLS(config *tls.Config) *http.Transport {
	transport := remote.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	return transport
}

// RoundTrip sends a request with the certificates for its host.
func (t *trust) RoundTrip(request *http.Request) (*http.Response, error) {
	transport, err := t.transport(request.URL.Host)
	if err != nil {
		return nil, err
	}
	return transport.RoundTrip(request)
}

func (t *trust) transport(host string) (http.RoundTripper, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known, ok := t.clients[host]; ok {
		return known, nil
	}
	config, err := tlsConfig(t.dirs, host)
	if err != nil {
		return nil, err
	}
	if _, ok := t.insecure[host]; ok {
		config = &tls.Config{InsecureSkipVerify: true}
	}
	transport := remote.DefaultTransport
	if config != nil {
		transport = withTLS(config)
	}
	t.clients[host] = transport
	return transport, nil
}

// tlsConfig returns the configuration for a host with certificates in dirs, or nil for the defaults of the system.
func tlsConfig(dirs []string, host string) (*tls.Config, error) {
	var config tls.Config
	for _, dir := range dirs {
		dir = filepath.Join(dir, host)
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // Most hosts have no such directory.
		}
		for _, entry := range entries {
			if err := addCertificate(&config, filepath.Join(dir, entry.Name())); err != nil {
				return nil, err
			}
		}
	}
	if config.RootCAs == nil && config.Certificates == nil {
		return nil, nil
	}
	return &config, nil
}

func addCertificate(config *tls.Config, path string) error {
	switch filepath.Ext(path) {
	case ".crt":
		pem, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if config.RootCAs == nil {
			if config.RootCAs, err = x509.SystemCertPool(); err != nil {
				return err
			}
		}
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s: found no certificate, expected a CA in PEM", path)
		}
	case ".cert":
		pair, err := tls.LoadX509KeyPair(path, strings.TrimSuffix(path, ".cert")+".key")
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		config.Certificates = append(config.Certificates, pair)
	}
	return nil
}

// Repository parses the name of a repository. `http://` before it permits an insecure registry, as in oci.pull.
func (c *Client) Repository(ctx context.Context, text string) (name.Repository, error) {
	text = c.plain(text)
	repo, err := name.NewRepository(text)
	if err != nil {
		return repo, err
	}
	return name.NewRepository(text, c.trust.options(ctx, repo.RegistryStr())...)
}

// Reference parses a reference, like Repository.
func (c *Client) Reference(ctx context.Context, text string) (name.Reference, error) {
	text = c.plain(text)
	ref, err := name.ParseReference(text)
	if err != nil {
		return ref, err
	}
	return name.ParseReference(text, c.trust.options(ctx, ref.Context().RegistryStr())...)
}

// AllowInsecure permits HTTP and unverified certificates for the registry of a repository or reference.
func (c *Client) AllowInsecure(text string) { c.plain("http://" + strings.TrimPrefix(text, "http://")) }

// plain returns a name without scheme, and notes the permission of `http://`.
func (c *Client) plain(text string) string {
	text = strings.TrimPrefix(text, "https://")
	plain, insecure := strings.CutPrefix(text, "http://")
	if insecure {
		host, _, _ := strings.Cut(plain, "/")
		c.trust.allowInsecure(host)
		c.guard.name(host)
	}
	return plain
}

// guard prevents that credentials or content go to a host that the user did not name.
type guard struct {
	http.RoundTripper

	mu    sync.Mutex
	named []string
}

// name records a host that the user named.
func (g *guard) name(host string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.Contains(g.named, host) {
		g.named = append(g.named, host)
	}
}

// RoundTrip rejects a request with credentials or content for a foreign host. Registries may redirect downloads to any host.
func (g *guard) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Header.Get("Authorization") == "" && (request.Body == nil || request.Body == http.NoBody) {
		return g.RoundTripper.RoundTrip(request)
	}
	g.mu.Lock()
	named := slices.Clone(g.named)
	g.mu.Unlock()
	if slices.ContainsFunc(named, func(host string) bool { return sameSite(host, request.URL.Host) }) {
		return g.RoundTripper.RoundTrip(request)
	}
	return nil, &foreignHostError{host: request.URL.Host, named: named}
}

// foreignHostError is the error of a request with credentials or content for a host that the user did not name.
type foreignHostError struct {
	host  string
	named []string
}

func (e *foreignHostError) Error() string {
	return fmt.Sprintf("the registry refers to the host %s, which is none of %s; no credentials and no content were sent to it. If you trust it, name it: --token-host %s, or www_authenticate_challenges of oci.pull",
		e.host, strings.Join(e.named, ", "), e.host)
}
