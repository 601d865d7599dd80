package bus

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

// Security is how a TCP endpoint is secured. It does not apply to inproc.
type Security struct {
	// Keys are this side's; the zero value is none: nothing is encrypted.
	Keys Keys
	// AuthorizedKeys are the public keys of the clients that may connect to an endpoint that is bound.
	AuthorizedKeys []string
	// ServerKey is the public key of the server to connect to.
	ServerKey string
	// Insecure allows an endpoint without keys that other machines can reach.
	Insecure bool
}

// ErrInsecure is returned for an endpoint without keys that other machines can reach.
var ErrInsecure = errors.New("other machines can reach it, and there are no keys: give keys, or --insecure to let anybody read and move the robot")

func (s *Security) hasKeys() bool { return s.Keys != Keys{} }

// Check returns an error if the security of an endpoint that is to be bound, or connected to, is insufficient or contradictory. Binding
// and connecting include it; programs call it to report the error early.
func (s *Security) Check(endpoint string, binds bool) error {
	if strings.HasPrefix(endpoint, inprocScheme) {
		return nil
	}
	address, isTCP := strings.CutPrefix(endpoint, tcpScheme)
	if !isTCP {
		return fmt.Errorf("found endpoint %q, expected inproc://NAME or tcp://HOST:PORT", endpoint)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("found endpoint %q, expected tcp://HOST:PORT: %w", endpoint, err)
	}
	switch {
	case !s.hasKeys() && (len(s.AuthorizedKeys) != 0 || s.ServerKey != ""):
		return errors.New("found public keys of peers and no own keys, expected both or neither")
	case !s.hasKeys() && !s.Insecure && !isLoopback(host):
		return ErrInsecure
	case !s.hasKeys():
		return nil
	case binds && len(s.AuthorizedKeys) == 0:
		return errors.New("found no authorized keys, expected at least one")
	case !binds && s.ServerKey == "":
		return errors.New("found no server key, expected that of the other side")
	}
	return s.checkKeys(binds)
}

// checkKeys returns an error if one of the keys is not one.
func (s *Security) checkKeys(binds bool) error {
	keys := []string{s.Keys.Public, s.Keys.Secret}
	if binds {
		keys = slices.Concat(keys, s.AuthorizedKeys)
	} else {
		keys = append(keys, s.ServerKey)
	}
	for _, key := range keys {
		if _, ok := decodeKey(key); !ok {
			return fmt.Errorf("found an invalid key of %d characters, expected 40 of Z85", len(key))
		}
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// options returns the socket options for the keys.
func (s *Security) options(binds bool) []zmqOption {
	if !s.hasKeys() {
		return nil
	}
	return []zmqOption{func(z *zmqSocket) error {
		peer := func() error { return z.SetCurveServerkey(s.ServerKey) }
		if binds {
			peer = func() error { return z.SetCurveServer(1) }
		}
		return errors.Join(z.SetCurvePublickey(s.Keys.Public), z.SetCurveSecretkey(s.Keys.Secret), peer())
	}}
}
