package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"krabby.dev/rules_oci/internal/registry"
)

// registryFlags are the flags of the commands that reach registries.
type registryFlags struct {
	Insecure  bool     `help:"Permit HTTP, and HTTPS with an unverified certificate."`
	TokenHost []string `placeholder:"HOST" help:"Also send credentials to this host, if a registry refers to it. May be repeated."`
}

// defaultHelperTimeout limits the time of a credential helper. $OCI_CREDENTIAL_TIMEOUT has another limit.
const defaultHelperTimeout = 30 * time.Second

// client returns a client that logs to standard error.
func (f registryFlags) client(std streams) (*registry.Client, error) {
	timeout := defaultHelperTimeout
	if text := os.Getenv("OCI_CREDENTIAL_TIMEOUT"); text != "" {
		var err error
		if timeout, err = time.ParseDuration(text); err != nil || timeout <= 0 {
			return nil, fmt.Errorf("OCI_CREDENTIAL_TIMEOUT: found %q, expected a duration such as 30s", text)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return registry.New(
		registry.WithLog(std.err),
		registry.WithKeychain(registry.HelperKeychain(timeout, self, "credentials")),
		registry.WithTokenHosts(f.TokenHost...),
	), nil
}

// credentialsCmd is a process of its own, because a credential helper may not respond.
type credentialsCmd struct {
	Resource string `arg:"" help:"Registry, with or without repository."`
}

// Run prints the credentials of docker's configuration.
func (c *credentialsCmd) Run(_ context.Context, std streams) error {
	data, err := registry.PrintCredentials(c.Resource)
	if err != nil {
		return err
	}
	_, err = std.out.Write(data)
	return err
}
