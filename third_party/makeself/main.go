// Command makeself runs Debian's makeself(1) on a folder, with nothing around it
// but the packages that it needs: tests want archives of the real one.
//
// It must never run anything that was not pinned, nor what it made.
package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/alecthomas/kong"
)

type cli struct {
	Root   string   `required:"" placeholder:"FILE" help:"Tar of a root file system that has makeself."`
	Tree   string   `required:"" placeholder:"FILE" help:"Tar of what to put into the archive."`
	Output string   `required:"" placeholder:"FILE" help:"The archive to write."`
	Flag   []string `arg:"" optional:"" help:"Flags of makeself, after --."`
}

func main() {
	c := &cli{}
	kong.Parse(c, kong.Name("makeself"), kong.Description("Makes a self-extracting archive."))
	if err := c.run(); err != nil {
		fmt.Fprintf(os.Stderr, "makeself: %v\n", err)
		os.Exit(1)
	}
}

// Where things are in the root. The name of the folder gets into the archive.
const (
	folder = "sdk"
	result = "archive.run"
)

func (c *cli) run() (err error) {
	dir, err := os.MkdirTemp("", "makeself-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := unpack(c.Root, dir); err != nil {
		return err
	}
	if err := unpack(c.Tree, filepath.Join(dir, folder)); err != nil {
		return err
	}
	// The shell writes what nobody wants there; as a file it serves as well.
	for _, d := range []string{"dev", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "dev/null"), nil, 0o644); err != nil {
		return err
	}
	flags := []string{
		"--quiet", "--nox11",
		"--packaging-date", "Thu Jan  1 00:00:00 UTC 1970",
		"--tar-extra", "--mtime=@0 --owner=0 --group=0 --numeric-owner",
	}
	arguments := append(append(flags, c.Flag...), "/"+folder, "/"+result, "A synthetic SDK", "./install.sh")
	command := exec.Command("/usr/bin/makeself", arguments...)
	command.Dir = "/"
	command.Env = []string{"PATH=/usr/bin", "LC_ALL=C", "TZ=UTC"}
	command.SysProcAttr = &syscall.SysProcAttr{
		Chroot:      dir,
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", command.Args, err, said)
	}
	// Some failures of its it does not notice.
	archive, err := os.ReadFile(filepath.Join(dir, result))
	if err != nil {
		return fmt.Errorf("%v made no archive: %w", command.Args, err)
	}
	return os.WriteFile(c.Output, archive, 0o644)
}

// unpack writes the files of a tar into a folder, owned by whoever runs this.
func unpack(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = place(root, h, r)
		}
		if err != nil {
			return fmt.Errorf("unpack %s: %w", archive, err)
		}
	}
}

func place(root *os.Root, h *tar.Header, content io.Reader) error {
	name := filepath.Clean(h.Name)
	switch h.Typeflag {
	case tar.TypeDir:
		if err := root.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		return root.Link(filepath.Clean(h.Linkname), name)
	case tar.TypeReg:
		f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, h.FileInfo().Mode().Perm())
		if err != nil {
			return err
		}
		_, err = io.Copy(f, content)
		return errors.Join(err, f.Close())
	default:
		return fmt.Errorf("%s: entry of type %q", h.Name, h.Typeflag)
	}
}
