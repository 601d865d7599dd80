package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"krabby.dev/krabby/internal/cli"
)

// write writes files below dir, by path.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for path, content := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// check compares the content of files below dir; the content of a file that must not exist is empty.
func check(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for path, want := range files {
		got, err := os.ReadFile(filepath.Join(dir, path))
		if want == "" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: content %q, error %v, want no such file", path, got, err)
		} else if want != "" && (err != nil || string(got) != want) {
			t.Errorf("%s: content %q, error %v, want %q", path, got, err, want)
		}
	}
}

// fakeGit puts a program git with a fixed output on PATH: sandboxes have no git.
func fakeGit(t *testing.T, output []byte) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, map[string]string{"output": string(output), "git": "#!/bin/sh\nexec /bin/cat " + filepath.Join(dir, "output") + "\n"})
	if err := os.Chmod(filepath.Join(dir, "git"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
}

func TestCopySources_trackedFiles(t *testing.T) {
	workspace, dir := t.TempDir(), t.TempDir()
	write(t, workspace, map[string]string{"kept/a.go": "new", "untracked.go": "x"})
	write(t, dir, map[string]string{"kept/a.go": "old", "deleted.go": "old", ".bazelrc.network": "# network=direct"})
	fakeGit(t, []byte("deleted.go\x00kept/a.go\x00"))
	if err := copySources(t.Context(), workspace, dir); err != nil {
		t.Fatal(err)
	}
	check(t, dir, map[string]string{"kept/a.go": "new", "deleted.go": "", "untracked.go": "", ".bazelrc.network": "# network=direct"})
}

// archive returns a tar like those of git archive.
func archive(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, header := range headers {
		if header.Typeflag == tar.TypeReg {
			header.Size = int64(len("new"))
		}
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte("new")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCopyCommit_archive(t *testing.T) {
	fakeGit(t, archive(t,
		tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "1f0d703"}},
		tar.Header{Typeflag: tar.TypeDir, Name: "tools/", Mode: 0o775},
		tar.Header{Typeflag: tar.TypeReg, Name: "tools/bazel", Mode: 0o775},
		tar.Header{Typeflag: tar.TypeReg, Name: "a.go", Mode: 0o664},
	))
	dir := t.TempDir()
	write(t, dir, map[string]string{"a.go": "old", "tools/other": "old", ".bazelrc.network": "# network=direct"})
	if err := copyCommit(t.Context(), ".", "1f0d703", dir); err != nil {
		t.Fatal(err)
	}
	check(t, dir, map[string]string{"a.go": "new", "tools/bazel": "new", "tools/other": "", ".bazelrc.network": "# network=direct"})
	for name, want := range map[string]fs.FileMode{"a.go": 0o644, "tools/bazel": 0o755} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: mode %v, error %v, want %v", name, info.Mode(), err, want)
		}
	}
}

func TestCopyCommit_invalidArchive(t *testing.T) {
	for name, test := range map[string]struct {
		archive []byte
		want    string
	}{
		"symbolic link": {archive(t, tar.Header{Typeflag: tar.TypeSymlink, Name: "link", Linkname: "a.go"}), "git archive: link: found an entry of type '2', expected a regular file"},
		"truncated":     {archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "a.go"})[:513], "git archive: a.go: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			fakeGit(t, test.archive)
			if err := copyCommit(t.Context(), ".", "1f0d703", t.TempDir()); err == nil || err.Error() != test.want {
				t.Errorf("err = %v, want %q", err, test.want)
			}
		})
	}
}

func TestCopyCommit_repository(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed; sandboxes do not have it")
	}
	repository := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		args = append([]string{"-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"}, args...)
		if _, err := git(t.Context(), repository, args...); err != nil {
			t.Fatal(err)
		}
	}
	run("init", "--quiet")
	write(t, repository, map[string]string{"a.go": "first", "dir/b.go": "first"})
	run("add", ".")
	run("commit", "--quiet", "--message=first")
	write(t, repository, map[string]string{"a.go": "second", "c.go": "second"})
	run("rm", "--quiet", "dir/b.go")
	run("add", ".")
	run("commit", "--quiet", "--message=second")

	hash, err := resolveCommit(t.Context(), repository, "HEAD~1")
	if err != nil {
		t.Fatal(err)
	}
	if len(hash) < 40 || strings.TrimLeft(hash, "0123456789abcdef") != "" {
		t.Errorf("hash %q, want a full one", hash)
	}
	dir := t.TempDir()
	if err := copyCommit(t.Context(), repository, hash, dir); err != nil {
		t.Fatal(err)
	}
	check(t, dir, map[string]string{"a.go": "first", "dir/b.go": "first", "c.go": ""})
	check(t, repository, map[string]string{"a.go": "second", "dir/b.go": ""})

	for _, missing := range []string{"1f0d703", strings.Repeat("ab", 20), "--help", "HEAD:a.go"} {
		_, err := resolveCommit(t.Context(), repository, missing)
		if _, ok := errors.AsType[*cli.UsageError](err); !ok || !strings.Contains(err.Error(), "--baseline: commit "+missing+" not found in the repository of "+repository) {
			t.Errorf("err = %v, want a usage error that names the commit %s and the repository", err, missing)
		}
	}
	none := t.TempDir()
	t.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(none))
	if _, err := resolveCommit(t.Context(), none, "HEAD"); err == nil || !strings.Contains(err.Error(), "not a git repository") {
		t.Errorf("err = %v, want that the directory is no repository", err)
	}
}
