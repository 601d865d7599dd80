package wheel

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Scheme defines the destination of a wheel's files. The prefix is not that of an installed Python, so a wheel overwrites no file
// of a base image. Python finds the modules by PYTHONPATH, and the .pth files by the module of SiteCustomize.
type Scheme struct {
	Prefix      string // Such as "/opt/krabby/python".
	Interpreter string // Interpreter in the first line of scripts, such as "/usr/bin/python3.11".
}

// Validate returns an error for a scheme whose paths are not absolute and clean, or whose interpreter does not fit into the first
// line of a script.
func (s Scheme) Validate() error {
	for _, p := range []string{s.Prefix, s.Interpreter} {
		if !path.IsAbs(p) || path.Clean(p) != p {
			return fmt.Errorf("invalid path %q: expected an absolute path without \"..\" and double slashes", p)
		}
	}
	// The kernel reads at most 127 bytes of the line and splits it at spaces.
	if len(s.Interpreter) > 120 || strings.ContainsAny(s.Interpreter, " \t\n") {
		return fmt.Errorf("invalid interpreter %q: too long for the first line of a script, or has spaces", s.Interpreter)
	}
	return nil
}

// sitePackages returns the directory of modules.
func (s Scheme) sitePackages() string { return path.Join(s.Prefix, "site-packages") }

func (s Scheme) bin() string { return path.Join(s.Prefix, "bin") }

// File is an installed file.
type File struct {
	Path       string // Absolute path.
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

// installerFiles are the files that an installer writes. Install drops those of the archive; signatures of the archive's RECORD do
// not match the new RECORD.
var installerFiles = []string{"INSTALLER", "REQUESTED", "direct_url.json", "RECORD", "RECORD.jws", "RECORD.p7s"}

// Install returns the installed files of the wheel, sorted by path, with a RECORD of them. It leaves out compiled modules
// (__pycache__): they contain the time of their source and would be stale.
func (w *Wheel) Install(s Scheme) ([]File, error) {
	files, err := w.install(s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", w.Name, err)
	}
	return files, nil
}

func (w *Wheel) install(s Scheme) ([]File, error) {
	files := installation{}
	for _, name := range slices.Sorted(maps.Keys(w.files)) {
		if slices.Contains(strings.Split(name, "/"), "__pycache__") || w.isInstallerFile(name) || w.Exclude(name) {
			continue
		}
		if path.Ext(name) == ".pyc" {
			return nil, fmt.Errorf("%s is a compiled module without a source", name)
		}
		f, err := w.place(s, name)
		if err != nil {
			return nil, err
		}
		if err := files.add(f); err != nil {
			return nil, err
		}
	}
	for _, e := range w.entryPoints {
		if w.Exclude("bin/" + e.name) {
			continue
		}
		if err := files.add(inMemory(path.Join(s.bin(), e.name), true, e.script(s))); err != nil {
			return nil, err
		}
	}
	info := path.Join(s.sitePackages(), w.distInfo)
	if err := files.add(inMemory(path.Join(info, "INSTALLER"), false, []byte("krabby\n"))); err != nil {
		return nil, err
	}
	record, err := s.record(files, path.Join(info, "RECORD"))
	if err != nil {
		return nil, err
	}
	if err := files.add(inMemory(path.Join(info, "RECORD"), false, record)); err != nil {
		return nil, err
	}
	var all []File
	for _, p := range slices.Sorted(maps.Keys(files)) {
		all = append(all, files[p])
	}
	return all, nil
}

// installation holds the installed files of a wheel by path.
type installation map[string]File

// add adds a file. Two files with one path must have the same content; one of them being executable is enough.
func (i installation) add(f File) error {
	old, ok := i[f.Path]
	if ok {
		oldSum, err := old.sum()
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		sum, err := f.sum()
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		if sum != oldSum {
			return fmt.Errorf("two files of %d and %d bytes have the destination %s: leave one of them out", old.Size, f.Size, f.Path)
		}
		f.Executable = f.Executable || old.Executable
	}
	i[f.Path] = f
	return nil
}

func (w *Wheel) isInstallerFile(name string) bool {
	rest, ok := strings.CutPrefix(name, w.distInfo+"/")
	return ok && slices.Contains(installerFiles, rest)
}

// place returns a file of the archive with its destination. Like pip, it takes every top-level directory that ends in .data for the
// files of other destinations: some wheels spell the project differently there and in the name of the .dist-info directory.
func (w *Wheel) place(s Scheme, name string) (File, error) {
	f := w.files[name]
	top, rest, nested := strings.Cut(name, "/")
	if !nested || !strings.HasSuffix(top, ".data") {
		return inArchive(path.Join(s.sitePackages(), name), f), nil
	}
	key, rest, _ := strings.Cut(rest, "/")
	if rest == "" {
		return File{}, fmt.Errorf("%s: expected a file in a subdirectory of %s", name, top)
	}
	switch key {
	case "purelib", "platlib":
		return inArchive(path.Join(s.sitePackages(), rest), f), nil
	case "data":
		return inArchive(path.Join(s.Prefix, rest), f), nil
	case "headers":
		return inArchive(path.Join(s.Prefix, "include", w.Metadata.Name, rest), f), nil
	case "scripts":
		return script(s, path.Join(s.bin(), rest), f)
	}
	return File{}, fmt.Errorf("%s: unknown install scheme key: expected purelib, platlib, data, headers or scripts", name)
}

// script returns an executable file. A first line that begins with "#!python" gets the path of the interpreter.
func script(s Scheme, to string, f *zip.File) (File, error) {
	data, err := read(f)
	if err != nil {
		return File{}, err
	}
	line, rest, newline := bytes.Cut(data, []byte("\n"))
	if bytes.HasPrefix(line, []byte("#!python")) {
		word, _, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		arguments := strings.TrimPrefix(strings.TrimSpace(string(line)), word)
		data = []byte("#!" + s.Interpreter + arguments)
		if newline {
			data = append(append(data, '\n'), rest...)
		}
	}
	return inMemory(to, true, data), nil
}

// script returns the program of an entry point.
func (e entryPoint) script(s Scheme) []byte {
	object, _, _ := strings.Cut(e.attribute, ".")
	return fmt.Appendf(nil, `#!%s
import sys

from %s import %s

if __name__ == "__main__":
    sys.exit(%s())
`, s.Interpreter, e.module, object, e.attribute)
}

// record returns the RECORD of files: paths relative to the directory of modules, with hashes.
func (s Scheme) record(files map[string]File, self string) ([]byte, error) {
	var lines []recordLine
	for _, p := range slices.Sorted(maps.Keys(files)) {
		name, err := filepath.Rel(s.sitePackages(), p)
		if err != nil {
			return nil, err
		}
		sum, err := files[p].sum()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		lines = append(lines, recordLine{name, sum, files[p].Size})
	}
	name, err := filepath.Rel(s.sitePackages(), self)
	if err != nil {
		return nil, err
	}
	return formatRecord(lines, name)
}

func (f File) sum() (string, error) {
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(h, r)
	return recordHash(h), errors.Join(err, r.Close())
}
