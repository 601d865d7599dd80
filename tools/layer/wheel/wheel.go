// Package wheel reads Python wheels, resolves their requirements, and lists the files of their installation, as the binary
// distribution format (PEP 427) and the database of installed distributions (PEP 376) define them. It also writes wheels of Python
// sources. It runs no code of a wheel.
//
// It must not import a package about layers; callers decide where files go.
package wheel

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"krabby.dev/krabby/tools/layer/wheel/pep440"
)

// Wheel is a wheel whose files match its RECORD.
type Wheel struct {
	Filename
	Name     string // File name.
	Metadata Metadata

	// LinuxTag accepts a platform tag without a glibc version, such as linux_x86_64. CheckTarget then reads the ELF files.
	LinuxTag bool
	// Exclude selects files to leave out, by their path in the wheel. The path of a program of an entry point is bin/NAME.
	Exclude func(path string) bool

	distInfo    string // Directory of the metadata.
	entryPoints []entryPoint
	files       map[string]*zip.File
	archive     *zip.ReadCloser
}

// Metadata holds the fields of METADATA that an installation depends on.
type Metadata struct {
	Name           string
	Version        pep440.Version
	RequiresPython pep440.Specifier
	RequiresDist   []Requirement
}

// Project returns the normalized name of the project.
func (w *Wheel) Project() string { return Normalize(w.Metadata.Name) }

// Close closes the archive. Its files cannot be read afterwards.
func (w *Wheel) Close() error { return w.archive.Close() }

// Open opens the wheel at the path file, which must end with the wheel's name, and verifies all its files. Errors begin with the
// wheel's name.
func Open(file string) (*Wheel, error) { return openWheel(file, (*Wheel).verify) }

// OpenUnverified opens a wheel as Open does, but does not compare the files with RECORD.
func OpenUnverified(file string) (*Wheel, error) {
	return openWheel(file, func(*Wheel) error { return nil })
}

func openWheel(file string, verify func(*Wheel) error) (*Wheel, error) {
	w := &Wheel{Name: filepath.Base(file), files: map[string]*zip.File{}, Exclude: func(string) bool { return false }}
	if err := w.open(file, verify); err != nil {
		if w.archive != nil {
			err = errors.Join(err, w.archive.Close())
		}
		return nil, fmt.Errorf("%s: %w", w.Name, err)
	}
	return w, nil
}

func (w *Wheel) open(file string, verify func(*Wheel) error) (err error) {
	if w.Filename, err = ParseFilename(w.Name); err != nil {
		return err
	}
	if w.archive, err = zip.OpenReader(file); err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return fmt.Errorf("not a wheel: expected a zip file: %w", err)
	}
	for _, f := range w.archive.File {
		if err := w.addFile(f); err != nil {
			return err
		}
	}
	if err := w.findDistInfo(); err != nil {
		return err
	}
	if err := verify(w); err != nil {
		return err
	}
	if err := w.readWheel(); err != nil {
		return err
	}
	if err := w.readMetadata(); err != nil {
		return err
	}
	return w.readEntryPoints()
}

func (w *Wheel) addFile(f *zip.File) error {
	if err := checkPath(f.Name); err != nil {
		return err
	}
	mode := f.Mode()
	if mode.IsDir() || strings.HasSuffix(f.Name, "/") {
		return nil
	}
	if mode&fs.ModeType != 0 {
		return fmt.Errorf("%s: found a %s, expected a file", f.Name, kind(mode))
	}
	if old := w.files[f.Name]; old != nil && (old.CRC32 != f.CRC32 || old.UncompressedSize64 != f.UncompressedSize64) {
		return fmt.Errorf("%s occurs twice, with different contents", f.Name)
	}
	w.files[f.Name] = f
	return nil
}

func kind(mode fs.FileMode) string {
	if mode&fs.ModeSymlink != 0 {
		return "symbolic link"
	}
	return "special file"
}

// checkPath rejects names that can lead out of the directory of the installation.
func checkPath(name string) error {
	clean := strings.TrimSuffix(name, "/")
	switch {
	case strings.ContainsAny(name, "\\\x00\n\r"):
		return fmt.Errorf("path %q: backslashes, zero bytes and line breaks are not allowed", name)
	case path.IsAbs(name):
		return fmt.Errorf("path %q is absolute", name)
	case slices.Contains(strings.Split(name, "/"), ".."):
		return fmt.Errorf("path %q contains \"..\", which can lead out of the directory of the installation", name)
	case clean == "" || clean != path.Clean(clean) || clean == ".":
		return fmt.Errorf("path %q contains \".\" or double slashes", name)
	}
	return nil
}

// findDistInfo finds the directory of the metadata. Its name contains the project and the version, not always normalized.
func (w *Wheel) findDistInfo() error {
	found := map[string]bool{}
	for name := range w.files {
		if top, _, ok := strings.Cut(name, "/"); ok && strings.HasSuffix(top, ".dist-info") {
			found[top] = true
		}
	}
	directories := slices.Sorted(maps.Keys(found))
	if len(directories) != 1 {
		return fmt.Errorf("found %d directories *.dist-info %q, expected 1", len(directories), directories)
	}
	w.distInfo = directories[0]
	stem := strings.TrimSuffix(w.distInfo, ".dist-info")
	project, version, _ := strings.Cut(stem, "-")
	if Normalize(project) != Normalize(w.Filename.Project) || !sameVersion(version, w.Filename.Version) {
		return fmt.Errorf("the directory %s is of another project or version", w.distInfo)
	}
	return nil
}

func sameVersion(a, b string) bool {
	// File names replace "-" of a version by "_".
	va, errA := pep440.Parse(strings.ReplaceAll(a, "_", "-"))
	vb, errB := pep440.Parse(strings.ReplaceAll(b, "_", "-"))
	return errA == nil && errB == nil && va.Compare(vb) == 0
}

func (w *Wheel) metadataFile(name string) ([]byte, error) {
	f := w.files[w.distInfo+"/"+name]
	if f == nil {
		return nil, fmt.Errorf("%s not found", name)
	}
	return read(f)
}

func read(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	return data, nil
}
