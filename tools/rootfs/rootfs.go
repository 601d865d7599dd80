// Package rootfs unpacks root file systems of layer rules and runs their programs on this machine, without privileges. Builds and
// benchmarks use it to run the same programs on all machines.
//
// It must not contain code for a particular program.
package rootfs

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Unpack unpacks a tar of files, directories and links into dir, owned by the current user. Several tars can be unpacked into one
// directory, like the layers of an image. A path outside dir and a second file at the same path are errors.
func Unpack(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	entries := tar.NewReader(f)
	for {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		name := filepath.Clean(strings.TrimLeft(header.Name, "/"))
		switch mode := header.FileInfo().Mode().Perm(); header.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(name, mode|0o700)
		case tar.TypeReg:
			err = unpackFile(root, name, mode, entries)
		case tar.TypeSymlink:
			err = link(root, name, header.Linkname)
		case tar.TypeLink:
			err = root.Link(strings.TrimLeft(header.Linkname, "/"), name)
		default:
			err = fmt.Errorf("found entry type %q, expected a file, directory or link", header.Typeflag)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", header.Name, err)
		}
	}
}

// link creates a symbolic link. An absolute target becomes relative to the root, which is the directory.
func link(root *os.Root, name, target string) error {
	if filepath.IsAbs(target) {
		relative, err := filepath.Rel("/"+filepath.Dir(name), target)
		if err != nil {
			return err
		}
		target = relative
	}
	// Layers repeat the links of a merged /usr.
	if existing, err := root.Readlink(name); err == nil && existing == target {
		return nil
	}
	return root.Symlink(target, name)
}

func unpackFile(root *os.Root, name string, mode os.FileMode, content io.Reader) error {
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode|0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// Command returns a command that runs a program of an unpacked root file system with the libraries of that file system, on x86-64.
// The program has access to the files of the machine.
func Command(dir, program string, args ...string) *exec.Cmd {
	libraries := filepath.Join(dir, "usr/lib/x86_64-linux-gnu")
	call := []string{"--library-path", libraries, filepath.Join(dir, program)}
	return exec.Command(filepath.Join(libraries, "ld-linux-x86-64.so.2"), append(call, args...)...)
}
