package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"krabby.dev/krabby/tools/layer/deb"
	"krabby.dev/krabby/tools/layer/glob"
	"krabby.dev/krabby/tools/layer/maintscript"
	"krabby.dev/krabby/tools/layer/tree"
)

// statusDir has one control stanza for each package, and the checksums of its files. Distroless images use it instead of dpkg's
// database, and security scanners read it.
const statusDir = "var/lib/dpkg/status.d/"

// debs adds Debian packages to a tree: first their files, and at the end what their maintainer scripts make of the tree.
type debs struct {
	params  *params
	wanted  func(path string) bool
	known   map[string]bool // Packages whose scripts the author of the layer knows, by whether the layer has them.
	all     []debPackage
	scripts maintscript.State
	owners  map[string]string // Packages by paths of files.
}

type debPackage struct {
	source
	deb.Package
}

func (p *params) newDebs() (*debs, error) {
	include, err := glob.Compile(p.DebInclude)
	if err != nil {
		return nil, fmt.Errorf("deb_include: %w", err)
	}
	exclude, err := glob.Compile(p.DebExclude)
	if err != nil {
		return nil, fmt.Errorf("deb_exclude: %w", err)
	}
	d := &debs{params: p, known: map[string]bool{}, owners: map[string]string{}}
	d.wanted = func(name string) bool { return include.Match(name) || !exclude.Match(name) }
	for _, name := range p.DebKnownScripts {
		d.known[name] = false
	}
	return d, nil
}

// add adds the files of the packages.
func (d *debs) add(t *tree.Tree) error {
	for _, src := range d.params.Debs {
		pkg, err := readControl(src)
		if err != nil {
			return err
		}
		d.all = append(d.all, pkg)
		if _, ok := d.known[pkg.Name]; ok {
			d.known[pkg.Name] = true
		}
	}
	for name, found := range d.known {
		if !found {
			return fmt.Errorf("deb_known_scripts: no package %s in debs", name)
		}
	}
	// Diversions apply to all packages, in whatever order they are.
	for _, pkg := range d.all {
		if err := d.run(pkg, "preinst", d.scripts.Preinst, t); err != nil {
			return err
		}
	}
	for _, pkg := range d.all {
		if err := d.addFiles(t, pkg); err != nil {
			return pkg.wrap(err)
		}
	}
	if d.params.CABundle {
		return addCABundle(t)
	}
	return nil
}

func (p debPackage) wrap(err error) error { return fmt.Errorf("deb %s (%s): %w", p.Label, p.Path, err) }

func readControl(src source) (pkg debPackage, err error) {
	pkg.source = src
	f, err := os.Open(src.Path)
	if err != nil {
		return pkg, pkg.wrap(err)
	}
	defer f.Close()
	if pkg.Package, err = deb.ReadControl(bufio.NewReaderSize(f, 1<<20)); err != nil {
		return pkg, pkg.wrap(err)
	}
	return pkg, nil
}

// addCABundle joins the certificates of ca-certificates in the one file that TLS libraries read, as the package's maintainer script
// does.
func addCABundle(t *tree.Tree) error {
	certs, err := glob.Compile([]string{"usr/share/ca-certificates/**/*.crt"})
	if err != nil {
		return err
	}
	var bundle bytes.Buffer
	for _, e := range t.Files(certs.Match) {
		r, err := e.Content.Open()
		if err != nil {
			return err
		}
		_, err = io.Copy(&bundle, r)
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
		if !bytes.HasSuffix(bundle.Bytes(), []byte("\n")) {
			bundle.WriteByte('\n')
		}
	}
	if bundle.Len() == 0 {
		return errors.New("ca_bundle: no certificate found below /usr/share/ca-certificates: add ca-certificates to debs")
	}
	return t.Add("etc/ssl/certs/ca-certificates.crt", tree.Entry{
		Kind: tree.File, Mode: 0o644, Content: tree.Bytes(bundle.Bytes()), Source: "ca_bundle",
	})
}

// addFiles adds the wanted files of one package, its control stanza and its checksums. Contents stay in memory because packages are
// small and the tar needs them in another order.
func (d *debs) addFiles(t *tree.Tree, pkg debPackage) error {
	f, err := os.Open(pkg.Path)
	if err != nil {
		return err
	}
	defer f.Close()

	for name, content := range map[string][]byte{pkg.Name: pkg.Control, pkg.Name + ".md5sums": pkg.MD5Sums} {
		if content == nil {
			continue
		}
		e := tree.Entry{Kind: tree.File, Mode: 0o644, Content: tree.Bytes(content), Source: pkg.Label}
		if err := t.Add(statusDir+name, e); err != nil {
			return err
		}
	}
	files := map[string]*tree.Content{} // Earlier files, which hard links refer to.
	start := func(deb.Package) error { return nil }
	return deb.Read(bufio.NewReaderSize(f, 1<<20), start, func(h *tar.Header, r io.Reader) error {
		if path.IsAbs(h.Name) {
			return fmt.Errorf("path %q is absolute", h.Name)
		}
		name, err := tree.Clean(h.Name)
		if err != nil {
			return err
		}
		e, err := debEntry(h, r, name, files)
		if err != nil || !d.wanted(name) {
			return err
		}
		e.Source = pkg.Label
		if e.Kind != tree.Dir {
			name = d.scripts.Divert(pkg.Name, "/"+name)
		}
		if err := t.Add(name, e); err != nil {
			return err
		}
		if p, _, _ := t.Lookup(name, false); e.Kind != tree.Dir {
			d.owners[p] = pkg.Name
		}
		return nil
	})
}

// debEntry converts an entry of a package. It adds the content of a file to files.
func debEntry(h *tar.Header, r io.Reader, name string, files map[string]*tree.Content) (tree.Entry, error) {
	e := tree.Entry{Mode: h.Mode & 0o7777, Owner: tree.Owner{UID: h.Uid, GID: h.Gid}}
	switch h.Typeflag {
	case tar.TypeDir:
		e.Kind = tree.Dir
	case tar.TypeSymlink:
		e.Kind, e.Target = tree.Symlink, h.Linkname
	case tar.TypeReg:
		data, err := io.ReadAll(r)
		if err != nil {
			return e, fmt.Errorf("read %s: %w", h.Name, err)
		}
		e.Kind, e.Content = tree.File, tree.Bytes(data)
		files[name] = e.Content
	case tar.TypeLink:
		target, err := tree.Clean(h.Linkname)
		if err != nil {
			return e, err
		}
		e.Kind, e.Content = tree.File, files[target]
		if e.Content == nil {
			return e, fmt.Errorf("%s is a hard link to %s, which does not precede the link", h.Name, h.Linkname)
		}
		files[name] = e.Content
	default:
		return e, fmt.Errorf("%s is a %s, which layers cannot contain", h.Name, special(h.Typeflag))
	}
	return e, nil
}

// special returns the name of a tar entry type that is not a file, directory or link.
func special(typeflag byte) string {
	switch typeflag {
	case tar.TypeChar, tar.TypeBlock:
		return "device node"
	case tar.TypeFifo:
		return "named pipe"
	default:
		return strings.TrimSpace(fmt.Sprintf("tar entry of type %q", typeflag))
	}
}
