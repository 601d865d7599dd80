// Package deb reads the control stanza and the files of Debian binary packages. It runs no maintainer script.
//
// It must not import a package that accesses the file system; callers decide where files go.
package deb

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Package describes a package.
type Package struct {
	Name         string // The field Package.
	Version      string
	Architecture string
	Control      []byte            // The whole control stanza with one newline at the end.
	MD5Sums      []byte            // The file md5sums, nil if the package has none.
	Triggers     []byte            // The file triggers.
	Scripts      map[string][]byte // Maintainer scripts by name, such as postinst.
}

// scripts are the names of maintainer scripts that run when a package is installed.
var scripts = []string{"preinst", "postinst"}

// ReadControl reads the control archive of the package in r.
func ReadControl(r io.Reader) (Package, error) {
	members, err := begin(r)
	if err != nil {
		return Package{}, err
	}
	return readControl(members)
}

// Read reads the whole package in r. It calls start once with the control stanza, and then file for each entry of the data archive
// in order. The reader that file gets is valid until file returns.
func Read(r io.Reader, start func(Package) error, file func(*tar.Header, io.Reader) error) error {
	members, err := begin(r)
	if err != nil {
		return err
	}
	pkg, err := readControl(members)
	if err != nil {
		return err
	}
	if err := start(pkg); err != nil {
		return err
	}
	return readData(members, file)
}

// begin reads the member with the version of the format.
func begin(r io.Reader) (*arReader, error) {
	members, err := newArReader(r)
	if err != nil {
		return nil, err
	}
	name, body, err := members.next()
	if err != nil {
		return nil, noMember("debian-binary", err)
	}
	if name != "debian-binary" {
		return nil, fmt.Errorf("first member: found %q, expected \"debian-binary\"", name)
	}
	version, err := io.ReadAll(io.LimitReader(body, 16))
	if err != nil {
		return nil, fmt.Errorf("debian-binary: %w", err)
	}
	if !bytes.HasPrefix(version, []byte("2.")) {
		return nil, fmt.Errorf("unsupported package format %q: expected 2.x", version)
	}
	return members, nil
}

func readControl(members *arReader) (Package, error) {
	pkg := Package{Scripts: map[string][]byte{}}
	plain, err := member(members, "control.tar")
	if err != nil {
		return pkg, err
	}
	err = walk(plain, func(h *tar.Header, r io.Reader) error {
		return pkg.readFile(path.Clean(h.Name), r)
	})
	if err != nil {
		return pkg, fmt.Errorf("control.tar: %w", err)
	}
	for line := range strings.Lines(string(pkg.Control)) {
		key, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); key {
		case "Package":
			pkg.Name = value
		case "Version":
			pkg.Version = value
		case "Architecture":
			pkg.Architecture = value
		}
	}
	// Layers use the name as a file name.
	if pkg.Name == "" || strings.ContainsAny(pkg.Name, "/ \x00") || pkg.Name[0] == '.' {
		return pkg, fmt.Errorf("control.tar: invalid field Package %q", pkg.Name)
	}
	return pkg, nil
}

// readFile reads a file of the control archive, if the package keeps it.
func (p *Package) readFile(name string, r io.Reader) error {
	script := slices.Contains(scripts, name)
	if !script && !slices.Contains([]string{"control", "md5sums", "triggers"}, name) {
		return nil
	}
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	switch {
	case script:
		p.Scripts[name] = content
	case name == "control":
		p.Control = append(bytes.TrimRight(content, "\n"), '\n')
	case name == "md5sums":
		p.MD5Sums = content
	case name == "triggers":
		p.Triggers = content
	}
	return nil
}

func readData(members *arReader, file func(*tar.Header, io.Reader) error) error {
	plain, err := member(members, "data.tar")
	if err != nil {
		return err
	}
	if err := walk(plain, file); err != nil {
		return fmt.Errorf("data.tar: %w", err)
	}
	return nil
}

// walk calls f for each entry and then reads the rest, because compressed formats have their checksums at the end.
func walk(r io.Reader, f func(*tar.Header, io.Reader) error) error {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := f(h, tr); err != nil {
			return err
		}
	}
	_, err := io.Copy(io.Discard, r)
	return err
}

// member skips to the member named want, with the extension of any compression, and returns its uncompressed bytes. As deb(5)
// requires, it ignores members whose names begin with "_".
func member(members *arReader, want string) (io.Reader, error) {
	for {
		name, body, err := members.next()
		if err != nil {
			return nil, noMember(want, err)
		}
		if strings.HasPrefix(name, "_") {
			continue
		}
		ext, ok := strings.CutPrefix(name, want)
		if !ok {
			return nil, fmt.Errorf("found member %q, expected %s", name, want)
		}
		plain, err := decompress(ext, body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return plain, nil
	}
}

func noMember(want string, err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("member %s not found", want)
	}
	return fmt.Errorf("member %s: %w", want, err)
}

func decompress(ext string, r io.Reader) (io.Reader, error) {
	switch ext {
	case "":
		return r, nil
	case ".gz":
		return gzip.NewReader(r)
	case ".xz":
		return xz.NewReader(r)
	case ".zst":
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
	default:
		return nil, fmt.Errorf("unknown compression %q: expected .gz, .xz, .zst or none", ext)
	}
}
