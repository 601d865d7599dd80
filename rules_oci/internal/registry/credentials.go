package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

// helperKeychain is docker's keychain in a child process, which can be ended: a credential helper may not respond.
type helperKeychain struct {
	command []string // Prints the result of PrintCredentials for the host that is added to it.
	timeout time.Duration
}

// HelperKeychain returns a keychain that runs a command to resolve credentials. The command gets the resource as its last argument and
// calls PrintCredentials. It fails if it takes longer than the timeout.
func HelperKeychain(timeout time.Duration, command ...string) authn.Keychain {
	return helperKeychain{command: command, timeout: timeout}
}

// ErrHelperTimeout is the error of a credential helper that does not respond.
var ErrHelperTimeout = errors.New("the credential helper does not respond")

// credentials are exchanged with the child process. Anonymous access has none.
type credentials struct {
	Config *authn.AuthConfig `json:"config,omitempty"`
	Error  string            `json:"error,omitempty"`
}

// Resolve implements authn.Keychain.
func (k helperKeychain) Resolve(resource authn.Resource) (authn.Authenticator, error) {
	ctx, cancel := context.WithTimeout(context.Background(), k.timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, k.command[0], append(k.command[1:], resource.String())...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	// A helper may be a script with children of its own, so the process group ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("credentials for %s: %w within %s; check credHelpers and credsStore in docker's configuration", resource.RegistryStr(), ErrHelperTimeout, k.timeout)
		}
		return nil, fmt.Errorf("credentials for %s: %w: %s", resource.RegistryStr(), err, strings.TrimSpace(errs.String()))
	}
	var found credentials
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		return nil, fmt.Errorf("credentials for %s: %w", resource.RegistryStr(), err)
	}
	switch {
	case found.Error != "":
		return nil, errors.New(found.Error)
	case found.Config == nil:
		return authn.Anonymous, nil
	default:
		return authn.FromConfig(*found.Config), nil
	}
}

// resource is a resource by its name.
type resource string

func (r resource) String() string { return string(r) }

func (r resource) RegistryStr() string {
	host, _, _ := strings.Cut(string(r), "/")
	return host
}

// PrintCredentials resolves the credentials of a resource with docker's keychain, for HelperKeychain.
func PrintCredentials(name string) ([]byte, error) {
	auth, err := authn.DefaultKeychain.Resolve(resource(name))
	var found credentials
	switch {
	case err != nil:
		found.Error = err.Error()
	case auth != authn.Anonymous:
		config, err := auth.Authorization()
		if err != nil {
			return nil, err
		}
		found.Config = config
	}
	return json.Marshal(found)
}
