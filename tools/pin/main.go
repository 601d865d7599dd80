// Command pin writes the locks under third_party: which archive, and its hash,
// as the mirrors of this machine serve it. It is the only thing that believes a
// mirror; builds believe the locks.
//
// It exits with 2 when it was called wrongly and with 1 when the work failed,
// or when --check finds a lock that is not as it would be written.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"krabby.dev/krabby/tools/pin/lock"
	"krabby.dev/krabby/tools/program"
)

type cli struct {
	Workspace string `help:"Root of the repository." env:"BUILD_WORKSPACE_DIRECTORY" default:"." type:"existingdir" placeholder:"DIR"`

	Archive archiveCmd `cmd:"" help:"Pin vendors' archives in third_party/zed/lock.json."`
	Base    baseCmd    `cmd:"" help:"Pin NVIDIA's base images in third_party/nvidia/lock.json and MODULE.bazel."`
	Deb     debCmd     `cmd:"" help:"Pin Debian packages in third_party/debian/lock.json."`
	Wheel   wheelCmd   `cmd:"" help:"Pin Python wheels in third_party/python/lock.json."`
	Wheels  wheelsCmd  `cmd:"" help:"Pin all wheels that Python in an image needs, for each environment of third_party/python/requirements.json."`
	Go      goCmd      `cmd:"" help:"Print the pins of a Go SDK."`
}

func main() { pin().Main() }

func pin() program.Program {
	return program.Program{
		Name:        "pin",
		Description: "Writes the locks of what this repository did not write. Mirrors come from the machine's own apt, pip and go; DEBIAN_MIRROR names another Debian mirror.",
		Flags:       &cli{},
		Vars:        map[string]string{"default_python": defaultPython, "dist": distFolder},
	}
}

// finish writes the lock and says what changed, or with check fails where
// something would.
func finish(c *program.Console, f *lock.File, path string, check bool) error {
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
		return fmt.Errorf("%s would change: run the same without --check", path)
	}
	if err := f.Write(); err != nil {
		return err
	}
	c.Progress("wrote %s", path)
	return nil
}

// readLock reads a lock by its path in the workspace.
func (c *cli) readLock(path string) (*lock.File, error) {
	f, err := lock.Read(filepath.Join(c.Workspace, path))
	if errors.Is(err, os.ErrNotExist) {
		return nil, program.Usagef("%s is not there: run `bazel run //tools/pin`, or name the repository with --workspace", path)
	}
	return f, err
}
