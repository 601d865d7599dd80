package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"krabby.dev/krabby/internal/cli"
)

// git runs git in the workspace and returns its output.
func git(ctx context.Context, workspace string, args ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, "git", append([]string{"-C", workspace}, args...)...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(exit.Stderr))
	} else if err != nil {
		return nil, fmt.Errorf("git %s: %w", args[0], err)
	}
	return out, nil
}

// resolveCommit returns the hash of a commit in the workspace's repository.
func resolveCommit(ctx context.Context, workspace, commit string) (string, error) {
	out, err := git(ctx, workspace, "rev-parse", "--verify", "--quiet", "--end-of-options", commit+"^{commit}")
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 { // The exit code of --quiet for an unknown name.
		return "", cli.Usagef("--baseline: commit %s not found in the repository of %s: fetch it; in a shallow clone with git fetch --unshallow", commit, workspace)
	}
	return strings.TrimSpace(string(out)), err
}

// copySources makes dir a copy of the files that git tracks in the workspace, with uncommitted changes.
func copySources(ctx context.Context, workspace, dir string) error {
	out, err := git(ctx, workspace, "ls-files", "-z")
	if err != nil {
		return err
	}
	copied := map[string]bool{}
	for path := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		err := copyFile(filepath.Join(workspace, path), filepath.Join(dir, path))
		if errors.Is(err, fs.ErrNotExist) { // Deleted, not yet committed.
			continue
		} else if err != nil {
			return err
		}
		copied[path] = true
	}
	return removeOthers(dir, copied)
}

// copyCommit makes dir a copy of the files of a commit in the workspace's repository.
func copyCommit(ctx context.Context, workspace, commit, dir string) error {
	archive, err := git(ctx, workspace, "archive", "--format=tar", commit)
	if err != nil {
		return err
	}
	copied := map[string]bool{}
	for files := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return removeOthers(dir, copied)
		} else if err != nil {
			return fmt.Errorf("git archive: %w", err)
		}
		switch header.Typeflag {
		case tar.TypeReg:
		case tar.TypeDir, tar.TypeXGlobalHeader:
			continue
		default:
			return fmt.Errorf("git archive: %s: found an entry of type %q, expected a regular file", header.Name, header.Typeflag)
		}
		data, err := io.ReadAll(files)
		if err != nil {
			return fmt.Errorf("git archive: %s: %w", header.Name, err)
		}
		if err := writeFile(filepath.Join(dir, header.Name), data, header.FileInfo().Mode()); err != nil {
			return err
		}
		copied[header.Name] = true
	}
}

// removeOthers removes the files in dir that were not copied, except those of the launcher and of Bazel.
func removeOthers(dir string, copied map[string]bool) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || copied[name] || name == ".bazelrc.network" || strings.HasPrefix(name, "bazel-") {
			return err
		}
		return os.Remove(path)
	})
}

// copyFile copies content and the executable bit.
func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return writeFile(to, data, info.Mode())
}

// writeFile writes content and the executable bit of mode. It does not write content that is equal, so that Bazel sees no change.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	permissions := fs.FileMode(0o644)
	if mode&0o100 != 0 {
		permissions = 0o755
	}
	if existing, err := os.ReadFile(path); err == nil && bytes.Equal(existing, data) {
		return os.Chmod(path, permissions)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, data, permissions); err != nil {
		return err
	}
	return os.Chmod(path, permissions)
}
