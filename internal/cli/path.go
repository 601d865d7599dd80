package cli

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// Locate returns path if the file exists, else CallerPath(path). `bazel run` starts a program in its runfiles directory, where
// the defaults of its BUILD file exist, while the user's relative paths refer to the directory of the shell.
func Locate(path string) string {
	if _, err := os.Stat(path); err != nil {
		return CallerPath(path)
	}
	return path
}

// CallerPath resolves a relative path against the directory in which `bazel run` was called. Outside `bazel run` it returns
// path unchanged.
func CallerPath(path string) string {
	if folder := os.Getenv("BUILD_WORKING_DIRECTORY"); folder != "" && path != "" && !filepath.IsAbs(path) {
		return filepath.Join(folder, path)
	}
	return path
}

// WriteFile creates the file at CallerPath(path) and calls write with it.
func WriteFile(path string, write func(io.Writer) error) error {
	file, err := os.Create(CallerPath(path))
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}
