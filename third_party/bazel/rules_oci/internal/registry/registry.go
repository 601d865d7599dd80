// Package registry is how this module speaks to registries: with whose credentials, how often, and what it says meanwhile.
//
// This package and push are the only ones that reach the network, so a build action may call neither.
package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// tooBusy are the answers that may be better the next time.
var tooBusy = []int{
	http.StatusRequestTimeout,
	http.StatusTooManyRequests,
	http.StatusInternalServerError,
	http.StatusBadGateway,
	http.StatusServiceUnavailable,
	http.StatusGatewayTimeout,
}

// Option configures a Client.
type Option func(*Client)

// WithNotes sets where to say what takes long or was passed over; the default is nowhere.
func WithNotes(w io.Writer) Option { return func(c *Client) { c.notes = &lockedWriter{w: w} } }

// WithKeychain sets where credentials come from; the default is docker's configuration and its helpers.
func WithKeychain(k authn.Keychain) Option { return func(c *Client) { c.keychain = k } }

// WithBackoff sets how requests are repeated; the default is three more times, about 1, 3 and 9 s apart.
func WithBackoff(b remote.Backoff) Option { return func(c *Client) { c.backoff = b } }

// Client speaks to registries.
type Client struct {
	notes    io.Writer
	keychain authn.Keychain
	backoff  remote.Backoff
	puller   func() (*remote.Puller, error)

	mu     sync.Mutex
	tokens map[name.Repository]http.RoundTripper
}

// New returns a client that has spoken to nobody yet.
func New(opts ...Option) *Client {
	c := &Client{
		notes:    io.Discard,
		keychain: authn.DefaultKeychain,
		backoff:  remote.Backoff{Duration: time.Second, Factor: 3, Jitter: 0.1, Steps: 4},
		tokens:   map[name.Repository]http.RoundTripper{},
	}
	for _, opt := range opts {
		opt(c)
	}
	// One for all requests: it keeps a token for each repository.
	c.puller = sync.OnceValues(func() (*remote.Puller, error) { return remote.NewPuller(c.Options(context.Background())...) })
	return c
}

// Notef says something to whoever waits.
func (c *Client) Notef(format string, args ...any) { fmt.Fprintf(c.notes, format+"\n", args...) }

// Options are the client's habits, for the functions of package remote.
func (c *Client) Options(ctx context.Context) []remote.Option {
	return []remote.Option{
		remote.WithContext(ctx),
		remote.WithAuthFromKeychain(forgiving{c}),
		remote.WithTransport(noting{remote.DefaultTransport, c}),
		remote.WithRetryBackoff(c.backoff),
		remote.WithRetryStatusCodes(tooBusy...),
		remote.WithRetryPredicate(worthAnotherTry),
		remote.WithJobs(2),
	}
}

// Manifest returns the manifest, or index, that ref names. Asked for by digest it has that digest.
func (c *Client) Manifest(ctx context.Context, ref name.Reference) (v1.Hash, []byte, error) {
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

// Blob opens the blob that ref names. Nothing is verified: that is for whoever has read all of it.
func (c *Client) Blob(ctx context.Context, ref name.Digest) (io.ReadCloser, error) {
	return c.Rest(ctx, ref, 0, 0)
}

// Rest opens a blob of a known size from its byte offset on: what came before a connection broke need not come again.
func (c *Client) Rest(ctx context.Context, ref name.Digest, offset, size int64) (io.ReadCloser, error) {
	repo := ref.Context()
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
		// A registry need not know ranges.
		_, err = io.CopyN(io.Discard, response.Body, offset)
	}
	if err != nil {
		response.Body.Close()
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	return response.Body, nil
}

// authorized returns what sends requests to read repo, with the client's habits and, where the registry wants one, a token.
func (c *Client) authorized(ctx context.Context, repo name.Repository) (http.RoundTripper, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.tokens[repo]; ok {
		return known, nil
	}
	auth, err := forgiving{c}.Resolve(repo)
	if err != nil {
		return nil, err
	}
	patient := transport.NewRetry(noting{remote.DefaultTransport, c},
		transport.WithRetryBackoff(c.backoff),
		transport.WithRetryStatusCodes(tooBusy...),
		transport.WithRetryPredicate(worthAnotherTry),
	)
	c.tokens[repo], err = transport.NewWithContext(ctx, repo.Registry, auth, patient, []string{repo.Scope(transport.PullScope)})
	if err != nil {
		delete(c.tokens, repo)
		return nil, err
	}
	return c.tokens[repo], nil
}

// Final marks an error of Persist's try as one that would only come again.
func Final(err error) error { return final{err} }

type final struct{ error }

func (f final) Unwrap() error { return f.error }

// Persist calls try until it succeeds, as often and as far apart as the client repeats requests. It is for what no single
// request covers: a connection that breaks in the middle of a large blob. An answer of the registry is final, it has been
// asked for as often already.
func (c *Client) Persist(ctx context.Context, what string, try func() error) error {
	wait := c.backoff.Duration
	for attempt := 1; ; attempt++ {
		err := try()
		var answer *transport.Error
		var said final
		if err == nil || ctx.Err() != nil || attempt >= c.backoff.Steps || errors.As(err, &answer) || errors.As(err, &said) {
			return err
		}
		c.Notef("note: %s: %v; once more in %s", what, err, wait)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
		wait = time.Duration(float64(wait) * c.backoff.Factor)
	}
}

// forgiving goes on without credentials where a helper fails: it may never have heard of the registry, and the registry
// may ask for none. If it does ask, its own error says so.
type forgiving struct{ c *Client }

func (f forgiving) Resolve(r authn.Resource) (authn.Authenticator, error) {
	auth, err := f.c.keychain.Resolve(r)
	if err != nil {
		f.c.Notef("note: no credentials for %s: %v", r.RegistryStr(), err)
		return authn.Anonymous, nil
	}
	return auth, nil
}

// Explain says what to do about an answer that its own words leave open.
func Explain(repo name.Repository, err error) error {
	var answer *transport.Error
	var network *net.OpError
	switch {
	case errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		return fmt.Errorf("%w; see that docker's configuration has credentials for %s that may do so, and that the name is right: many registries answer so when there is no %s", err, repo.RegistryStr(), repo.RepositoryStr())
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w; see that %s has what was asked for under this name, tag and digest", err, repo.RegistryStr())
	case errors.As(err, &network) && network.Op == "dial":
		return fmt.Errorf("%w; this machine does not reach %s: only what is cached can be had here", err, repo.RegistryStr())
	default:
		return err
	}
}

// worthAnotherTry tells a registry that is busy or a connection that broke from a refusal. The library's own judgement
// goes by the codes in the body of an answer, where registries differ; the status is what they agree on.
func worthAnotherTry(err error) bool {
	var answer *transport.Error
	if errors.As(err, &answer) {
		return slices.Contains(tooBusy, answer.StatusCode)
	}
	return broken(err)
}

// broken tells a connection that was closed midway from one that never came about.
func broken(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.As(err, &timeout) && timeout.Timeout() && !errors.Is(err, context.DeadlineExceeded)
}

// noting says of every answer, or lack of one, that is worth another try that it came.
type noting struct {
	http.RoundTripper
	c *Client
}

func (n noting) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := n.RoundTripper.RoundTrip(request)
	if err != nil {
		if broken(err) {
			n.c.Notef("note: the connection to %s broke: %v", request.URL.Host, err)
		}
		return nil, err
	}
	if slices.Contains(tooBusy, response.StatusCode) {
		n.c.Notef("note: %s answers %s", request.URL.Host, response.Status)
	}
	return response, nil
}

// lockedWriter lets requests that run at the same time speak one after the other.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
