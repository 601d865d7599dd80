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
	"krabby.dev/krabby/tools/layer/tree"
)

// statusDir has one control stanza for each package. Distroless images use it instead of dpkg's database, and security scanners
// read it.
const statusDir = "var/lib/dpkg/status.d/"

func (p *params) addDebs(t *tree.Tree) error {
	include, err := glob.Compile(p.DebInclude)
	if err != nil {
		return fmt.Errorf("deb_include: %w", err)
	}
	exclude, err := glob.Compile(p.DebExclude)
	if err != nil {
		return fmt.Errorf("deb_exclude: %w", err)
	}
	wanted := func(name string) bool { return include.Match(name) || !exclude.Match(name) }
	for _, d := range p.Debs {
		if err := addDeb(t, d, wanted); err != nil {
			return fmt.Errorf("deb %s (%s): %w", d.Label, d.Path, err)
		}
	}
	if p.CABundle {
		return addCABundle(t)
	}
	return nil
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

// addDeb adds the wanted files of one package and its control stanza. Contents stay in memory because packages are small and the
// tar needs them in another order.
func addDeb(t *tree.Tree, src source, wanted func(string) bool) error {
	f, err := os.Open(src.Path)
	if err != nil {
		return err
	}
	defer f.Close()

	files := map[string]*tree.Content{} // Earlier files, which hard links refer to.
	begin := func(pkg deb.Package) error {
		return t.Add(statusDir+pkg.Name, tree.Entry{
			Kind: tree.File, Mode: 0o644, Content: tree.Bytes(pkg.Control), Source: src.Label,
		})
	}
	return deb.Read(bufio.NewReaderSize(f, 1<<20), begin, func(h *tar.Header, r io.Reader) error {
		if path.IsAbs(h.Name) {
			return fmt.Errorf("path %q is absolute", h.Name)
		}
		name, err := tree.Clean(h.Name)
		if err != nil {
			return err
		}
		e, err := debEntry(h, r, name, files)
		if err != nil || !wanted(name) {
			return err
		}
		e.Source = src.Label
		return t.Add(name, e)
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
