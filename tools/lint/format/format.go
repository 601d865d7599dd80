// Package format writes the sources in a folder the way this repository writes them: Go as gofmt does, Starlark as
// buildifier does, and the Go rules of BUILD files as gazelle does. The tests beside it do the same in a copy of the
// repository, and fail where that changes anything; tools/lint/fix does it in place.
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

// Fix is the command that does in the workspace what this package does.
const Fix = "./tools/bazel run //tools/lint/fix"

// Runfile paths of the programs, set by the linker (x_defs).
var buildifier, gazelle string

// modules are the folders with a go.mod.
var modules = []string{".", "third_party/bazel/rules_oci"}

// withoutWarnings are those of buildifier that this repository does not follow; the others are its rules.
var withoutWarnings = []string{
	// The order of a table is part of what it says.
	"unsorted-dict-items",
	// The C and C++ rules are Bazel's own in Bazel 7.
	"native-cc-binary",
	"native-cc-common",
	"native-cc-import",
	"native-cc-info",
	"native-cc-library",
	"native-cc-shared-library",
	"native-cc-test",
	"native-cc-toolchain",
}

// Go formats all Go files below root, except those in testdata, which may be odd on purpose.
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

// Starlark formats all Starlark files below root.
func Starlark(ctx context.Context, root string) error {
	files, err := find(root, isStarlark)
	if err != nil {
		return err
	}
	_, err = run(ctx, root, buildifier, append([]string{"-mode=fix", "-lint=off"}, files...)...)
	return err
}

// Warnings returns buildifier's about the Starlark files below root, one a line, with file and line.
func Warnings(ctx context.Context, root string) ([]string, error) {
	files, err := find(root, isStarlark)
	if err != nil {
		return nil, err
	}
	output, err := run(ctx, root, buildifier, append([]string{
		"-mode=check", "-format=json", "-lint=warn", "-warnings=-" + strings.Join(withoutWarnings, ",-"),
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

// BuildFiles brings the Go rules of all BUILD files below root up to date.
func BuildFiles(ctx context.Context, root string) error {
	for _, module := range modules {
		folder := filepath.Join(root, module)
		if _, err := run(ctx, folder, gazelle, "-strict", "-repo_root="+folder, folder); err != nil {
			return fmt.Errorf("%s: %w", module, err)
		}
	}
	return nil
}

func isStarlark(name string) bool {
	return path.Ext(name) == ".bzl" || path.Ext(name) == ".bazel" && name != ".bazel" || name == "BUILD" || name == "WORKSPACE"
}

// find returns the paths below root, relative to it, of the sources with a name.
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
		err = fmt.Errorf("no files to format in %s", root)
	}
	return files, err
}

func run(ctx context.Context, folder, program string, arguments ...string) ([]byte, error) {
	file, err := runfiles.Rlocation(program)
	if err != nil {
		return nil, fmt.Errorf("finding a program (%q): %w", program, err)
	}
	environment, err := runfiles.Env()
	if err != nil {
		return nil, fmt.Errorf("finding runfiles: %w", err)
	}
	command := exec.CommandContext(ctx, file, arguments...)
	command.Dir = folder
	// As if started by `bazel run` in the folder.
	command.Env = slices.Concat(os.Environ(), environment, []string{"BUILD_WORKSPACE_DIRECTORY=" + folder})
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err == nil && stderr.Len() > 0 {
		err = errors.New("it complained")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", path.Base(file), err, strings.TrimSpace(stderr.String()))
	}
	return output, nil
}
