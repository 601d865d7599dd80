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

	"krabby.dev/krabby/internal/cli"
)

// Runfile paths of the peers, set by the linker (x_defs).
var buildahRootFS, craneProgram string

type flags struct {
	Workspace string `help:"Root of the repository to measure; the benchmark copies its tracked files." env:"BUILD_WORKSPACE_DIRECTORY" required:"" type:"existingdir" placeholder:"DIR"`
	Runs      int    `help:"Number of runs of each operation; the report shows medians." default:"5"`
	Work      string `help:"Directory of the copy, kept between runs so that only the first builds everything; the default is in the launcher's cache." placeholder:"DIR"`
	JSON      bool   `help:"Print JSON instead of a table."`

	Baseline string `help:"Also measure builds at this commit of the repository, in turns with the checkout. The report has the ratio to it." placeholder:"COMMIT"`
	Tests    bool   `help:"With --baseline: also measure all tests after a change in one leaf package. Before, all tests run once at both sides, which takes many minutes the first time."`
	Cold     bool   `help:"With --baseline: also measure a build of the image with an empty output base and an empty disk cache. Downloads are kept. One build takes minutes."`
	ColdRuns int    `help:"Number of runs of --cold." default:"1"`
}

// Validate checks the values of flags.
func (c *flags) Validate() error {
	if c.Runs < 1 {
		return fmt.Errorf("--runs: found %d, expected 1 or more", c.Runs)
	}
	if c.ColdRuns < 1 {
		return fmt.Errorf("--cold-runs: found %d, expected 1 or more", c.ColdRuns)
	}
	switch {
	case c.Baseline != "":
		return nil
	case c.Tests:
		return errors.New("--tests: requires --baseline")
	case c.Cold:
		return errors.New("--cold: requires --baseline")
	}
	return nil
}

func main() { program().Main() }

func program() cli.Program {
	return cli.Program{
		Name:        "images",
		Description: "Measures image builds and pushes in a copy of this repository, against buildah and crane with the same layers, and against an earlier commit. docs/benchmarks.md explains each number.",
		Flags:       &flags{},
	}
}

// Run measures and prints the report.
func (c *flags) Run(ctx context.Context, console *cli.Console) (err error) {
	commit := ""
	if c.Baseline != "" {
		if commit, err = resolveCommit(ctx, c.Workspace, c.Baseline); err != nil {
			return err
		}
	}
	work, err := c.workDir()
	if err != nil {
		return err
	}
	// All files of a run, except for the copies, lie in its own directory.
	scratch, err := os.MkdirTemp(work, "run-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeAll(scratch)) }()

	s := &suite{runs: c.Runs, tests: c.Tests, scratch: scratch, progress: console.Progress}
	if c.Cold {
		s.coldRuns = c.ColdRuns
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.openCheckouts(ctx, c.Workspace, commit, work); err != nil {
		return err
	}
	if err := s.openPeers(ctx); err != nil {
		return err
	}
	report, err := s.measure(ctx)
	if len(report.Rows) == 0 {
		return err
	}
	return errors.Join(err, report.table().Write(console.Out, c.JSON))
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
