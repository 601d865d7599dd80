package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"krabby.dev/krabby/compute/policy"
)

// Write creates the policy directory dir. It writes a temporary directory beside it, loads the policy from there, which verifies
// every field, and renames it: nothing is left behind where it fails. dir may exist if it is empty.
func (r *Result) Write(dir string) (err error) {
	dir = filepath.Clean(dir)
	entries, err := os.ReadDir(dir)
	switch {
	case err == nil && len(entries) > 0:
		return &Error{File: dir, Found: fmt.Sprintf("a directory with %d files", len(entries)), Expected: "no directory, or an empty one"}
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	}
	content, err := json.MarshalIndent(r.Manifest, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the manifest: %w", err)
	}
	content = compact(content)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	temporary, err := os.MkdirTemp(filepath.Dir(dir), ".policy-import-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temporary))
		}
	}()
	if err := errors.Join(
		os.Chmod(temporary, 0o755),
		os.WriteFile(filepath.Join(temporary, policy.ModelFile), r.Model, 0o644),
		os.WriteFile(filepath.Join(temporary, policy.ManifestFile), append(content, '\n'), 0o644),
	); err != nil {
		return err
	}
	if _, err := policy.Load(temporary, r.Robot); err != nil {
		return renamed(err, dir)
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) { // Only an empty directory is removed.
		return err
	}
	return os.Rename(temporary, dir)
}

// innerList is a list without lists or objects in it. JSON has no line breaks in texts.
var innerList = regexp.MustCompile(`\[\n[^\[\]{}]*\n *\]`)

// compact writes such lists on one line.
func compact(content []byte) []byte {
	return innerList.ReplaceAllFunc(content, func(list []byte) []byte {
		var b bytes.Buffer
		b.WriteByte('[')
		for i, line := range bytes.Split(bytes.TrimSpace(list[1:len(list)-1]), []byte("\n")) {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.Write(bytes.TrimSpace(line))
		}
		b.WriteByte(']')
		return b.Bytes()
	})
}

// renamed returns the error of policy.Load with the file's place in dir.
func renamed(err error, dir string) error {
	if e, ok := errors.AsType[*policy.Error](err); ok {
		moved := *e
		moved.File = filepath.Join(dir, filepath.Base(e.File))
		return &moved
	}
	return err
}
