// Command images measures how fast images are built and how much of them is pushed, beside buildah and crane.
//
//	./tools/bazel run //tools/bench:images
//
// It exits with 2 when it was called wrongly and with 1 when the work failed.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bazelbuild/rules_go/go/runfiles"

	"krabby.dev/krabby/tools/program"
)

// Runfile paths of the peers, set by the linker (x_defs).
var buildahRootFS, craneProgram string

type cli struct {
	Workspace string `help:"Root of the repository to measure; its tracked files are copied, as they are now." env:"BUILD_WORKSPACE_DIRECTORY" required:"" type:"existingdir" placeholder:"DIR"`
	Runs      int    `help:"How often each operation is run; medians are shown." default:"5"`
	Work      string `help:"Where to keep the copy between runs, so that only the first builds everything; its base is the launcher's cache, as in CONTRIBUTING.md." placeholder:"DIR"`
	JSON      bool   `help:"Write JSON instead of a table."`
}

// Validate refuses what cannot be measured.
func (c *cli) Validate() error {
	if c.Runs < 1 {
		return fmt.Errorf("--runs: found %d, expected 1 or more", c.Runs)
	}
	return nil
}

func main() { images().Main() }

func images() program.Program {
	return program.Program{
		Name:        "images",
		Description: "Measures image builds and pushes in a copy of this repository, beside buildah and crane with the same layers. docs/benchmarks.md says what each number is.",
		Flags:       &cli{},
	}
}

func (c *cli) Run(ctx context.Context, console *program.Console) (err error) {
	work, err := c.workDir()
	if err != nil {
		return err
	}
	// What a run leaves behind, apart from the copy, is its own.
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

	house, err := openCheckout(ctx, c.Workspace, filepath.Join(work, "checkout"), console.Progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, house.close()) }()

	s := &suite{runs: c.Runs, scratch: scratch, progress: console.Progress, house: house, crane: crane}
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

// workDir is where the launcher keeps its caches, unless the caller wants another.
func (c *cli) workDir() (string, error) {
	work := c.Work
	if work == "" {
		cache := os.Getenv("KRABBY_CACHE")
		if cache == "" {
			user, err := os.UserCacheDir()
			if err != nil {
				return "", fmt.Errorf("finding a place for the copy: %w; name one with --work", err)
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

// removeAll removes a tree in which programs have made directories that cannot be written.
func removeAll(dir string) error {
	filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
