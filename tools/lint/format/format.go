// Package format formats the sources in a directory: Go with gofmt, Starlark with buildifier, and the Go rules of BUILD files with
// gazelle. Its tests format a copy of the repository and fail if a file changes. tools/lint/fix formats the repository in place.
package format

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bazelbuild/rules_go/go/runfiles"
)

// Fix is the command that formats the workspace.
const Fix = "./tools/bazel run //tools/lint/fix"

// Runfile paths of the programs, set by the linker (x_defs).
var buildifier, gazelle string

// modules are the directories with a go.mod.
var modules = []string{".", "rules_oci"}

// disabledWarnings are the warnings of buildifier that this repository does not follow.
var disabledWarnings = []string{
	// The order of a table can have a meaning.
	"unsorted-dict-items",
	// Bazel 7 has the C and C++ rules built in.
	"native-cc-binary",
	"native-cc-common",
	"native-cc-import",
	"native-cc-info",
	"native-cc-library",
	"native-cc-shared-library",
	"native-cc-test",
	"native-cc-toolchain",
}

// Go formats all Go files below root. It skips directories named testdata.
func Go(root string) error {
	files, err := find(root, func(name string) bool { return path.Ext(name) == ".go" })
	if err != nil {
		return err
	}
	var failed []error
	for _, file := range files {
		failed = append(failed, formatGo(filepath.Join(root, file)))
	}
	return errors.Join(failed...)
}

func formatGo(file string) error {
	source, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	formatted, err := format.Source(source)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if bytes.Equal(source, formatted) {
		return nil
	}
	return os.WriteFile(file, formatted, 0o644)
}

// Starlark formats all Starlark files below root. It skips directories named testdata.
func Starlark(ctx context.Context, root string) error {
	files, err := find(root, isStarlark)
	if err != nil {
		return err
	}
	_, err = run(ctx, root, buildifier, append([]string{"-mode=fix", "-lint=off"}, files...)...)
	return err
}

// Warnings returns buildifier's warnings about the Starlark files below root, each with file and line.
func Warnings(ctx context.Context, root string) ([]string, error) {
	files, err := find(root, isStarlark)
	if err != nil {
		return nil, err
	}
	output, err := run(ctx, root, buildifier, append([]string{
		"-mode=check", "-format=json", "-lint=warn", "-warnings=-" + strings.Join(disabledWarnings, ",-"),
	}, files...)...)
	if err != nil {
		return nil, err
	}
	var report struct {
		Files []struct {
			Filename string
			Warnings []struct {
				Start                  struct{ Line int }
				Category, Message, URL string
			}
		}
	}
	if err := json.Unmarshal(output, &report); err != nil {
		return nil, fmt.Errorf("reading the report of buildifier: %w", err)
	}
	var found []string
	for _, file := range report.Files {
		for _, w := range file.Warnings {
			found = append(found, fmt.Sprintf("%s:%d: %s: %s (%s)", file.Filename, w.Start.Line, w.Category, w.Message, w.URL))
		}
	}
	return found, nil
}

// BuildFiles updates the Go rules of all BUILD files below root.
func BuildFiles(ctx context.Context, root string) error {
	for _, module := range modules {
		directory := filepath.Join(root, module)
		if _, err := run(ctx, directory, gazelle, "-strict", "-repo_root="+directory, directory); err != nil {
			return fmt.Errorf("%s: %w", module, err)
		}
	}
	return nil
}

func isStarlark(name string) bool {
	return path.Ext(name) == ".bzl" || path.Ext(name) == ".bazel" && name != ".bazel" || name == "BUILD" || name == "WORKSPACE"
}

// find returns the sources below root whose base names are wanted, by their paths relative to root.
func find(root string, wanted func(name string) bool) ([]string, error) {
	var files []string
	err := fs.WalkDir(os.DirFS(root), ".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "testdata"}, entry.Name()), file == "third_party/dist":
			return fs.SkipDir
		case entry.Type().IsRegular() && wanted(entry.Name()):
			files = append(files, file)
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no files to format found in %s", root)
	}
	return files, err
}

// run runs a program of the runfiles in a directory and returns its standard output. Output on standard error is an error.
func run(ctx context.Context, directory, program string, arguments ...string) ([]byte, error) {
	file, err := runfiles.Rlocation(program)
	if err != nil {
		return nil, fmt.Errorf("runfile %q: %w", program, err)
	}
	environment, err := runfiles.Env()
	if err != nil {
		return nil, fmt.Errorf("runfiles: %w", err)
	}
	command := exec.CommandContext(ctx, file, arguments...)
	command.Dir = directory
	// The environment of `bazel run` in the directory.
	command.Env = slices.Concat(os.Environ(), environment, []string{"BUILD_WORKSPACE_DIRECTORY=" + directory})
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err == nil && stderr.Len() > 0 {
		err = errors.New("found output on standard error")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", path.Base(file), err, strings.TrimSpace(stderr.String()))
	}
	return output, nil
}
