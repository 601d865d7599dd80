package main

import (
	"archive/tar"
	"errors"
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

// How much an archive may unpack to: libraries and data shrink to a half or a
// fifth, so what grows further was made to fill a disk. The size of the archive
// is pinned with its hash. Small archives may grow more, they do no harm.
const (
	maxExpansion  = 20
	smallArchives = 64 << 20
)

// rule is one glob of a placement.
type rule struct {
	dest, pattern string
	match         glob.Set
	optional      bool
	found         bool
}

// place returns where name goes, and whether it goes anywhere. Where it ends in a
// slash, it is the directory to put the file into by its own name.
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

// add puts the wanted files into the tree, all owned by owner. Modes are 0755 for
// directories and programs and 0644 for other files, whatever the maker's umask
// was.
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

	files := map[string]*tree.Content{} // What hard links may refer to.
	top := map[string]bool{}            // For the message when the allow-list is wrong.
	wanted := func(name string) bool {
		first, _, _ := strings.Cut(name, "/")
		top[first] = true
		_, ok := place(rules, name)
		return ok
	}
	err = opened.Walk(max(maxExpansion*info.Size(), smallArchives), wanted, func(h *tar.Header, r io.Reader) error {
		e := tree.Entry{Mode: 0o644, Owner: owner, Source: a.Label}
		if h.Typeflag == tar.TypeDir || h.Mode&0o111 != 0 {
			e.Mode = 0o755
		}
		switch h.Typeflag {
		case tar.TypeDir:
			e.Kind = tree.Dir
		case tar.TypeSymlink:
			e.Kind, e.Target = tree.Symlink, h.Linkname
		case tar.TypeLink:
			e.Kind, e.Content = tree.File, files[h.Linkname]
			if e.Content == nil {
				return fmt.Errorf("%s is a hard link to %s, which the archive has not before it or the allow-list leaves out", h.Name, h.Linkname)
			}
		default:
			content, err := s.add(r)
			if err != nil {
				return fmt.Errorf("unpack %s: %w", h.Name, err)
			}
			e.Kind, e.Content = tree.File, content
		}
		if e.Kind == tree.File {
			files[h.Name] = e.Content
		}
		dest, _ := place(rules, h.Name)
		if strings.HasSuffix(dest, "/") {
			if e.Kind != tree.File {
				return fmt.Errorf("%s is a %s: only files can be put into %s by their names", h.Name, e.Kind, dest)
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
			return fmt.Errorf("nothing in it matches %q of the allow-list; it has at its top: %s", r.pattern, strings.Join(slices.Sorted(maps.Keys(top)), ", "))
		}
	}
	return nil
}

// spool is a file without a name that holds contents until the layer is written.
type spool struct {
	dir  string
	file *os.File
	size int64
}

func (s *spool) add(r io.Reader) (*tree.Content, error) {
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, ".layer-*")
		if err != nil {
			return nil, err
		}
		s.file = f
		// Gone with the process, however that ends.
		if err := os.Remove(f.Name()); err != nil {
			return nil, err
		}
	}
	begin := s.size
	n, err := io.Copy(s.file, r)
	s.size += n
	if err != nil {
		return nil, err
	}
	return &tree.Content{Size: n, Open: func() (io.ReadCloser, error) {
		if s.file == nil {
			return nil, errors.New("read after the layer was written")
		}
		return io.NopCloser(io.NewSectionReader(s.file, begin, n)), nil
	}}, nil
}

func (s *spool) close() {
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
}
