// Package container runs programs of an image from its own files, for tests: as an ordinary user, without a container
// engine, and emulated if the image is for another processor.
//
// It must never import the programs that the images run.
package container

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"golang.org/x/sys/unix"
)

// Command is one run of a program in an image.
type Command struct {
	Root    string // The unpacked image.
	Config  *v1.ConfigFile
	Args    []string      // The program and its arguments.
	Tmpfs   []string      // Writable directories; all others are read-only, as with docker's --read-only.
	QEMU    string        // Emulator, for an image of another architecture than this machine's.
	Timeout time.Duration // Default: one minute.
}

// Run runs a program with the root file system, user, environment and working directory of the image.
func Run(t *testing.T, c Command) (stdout []byte, stderr string, code int) {
	t.Helper()
	root, config, argv := c.Root, c.Config, c.Args
	if config.Architecture != runtime.GOARCH {
		const qemu = "/qemu" // Inside root.
		if err := copyFile(c.QEMU, filepath.Join(root, qemu), 0o755); err != nil {
			t.Fatal(err)
		}
		argv = append([]string{qemu}, withInterpreter(t, root, argv)...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(c.Timeout, time.Minute))
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var user int
	if _, err := fmt.Sscanf(config.Config.User, "%d", &user); err != nil {
		t.Fatalf("user %q is not a number", config.Config.User)
	}
	command := exec.CommandContext(ctx, self, append([]string{enterCommand, root, config.Config.WorkingDir, strings.Join(c.Tmpfs, ":")}, argv...)...)
	command.Env = config.Config.Env
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: user, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: user, HostID: os.Getgid(), Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SYS_CHROOT},
	}
	var out, diagnostics bytes.Buffer
	command.Stdout, command.Stderr = &out, &diagnostics
	err = command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("cannot run %v in %s: %v", argv, root, err)
	}
	return out.Bytes(), diagnostics.String(), command.ProcessState.ExitCode()
}

// withInterpreter adds the interpreter of a script, as the kernel does. The emulator does not.
func withInterpreter(t *testing.T, root string, argv []string) []string {
	t.Helper()
	program, err := ReadFile(root, argv[0])
	if err != nil {
		t.Fatal(err)
	}
	script, ok := bytes.CutPrefix(program, []byte("#!"))
	if !ok {
		return argv
	}
	line, _, _ := strings.Cut(string(script), "\n")
	return slices.Concat(strings.Fields(line), argv)
}

// enterCommand is the argument that makes the executable of the test the first process of a container.
const enterCommand = "enter"

// Main must be the first call of TestMain. It does not return in a process that becomes a container.
func Main() {
	if len(os.Args) > 5 && os.Args[1] == enterCommand {
		fmt.Fprintln(os.Stderr, enter(os.Args[2], os.Args[3], filepath.SplitList(os.Args[4]), os.Args[5:]))
		os.Exit(125)
	}
}

// enter mounts /proc and /dev in an unpacked image, makes it the read-only root and replaces this process by argv, without
// capabilities. It requires its own user and mount namespaces.
func enter(root, workdir string, tmpfs, argv []string) error {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount(root, root, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mounting %s: %w", root, err)
	}
	for _, dir := range []string{"proc", "dev"} {
		if err := unix.Mount("/"+dir, filepath.Join(root, dir), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("mounting /%s: %w", dir, err)
		}
	}
	for _, dir := range tmpfs {
		if err := unix.Mount("tmpfs", filepath.Join(root, dir), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
			return fmt.Errorf("mounting a tmpfs on %s: %w", dir, err)
		}
	}
	if err := makeReadOnly(root); err != nil {
		return fmt.Errorf("making %s read-only: %w", root, err)
	}
	if err := unix.Chroot(root); err != nil {
		return fmt.Errorf("changing the root to %s: %w", root, err)
	}
	if err := unix.Chdir(workdir); err != nil {
		return fmt.Errorf("changing to the working directory %s: %w", workdir, err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("dropping capabilities: %w", err)
	}
	return fmt.Errorf("starting %s: %w", argv[0], unix.Exec(argv[0], argv, os.Environ()))
}

// makeReadOnly keeps the other flags of a mount, which a user namespace may not remove.
func makeReadOnly(mount string) error {
	var stat unix.Statfs_t
	if err := unix.Statfs(mount, &stat); err != nil {
		return err
	}
	kept := uintptr(stat.Flags) & (unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME | unix.MS_RELATIME)
	return unix.Mount("", mount, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|kept, "")
}

// Unpack writes the file system of the image to a directory. The user who runs the test owns the files.
func Unpack(t *testing.T, image v1.Image) string {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	files := mutate.Extract(image)
	defer files.Close()
	for reader := tar.NewReader(files); ; {
		header, err := reader.Next()
		if err == io.EOF {
			return dir
		}
		if err != nil {
			t.Fatalf("reading the image's layers: %v", err)
		}
		if err := place(root, header, reader); err != nil {
			t.Fatalf("unpacking %s: %v", header.Name, err)
		}
	}
}

func place(root *os.Root, header *tar.Header, content io.Reader) error {
	name := filepath.Clean(header.Name)
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	switch header.Typeflag {
	case tar.TypeDir:
		if err := root.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	case tar.TypeSymlink:
		return root.Symlink(header.Linkname, name)
	case tar.TypeLink:
		return root.Link(filepath.Clean(header.Linkname), name)
	case tar.TypeReg:
		file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, header.FileInfo().Mode().Perm()|0o200)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, content)
		return errors.Join(err, file.Close())
	default:
		return fmt.Errorf("entry of type %q, expected a file, directory or link", header.Typeflag)
	}
}

// ReadFile reads a file of an unpacked image. It resolves an absolute symlink inside the image.
func ReadFile(root, path string) ([]byte, error) {
	if target, err := os.Readlink(filepath.Join(root, path)); err == nil && filepath.IsAbs(target) {
		path = target
	}
	return os.ReadFile(filepath.Join(root, path))
}

func copyFile(from, to string, mode fs.FileMode) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, mode)
}

// Read returns the only image of a layout.
func Read(t *testing.T, path string) v1.Image {
	t.Helper()
	index, err := layout.ImageIndexFromPath(path)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 {
		t.Fatalf("found %d images in the layout, expected 1", len(manifest.Manifests))
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return image
}
