// Package lock reads and writes the lock files under third_party: JSON, sections
// of entries of fields. A field that nobody here knows is kept.
//
// It must never know what an entry pins.
package lock

import (
	"bytes"
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

// Entry is what a lock says about one archive, by field.
type Entry map[string]any

// String returns a field that must be a string and there.
func (e Entry) String(field string) (string, error) {
	s, ok := e[field].(string)
	if !ok || s == "" {
		return "", fmt.Errorf("its field %q is missing or not a string", field)
	}
	return s, nil
}

// Strings returns a field that must be a list of strings and there.
func (e Entry) Strings(field string) ([]string, error) {
	list, _ := e[field].([]any)
	result := make([]string, 0, len(list))
	for _, v := range list {
		if s, ok := v.(string); ok && s != "" {
			result = append(result, s)
		}
	}
	if len(result) == 0 || len(result) != len(list) {
		return nil, fmt.Errorf("its field %q is missing or not a list of strings", field)
	}
	return result, nil
}

// File is a lock in memory.
type File struct {
	path     string
	mode     fs.FileMode
	raw      []byte
	sections map[string]map[string]Entry
}

// Read reads a lock, which must exist.
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

// ReadOrNew reads a lock, or where there is none begins one.
func ReadOrNew(path string) (*File, error) {
	f, err := Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &File{path: path, mode: 0o644, raw: []byte("{}\n"), sections: map[string]map[string]Entry{}}, nil
	}
	return f, err
}

func decode(raw []byte) (map[string]map[string]Entry, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // Numbers are written as they were read.
	var sections map[string]map[string]Entry
	if err := d.Decode(&sections); err != nil {
		return nil, fmt.Errorf("not a lock: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not a lock: something follows the JSON object")
	}
	if sections == nil {
		return nil, errors.New("not a lock: null")
	}
	return sections, nil
}

// Names returns the names of a section's entries, sorted.
func (f *File) Names(section string) []string {
	return slices.Sorted(maps.Keys(f.sections[section]))
}

// Entry returns a copy of an entry, and whether there is one.
func (f *File) Entry(section, name string) (Entry, bool) {
	e, ok := f.sections[section][name]
	return maps.Clone(e), ok
}

// Set sets fields of an entry and keeps its others. An entry that is not there
// is made.
func (f *File) Set(section, name string, fields Entry) {
	if f.sections[section] == nil {
		f.sections[section] = map[string]Entry{}
	}
	// In the old entry's copy: the copy that Entry returned stays as it was.
	e := maps.Clone(f.sections[section][name])
	if e == nil {
		e = Entry{}
	}
	maps.Copy(e, fields)
	f.sections[section][name] = e
}

// Replace makes entries the only ones of a section.
func (f *File) Replace(section string, entries map[string]Entry) {
	f.sections[section] = maps.Clone(entries)
}

// Bytes returns the lock as Write writes it: two spaces, sorted keys, a newline
// at the end.
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

// Write replaces the file at once or not at all, and leaves it alone where
// nothing changed.
func (f *File) Write() error {
	data, err := f.Bytes()
	if err != nil || bytes.Equal(data, f.raw) {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(f.path), "."+filepath.Base(f.path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // After the rename there is nothing of that name.
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
