// Package policy loads trained policies. A policy is a folder with an ONNX model, policy.onnx, and a manifest,
// manifest.json, that says which robot it drives, what its numbers mean and what its files' checksums are. Nothing in
// the folder is executed or trusted before it is checked.
//
// It must never import inference engines, observation builders or transport.
package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"krabby.dev/krabby/hal/robot"
)

const (
	// ManifestFile and ModelFile are the names of the files of a policy's folder.
	ManifestFile = "manifest.json"
	ModelFile    = "policy.onnx"

	maxManifestBytes = 1 << 20
	maxFileBytes     = 256 << 20
)

// Error says which file of a policy, and which field if it is the manifest, is wrong, what was found and what was
// expected. It is a single line.
type Error struct {
	File     string
	Field    string // Empty where the file as a whole is wrong.
	Found    string
	Expected string
	// Err is the cause where there is one, for example fs.ErrNotExist.
	Err error
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "policy: %s: ", e.File)
	if e.Field != "" {
		fmt.Fprintf(&b, "%s: ", e.Field)
	}
	fmt.Fprintf(&b, "found %s, expected %s", e.Found, e.Expected)
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Policy is a policy that has been checked.
type Policy struct {
	Manifest
	// Robot is the robot that the manifest names.
	Robot *robot.Robot
	// Dir is the folder that it was loaded from.
	Dir string
	// Model is the content of ModelFile. These are the very bytes that were checked.
	Model []byte
}

// Load reads and checks the policy in dir. The error is an *Error.
func Load(dir string) (*Policy, error) {
	manifestPath := filepath.Join(dir, ManifestFile)
	content, err := read(manifestPath, maxManifestBytes)
	if err != nil {
		return nil, err
	}
	m, err := parse(manifestPath, content)
	if err != nil {
		return nil, err
	}
	r, err := m.validate(manifestPath)
	if err != nil {
		return nil, err
	}
	p := &Policy{Manifest: *m, Robot: r, Dir: dir}
	for name, want := range m.Files {
		path := filepath.Join(dir, name)
		content, err := read(path, maxFileBytes)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(content)
		if found := hex.EncodeToString(sum[:]); found != want {
			return nil, &Error{File: path, Field: "sha256", Found: found, Expected: want}
		}
		if name == ModelFile {
			p.Model = content
		}
	}
	return p, nil
}

// Targets turns an action into joint positions: dst[i] = default pose + scale * action[i], in rad. Both slices have
// one value a joint. The joints' limits are not applied.
func (p *Policy) Targets(dst []float64, action []float32) {
	for i, a := range action {
		dst[i] = p.DefaultPoseRad[i] + p.ActionScale*float64(a)
	}
}

// read returns the content of a regular file of at most maxBytes, and more than none.
func read(path string, maxBytes int64) ([]byte, error) {
	const expected = "a readable file"
	info, err := os.Stat(path) // Before opening it: opening a pipe would block.
	if err != nil {
		found := "an error (" + err.Error() + ")"
		if errors.Is(err, fs.ErrNotExist) {
			found = "no such file"
		}
		return nil, &Error{File: path, Found: found, Expected: expected, Err: err}
	}
	if !info.Mode().IsRegular() {
		return nil, &Error{File: path, Found: "something that is not a regular file", Expected: expected}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &Error{File: path, Found: "an error (" + err.Error() + ")", Expected: expected, Err: err}
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, &Error{File: path, Found: "an error (" + err.Error() + ")", Expected: expected, Err: err}
	}
	if n := int64(len(content)); n == 0 || n > maxBytes {
		found := "an empty file"
		if n > 0 {
			found = fmt.Sprintf("more than %d bytes", maxBytes)
		}
		return nil, &Error{File: path, Found: found, Expected: fmt.Sprintf("1 to %d bytes", maxBytes)}
	}
	return content, nil
}
