package bus

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"
)

// Keys are one side's pair of keys for CURVE, ZeroMQ's authenticated encryption: what travels between two sides that know
// each other's public key can be neither read nor changed by others, and nobody else can connect.
type Keys struct {
	// Public and Secret are 40 characters each, in Z85.
	Public, Secret string
}

// NewKeys makes a new pair.
func NewKeys() (Keys, error) {
	public, secret, err := curveKeypair()
	if err != nil {
		return Keys{}, fmt.Errorf("bus: making keys: %w", err)
	}
	return Keys{public, secret}, nil
}

// publicSuffix is what the name of a public key's file has more than that of the secret one.
const publicSuffix = ".pub"

// Write writes the secret key to a new file at path, which only its owner may read, and the public one to path.pub. It
// overwrites nothing.
func (k Keys) Write(path string) error {
	for _, file := range []struct {
		path, key string
		mode      fs.FileMode
	}{{path, k.Secret, 0o600}, {path + publicSuffix, k.Public, 0o644}} {
		f, err := os.OpenFile(file.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, file.mode)
		if err != nil {
			return fmt.Errorf("bus: writing a key: %w", err)
		}
		_, err = f.WriteString(file.key + "\n")
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("bus: writing a key: %w", err)
		}
	}
	return nil
}

// LoadKeys reads a secret key that [Keys.Write] wrote. It refuses a file that others than its owner may read or write.
func LoadKeys(path string) (Keys, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Keys{}, fmt.Errorf("bus: reading a secret key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return Keys{}, fmt.Errorf("bus: secret key %s: found mode %04o, expected 0600 or less: chmod 600 %[1]s, and make new keys if others may have read it", path, mode)
	}
	secret, err := readKey(path)
	if err != nil {
		return Keys{}, err
	}
	public, err := curvePublic(secret)
	if err != nil {
		return Keys{}, fmt.Errorf("bus: secret key %s: %w", path, err)
	}
	return Keys{public, secret}, nil
}

// LoadPublicKey reads a public key that [Keys.Write] wrote. It refuses a file that others than its owner may write.
func LoadPublicKey(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("bus: reading a public key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return "", fmt.Errorf("bus: public key %s: found mode %04o, expected 0644 or less: others could put theirs in its place", path, mode)
	}
	return readKey(path)
}

func readKey(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("bus: reading a key: %w", err)
	}
	key := string(bytes.TrimSuffix(b, []byte("\n")))
	if _, ok := z85Decode(key); !ok {
		return "", fmt.Errorf("bus: key %s: found %d bytes that are no key, expected 40 characters of Z85", path, len(b))
	}
	return key, nil
}

// Security is how a TCP endpoint is secured. It means nothing for inproc.
type Security struct {
	// Keys are this side's; the zero value is none, and then nothing is encrypted.
	Keys Keys
	// Peers are the public keys of the other side: to one that binds, those of all who may connect; to one that connects,
	// that of the one it connects to.
	Peers []string
	// Insecure lets an endpoint that other machines can reach go without keys.
	Insecure bool
}

// ErrInsecure says that an endpoint that other machines can reach has no keys.
var ErrInsecure = errors.New("other machines can reach it, and there are no keys: give keys, or --insecure to let anybody read and move the robot")

// Check returns an error where the security of an endpoint that is to be bound, or connected to, is not enough or makes no
// sense. Whoever binds or connects does it anyway; here it can be known before.
func (s *Security) Check(endpoint string, binds bool) error {
	address, isTCP := strings.CutPrefix(endpoint, "tcp://")
	if !isTCP {
		if strings.HasPrefix(endpoint, inproc) {
			return nil
		}
		return fmt.Errorf("found endpoint %q, expected inproc://NAME or tcp://HOST:PORT", endpoint)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("found endpoint %q, expected tcp://HOST:PORT: %w", endpoint, err)
	}
	if s.Keys == (Keys{}) {
		if len(s.Peers) != 0 {
			return errors.New("found keys of peers but none of its own, expected both or neither")
		}
		if !s.Insecure && !isLoopback(host) {
			return ErrInsecure
		}
		return nil
	}
	if len(s.Peers) == 0 || !binds && len(s.Peers) != 1 {
		return fmt.Errorf("found %d public keys of peers, expected %s", len(s.Peers), map[bool]string{true: "at least one", false: "that of the other side"}[binds])
	}
	for _, key := range append([]string{s.Keys.Public, s.Keys.Secret}, s.Peers...) {
		if _, ok := z85Decode(key); !ok {
			return fmt.Errorf("found a key of %d characters that is none, expected 40 of Z85", len(key))
		}
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// options returns what a socket is set to, and who may connect where it binds.
func (s *Security) options(endpoint string, binds bool) []option {
	if s.Keys == (Keys{}) || strings.HasPrefix(endpoint, inproc) {
		return nil
	}
	keys := []option{curvePublicKey(s.Keys.Public), curveSecretKey(s.Keys.Secret)}
	if binds {
		return append(keys, curveServer())
	}
	return append(keys, curveServerKey(s.Peers[0]))
}

// gatekeeper answers libzmq's questions who may connect (ZeroMQ's ZAP, version 1.0). Without it, whoever knows the
// public key of a server could.
type gatekeeper struct {
	socket *zmqSocket
	stop   chan struct{}
	done   chan struct{}
}

// newGatekeeper starts a gatekeeper. allowed says whether the owner of a public key may connect to a domain.
func newGatekeeper(z zmqContext, allowed func(domain string, key [32]byte) bool) (*gatekeeper, error) {
	s, err := z.socket(rep)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.set(linger(0)), s.bind("inproc://zeromq.zap.01")); err != nil {
		return nil, errors.Join(err, s.close())
	}
	g := &gatekeeper{socket: s, stop: make(chan struct{}), done: make(chan struct{})}
	go g.run(allowed)
	return g, nil
}

func (g *gatekeeper) run(allowed func(domain string, key [32]byte) bool) {
	defer close(g.done)
	var m zmqMessage
	defer m.close()
	for {
		select {
		case <-g.stop:
			return
		default:
		}
		if g.socket.wait(slice) != nil {
			return
		}
		var parts []string
		for g.socket.receive(&m) == nil {
			parts = append(parts, string(m.bytes()))
			if !g.socket.more() {
				break
			}
		}
		if len(parts) < 2 {
			continue
		}
		// Version, request, domain, address, identity, mechanism, credentials.
		code, text := "400", "no access"
		if len(parts) == 7 && parts[5] == "CURVE" && len(parts[6]) == 32 && allowed(parts[2], [32]byte([]byte(parts[6]))) {
			code, text = "200", "OK"
		}
		reply := []string{"1.0", parts[1], code, text, "", ""}
		for i, part := range reply {
			if g.socket.send([]byte(part), i < len(reply)-1) != nil {
				return
			}
		}
	}
}

func (g *gatekeeper) close() error {
	close(g.stop)
	<-g.done
	return g.socket.close()
}

// slice bounds how long a receive stays inside libzmq, and so how late it notices a Close or the end of its context.
const slice = 10 * time.Millisecond
