// Package wheel reads Python wheels and says which files installing them gives,
// as the binary distribution format (PEP 427) and the database of installed
// distributions (PEP 376) define it; and it writes wheels of Python sources. It
// runs none of their code.
//
// It must never import a package that knows of layers; whoever calls decides
// where files go.
package wheel

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"krabby.dev/krabby/tools/layer/wheel/pep440"
)

// Wheel is a wheel whose files are as its RECORD says.
type Wheel struct {
	Filename
	Name           string // The file's own.
	Metadata       Metadata
	distInfo, data string // Folders of the archive.
	entryPoints    []entryPoint
	files          map[string]*zip.File
	archive        *zip.ReadCloser
}

// Metadata is what METADATA says that matters for installing.
type Metadata struct {
	Name           string
	Version        pep440.Version
	RequiresPython pep440.Specifier
	RequiresDist   []Requirement
}

// Project returns the project's normalized name.
func (w *Wheel) Project() string { return Normalize(w.Metadata.Name) }

// Close closes the archive; contents cannot be read any more.
func (w *Wheel) Close() error { return w.archive.Close() }

// Open reads the wheel at a path that ends with its name, and checks every file
// of it. Errors begin with the wheel's name.
func Open(file string) (*Wheel, error) {
	w := &Wheel{Name: filepath.Base(file), files: map[string]*zip.File{}}
	if err := w.open(file); err != nil {
		if w.archive != nil {
			err = errors.Join(err, w.archive.Close())
		}
		return nil, fmt.Errorf("%s: %w", w.Name, err)
	}
	return w, nil
}

func (w *Wheel) open(file string) (err error) {
	if w.Filename, err = ParseFilename(w.Name); err != nil {
		return err
	}
	if w.archive, err = zip.OpenReader(file); err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return fmt.Errorf("not a wheel, which is a zip file: %w", err)
	}
	for _, f := range w.archive.File {
		if err := w.addFile(f); err != nil {
			return err
		}
	}
	if err := w.findDistInfo(); err != nil {
		return err
	}
	if err := w.verify(); err != nil {
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
	if err := safe(f.Name); err != nil {
		return err
	}
	mode := f.Mode()
	if mode.IsDir() || strings.HasSuffix(f.Name, "/") {
		return nil
	}
	if mode&fs.ModeType != 0 {
		return fmt.Errorf("%s is a %s, wanted a file", f.Name, kind(mode))
	}
	if w.files[f.Name] != nil {
		return fmt.Errorf("%s is in it twice", f.Name)
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

// safe refuses names that could lead elsewhere.
func safe(name string) error {
	clean := strings.TrimSuffix(name, "/")
	switch {
	case strings.ContainsAny(name, "\\\x00\n\r"):
		return fmt.Errorf("the path %q has characters that no file of a wheel has", name)
	case path.IsAbs(name):
		return fmt.Errorf("the path %q is absolute", name)
	case slices.Contains(strings.Split(name, "/"), ".."):
		return fmt.Errorf("the path %q has \"..\" in it, which could lead out of the folder it is installed to", name)
	case clean == "" || clean != path.Clean(clean) || clean == ".":
		return fmt.Errorf("the path %q is not in its simplest form", name)
	}
	return nil
}

// findDistInfo finds the folder with the metadata, which carries the project's
// name and version in some spelling.
func (w *Wheel) findDistInfo() error {
	found := map[string]bool{}
	for name := range w.files {
		if top, _, ok := strings.Cut(name, "/"); ok && strings.HasSuffix(top, ".dist-info") {
			found[top] = true
		}
	}
	folders := slices.Sorted(maps.Keys(found))
	if len(folders) != 1 {
		return fmt.Errorf("it has %d folders of metadata (*.dist-info) %q, wanted one", len(folders), folders)
	}
	w.distInfo = folders[0]
	stem := strings.TrimSuffix(w.distInfo, ".dist-info")
	w.data = stem + ".data"
	project, version, _ := strings.Cut(stem, "-")
	if Normalize(project) != Normalize(w.Filename.Project) || !sameVersion(version, w.Filename.Version) {
		return fmt.Errorf("its metadata is in %s, which is another project or version", w.distInfo)
	}
	return nil
}

func sameVersion(a, b string) bool {
	// A wheel's name has "_" where a version may have "-".
	va, errA := pep440.Parse(strings.ReplaceAll(a, "_", "-"))
	vb, errB := pep440.Parse(strings.ReplaceAll(b, "_", "-"))
	return errA == nil && errB == nil && va.Compare(vb) == 0
}

// algorithms are those that RECORD may use: sha256 or better.
var algorithms = map[string]func() hash.Hash{"sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}

// unrecorded are the files that cannot have their own hash in RECORD.
func (w *Wheel) unrecorded(name string) bool {
	return slices.Contains([]string{w.distInfo + "/RECORD", w.distInfo + "/RECORD.jws", w.distInfo + "/RECORD.p7s"}, name)
}

// verify holds every file against RECORD, and RECORD against the files.
func (w *Wheel) verify() error {
	record, err := w.metadataFile("RECORD")
	if err != nil {
		return err
	}
	rows := csv.NewReader(bytes.NewReader(record))
	rows.FieldsPerRecord = 3
	lines, err := rows.ReadAll()
	if err != nil {
		return fmt.Errorf("RECORD: %w", err)
	}
	seen := map[string]bool{}
	for _, line := range lines {
		name, sum, size := line[0], line[1], line[2]
		f := w.files[name]
		switch {
		case seen[name]:
			return fmt.Errorf("RECORD: %s is in it twice", name)
		case f == nil:
			return fmt.Errorf("RECORD: %s is in it, but not in the wheel", name)
		case w.unrecorded(name):
		default:
			if err := verifyFile(f, sum, size); err != nil {
				return fmt.Errorf("RECORD: %s: %w", name, err)
			}
		}
		seen[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(w.files)) {
		if !seen[name] && !w.unrecorded(name) {
			return fmt.Errorf("RECORD: %s is in the wheel, but not in it", name)
		}
	}
	return nil
}

func verifyFile(f *zip.File, sum, size string) error {
	algorithm, want, _ := strings.Cut(sum, "=")
	newHash := algorithms[algorithm]
	if newHash == nil {
		return fmt.Errorf("its hash %q is none of sha256, sha384 and sha512", sum)
	}
	if size != "" && size != strconv.FormatUint(f.UncompressedSize64, 10) {
		return fmt.Errorf("expected %s bytes, found %d", size, f.UncompressedSize64)
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	h := newHash()
	_, err = io.Copy(h, r)
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	if got := encode(h); got != strings.TrimRight(want, "=") {
		return fmt.Errorf("wrong hash: expected %s=%s, found %s=%s", algorithm, want, algorithm, got)
	}
	return nil
}

// encode writes a hash as RECORD has it.
func encode(h hash.Hash) string { return base64.RawURLEncoding.EncodeToString(h.Sum(nil)) }

func (w *Wheel) metadataFile(name string) ([]byte, error) {
	f := w.files[w.distInfo+"/"+name]
	if f == nil {
		return nil, fmt.Errorf("it has no %s", name)
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
