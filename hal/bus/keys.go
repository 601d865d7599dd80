package bus

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/pebbe/zmq4"
)

// Keys are a pair of keys for CURVE, ZeroMQ's authenticated encryption. Two peers that know each other's public key exchange frames that
// others can neither read nor change.
type Keys struct {
	// Public and Secret have 40 characters each, in Z85.
	Public, Secret string
}

// NewKeys returns a new pair.
func NewKeys() (Keys, error) {
	public, secret, err := zmq4.NewCurveKeypair()
	if err != nil {
		return Keys{}, fmt.Errorf("bus: creating keys: %w", err)
	}
	return Keys{public, secret}, nil
}

// keyCharacters is the length of a key in Z85.
const keyCharacters = 40

// publicSuffix follows the name of the secret key's file in the name of the public key's.
const publicSuffix = ".pub"

// Write writes the secret key to a new file at path, which only its owner may read, and the public key to path.pub. It overwrites
// no file.
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

// LoadKeys reads a secret key that [Keys.Write] wrote. It is an error if users other than the owner may read or write the file.
func LoadKeys(path string) (Keys, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Keys{}, fmt.Errorf("bus: reading a secret key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return Keys{}, fmt.Errorf("bus: secret key %s: found mode %04o, expected 0600 or less: chmod 600 %[1]s, and create new keys if other users may have read it", path, mode)
	}
	secret, err := readKey(path)
	if err != nil {
		return Keys{}, err
	}
	public, err := zmq4.AuthCurvePublic(secret)
	if err != nil {
		return Keys{}, fmt.Errorf("bus: secret key %s: %w", path, err)
	}
	return Keys{public, secret}, nil
}

// LoadPublicKey reads a public key that [Keys.Write] wrote. It is an error if users other than the owner may write the file.
func LoadPublicKey(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("bus: reading a public key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return "", fmt.Errorf("bus: public key %s: found mode %04o, expected 0644 or less: other users could replace it", path, mode)
	}
	return readKey(path)
}

func readKey(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("bus: reading a key: %w", err)
	}
	key := string(bytes.TrimSuffix(b, []byte("\n")))
	if _, ok := decodeKey(key); !ok {
		return "", fmt.Errorf("bus: key %s: found %d bytes that are not a key, expected 40 characters of Z85", path, len(b))
	}
	return key, nil
}

// decodeKey returns the 32 bytes of a key in Z85. ok is false if it is not one.
func decodeKey(z85 string) (raw [32]byte, ok bool) {
	if len(z85) != keyCharacters {
		return raw, false
	}
	decoded := zmq4.Z85decode(z85)
	copy(raw[:], decoded)
	// Z85decode does not report characters that Z85 does not have.
	return raw, len(decoded) == len(raw) && zmq4.Z85encode(decoded) == z85
}
