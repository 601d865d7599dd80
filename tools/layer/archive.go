package main

import (
	"archive/tar"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"krabby.dev/krabby/tools/layer/glob"
	"krabby.dev/krabby/tools/layer/makeself"
	"krabby.dev/krabby/tools/layer/tree"
)

// Limits for the unpacked size of an archive. Libraries and data compress to between a half and a fifth, so an archive that grows
// more than maxExpansion times is treated as a decompression bomb. Archives below smallArchive bytes may grow to that size.
const (
	maxExpansion = 20
	smallArchive = 64 << 20
)

// rule is one glob of a placement.
type rule struct {
	dest, pattern string
	match         glob.Set
	optional      bool
	found         bool
}

// place returns the destination of name and whether name has one. A destination that ends in a slash is the directory for the file.
func place(rules []*rule, name string) (dest string, wanted bool) {
	for _, r := range rules {
		if !r.match.Match(name) {
			continue
		}
		r.found = true
		if wanted {
			continue
		}
		dest, wanted = r.dest, true
		if !strings.HasSuffix(dest, "/") {
			dest = path.Join(dest, name)
		}
	}
	return dest, wanted
}

func (a *archive) rules() ([]*rule, error) {
	var rules []*rule
	for _, p := range a.Files {
		for _, pattern := range p.Globs {
			set, err := glob.Compile([]string{pattern})
			if err != nil {
				return nil, err
			}
			rules = append(rules, &rule{dest: p.Dest, pattern: pattern, match: set, optional: slices.Contains(a.Optional, pattern)})
		}
	}
	return rules, nil
}

// add adds the files of the archive that have a destination to the tree, all with the same owner. Modes are 0755 for directories
// and programs and 0644 for other files, so they do not depend on the umask of the archive's author.
func (a *archive) add(t *tree.Tree, owner tree.Owner, s *spool) error {
	rules, err := a.rules()
	if err != nil {
		return err
	}
	f, err := os.Open(a.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	opened, err := makeself.Open(f, info.Size())
	if err != nil {
		return err
	}

	topLevel := map[string]bool{} // Names for the error message about an unused glob.
	wanted := func(name string) bool {
		first, _, _ := strings.Cut(name, "/")
		topLevel[first] = true
		_, ok := place(rules, name)
		return ok
	}
	unpacked := &unpackedArchive{source: a.Label, owner: owner, spool: s, files: map[string]*tree.Content{}}
	err = opened.Walk(max(maxExpansion*info.Size(), smallArchive), wanted, func(h *tar.Header, r io.Reader) error {
		e, err := unpacked.entry(h, r)
		if err != nil {
			return err
		}
		dest, _ := place(rules, h.Name)
		if strings.HasSuffix(dest, "/") {
			if e.Kind != tree.File {
				return fmt.Errorf("%s is a %s: a destination that ends in a slash (%s) takes files only", h.Name, e.Kind, dest)
			}
			dest += path.Base(h.Name)
		}
		return t.Add(dest, e)
	})
	if err != nil {
		return err
	}
	for _, r := range rules {
		if !r.found && !r.optional {
			return fmt.Errorf("glob %q of the allow-list matches no file; top level of the archive: %s", r.pattern, strings.Join(slices.Sorted(maps.Keys(topLevel)), ", "))
		}
	}
	return nil
}

// unpackedArchive converts the entries of an archive to entries of a tree.
type unpackedArchive struct {
	source string
	owner  tree.Owner
	spool  *spool
	files  map[string]*tree.Content // Earlier files, which hard links refer to.
}

func (u *unpackedArchive) entry(h *tar.Header, r io.Reader) (tree.Entry, error) {
	e := tree.Entry{Mode: 0o644, Owner: u.owner, Source: u.source}
	if h.Typeflag == tar.TypeDir || h.Mode&0o111 != 0 {
		e.Mode = 0o755
	}
	switch h.Typeflag {
	case tar.TypeDir:
		e.Kind = tree.Dir
	case tar.TypeSymlink:
		e.Kind, e.Target = tree.Symlink, h.Linkname
	case tar.TypeLink:
		e.Kind, e.Content = tree.File, u.files[h.Linkname]
		if e.Content == nil {
			return e, fmt.Errorf("%s is a hard link to %s, which has no destination or does not precede the link", h.Name, h.Linkname)
		}
	default:
		content, err := u.spool.add(r)
		if err != nil {
			return e, fmt.Errorf("unpack %s: %w", h.Name, err)
		}
		e.Kind, e.Content = tree.File, content
	}
	if e.Kind == tree.File {
		u.files[h.Name] = e.Content
	}
	return e, nil
}
