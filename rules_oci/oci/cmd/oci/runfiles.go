package main

import (
	"os"
	"path/filepath"
)

// runfilesDir returns the directory of the runfiles of the program argv0: its own, or that of the target that runs it.
func runfilesDir(argv0 string) string {
	if dir := argv0 + ".runfiles"; isDir(dir) {
		return dir
	}
	return os.Getenv("RUNFILES_DIR")
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// resolve returns the path of a file in the parameters.
func resolve(runfiles, path string) string {
	if runfiles == "" {
		return path
	}
	return filepath.Join(runfiles, path)
}

// resolveFile resolves the paths of lines in files.
func resolveFile(runfiles string, all ...*lines) {
	for _, l := range all {
		if l != nil && l.File != "" {
			l.File = resolve(runfiles, l.File)
		}
	}
}
