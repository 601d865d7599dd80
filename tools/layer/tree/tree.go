// Package tree holds the file tree of one image layer and writes it as a tar whose bytes depend on the tree only: entries are
// sorted, at the epoch, with numeric owners.
//
// It must not read a mode, an owner, a time or an order from the machine, and must not import a package that reads input files.
package tree

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// Kind is the type of an entry. Layers have no devices, pipes and sockets.
type Kind int

// Kinds of entries.
const (
	Dir Kind = iota
	File
	Symlink
)

func (k Kind) String() string {
	return [...]string{"directory", "file", "symlink"}[k]
}

// Owner is a numeric user and group. Layers have no user names, which depend on the machine.
type Owner struct{ UID, GID int }

func (o Owner) String() string { return fmt.Sprintf("%d:%d", o.UID, o.GID) }

// Entry is one path of the tree.
type Entry struct {
	Kind    Kind
	Mode    int64 // Permission bits with setuid, setgid and sticky: 0 to 07777.
	Owner   Owner
	Content *Content // Of a File.
	Target  string   // Of a Symlink.
	Source  string   // The input that the entry comes from, for error messages.

	// Override gives this entry's mode and owner of a directory precedence over entries without Override. A BUILD file overrides a
	// package in this way.
	Override bool
}

// Content is the content of a file. Entries with the same Content are hard links to each other.
type Content struct {
	Size int64
	Open func() (io.ReadCloser, error)
}

// Bytes returns the content data, which it keeps in memory.
func Bytes(data []byte) *Content {
	return &Content{
		Size: int64(len(data)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
	}
}

// OnDisk returns the content of the file at name. Open reads it from disk.
func OnDisk(name string) (*Content, error) {
	info, err := os.Stat(name) // Follows symbolic links, which all inputs in a sandbox are.
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: found a %s, expected a regular file", name, describe(info.Mode()))
	}
	return &Content{
		Size: info.Size(),
		Open: func() (io.ReadCloser, error) { return os.Open(name) },
	}, nil
}

func describe(m fs.FileMode) string {
	if m.IsDir() {
		return "directory"
	}
	return fmt.Sprintf("special file (%v)", m.Type())
}

func (c *Content) sum() (sum [sha256.Size]byte, err error) {
	r, err := c.Open()
	if err != nil {
		return sum, err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// Tree is a set of entries with unique paths. The zero value is an empty tree.
type Tree struct {
	entries map[string]Entry
	merged  bool
	links   bool // Whether the tree has the links of a merged /usr.
}

// MergeUsr puts later entries below /bin, /sbin and /lib* below /usr, where the links of a base with a merged /usr lead. If links is
// true, it adds these links: packages of Debian 12 have the old paths and rely on the links that Debian's installer creates. Call
// MergeUsr before Add.
func (t *Tree) MergeUsr(links bool) error {
	t.merged, t.links = true, links
	if !links {
		return nil
	}
	for _, d := range []string{"bin", "lib", "sbin"} {
		if err := t.link(d); err != nil {
			return err
		}
	}
	return nil
}

// link makes /d a symbolic link to usr/d.
func (t *Tree) link(d string) error {
	const source = "usr_merge"
	if err := t.Add("usr/"+d, Entry{Kind: Dir, Mode: 0o755, Source: source}); err != nil {
		return err
	}
	return t.put(d, Entry{Kind: Symlink, Target: "usr/" + d, Source: source})
}

// mergedDirs are the directories that a merged /usr contains.
var mergedDirs = []string{"bin", "lib", "lib32", "lib64", "libx32", "sbin"}

// relocate returns the path of p in a merged /usr.
func (t *Tree) relocate(p string, e Entry) (string, error) {
	first, _, below := strings.Cut(p, "/")
	if !t.merged || !slices.Contains(mergedDirs, first) {
		return p, nil
	}
	if !below && e.Kind == Symlink {
		return p, nil // The package contains the link itself.
	}
	if !below && e.Kind == File {
		return "", fmt.Errorf("/%s (from %s) is a file, expected a directory or a link", p, e.Source)
	}
	if _, ok := t.entries[first]; !ok && t.links { // lib64, lib32 and libx32 exist on some architectures only.
		if err := t.link(first); err != nil {
			return "", err
		}
	}
	return "usr/" + p, nil
}

// Clean returns name as the path of an entry: relative to the root of the image, without "." or a trailing slash. A name with ".."
// is an error.
func Clean(name string) (string, error) {
	if slices.Contains(strings.Split(name, "/"), "..") {
		return "", fmt.Errorf("path %q contains \"..\", which can lead out of the image", name)
	}
	if strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("path %q contains a zero byte", name)
	}
	p := strings.TrimPrefix(path.Clean("/"+name), "/")
	return p, nil
}

// Add adds the entry e at the path name. An existing entry at that path must be equal; otherwise the error has both sources. A
// parent directory that was not added takes mode 0755 and owner root.
func (t *Tree) Add(name string, e Entry) error {
	p, err := Clean(name)
	if err != nil {
		return fmt.Errorf("%w (from %s)", err, e.Source)
	}
	if p == "" {
		if e.Kind == Dir { // Every image has a root.
			return nil
		}
		return fmt.Errorf("path %q (from %s) is the root of the image, which cannot be a %s", name, e.Source, e.Kind)
	}
	if p, err = t.relocate(p, e); err != nil {
		return err
	}
	return t.put(p, e)
}

func (t *Tree) put(p string, e Entry) error {
	if e.Kind == Symlink {
		e.Mode = 0o777 // Linux ignores the mode of a symbolic link.
	}
	old, ok := t.entries[p]
	if ok {
		merged, err := merge(old, e)
		if err != nil {
			return fmt.Errorf("/%s: %w", p, err)
		}
		e = merged
	}
	if t.entries == nil {
		t.entries = map[string]Entry{}
	}
	t.entries[p] = e
	return nil
}

// merge returns the entry for a path that has the entries a and b.
func merge(a, b Entry) (Entry, error) {
	conflict := func(property string, va, vb any) (Entry, error) {
		return a, fmt.Errorf("conflicting %s: %v from %s, %v from %s", property, va, a.Source, vb, b.Source)
	}
	if a.Kind != b.Kind {
		return conflict("types", a.Kind, b.Kind)
	}
	if a.Kind == Dir && a.Override != b.Override {
		if a.Override {
			return a, nil
		}
		return b, nil
	}
	if a.Mode != b.Mode {
		return conflict("modes", fmt.Sprintf("%04o", a.Mode), fmt.Sprintf("%04o", b.Mode))
	}
	if a.Owner != b.Owner {
		return conflict("owners", a.Owner, b.Owner)
	}
	if a.Target != b.Target {
		return conflict("link targets", fmt.Sprintf("%q", a.Target), fmt.Sprintf("%q", b.Target))
	}
	if a.Kind == File && a.Content != b.Content {
		sa, err := a.Content.sum()
		if err != nil {
			return a, err
		}
		sb, err := b.Content.sum()
		if err != nil {
			return a, err
		}
		if sa != sb {
			return a, fmt.Errorf("conflicting contents: sha256 %x from %s, %x from %s", sa, a.Source, sb, b.Source)
		}
	}
	return a, nil
}

// SetModes sets the mode of every file whose path matches. It returns an error if no file matches.
func (t *Tree) SetModes(match func(path string) bool, mode int64) error {
	found := false
	for p, e := range t.entries {
		if e.Kind == File && match(p) {
			e.Mode = mode
			t.entries[p] = e
			found = true
		}
	}
	if !found {
		return errors.New("no file of the layer matches")
	}
	return nil
}

// Files returns the files whose paths match, sorted by path.
func (t *Tree) Files(match func(path string) bool) []Entry {
	var out []Entry
	for _, p := range slices.Sorted(maps.Keys(t.entries)) {
		if e := t.entries[p]; e.Kind == File && match(p) {
			out = append(out, e)
		}
	}
	return out
}

// complete returns all entries with their parent directories, and the sorted paths.
func (t *Tree) complete() ([]string, map[string]Entry, error) {
	all := maps.Clone(t.entries)
	for p, e := range t.entries {
		for d := path.Dir(p); d != "."; d = path.Dir(d) {
			parent, ok := all[d]
			if !ok {
				all[d] = Entry{Kind: Dir, Mode: 0o755, Source: e.Source}
				continue
			}
			if parent.Kind != Dir {
				return nil, nil, fmt.Errorf("/%s (from %s) is below /%s, which is a %s (from %s)", p, e.Source, d, parent.Kind, parent.Source)
			}
		}
	}
	// A directory's path is a prefix of the paths in it, so sorting puts parents first.
	return slices.Sorted(maps.Keys(all)), all, nil
}
