package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"krabby.dev/krabby/tools/layer/maintscript"
	"krabby.dev/krabby/tools/layer/tree"
)

// run runs a maintainer script of a package, unless its effects are known.
func (d *debs) run(pkg debPackage, name string, run func(maintscript.Package, []byte, maintscript.Root) error, t *tree.Tree) error {
	_, known := d.known[pkg.Name]
	if script := pkg.Scripts[name]; script == nil || known || maintscript.Known(pkg.Name) {
		return nil
	}
	root := scriptRoot{t, d, pkg.Label + ", " + name}
	err := run(maintscript.Package{Name: pkg.Name, Architecture: pkg.Architecture}, pkg.Scripts[name], root)
	if unsupported, ok := errors.AsType[*maintscript.Unsupported](err); ok {
		err = fmt.Errorf("%s: %w: a layer cannot do this: add what the image needs by files, directories or symlinks, and %q to deb_known_scripts",
			pkg.Name, unsupported, pkg.Name)
	}
	if err != nil {
		return pkg.wrap(err)
	}
	return nil
}

// finish carries out the postinst scripts on the tree of the whole layer. What the author of the layer added stays.
func (d *debs) finish(t *tree.Tree) error {
	for _, pkg := range d.all {
		if _, known := d.known["ca-certificates"]; pkg.Name == "ca-certificates" && !d.params.CABundle && !known {
			return pkg.wrap(errors.New("ca-certificates: postinst writes /etc/ssl/certs/ca-certificates.crt: set ca_bundle, or add the package to deb_known_scripts"))
		}
		if err := d.run(pkg, "postinst", d.scripts.Postinst, t); err != nil {
			return err
		}
	}
	for _, link := range d.scripts.Alternatives() {
		if _, _, exists := t.Lookup(link.Path, false); exists {
			continue // update-alternatives does not replace a file either.
		}
		if err := t.Add(link.Path, tree.Entry{Kind: tree.Symlink, Target: link.Target, Source: "update-alternatives"}); err != nil {
			return err
		}
	}
	if d.linkerCache() {
		return d.addLibraryLinks(t)
	}
	return nil
}

// linkerCache reports whether an installation would run ldconfig.
func (d *debs) linkerCache() bool {
	for _, pkg := range d.all {
		for line := range bytes.Lines(pkg.Triggers) {
			fields := strings.Fields(string(line))
			if len(fields) == 2 && strings.HasPrefix(fields[0], "activate") && fields[1] == "ldconfig" {
				return true
			}
		}
	}
	return d.scripts.LinkerCache()
}

// scriptRoot is the tree of a layer as maintainer scripts see it.
type scriptRoot struct {
	tree   *tree.Tree
	debs   *debs
	source string
}

func (r scriptRoot) Lookup(name string, follow bool) (maintscript.Entry, bool) {
	_, e, ok := r.tree.Lookup(name, follow)
	if !ok {
		return maintscript.Entry{}, false
	}
	entry := maintscript.Entry{Mode: fs.FileMode(e.Mode & 0o777), Target: e.Target}
	switch e.Kind {
	case tree.Dir:
		entry.Mode |= fs.ModeDir
	case tree.Symlink:
		entry.Mode |= fs.ModeSymlink
	case tree.File:
		entry.Open = e.Content.Open
	}
	return entry, true
}

func (r scriptRoot) Names(dir string) []string {
	p, _, ok := r.tree.Lookup(dir, true)
	if !ok {
		return nil
	}
	return r.tree.Names(p)
}

func (r scriptRoot) Mkdir(name string, mode int64) error {
	return r.tree.Add(name, tree.Entry{Kind: tree.Dir, Mode: mode, Source: r.source})
}

func (r scriptRoot) Symlink(target, name string) error {
	return r.tree.Add(name, tree.Entry{Kind: tree.Symlink, Target: target, Source: r.source})
}

func (r scriptRoot) Rename(pkg, from, to string) error {
	p, _, exists := r.tree.Lookup(from, false)
	if owner, ok := r.debs.owners[p]; !exists || !ok || owner == pkg {
		return nil
	}
	return r.tree.Rename(p, to)
}

func (r scriptRoot) Excluded(name string) bool { return !r.debs.wanted(strings.TrimPrefix(name, "/")) }
