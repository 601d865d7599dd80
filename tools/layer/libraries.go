package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"krabby.dev/krabby/tools/layer/glob"
	"krabby.dev/krabby/tools/layer/tree"
)

// libraryDirs are the directories of libraries that Debian's dynamic linker reads without the cache of ldconfig.
var libraryDirs = []string{"usr/lib", "usr/lib64", "usr/lib/*-linux-gnu", "lib", "lib64", "lib/*-linux-gnu"}

// addLibraryLinks does what ldconfig does. It adds the link from the name that programs ask for (SONAME) to each library, where the
// packages have none. It makes no cache, so a library that is found only by the cache is an error.
func (d *debs) addLibraryLinks(t *tree.Tree) error {
	cached, err := glob.Compile(libraryDirs)
	if err != nil {
		return err
	}
	if err := d.checkCached(t, cached); err != nil {
		return err
	}
	libraries := t.Paths(func(p string, e tree.Entry) bool {
		return e.Kind == tree.File && cached.Match(path.Dir(p)) && isLibrary(path.Base(p))
	})
	for _, p := range libraries {
		_, e, _ := t.Lookup(p, false)
		name, err := soname(e.Content)
		if err != nil {
			return fmt.Errorf("/%s (from %s): %w", p, e.Source, err)
		}
		link := path.Join(path.Dir(p), name)
		if _, _, exists := t.Lookup(link, false); name == "" || strings.Contains(name, "/") || exists {
			continue
		}
		if err := t.Add(link, tree.Entry{Kind: tree.Symlink, Target: path.Base(p), Source: "ldconfig"}); err != nil {
			return err
		}
	}
	return nil
}

func isLibrary(name string) bool {
	return strings.HasPrefix(name, "lib") && (strings.HasSuffix(name, ".so") || strings.Contains(name, ".so."))
}

// soname returns the name that programs ask for, or nothing for a file that is no library.
func soname(c *tree.Content) (string, error) {
	r, err := c.Open()
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return "", err
	}
	file, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return "", nil // Such as a linker script.
	}
	names, err := file.DynString(elf.DT_SONAME)
	if err != nil || len(names) == 0 {
		return "", err
	}
	return names[0], nil
}

// checkCached returns an error for a directory of ld.so.conf that has libraries of the layer and that only the cache leads to.
func (d *debs) checkCached(t *tree.Tree, cached glob.Set) error {
	configurations := t.Paths(func(p string, e tree.Entry) bool {
		return e.Kind == tree.File && (p == "etc/ld.so.conf" || path.Dir(p) == "etc/ld.so.conf.d" && path.Ext(p) == ".conf")
	})
	for _, p := range configurations {
		_, e, _ := t.Lookup(p, false)
		if _, known := d.known[d.owners[p]]; known {
			continue
		}
		r, err := e.Content.Open()
		if err != nil {
			return err
		}
		content, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
		for line := range strings.Lines(string(content)) {
			line, _, _ = strings.Cut(line, "#")
			dir, _, ok := t.Lookup(strings.TrimSpace(line), true)
			if !ok || !strings.HasPrefix(line, "/") || cached.Match(dir) {
				continue
			}
			for _, name := range t.Names(dir) {
				if isLibrary(name) {
					return fmt.Errorf("/%s (from %s): ldconfig would add %s/%s to its cache, which a layer does not have: "+
						"name the directory in LD_LIBRARY_PATH of the image, and add the package to deb_known_scripts", p, e.Source, "/"+dir, name)
				}
			}
		}
	}
	return nil
}
