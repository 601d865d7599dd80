// Package push sends images and indexes to a registry: first everything by digest, then the tags, so that a tag never
// names what is not there.
//
// It must never build an image or decide where one goes.
package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Artifact is what can be pushed: a v1.Image or a v1.ImageIndex.
type Artifact interface {
	Digest() (v1.Hash, error)
	RawManifest() ([]byte, error)
}

// backoff spaces the attempts at a request that the registry was too busy for: about 1, 3 and 9 s apart.
var backoff = remote.Backoff{Duration: time.Second, Factor: 3, Jitter: 0.1, Steps: 4}

// tooBusy are the answers that may be better the next time.
var tooBusy = []int{
	http.StatusRequestTimeout,
	http.StatusTooManyRequests,
	http.StatusInternalServerError,
	http.StatusBadGateway,
	http.StatusServiceUnavailable,
	http.StatusGatewayTimeout,
}

// Option configures Push.
type Option func(*options)

type options struct {
	notes     io.Writer
	keychain  authn.Keychain
	transport http.RoundTripper
	backoff   remote.Backoff
}

// WithNotes sets where to say what takes long or was passed over; the default is nowhere.
func WithNotes(w io.Writer) Option { return func(o *options) { o.notes = w } }

// WithKeychain sets where credentials come from; the default is docker's configuration and its helpers.
func WithKeychain(k authn.Keychain) Option { return func(o *options) { o.keychain = k } }

// WithBackoff sets how requests are repeated.
func WithBackoff(b remote.Backoff) Option { return func(o *options) { o.backoff = b } }

// Push sends a to repo and then makes every tag name it. Blobs that the registry has are not sent again. It returns the
// digest that the registry now has; the error names the reference that failed.
func Push(ctx context.Context, a Artifact, repo name.Repository, tags []string, opts ...Option) (name.Digest, error) {
	o := options{notes: io.Discard, keychain: authn.DefaultKeychain, transport: remote.DefaultTransport, backoff: backoff}
	for _, opt := range opts {
		opt(&o)
	}
	refs := make([]name.Tag, len(tags))
	for i, tag := range tags {
		ref, err := name.NewTag(repo.Name()+":"+tag, name.StrictValidation)
		if err != nil {
			return name.Digest{}, fmt.Errorf("tag %q: %w", tag, err)
		}
		refs[i] = ref
	}
	hash, err := a.Digest()
	if err != nil {
		return name.Digest{}, err
	}
	digest := repo.Digest(hash.String())
	with := []remote.Option{
		remote.WithContext(ctx),
		remote.WithAuthFromKeychain(forgiving{o.keychain, o.notes}),
		remote.WithTransport(noting{o.transport, o.notes}),
		remote.WithRetryBackoff(o.backoff),
		remote.WithRetryStatusCodes(tooBusy...),
		remote.WithRetryPredicate(worthAnotherTry),
		remote.WithJobs(2),
	}
	fmt.Fprintf(o.notes, "pushing %s\n", digest)
	switch a := a.(type) {
	case v1.Image:
		err = remote.Write(digest, a, with...)
	case v1.ImageIndex:
		err = remote.WriteIndex(digest, a, with...)
	default:
		err = errors.New("neither an image nor an index")
	}
	if err != nil {
		return name.Digest{}, fmt.Errorf("%s: %w", digest, explain(repo, err))
	}
	for _, ref := range refs {
		fmt.Fprintf(o.notes, "tagging %s\n", ref)
		if err := remote.Tag(ref, a, with...); err != nil {
			return name.Digest{}, fmt.Errorf("%s: %w", ref, explain(repo, err))
		}
	}
	return digest, nil
}

// forgiving goes on without credentials where a helper fails: it may never have heard of the registry, and the registry
// may ask for none. If it does ask, its own error says so.
type forgiving struct {
	authn.Keychain
	notes io.Writer
}

func (f forgiving) Resolve(r authn.Resource) (authn.Authenticator, error) {
	auth, err := f.Keychain.Resolve(r)
	if err != nil {
		fmt.Fprintf(f.notes, "note: no credentials for %s: %v\n", r.RegistryStr(), err)
		return authn.Anonymous, nil
	}
	return auth, nil
}

// explain says what to do about an answer that its own words leave open.
func explain(repo name.Repository, err error) error {
	var answer *transport.Error
	if errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden) {
		return fmt.Errorf("%w; see that docker's configuration has credentials for %s that may push there", err, repo.RegistryStr())
	}
	return err
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
	notes io.Writer
}

func (n noting) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := n.RoundTripper.RoundTrip(request)
	if err != nil {
		if broken(err) {
			fmt.Fprintf(n.notes, "note: the connection to %s broke: %v\n", request.URL.Host, err)
		}
		return nil, err
	}
	if slices.Contains(tooBusy, response.StatusCode) {
		fmt.Fprintf(n.notes, "note: %s answers %s\n", request.URL.Host, response.Status)
	}
	return response, nil
}
