// Command makeself runs Debian's makeself(1) on a directory, in a root file system with pinned packages only. Tests use the
// archives that it writes.
//
// The exit code is 2 for a wrong command line and 1 if the work fails. It must not run an archive.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/tools/rootfs"
)

type flags struct {
	Root   string   `required:"" placeholder:"FILE" help:"Tar of a root file system with makeself."`
	Tree   string   `required:"" placeholder:"FILE" help:"Tar with the contents of the archive."`
	Output string   `required:"" placeholder:"FILE" help:"Archive to write."`
	Flag   []string `arg:"" optional:"" help:"Flags of makeself, after --."`
}

// Signals end the process at once: cancelled actions leave no work to finish.
func main() {
	os.Exit(cli.Program{
		Name:        "makeself",
		Description: "Writes a self-extracting archive.",
		Flags:       &flags{},
	}.Run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// Paths in the root file system. The archive contains the name of the directory.
const (
	directory = "sdk"
	result    = "archive.run"
)

// Run writes the archive.
func (f *flags) Run() (err error) {
	dir, err := os.MkdirTemp("", "makeself-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// The shell writes to /dev/null, which can be an ordinary file.
	for _, d := range []string{directory, "dev", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "dev/null"), nil, 0o644); err != nil {
		return err
	}
	if err := rootfs.Unpack(f.Root, dir); err != nil {
		return fmt.Errorf("unpacking %s: %w", f.Root, err)
	}
	if err := rootfs.Unpack(f.Tree, filepath.Join(dir, directory)); err != nil {
		return fmt.Errorf("unpacking %s: %w", f.Tree, err)
	}
	command := f.command(dir)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", command.Args, err, output)
	}
	// makeself exits with 0 after some failures.
	archive, err := os.ReadFile(filepath.Join(dir, result))
	if err != nil {
		return fmt.Errorf("%v wrote no archive: %w", command.Args, err)
	}
	return os.WriteFile(f.Output, archive, 0o644)
}

// command returns the call of makeself with dir as its root directory.
func (f *flags) command(dir string) *exec.Cmd {
	arguments := []string{
		"--quiet", "--nox11",
		"--packaging-date", "Thu Jan  1 00:00:00 UTC 1970",
		"--tar-extra", "--mtime=@0 --owner=0 --group=0 --numeric-owner",
	}
	arguments = append(append(arguments, f.Flag...), "/"+directory, "/"+result, "A synthetic SDK", "./install.sh")
	command := exec.Command("/usr/bin/makeself", arguments...)
	command.Dir = "/"
	command.Env = []string{"PATH=/usr/bin", "LC_ALL=C", "TZ=UTC"}
	command.SysProcAttr = &syscall.SysProcAttr{
		Chroot:      dir,
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	return command
}
