package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/tools/pin/client"
	"krabby.dev/krabby/tools/pin/lock"
)

const (
	cargoLock = "third_party/cargo/lock.json"
	crates    = "crates"

	// Program that downloads a crate, which builds use too.
	crateProgram = "third_party/cargo/crate.py"
)

type crateCmd struct {
	Repository string `arg:"" optional:"" help:"Entry to pin, such as libzmq. Without one, every entry is pinned again."`
	Version    string `arg:"" optional:"" help:"New version of its crate, with the part after the plus sign."`
	checkFlag
}

func (*crateCmd) Help() string {
	return `The registry is that of this machine's cargo, which need not be installed; python3 downloads. For a new repository, add its entry to
"crates", with "crate", "version", "build_file" and "strip_prefix". When the version changes, update "strip_prefix".`
}

var (
	crateName    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)
	crateVersion = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+([+-][0-9A-Za-z.+-]+)?$`)
)

// Validate is called by kong.
func (c *crateCmd) Validate() error {
	if c.Version != "" && !crateVersion.MatchString(c.Version) {
		return fmt.Errorf("invalid version %q: expected a version such as 0.3.6+4.3.5", c.Version)
	}
	return nil
}

func (c *crateCmd) Run(ctx context.Context, root *flags, console *cli.Console) error {
	f, err := root.readLock(cargoLock)
	if err != nil {
		return err
	}
	var names []string
	if c.Repository != "" {
		names = []string{c.Repository}
	}
	if names, err = selected(f, cargoLock, crates, names); err != nil {
		return err
	}
	if err := client.Require("python3", "install python3, which downloads crates"); err != nil {
		return err
	}
	for _, name := range names {
		entry, _ := f.Entry(crates, name)
		pinned, err := c.pin(ctx, root, console, entry)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		f.Set(crates, name, pinned)
	}
	return finish(console, f, cargoLock, c.Check)
}

// pin returns the fields of an entry that a version determines.
func (c *crateCmd) pin(ctx context.Context, root *flags, console *cli.Console, entry lock.Entry) (lock.Entry, error) {
	name, err := entry.String("crate")
	if err != nil {
		return nil, err
	}
	pinnedVersion, err := entry.String("version")
	if err != nil {
		return nil, err
	}
	version := pinnedVersion
	if c.Version != "" {
		version = c.Version
	}
	if !crateName.MatchString(name) || !crateVersion.MatchString(version) {
		return nil, fmt.Errorf("invalid crate %q, version %q: expected a name and a version such as 0.3.6+4.3.5", name, version)
	}
	dir, err := os.MkdirTemp("", "pin-crate-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	console.Progress("%s %s", name, version)
	archive := filepath.Join(dir, "crate")
	if _, err := client.Run(ctx, client.Command{
		Name: "python3", Title: "downloading", Args: []string{filepath.Join(root.Workspace, crateProgram), name, version, archive},
	}); err != nil {
		return nil, err
	}
	found, err := lock.SHA256(archive)
	if err != nil {
		return nil, err
	}
	if expected, _ := entry["sha256"].(string); version == pinnedVersion && expected != "" && found != expected {
		return nil, fmt.Errorf("%s %s: the content has changed: expected sha256 %s, found %s: ask the registry", name, version, expected, found)
	}
	return lock.Entry{"sha256": found, "version": version}, nil
}
