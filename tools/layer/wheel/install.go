package wheel

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Scheme is where the parts of a wheel go: below one prefix that is no Python's
// own, so that nothing of a base is overwritten, or mixed with another version.
// Python finds modules there by PYTHONPATH.
type Scheme struct {
	Prefix      string // "/opt/krabby/python"
	Interpreter string // What scripts begin with: "/usr/bin/python3.11".
}

// Validate says what is wrong with a scheme.
func (s Scheme) Validate() error {
	for _, p := range []string{s.Prefix, s.Interpreter} {
		if !path.IsAbs(p) || path.Clean(p) != p {
			return fmt.Errorf("%q is not an absolute path in its simplest form", p)
		}
	}
	// The kernel reads no more than 127 bytes of the line, and splits it at spaces.
	if len(s.Interpreter) > 120 || strings.ContainsAny(s.Interpreter, " \t\n") {
		return fmt.Errorf("the interpreter %q does not fit into the first line of a script", s.Interpreter)
	}
	return nil
}

// site is the folder of modules.
func (s Scheme) site() string { return path.Join(s.Prefix, "site-packages") }

func (s Scheme) bin() string { return path.Join(s.Prefix, "bin") }

// File is a file as it is installed.
type File struct {
	Path       string // Absolute.
	Executable bool
	Size       int64
	Open       func() (io.ReadCloser, error)
}

func inMemory(name string, executable bool, data []byte) File {
	return File{name, executable, int64(len(data)), func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	}}
}

func inArchive(name string, f *zip.File) File {
	return File{name, f.Mode().Perm()&0o111 != 0, int64(f.UncompressedSize64), f.Open}
}

// ofInstallers are files that installers write: those of an earlier one mean
// nothing here, and signatures of the old RECORD are wrong for the new one.
var ofInstallers = []string{"INSTALLER", "REQUESTED", "direct_url.json", "RECORD", "RECORD.jws", "RECORD.p7s"}

// Install returns all files that the wheel gives, in the order of their paths,
// with a RECORD of them. Compiled modules (__pycache__) are left out: they would
// be stale, as they carry the time of their source.
func (w *Wheel) Install(s Scheme) ([]File, error) {
	files, err := w.install(s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", w.Name, err)
	}
	return files, nil
}

func (w *Wheel) install(s Scheme) ([]File, error) {
	files := map[string]File{}
	add := func(f File) error {
		if old, ok := files[f.Path]; ok {
			return fmt.Errorf("two of its files go to %s, of %d and %d bytes", f.Path, old.Size, f.Size)
		}
		files[f.Path] = f
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(w.files)) {
		if slices.Contains(strings.Split(name, "/"), "__pycache__") || w.ofInstaller(name) {
			continue
		}
		if path.Ext(name) == ".pyc" {
			return nil, fmt.Errorf("%s is compiled for one Python and has no source beside it", name)
		}
		f, err := w.place(s, name)
		if err != nil {
			return nil, err
		}
		if err := add(f); err != nil {
			return nil, err
		}
	}
	for _, e := range w.entryPoints {
		if err := add(inMemory(path.Join(s.bin(), e.name), true, e.script(s))); err != nil {
			return nil, err
		}
	}
	info := path.Join(s.site(), w.distInfo)
	if err := add(inMemory(path.Join(info, "INSTALLER"), false, []byte("krabby\n"))); err != nil {
		return nil, err
	}
	record, err := recordOf(s, files, path.Join(info, "RECORD"))
	if err != nil {
		return nil, err
	}
	if err := add(inMemory(path.Join(info, "RECORD"), false, record)); err != nil {
		return nil, err
	}
	var all []File
	for _, p := range slices.Sorted(maps.Keys(files)) {
		all = append(all, files[p])
	}
	return all, nil
}

func (w *Wheel) ofInstaller(name string) bool {
	rest, ok := strings.CutPrefix(name, w.distInfo+"/")
	return ok && slices.Contains(ofInstallers, rest)
}

// place says where a file of the archive goes.
func (w *Wheel) place(s Scheme, name string) (File, error) {
	f := w.files[name]
	rest, ok := strings.CutPrefix(name, w.data+"/")
	if !ok {
		return module(s, name, f)
	}
	key, rest, _ := strings.Cut(rest, "/")
	if rest == "" {
		return File{}, fmt.Errorf("%s lies beside the folders of %s", name, w.data)
	}
	switch key {
	case "purelib", "platlib":
		return module(s, rest, f)
	case "data":
		return inArchive(path.Join(s.Prefix, rest), f), nil
	case "headers":
		return inArchive(path.Join(s.Prefix, "include", w.Metadata.Name, rest), f), nil
	case "scripts":
		return script(s, path.Join(s.bin(), rest), f)
	}
	return File{}, fmt.Errorf("%s is for a place that is not known; known: purelib, platlib, data, headers, scripts", name)
}

// module is a file in the folder of modules.
func module(s Scheme, name string, f *zip.File) (File, error) {
	if path.Ext(name) == ".pth" && path.Dir(name) == "." {
		return File{}, fmt.Errorf("%s would have no effect: Python reads it in its own folders, and %s is found by PYTHONPATH", name, s.site())
	}
	return inArchive(path.Join(s.site(), name), f), nil
}

// script is a file of the wheel that becomes a program. Its first line is
// "#!python" where it wants the interpreter's path.
func script(s Scheme, to string, f *zip.File) (File, error) {
	data, err := read(f)
	if err != nil {
		return File{}, err
	}
	line, rest, newline := bytes.Cut(data, []byte("\n"))
	if word, _, _ := strings.Cut(strings.TrimSpace(string(line)), " "); word == "#!python" || word == "#!pythonw" {
		arguments := strings.TrimPrefix(strings.TrimSpace(string(line)), word)
		data = []byte("#!" + s.Interpreter + arguments)
		if newline {
			data = append(append(data, '\n'), rest...)
		}
	}
	return inMemory(to, true, data), nil
}

func (e entryPoint) script(s Scheme) []byte {
	object, _, _ := strings.Cut(e.attribute, ".")
	return fmt.Appendf(nil, `#!%s
import sys

from %s import %s

if __name__ == "__main__":
    sys.exit(%s())
`, s.Interpreter, e.module, object, e.attribute)
}

// recordOf lists files relative to the folder of modules, with their hashes;
// itself last and without one.
func recordOf(s Scheme, files map[string]File, self string) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	for _, p := range slices.Sorted(maps.Keys(files)) {
		name, err := filepath.Rel(s.site(), p)
		if err != nil {
			return nil, err
		}
		sum, err := files[p].sum()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		if err := w.Write([]string{name, "sha256=" + sum, strconv.FormatInt(files[p].Size, 10)}); err != nil {
			return nil, err
		}
	}
	name, err := filepath.Rel(s.site(), self)
	if err != nil {
		return nil, err
	}
	if err := w.Write([]string{name, "", ""}); err != nil {
		return nil, err
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

func (f File) sum() (string, error) {
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(h, r)
	return encode(h), errors.Join(err, r.Close())
}
