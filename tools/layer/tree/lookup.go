package tree

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// maxLinks is the number of symbolic links after which Linux gives up too.
const maxLinks = 40

// Lookup returns the entry at the path name, and its path. It follows links in parent directories and, if follow is true, at the
// path itself. Parent directories that were not added are found too.
func (t *Tree) Lookup(name string, follow bool) (p string, e Entry, ok bool) {
	rest := split(name)
	for links := 0; len(rest) > 0; {
		next := rest[0]
		rest = rest[1:]
		if next == ".." {
			p = parent(p)
			continue
		}
		p = t.relocated(path.Join(p, next))
		e, ok = t.entry(p)
		if !ok {
			return p, e, false
		}
		if e.Kind == Symlink && (follow || len(rest) > 0) {
			if links++; links > maxLinks {
				return p, e, false
			}
			rest = append(split(e.Target), rest...)
			if p = parent(p); path.IsAbs(e.Target) {
				p = ""
			}
		}
	}
	if p == "" {
		return p, Entry{Kind: Dir, Mode: 0o755}, true
	}
	return p, e, ok
}

func split(name string) []string {
	return strings.FieldsFunc(name, func(r rune) bool { return r == '/' })
}

func parent(p string) string {
	if d := path.Dir(p); d != "." {
		return d
	}
	return ""
}

// relocated returns the path of a directory such as /lib in a merged /usr if the tree has no link there.
func (t *Tree) relocated(p string) string {
	if _, ok := t.entries[p]; t.merged && !ok && slices.Contains(mergedDirs, p) {
		return "usr/" + p
	}
	return p
}

// entry returns the entry at p, which can be a parent directory that was not added.
func (t *Tree) entry(p string) (Entry, bool) {
	if e, ok := t.entries[p]; ok {
		return e, true
	}
	for q, e := range t.entries {
		if strings.HasPrefix(q, p+"/") {
			return Entry{Kind: Dir, Mode: 0o755, Source: e.Source}, true
		}
	}
	return Entry{}, false
}

// Names returns the sorted names in the directory p, as Lookup returns its path.
func (t *Tree) Names(p string) []string {
	names := map[string]bool{}
	for q := range t.entries {
		if rest, ok := strings.CutPrefix(q, strings.TrimPrefix(p+"/", "/")); ok {
			first, _, _ := strings.Cut(rest, "/")
			names[first] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Paths returns the sorted paths of the entries that match.
func (t *Tree) Paths(match func(path string, e Entry) bool) []string {
	var paths []string
	for p, e := range t.entries {
		if match(p, e) {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	return paths
}

// Rename moves the entry at the path from, as Lookup returns it, to another path.
func (t *Tree) Rename(from, to string) error {
	e := t.entries[from]
	delete(t.entries, from)
	return t.Add(to, e)
}
