package bus_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/hal/bus"
	"krabby.dev/krabby/hal/bus/bustest"
)

func TestSecurity_unauthorizedPeers_nothingReceived(t *testing.T) {
	server, authorized, other := bustest.Must[bus.Keys](t)(bus.NewKeys()), bustest.Must[bus.Keys](t)(bus.NewKeys()), bustest.Must[bus.Keys](t)(bus.NewKeys())
	tests := []struct {
		name     string
		security bus.Security
		want     bool
	}{
		{"authorized", bus.Security{Keys: authorized, ServerKey: server.Public}, true},
		{"unauthorized key", bus.Security{Keys: other, ServerKey: server.Public}, false},
		{"wrong server key", bus.Security{Keys: authorized, ServerKey: other.Public}, false},
		{"no keys", bus.Security{}, false},
		{"authorized public key with another secret key", bus.Security{Keys: bus.Keys{authorized.Public, other.Secret}, ServerKey: server.Public}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at, from := bustest.NewContext(t), bustest.NewContext(t)
			secured := bus.WithSecurity(bus.Security{Keys: server, AuthorizedKeys: []string{bustest.Must[bus.Keys](t)(bus.NewKeys()).Public, authorized.Public}})
			p := bustest.Must[*bus.Publisher](t)(at.NewPublisher("tcp://127.0.0.1:0", secured))
			r := bustest.Must[*bus.Receiver](t)(at.NewReceiver("tcp://127.0.0.1:0", secured))
			s := bustest.Must[*bus.Subscriber](t)(from.NewSubscriber(p.Endpoint(), bus.WithSecurity(tt.security)))
			sender := bustest.Must[*bus.Sender](t)(from.NewSender(r.Endpoint(), bus.WithSecurity(tt.security)))
			wait := 500 * time.Millisecond
			if tt.want {
				wait = bustest.Patience
			}
			var f bus.Frame
			observed, commanded := false, false
			for deadline := time.Now().Add(wait); time.Now().Before(deadline) && !(observed && commanded); time.Sleep(time.Millisecond) {
				if err := p.Publish([]byte("secret")); err != nil {
					t.Fatal(err)
				}
				if err := sender.Send([]byte("secret")); err != nil && !errors.Is(err, bus.ErrNoPeer) {
					t.Fatal(err)
				}
				observed = observed || s.TryReceive(&f) == nil
				_, err := r.TryReceive()
				commanded = commanded || err == nil
			}
			if observed != tt.want || commanded != tt.want {
				t.Errorf("observations arrive: %v, commands: %v; want %v", observed, commanded, tt.want)
			}
			for _, server := range []busSocket{p, r} {
				n := server.Connections()
				if tt.security.Keys == (bus.Keys{}) { // Such a peer may leave before it is rejected.
					n.Key, n.Protocol = n.Key+n.Protocol, 0
				}
				if (n.Key == 0) != tt.want || n.Oversize+n.Protocol != 0 || n.Opened == 0 {
					t.Errorf("connections %+v, want some rejected because of their keys: %v", n, !tt.want)
				}
			}
		})
	}
}

func TestSecurityCheck_reachableEndpoint_needsKeys(t *testing.T) {
	a, b := bustest.Must[bus.Keys](t)(bus.NewKeys()), bustest.Must[bus.Keys](t)(bus.NewKeys())
	tests := []struct {
		name     string
		endpoint string
		security bus.Security
		want     string // Of the error; "" where there is none.
	}{
		{"inproc", "inproc://x", bus.Security{}, ""},
		{"loopback", "tcp://127.0.0.1:0", bus.Security{}, ""},
		{"loopback of another number", "tcp://127.8.0.1:0", bus.Security{}, ""},
		{"all addresses, with keys", "tcp://0.0.0.0:0", bus.Security{Keys: a, AuthorizedKeys: []string{b.Public}}, ""},
		{"all addresses, insecure", "tcp://0.0.0.0:0", bus.Security{Insecure: true}, ""},
		{"all addresses", "tcp://0.0.0.0:0", bus.Security{}, "--insecure"},
		{"all addresses, as a star", "tcp://*:0", bus.Security{}, "--insecure"},
		{"a name", "tcp://robot.example:6001", bus.Security{}, "--insecure"},
		{"another machine's address", "tcp://192.0.2.1:6001", bus.Security{}, "--insecure"},
		{"no authorized keys", "tcp://127.0.0.1:0", bus.Security{Keys: a}, "found no authorized keys, expected at least one"},
		{"no own keys", "tcp://127.0.0.1:0", bus.Security{AuthorizedKeys: []string{b.Public}}, "expected both or neither"},
		{"a short key", "tcp://127.0.0.1:0", bus.Security{Keys: a, AuthorizedKeys: []string{"short"}}, "an invalid key of 5 characters"},
		{"an invalid key", "tcp://127.0.0.1:0", bus.Security{Keys: a, AuthorizedKeys: []string{strings.Repeat("~", 40)}}, "an invalid key of 40 characters"},
		{"another transport", "udp://127.0.0.1:1", bus.Security{}, "expected inproc://NAME or tcp://HOST:PORT"},
		{"no port", "tcp://127.0.0.1", bus.Security{}, "expected tcp://HOST:PORT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := bustest.NewContext(t).NewPublisher(tt.endpoint, bus.WithSecurity(tt.security))
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error = %v, want %q in it", err, tt.want)
			}
			if strings.Contains(tt.want, "--insecure") && !errors.Is(err, bus.ErrInsecure) {
				t.Errorf("error = %v, want ErrInsecure", err)
			}
		})
	}
	for _, tt := range []struct {
		name, endpoint string
		security       bus.Security
		want           string
	}{
		{"another machine without keys", "tcp://192.0.2.1:6001", bus.Security{}, bus.ErrInsecure.Error()},
		{"no server key", "tcp://127.0.0.1:6001", bus.Security{Keys: a, AuthorizedKeys: []string{b.Public}}, "found no server key"},
		{"no own keys", "tcp://127.0.0.1:6001", bus.Security{ServerKey: b.Public}, "expected both or neither"},
		{"an invalid server key", "tcp://127.0.0.1:6001", bus.Security{Keys: a, ServerKey: "short"}, "an invalid key of 5 characters"},
	} {
		if _, err := bustest.NewContext(t).NewSubscriber(tt.endpoint, bus.WithSecurity(tt.security)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("connecting, %s: error = %v, want %q in it", tt.name, err, tt.want)
		}
	}
	if _, err := bustest.NewContext(t).NewSubscriber("tcp://192.0.2.1:6001"); !errors.Is(err, bus.ErrInsecure) {
		t.Errorf("connecting to another machine without keys = %v, want ErrInsecure", err)
	}
}

func TestKeys_writeAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "robot")
	keys := bustest.Must[bus.Keys](t)(bus.NewKeys())
	if err := keys.Write(path); err != nil {
		t.Fatal(err)
	}
	if got := bustest.Must[bus.Keys](t)(bus.LoadKeys(path)); got != keys {
		t.Error("LoadKeys returns other keys than Write wrote")
	}
	if got := bustest.Must[string](t)(bus.LoadPublicKey(path + ".pub")); got != keys.Public {
		t.Errorf("public key %q, want %q", got, keys.Public)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	if err := keys.Write(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("writing over keys = %v, want that they exist", err)
	}
	steps := []struct {
		name string
		mode os.FileMode
		text string
		load func() error
		want string
	}{
		{"a secret key that the group may read", 0o640, keys.Secret, func() error { _, err := bus.LoadKeys(path); return err }, "found mode 0640, expected 0600"},
		{"a secret key that all may read", 0o604, keys.Secret, func() error { _, err := bus.LoadKeys(path); return err }, "found mode 0604"},
		{"a public key that the group may write", 0o664, keys.Public, func() error { _, err := bus.LoadPublicKey(path); return err }, "found mode 0664, expected 0644"},
		{"a key cut short", 0o600, keys.Secret[:39], func() error { _, err := bus.LoadKeys(path); return err }, "expected 40 characters of Z85"},
		{"an empty file", 0o600, "", func() error { _, err := bus.LoadPublicKey(path); return err }, "found 0 bytes"},
		{"no file", 0, "", func() error { _, err := bus.LoadKeys(path + "x"); return err }, "no such file"},
		{"no public key", 0, "", func() error { _, err := bus.LoadPublicKey(path + "x"); return err }, "no such file"},
	}
	for _, s := range steps {
		if s.mode != 0 {
			if err := errors.Join(os.WriteFile(path, []byte(s.text), s.mode), os.Chmod(path, s.mode)); err != nil {
				t.Fatal(err)
			}
		}
		err := s.load()
		if err == nil || !strings.Contains(err.Error(), s.want) {
			t.Errorf("%s: error = %v, want %q in it", s.name, err, s.want)
		}
		if err != nil && s.text != "" && strings.Contains(err.Error(), s.text) {
			t.Errorf("%s: the error contains the key", s.name)
		}
	}
}
