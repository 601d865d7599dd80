// Package lock reads and writes the lock files under third_party. A lock file is a JSON object of sections; a section is an object
// of entries; an entry is an object of fields. Unknown fields are kept.
//
// It must not depend on what an entry pins.
package lock

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Entry holds the fields of one archive.
type Entry map[string]any

// String returns the value of a field. A field that is missing or not a non-empty string is an error.
func (e Entry) String(field string) (string, error) {
	s, ok := e[field].(string)
	if !ok || s == "" {
		return "", fmt.Errorf("field %q: missing or not a string", field)
	}
	return s, nil
}

// Strings returns the value of a field. A field that is missing or not a list of non-empty strings is an error.
func (e Entry) Strings(field string) ([]string, error) {
	list, _ := e[field].([]any)
	result := make([]string, 0, len(list))
	for _, v := range list {
		if s, ok := v.(string); ok && s != "" {
			result = append(result, s)
		}
	}
	if len(result) == 0 || len(result) != len(list) {
		return nil, fmt.Errorf("field %q: missing or not a list of strings", field)
	}
	return result, nil
}

// File is a lock file in memory.
type File struct {
	path     string
	mode     fs.FileMode
	raw      []byte
	sections map[string]map[string]Entry
}

// Read reads an existing lock file.
func Read(path string) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := &File{path: path, mode: info.Mode().Perm(), raw: raw}
	if f.sections, err = decode(raw); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// ReadOrNew reads a lock file, or returns an empty one if the file does not exist.
func ReadOrNew(path string) (*File, error) {
	f, err := Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &File{path: path, mode: 0o644, raw: []byte("{}\n"), sections: map[string]map[string]Entry{}}, nil
	}
	return f, err
}

func decode(raw []byte) (map[string]map[string]Entry, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // Keeps the digits of numbers.
	var sections map[string]map[string]Entry
	if err := d.Decode(&sections); err != nil {
		return nil, fmt.Errorf("invalid lock file: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("invalid lock file: unexpected data after the JSON object")
	}
	if sections == nil {
		return nil, errors.New("invalid lock file: found null, expected an object")
	}
	return sections, nil
}

// Names returns the names of a section's entries, sorted.
func (f *File) Names(section string) []string {
	return slices.Sorted(maps.Keys(f.sections[section]))
}

// Entry returns a copy of an entry and whether it exists.
func (f *File) Entry(section, name string) (Entry, bool) {
	e, ok := f.sections[section][name]
	return maps.Clone(e), ok
}

// Set sets fields of an entry and keeps its other fields. It adds an entry that does not exist.
func (f *File) Set(section, name string, fields Entry) {
	if f.sections[section] == nil {
		f.sections[section] = map[string]Entry{}
	}
	e := maps.Clone(f.sections[section][name])
	if e == nil {
		e = Entry{}
	}
	maps.Copy(e, fields)
	f.sections[section][name] = e
}

// Replace replaces all entries of a section.
func (f *File) Replace(section string, entries map[string]Entry) {
	f.sections[section] = maps.Clone(entries)
}

// Bytes returns the content that Write writes: indented by two spaces, with sorted keys and a final newline.
func (f *File) Bytes() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(f.sections); err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	return b.Bytes(), nil
}

// Write replaces the file atomically. It does not write an unchanged file.
func (f *File) Write() error {
	data, err := f.Bytes()
	if err != nil || bytes.Equal(data, f.raw) {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(f.path), "."+filepath.Base(f.path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // After the rename the file does not exist.
	_, err = temp.Write(data)
	err = errors.Join(err, temp.Chmod(f.mode), temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), f.path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.path, err)
	}
	f.raw = data
	return nil
}

// SHA256 returns the hash of a file as lock files have it, in hex.
func SHA256(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), errors.Join(err, f.Close())
}
