// Package registry is the client of this module for registries: credentials, retries and log messages.
//
// Only this package and push reach the network. Build actions must call neither.
package registry

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// retryableStatus lists the status codes that a later request may not get.
var retryableStatus = []int{
	http.StatusRequestTimeout,
	http.StatusTooManyRequests,
	http.StatusInternalServerError,
	http.StatusBadGateway,
	http.StatusServiceUnavailable,
	http.StatusGatewayTimeout,
}

// Option configures a Client.
type Option func(*Client)

// WithLog sets the destination of messages about progress and retries. The default discards them.
func WithLog(w io.Writer) Option { return func(c *Client) { c.log = &lockedWriter{w: w} } }

// WithKeychain sets the source of credentials. The default is docker's configuration and its helpers.
func WithKeychain(k authn.Keychain) Option { return func(c *Client) { c.keychain = k } }

// WithBackoff sets how requests are retried. The default is three times, after about 1, 3 and 9 s.
func WithBackoff(b remote.Backoff) Option { return func(c *Client) { c.backoff = b } }

// WithCertsDirs sets the directories of certificates for registries. The default is those of docker and containers/image.
func WithCertsDirs(dirs ...string) Option { return func(c *Client) { c.trust.dirs = dirs } }

// WithTokenHosts adds hosts that may get credentials for registries.
func WithTokenHosts(hosts ...string) Option {
	return func(c *Client) {
		for _, host := range hosts {
			c.guard.name(host)
		}
	}
}

// Client sends requests to registries.
type Client struct {
	trust    *trust
	guard    *guard
	log      io.Writer
	keychain authn.Keychain
	backoff  remote.Backoff
	puller   func() (*remote.Puller, error)

	mu     sync.Mutex
	tokens map[name.Repository]http.RoundTripper
}

// New returns a client. It sends no request.
func New(opts ...Option) *Client {
	trust := &trust{dirs: certsDirs(os.Getenv), insecure: map[string]string{}, clients: map[string]http.RoundTripper{}}
	c := &Client{
		trust:    trust,
		guard:    &guard{RoundTripper: trust},
		log:      io.Discard,
		keychain: authn.DefaultKeychain,
		backoff:  remote.Backoff{Duration: time.Second, Factor: 3, Jitter: 0.1, Steps: 4},
		tokens:   map[name.Repository]http.RoundTripper{},
	}
	for _, opt := range opts {
		opt(c)
	}
	// All requests share one puller, which keeps a token for each repository.
	c.puller = sync.OnceValues(func() (*remote.Puller, error) { return remote.NewPuller(c.options(context.Background())...) })
	return c
}

// Logf writes a line to the log.
func (c *Client) Logf(format string, args ...any) { fmt.Fprintf(c.log, format+"\n", args...) }

// Options returns the client's settings for the functions of package remote. The user has named the registry.
func (c *Client) Options(ctx context.Context, registry name.Registry) []remote.Option {
	c.guard.name(registry.RegistryStr())
	return c.options(ctx)
}

func (c *Client) options(ctx context.Context) []remote.Option {
	return []remote.Option{
		remote.WithContext(ctx),
		remote.WithAuthFromKeychain(anonymousFallback{c}),
		remote.WithTransport(loggingTransport{c.guard, c}),
		remote.WithRetryBackoff(c.backoff),
		remote.WithRetryStatusCodes(retryableStatus...),
		remote.WithRetryPredicate(retryable),
		remote.WithJobs(2),
	}
}

// Manifest returns the manifest or index that ref names. If ref is a digest, the content matches it.
func (c *Client) Manifest(ctx context.Context, ref name.Reference) (v1.Hash, []byte, error) {
	c.guard.name(ref.Context().RegistryStr())
	puller, err := c.puller()
	if err != nil {
		return v1.Hash{}, nil, err
	}
	got, err := puller.Get(ctx, ref)
	if err != nil {
		return v1.Hash{}, nil, fmt.Errorf("%s: %w", ref, err)
	}
	return got.Digest, got.Manifest, nil
}

// Blob opens the blob that ref names. The caller verifies the content.
func (c *Client) Blob(ctx context.Context, ref name.Digest) (io.ReadCloser, error) {
	return c.BlobRange(ctx, ref, 0, 0)
}

// BlobRange opens a blob of a known size at an offset, to resume an interrupted download.
func (c *Client) BlobRange(ctx context.Context, ref name.Digest, offset, size int64) (io.ReadCloser, error) {
	repo := ref.Context()
	c.guard.name(repo.RegistryStr())
	authorized, err := c.authorized(ctx, repo)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	where := url.URL{Scheme: repo.Scheme(), Host: repo.RegistryStr(), Path: "/v2/" + repo.RepositoryStr() + "/blobs/" + ref.DigestStr()}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, where.String(), nil)
	if err != nil {
		return nil, err
	}
	if offset > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, size-1))
	}
	response, err := (&http.Client{Transport: authorized}).Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	err = transport.CheckError(response, http.StatusOK, http.StatusPartialContent)
	if err == nil && offset > 0 && response.StatusCode == http.StatusOK {
		// The registry does not support ranges.
		_, err = io.CopyN(io.Discard, response.Body, offset)
	}
	if err != nil {
		response.Body.Close()
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	return response.Body, nil
}

// authorized returns a transport for reading repo, with retries and, if the registry requires one, a token.
func (c *Client) authorized(ctx context.Context, repo name.Repository) (http.RoundTripper, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.tokens[repo]; ok {
		return known, nil
	}
	auth, err := anonymousFallback{c}.Resolve(repo)
	if err != nil {
		return nil, err
	}
	withRetries := transport.NewRetry(loggingTransport{c.guard, c},
		transport.WithRetryBackoff(c.backoff),
		transport.WithRetryStatusCodes(retryableStatus...),
		transport.WithRetryPredicate(retryable),
	)
	c.tokens[repo], err = transport.NewWithContext(ctx, repo.Registry, auth, withRetries, []string{repo.Scope(transport.PullScope)})
	if err != nil {
		delete(c.tokens, repo)
		return nil, err
	}
	return c.tokens[repo], nil
}

// Permanent marks an error as one that Retry does not retry.
func Permanent(err error) error { return permanent{err} }

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Retry calls try until it succeeds, with the number and delays of the client's retries. It covers what the retry of a
// request does not: a connection that breaks in the middle of a large blob. A response of the registry is not retried,
// because its request has been retried already.
func (c *Client) Retry(ctx context.Context, what string, try func() error) error {
	wait := c.backoff.Duration
	for attempt := 1; ; attempt++ {
		err := try()
		var response *transport.Error
		var stop permanent
		if err == nil || ctx.Err() != nil || attempt >= c.backoff.Steps || errors.As(err, &response) || errors.As(err, &stop) {
			return err
		}
		c.Logf("note: %s: %v; retrying in %s", what, err, wait)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
		wait = time.Duration(float64(wait) * c.backoff.Factor)
	}
}

// anonymousFallback is a keychain that continues without credentials if a helper fails. The registry may not require
// credentials; if it does, its response says so.
type anonymousFallback struct{ c *Client }

func (f anonymousFallback) Resolve(r authn.Resource) (authn.Authenticator, error) {
	auth, err := f.c.keychain.Resolve(r)
	if errors.Is(err, ErrHelperTimeout) {
		return nil, err
	}
	if err != nil {
		f.c.Logf("note: no credentials for %s: %v", r.RegistryStr(), err)
		return authn.Anonymous, nil
	}
	return auth, nil
}

// Explain adds to an error what the user can do about it.
func Explain(repo name.Repository, err error) error {
	var response *transport.Error
	var network *net.OpError
	var unknownCA x509.UnknownAuthorityError
	switch {
	case errors.As(err, &response) && (response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden):
		return fmt.Errorf("%w; check that docker's configuration has credentials with permission on %s, and the name: many registries respond like this if %s does not exist", err, repo.RegistryStr(), repo.RepositoryStr())
	case errors.As(err, &response) && response.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w; check name, tag and digest: not found on %s", err, repo.RegistryStr())
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fmt.Errorf("%w; %s uses HTTP: permit it with --insecure, or `insecure = True` of oci_push and oci.pull", err, repo.RegistryStr())
	case errors.As(err, &unknownCA):
		return fmt.Errorf("%w; copy the CA to /etc/docker/certs.d/%s/ca.crt, or skip the verification with --insecure", err, repo.RegistryStr())
	case errors.As(err, &network) && network.Op == "dial":
		return fmt.Errorf("%w; %s is not reachable from this machine: only cached images are available", err, repo.RegistryStr())
	default:
		return err
	}
}

// retryable reports whether an error comes from a busy registry or a broken connection. The library decides by the codes
// in the body of a response, which differ between registries; the status codes do not.
func retryable(err error) bool {
	var response *transport.Error
	if errors.As(err, &response) {
		return slices.Contains(retryableStatus, response.StatusCode)
	}
	return broken(err)
}

// broken reports whether an established connection was closed.
func broken(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.As(err, &timeout) && timeout.Timeout() && !errors.Is(err, context.DeadlineExceeded)
}

// loggingTransport logs responses and errors that are retried.
type loggingTransport struct {
	http.RoundTripper
	c *Client
}

func (n loggingTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := n.RoundTripper.RoundTrip(request)
	if err != nil {
		if broken(err) {
			n.c.Logf("note: the connection to %s broke: %v", request.URL.Host, err)
		}
		return nil, err
	}
	if slices.Contains(retryableStatus, response.StatusCode) {
		n.c.Logf("note: %s responds %s", request.URL.Host, response.Status)
	}
	return response, nil
}

// lockedWriter serializes the messages of concurrent requests.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
