package registry_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"krabby.dev/rules_oci/internal/registry"
	"krabby.dev/rules_oci/internal/registrytest"
)

// lab is an address that, in contrast to 127.0.0.1, is not reached by HTTP without permission.
const lab = "127.0.0.2"

// listen starts a server at an address.
func listen(t *testing.T, address string, certificate *tls.Certificate, handler http.Handler) (host string) {
	t.Helper()
	listener, err := net.Listen("tcp", address+":0")
	if err != nil {
		t.Skipf("%s is no address of this machine: %v", address, err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Listener.Close()
	server.Listener = listener
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if certificate == nil {
		server.Start()
	} else {
		server.TLS = &tls.Config{Certificates: []tls.Certificate{*certificate}}
		server.StartTLS()
	}
	t.Cleanup(server.Close)
	return listener.Addr().String()
}

// selfSigned returns a certificate for lab, and its PEM.
func selfSigned(t *testing.T) (*tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP(lab)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// get fetches the manifest and the layer of the image in a registry, by a client with its own scheme for the host.
func get(t *testing.T, c *registry.Client, reference string, layer registrytest.Blob) error {
	t.Helper()
	ctx := context.Background()
	ref, err := c.Reference(ctx, reference)
	if err != nil {
		return err
	}
	if _, _, err := c.Manifest(ctx, ref); err != nil {
		return registry.Explain(ref.Context(), err)
	}
	blob, err := c.Blob(ctx, ref.Context().Digest(layer.Digest.String()))
	if err != nil {
		return registry.Explain(ref.Context(), err)
	}
	defer blob.Close()
	_, err = io.Copy(io.Discard, blob)
	return err
}

func TestClient_scheme(t *testing.T) {
	s, layer := base(t)
	certificate, pem := selfSigned(t)
	http, https := listen(t, lab, nil, s), listen(t, lab, certificate, s)
	certs := t.TempDir()
	if err := os.Mkdir(filepath.Join(certs, https), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(certs, https, "ca.crt"), pem, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, host, scheme string
		insecure           bool
		certs              string
		want               string // In the error.
	}{
		{name: "HTTP", host: http, want: http + " uses HTTP: permit it with --insecure"},
		{name: "HTTP, permitted", host: http, insecure: true},
		{name: "HTTP, permitted by the scheme", host: http, scheme: "http://"},
		{name: "unknown CA", host: https, want: "/etc/docker/certs.d/" + https + "/ca.crt"},
		{name: "CA in certs.d", host: https, certs: certs},
		{name: "CA of another host", host: https, certs: t.TempDir(), want: "certs.d"},
		{name: "unknown CA, permitted", host: https, insecure: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := registry.New(registry.WithKeychain(anonymous), fastRetry, registry.WithCertsDirs(test.certs))
			reference := test.scheme + test.host + "/" + repo + ":25.10"
			if test.insecure {
				c.AllowInsecure(reference)
			}
			err := get(t, c, reference, layer)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, expected %q", err, test.want)
			}
		})
	}
}

func TestClient_invalidCertificate(t *testing.T) {
	s, layer := base(t)
	certs := t.TempDir()
	dir := filepath.Join(certs, s.Host)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ca.crt")
	if err := os.WriteFile(path, []byte("no certificate"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := registry.New(registry.WithKeychain(anonymous), fastRetry, registry.WithCertsDirs(certs))
	if err := get(t, c, s.Host+"/"+repo+":25.10", layer); err == nil || !strings.Contains(err.Error(), path+": found no certificate") {
		t.Errorf("error %v, expected one that names %s", err, path)
	}
}

// foreign is a server that the user did not name. It records the requests with credentials or content.
func foreign(t *testing.T, respond http.HandlerFunc) (host string, leaks func() []string) {
	t.Helper()
	var found []string
	host = listen(t, "127.0.0.1", nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if content, _ := io.ReadAll(r.Body); len(content) > 0 || r.Header.Get("Authorization") != "" {
			found = append(found, r.Method+" "+r.URL.Path)
		}
		respond(w, r)
	}))
	return host, func() []string { return found }
}

// named gives a host a name, with the same port, for the rest of the test.
func named(t *testing.T, name, host string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		t.Fatal(err)
	}
	name = net.JoinHostPort(name, port)
	transport := remote.DefaultTransport.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == name {
			address = host
		}
		return dial(ctx, network, address)
	}
	t.Cleanup(func() { transport.DialContext = dial })
	return name
}

func TestClient_foreignTokenHost(t *testing.T) {
	s, layer := base(t)
	token := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"token":"t"}`) }
	for _, test := range []struct {
		name  string
		who   keychain
		named bool
		want  string
	}{
		{name: "with credentials", who: login, want: "no credentials and no content were sent"},
		{name: "with credentials, named by the user", who: login, named: true, want: "UNAUTHORIZED"}, // The registry rejects the token.
		{name: "without credentials", who: anonymous, want: "UNAUTHORIZED"},
	} {
		t.Run(test.name, func(t *testing.T) {
			host, leaks := foreign(t, token)
			host = named(t, "token.example", host) // go-containerregistry rejects private addresses.
			s.RequireToken(registrytest.TokenFlow{Realm: "http://" + host + "/token"})
			opts := []registry.Option{registry.WithKeychain(test.who), fastRetry}
			if test.named {
				opts = append(opts, registry.WithTokenHosts(host))
			}
			err := get(t, registry.New(opts...), s.Host+"/"+repo+":25.10", layer)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, expected %q", err, test.want)
			}
			if !test.named && len(leaks()) > 0 {
				t.Errorf("the foreign host got %q", leaks())
			}
		})
	}
}

func TestClient_redirects(t *testing.T) {
	s, layer := base(t)
	content, err := io.ReadAll(layer.Open())
	if err != nil {
		t.Fatal(err)
	}
	host, leaks := foreign(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(content) })
	s.RequireToken(registrytest.TokenFlows()["ghcr.io"])
	s.Fail(100, of(http.MethodGet, "/blobs/"), func(w http.ResponseWriter) {
		w.Header().Set("Location", "http://"+host+"/content")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	if err := get(t, registry.New(registry.WithKeychain(login), fastRetry), s.Host+"/"+repo+":25.10", layer); err != nil {
		t.Errorf("a download from another host: %v", err)
	}
	s.Fail(100, of(http.MethodPost, "/uploads/"), func(w http.ResponseWriter) {
		w.Header().Set("Location", "http://"+host+"/upload")
		w.WriteHeader(http.StatusAccepted)
	})
	c := registry.New(registry.WithKeychain(login), fastRetry)
	target, err := c.Repository(context.Background(), s.Host+"/robots/x")
	if err != nil {
		t.Fatal(err)
	}
	err = remote.Write(target.Tag("1"), empty.Image, c.Options(context.Background(), target.Registry)...)
	if err == nil || !strings.Contains(err.Error(), host) || !strings.Contains(err.Error(), "no content were sent") {
		t.Errorf("an upload to another host: error %v, expected one that names %s", err, host)
	}
	if len(leaks()) > 0 {
		t.Errorf("the foreign host got %q", leaks())
	}
}

func TestHelperKeychain(t *testing.T) {
	script := func(content string) string {
		path := filepath.Join(t.TempDir(), "credentials")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+content), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	resource, err := registry.New().Repository(context.Background(), "registry.example/a")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, script string
		timeout      time.Duration
		want         authn.AuthConfig
		err          string
	}{
		{name: "anonymous", timeout: time.Minute, script: "echo '{}'"},
		{name: "password", timeout: time.Minute, script: `echo '{"config":{"auth":"cm9ib3Q6c2VjcmV0"}}'`, want: authn.AuthConfig{Username: "robot", Password: "secret", Auth: "cm9ib3Q6c2VjcmV0"}},
		{name: "error of the helper", timeout: time.Minute, script: `echo '{"error":"no keychain"}'`, err: "no keychain"},
		{name: "exit code", timeout: time.Minute, script: "echo broken >&2; exit 1", err: "registry.example: exit status 1: broken"},
		{name: "no JSON", timeout: time.Minute, script: "echo hello", err: "registry.example: invalid character"},
		{name: "no response", timeout: 300 * time.Millisecond, script: "sleep 60 & sleep 60", err: "registry.example: the credential helper does not respond within 300ms; check credHelpers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			start := time.Now()
			auth, err := registry.HelperKeychain(test.timeout, script(test.script)).Resolve(resource)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, expected %q", err, test.err)
				}
				if took := time.Since(start); took > 10*time.Second {
					t.Errorf("it took %s", took)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := auth.Authorization(); err != nil || *got != test.want {
				t.Errorf("found %+v (%v), expected %+v", got, err, test.want)
			}
		})
	}
}

// A client stops if the helper does not respond: a registry without the credentials of the user may have another image.
func TestClient_helperTimeout(t *testing.T) {
	s, layer := base(t)
	slow := keychain{err: fmt.Errorf("credentials for %s: %w", s.Host, registry.ErrHelperTimeout)}
	if err := get(t, registry.New(registry.WithKeychain(slow), fastRetry), s.Host+"/"+repo+":25.10", layer); err == nil || !strings.Contains(err.Error(), "does not respond") {
		t.Errorf("error %v, expected that the helper does not respond", err)
	}
}
