// Command pin writes the lock files under third_party: which archives the repository uses, with their hashes, as the mirrors of
// this machine serve them. Only pin trusts mirrors; builds verify the hashes of the lock files.
//
// The exit code is 2 for a wrong command line, and 1 if the work fails or --check finds a lock file that is out of date.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/tools/pin/lock"
)

type flags struct {
	Workspace string `help:"Root of the repository." env:"BUILD_WORKSPACE_DIRECTORY" default:"." type:"existingdir" placeholder:"DIR"`
	OCI       string `name:"oci" help:"Program of rules_oci, which reads registries. The default is the pinned one." env:"KRABBY_OCI" type:"existingfile" placeholder:"FILE"`
	UV        string `name:"uv" help:"Program uv, which resolves Python requirements. The default is the pinned one." env:"KRABBY_UV" type:"existingfile" placeholder:"FILE"`

	Archive archiveCmd `cmd:"" help:"Pin vendors' archives in third_party/zed/lock.json."`
	Base    baseCmd    `cmd:"" help:"Pin NVIDIA's base images in third_party/nvidia/lock.json and MODULE.bazel."`
	Crate   crateCmd   `cmd:"" help:"Pin sources in crates in third_party/cargo/lock.json."`
	Deb     debCmd     `cmd:"" help:"Pin Debian packages in third_party/debian/lock.json."`
	Wheel   wheelCmd   `cmd:"" help:"Pin Python wheels in third_party/python/lock.json."`
	Wheels  wheelsCmd  `cmd:"" help:"Pin all wheels of the Python environments in images, as third_party/python/requirements.json defines them."`
	Go      goCmd      `cmd:"" help:"Print the pins of a Go SDK."`
}

// checkFlag is the flag --check of the commands that write a lock file.
type checkFlag struct {
	Check bool `help:"Write no file; print the differences and exit with 1 if there are any."`
}

func main() { pin().Main() }

func pin() cli.Program {
	return cli.Program{
		Name:        "pin",
		Description: "Writes the lock files of third-party archives. Mirrors come from the configuration of this machine's apt, cargo, pip, uv and go; DEBIAN_MIRROR sets the Debian mirror.",
		Flags:       &flags{},
		Vars:        map[string]string{"default_python": defaultPython, "dist": distDirectory},
	}
}

// readLock reads a lock file by its path in the workspace.
func (c *flags) readLock(path string) (*lock.File, error) {
	f, err := lock.Read(filepath.Join(c.Workspace, path))
	if errors.Is(err, os.ErrNotExist) {
		return nil, cli.Usagef("%s not found: run `bazel run //tools/pin`, or set --workspace", path)
	}
	return f, err
}

// selected returns names, or the names of all entries of the section if names is empty. A name without an entry is a usage error.
func selected(f *lock.File, path, section string, names []string) ([]string, error) {
	known := f.Names(section)
	if len(names) == 0 {
		return known, nil
	}
	for _, name := range names {
		if _, ok := f.Entry(section, name); !ok {
			return nil, cli.Usagef("%q not found in %s of %s (known: %s)", name, section, path, strings.Join(known, ", "))
		}
	}
	return names, nil
}

// finish prints the differences to the file on disk and writes the lock file. With check it writes nothing and returns an error
// if there are differences.
func finish(c *cli.Console, f *lock.File, path string, check bool) error {
	diff, err := f.Diff()
	if err != nil {
		return err
	}
	for _, line := range diff {
		fmt.Fprintln(c.Out, line)
	}
	switch {
	case len(diff) == 0:
		c.Progress("%s is up to date", path)
		return nil
	case check:
		return fmt.Errorf("%s is out of date: run the command without --check", path)
	}
	if err := f.Write(); err != nil {
		return err
	}
	c.Progress("wrote %s", path)
	return nil
}
