// Command images measures builds and pushes of images against buildah and crane.
//
//	./tools/bazel run //tools/bench:images
//
// Exit codes: 0 on success, 1 on failure, 2 if the command line is invalid.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bazelbuild/rules_go/go/runfiles"

	"krabby.dev/krabby/internal/cli"
)

// Runfile paths of the peers, set by the linker (x_defs).
var buildahRootFS, craneProgram string

type flags struct {
	Workspace string `help:"Root of the repository to measure; the benchmark copies its tracked files." env:"BUILD_WORKSPACE_DIRECTORY" required:"" type:"existingdir" placeholder:"DIR"`
	Runs      int    `help:"Number of runs of each operation; the report shows medians." default:"5"`
	Work      string `help:"Directory of the copy, kept between runs so that only the first builds everything; the default is in the launcher's cache." placeholder:"DIR"`
	JSON      bool   `help:"Print JSON instead of a table."`
}

// Validate checks the values of flags.
func (c *flags) Validate() error {
	if c.Runs < 1 {
		return fmt.Errorf("--runs: found %d, expected 1 or more", c.Runs)
	}
	return nil
}

func main() { program().Main() }

func program() cli.Program {
	return cli.Program{
		Name:        "images",
		Description: "Measures image builds and pushes in a copy of this repository, against buildah and crane with the same layers. docs/benchmarks.md explains each number.",
		Flags:       &flags{},
	}
}

// Run measures and prints the report.
func (c *flags) Run(ctx context.Context, console *cli.Console) (err error) {
	work, err := c.workDir()
	if err != nil {
		return err
	}
	// All files of a run, except for the copy, lie in its own directory.
	scratch, err := os.MkdirTemp(work, "run-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeAll(scratch)) }()

	crane, err := runfiles.Rlocation(craneProgram)
	if err != nil {
		return fmt.Errorf("finding crane: %w", err)
	}
	rootFS, err := runfiles.Rlocation(buildahRootFS)
	if err != nil {
		return fmt.Errorf("finding buildah: %w", err)
	}

	checkout, err := openCheckout(ctx, c.Workspace, filepath.Join(work, "checkout"), console.Progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, checkout.close()) }()

	s := &suite{runs: c.Runs, scratch: scratch, progress: console.Progress, checkout: checkout, crane: crane}
	if s.buildah, err = newBuildah(ctx, rootFS, filepath.Join(scratch, "buildah")); err != nil {
		console.Progress("buildah cannot run here: %v", err)
		s.buildahFails = err
	}
	report, err := s.measure(ctx)
	if err != nil {
		return err
	}
	return report.table().Write(console.Out, c.JSON)
}

// workDir returns --work, or a directory in the launcher's cache.
func (c *flags) workDir() (string, error) {
	work := c.Work
	if work == "" {
		cache := os.Getenv("KRABBY_CACHE")
		if cache == "" {
			user, err := os.UserCacheDir()
			if err != nil {
				return "", fmt.Errorf("finding a directory for the copy: %w: give one with --work", err)
			}
			cache = filepath.Join(user, "krabby")
		}
		work = filepath.Join(cache, "bench")
	}
	work, err := filepath.Abs(work)
	if err != nil {
		return "", err
	}
	return work, os.MkdirAll(work, 0o755)
}

// removeAll removes a tree with read-only directories.
func removeAll(dir string) error {
	filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
