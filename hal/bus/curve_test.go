package bus

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWithKeysOnlyPeersComeThrough(t *testing.T) {
	server, friend, stranger := must[Keys](t)(NewKeys()), must[Keys](t)(NewKeys()), must[Keys](t)(NewKeys())
	tests := []struct {
		name     string
		security Security
		want     bool
	}{
		{"a friend", Security{Keys: friend, Peers: []string{server.Public}}, true},
		{"a stranger who knows the server's key", Security{Keys: stranger, Peers: []string{server.Public}}, false},
		{"a friend who takes another for the server", Security{Keys: friend, Peers: []string{stranger.Public}}, false},
		{"one without keys", Security{}, false},
		{"a friend's public key with another secret one", Security{Keys: Keys{friend.Public, stranger.Secret}, Peers: []string{server.Public}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at, from := newContext(t), newContext(t)
			secured := WithSecurity(Security{Keys: server, Peers: []string{must[Keys](t)(NewKeys()).Public, friend.Public}})
			p := must[*Publisher](t)(at.NewPublisher("tcp://127.0.0.1:0", secured))
			r := must[*Receiver](t)(at.NewReceiver("tcp://127.0.0.1:0", secured))
			s := must[*Subscriber](t)(from.NewSubscriber(p.Endpoint(), WithSecurity(tt.security)))
			sender := must[*Sender](t)(from.NewSender(r.Endpoint(), WithSecurity(tt.security)))
			wait := 500 * time.Millisecond
			if tt.want {
				wait = patience
			}
			var f Frame
			observed, commanded := false, false
			for deadline := time.Now().Add(wait); time.Now().Before(deadline) && !(observed && commanded); time.Sleep(time.Millisecond) {
				if err := p.Publish([]byte("secret")); err != nil {
					t.Fatal(err)
				}
				if err := sender.Send([]byte("secret")); err != nil && !errors.Is(err, ErrNoPeer) {
					t.Fatal(err)
				}
				observed = observed || s.TryReceive(&f) == nil
				_, err := r.TryReceive()
				commanded = commanded || err == nil
			}
			if observed != tt.want || commanded != tt.want {
				t.Errorf("observations come through: %v, commands: %v; want %v", observed, commanded, tt.want)
			}
			for _, server := range []*socket{p.socket, r.socket} {
				n := server.Connections()
				if tt.security.Keys == (Keys{}) { // Such a peer may leave before it is refused.
					n.Key, n.Protocol = n.Key+n.Protocol, 0
				}
				if (n.Key == 0) != tt.want || n.Oversize+n.Protocol != 0 || n.Opened == 0 {
					t.Errorf("connections %+v, want some refused for their keys: %v", n, !tt.want)
				}
			}
		})
	}
}

func TestWhatOthersCanReachNeedsKeys(t *testing.T) {
	a, b := must[Keys](t)(NewKeys()), must[Keys](t)(NewKeys())
	tests := []struct {
		name     string
		endpoint string
		security Security
		want     string // Of the error; "" where there is none.
	}{
		{"inproc", "inproc://x", Security{}, ""},
		{"loopback", "tcp://127.0.0.1:0", Security{}, ""},
		{"loopback of another number", "tcp://127.8.0.1:0", Security{}, ""},
		{"all addresses, with keys", "tcp://0.0.0.0:0", Security{Keys: a, Peers: []string{b.Public}}, ""},
		{"all addresses, insecure", "tcp://0.0.0.0:0", Security{Insecure: true}, ""},
		{"all addresses", "tcp://0.0.0.0:0", Security{}, "--insecure"},
		{"all addresses, as a star", "tcp://*:0", Security{}, "--insecure"},
		{"a name", "tcp://robot.example:6001", Security{}, "--insecure"},
		{"another machine's address", "tcp://192.0.2.1:6001", Security{}, "--insecure"},
		{"keys of nobody else", "tcp://127.0.0.1:0", Security{Keys: a}, "found 0 public keys of peers, expected at least one"},
		{"keys of others alone", "tcp://127.0.0.1:0", Security{Peers: []string{b.Public}}, "expected both or neither"},
		{"a short key", "tcp://127.0.0.1:0", Security{Keys: a, Peers: []string{"short"}}, "a key of 5 characters"},
		{"a key that is none", "tcp://127.0.0.1:0", Security{Keys: a, Peers: []string{strings.Repeat("~", 40)}}, "a key of 40 characters"},
		{"another transport", "udp://127.0.0.1:1", Security{}, "expected inproc://NAME or tcp://HOST:PORT"},
		{"no port", "tcp://127.0.0.1", Security{}, "expected tcp://HOST:PORT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newContext(t).NewPublisher(tt.endpoint, WithSecurity(tt.security))
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error = %v, want %q in it", err, tt.want)
			}
			if strings.Contains(tt.want, "--insecure") && !errors.Is(err, ErrInsecure) {
				t.Errorf("error = %v, want ErrInsecure", err)
			}
		})
	}
	if _, err := newContext(t).NewSubscriber("tcp://192.0.2.1:6001"); !errors.Is(err, ErrInsecure) {
		t.Errorf("connecting to another machine without keys = %v, want ErrInsecure", err)
	}
}

func TestKeysAreWrittenAndRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "robot")
	keys := must[Keys](t)(NewKeys())
	if err := keys.Write(path); err != nil {
		t.Fatal(err)
	}
	if got := must[Keys](t)(LoadKeys(path)); got != keys {
		t.Error("other keys are read than were written")
	}
	if got := must[string](t)(LoadPublicKey(path + ".pub")); got != keys.Public {
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
		{"a secret key that the group may read", 0o640, keys.Secret, func() error { _, err := LoadKeys(path); return err }, "found mode 0640, expected 0600"},
		{"a secret key that all may read", 0o604, keys.Secret, func() error { _, err := LoadKeys(path); return err }, "found mode 0604"},
		{"a public key that the group may write", 0o664, keys.Public, func() error { _, err := LoadPublicKey(path); return err }, "found mode 0664, expected 0644"},
		{"a key cut short", 0o600, keys.Secret[:39], func() error { _, err := LoadKeys(path); return err }, "expected 40 characters of Z85"},
		{"an empty file", 0o600, "", func() error { _, err := LoadPublicKey(path); return err }, "found 0 bytes"},
		{"no file", 0, "", func() error { _, err := LoadKeys(path + "x"); return err }, "no such file"},
		{"no public key", 0, "", func() error { _, err := LoadPublicKey(path + "x"); return err }, "no such file"},
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
			t.Errorf("%s: the error tells the key", s.name)
		}
	}
}
