// Package tree holds the file tree of one image layer and writes it as a tar
// whose bytes depend on the tree alone: sorted, at the epoch, with numeric
// owners.
//
// It must never take a mode, an owner, a time or an order from the machine it
// runs on, nor import a package that knows where files come from.
package tree

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// Kind is what an entry is. There is no kind for devices, pipes and sockets: a
// layer has no business with them.
type Kind int

// The kinds of entries.
const (
	Dir Kind = iota
	File
	Symlink
)

func (k Kind) String() string {
	return [...]string{"directory", "file", "symlink"}[k]
}

// Owner is a numeric user and group; names mean nothing in an image.
type Owner struct{ UID, GID int }

func (o Owner) String() string { return fmt.Sprintf("%d:%d", o.UID, o.GID) }

// Entry is one path of the tree.
type Entry struct {
	Kind    Kind
	Mode    int64 // Permission bits with setuid, setgid and sticky: 0 to 07777.
	Owner   Owner
	Content *Content // Of a File.
	Target  string   // Of a Symlink.
	Source  string   // Who asked for it, for error messages.

	// Override lets a directory take its mode and owner from this entry
	// whatever others say, as a BUILD file may over a package.
	Override bool
}

// Content is what a file holds. Entries that share one are hard links.
type Content struct {
	Size int64
	Open func() (io.ReadCloser, error)
}

// Bytes is content in memory.
func Bytes(data []byte) *Content {
	return &Content{
		Size: int64(len(data)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
	}
}

// OnDisk is the content of the file at name, read when the layer is written.
func OnDisk(name string) (*Content, error) {
	info, err := os.Stat(name) // Follows links: in a sandbox every input is one.
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is a %s, wanted a regular file", name, describe(info.Mode()))
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

// Tree is a set of entries by path. The zero value is an empty tree.
type Tree struct {
	entries map[string]Entry
	merged  bool
}

// MergeUsr makes the tree follow merged /usr, as Debian's packages expect:
// what is put below /bin, /sbin and /lib* goes below /usr, and links lead
// there. Debian 12's packages still carry the old paths and rely on links
// that the installer makes, so a layer has to make them. Call it first.
func (t *Tree) MergeUsr() error {
	t.merged = true
	for _, d := range []string{"bin", "lib", "sbin"} {
		if err := t.link(d); err != nil {
			return err
		}
	}
	return nil
}

// link makes /d a link to usr/d.
func (t *Tree) link(d string) error {
	const source = "usr_merge"
	if err := t.Add("usr/"+d, Entry{Kind: Dir, Mode: 0o755, Source: source}); err != nil {
		return err
	}
	return t.put(d, Entry{Kind: Symlink, Target: "usr/" + d, Source: source})
}

// mergedDirs are the directories that moved below /usr.
var mergedDirs = []string{"bin", "lib", "lib32", "lib64", "libx32", "sbin"}

// relocate maps p to where merged /usr has it.
func (t *Tree) relocate(p string, e Entry) (string, error) {
	first, _, below := strings.Cut(p, "/")
	if !t.merged || !slices.Contains(mergedDirs, first) {
		return p, nil
	}
	if !below && e.Kind == Symlink {
		return p, nil // A package that brings the link itself.
	}
	if _, ok := t.entries[first]; !ok { // lib64 and its like exist on some architectures only.
		if err := t.link(first); err != nil {
			return "", err
		}
	}
	return "usr/" + p, nil
}

// Clean makes name a path as entries have it, relative to the root of the
// image and without "." or a trailing slash. It refuses "..".
func Clean(name string) (string, error) {
	if slices.Contains(strings.Split(name, "/"), "..") {
		return "", fmt.Errorf("path %q has \"..\" in it, which could lead out of the image", name)
	}
	if strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("path %q has a zero byte in it", name)
	}
	p := strings.TrimPrefix(path.Clean("/"+name), "/")
	return p, nil
}

// Add puts e at name. What is there already must be the same, or the error
// names both sources; a directory that was only implied takes the explicit
// entry's mode and owner.
func (t *Tree) Add(name string, e Entry) error {
	p, err := Clean(name)
	if err != nil {
		return fmt.Errorf("%w (from %s)", err, e.Source)
	}
	if p == "" {
		if e.Kind == Dir { // The root is there anyway.
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
		e.Mode = 0o777 // A link has no permissions of its own.
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

func merge(a, b Entry) (Entry, error) {
	conflict := func(what string, va, vb any) (Entry, error) {
		return a, fmt.Errorf("%s wants %s %v, %s wants %v", a.Source, what, va, b.Source, vb)
	}
	if a.Kind != b.Kind {
		return conflict("a", a.Kind, b.Kind)
	}
	if a.Kind == Dir && a.Override != b.Override {
		if a.Override {
			return a, nil
		}
		return b, nil
	}
	if a.Mode != b.Mode {
		return conflict("mode", fmt.Sprintf("%04o", a.Mode), fmt.Sprintf("%04o", b.Mode))
	}
	if a.Owner != b.Owner {
		return conflict("owner", a.Owner, b.Owner)
	}
	if a.Target != b.Target {
		return conflict("a link to", fmt.Sprintf("%q", a.Target), fmt.Sprintf("%q", b.Target))
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
			return a, fmt.Errorf("%s and %s bring different content (sha256 %x and %x)", a.Source, b.Source, sa, sb)
		}
	}
	return a, nil
}

// SetModes gives every file below the patterns' match the mode. It fails when
// there is none, since then the pattern is a mistake.
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
		return fmt.Errorf("no file of the layer matches")
	}
	return nil
}

// Files returns the files whose paths match, in order.
func (t *Tree) Files(match func(path string) bool) []Entry {
	var out []Entry
	for _, p := range slices.Sorted(maps.Keys(t.entries)) {
		if e := t.entries[p]; e.Kind == File && match(p) {
			out = append(out, e)
		}
	}
	return out
}

// complete returns the paths in order with all parent directories in place.
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
				return nil, nil, fmt.Errorf("/%s (from %s) lies below /%s, which is a %s (from %s)", p, e.Source, d, parent.Kind, parent.Source)
			}
		}
	}
	// A directory's path is a prefix of what it holds, so plain order puts
	// parents first.
	return slices.Sorted(maps.Keys(all)), all, nil
}
