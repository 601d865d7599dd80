package main

import (
	"os"
	"path/filepath"
)

// runfilesDir is where Bazel has put the inputs of the program argv0: beside
// it, or, when another target runs it, in that target's directory.
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

// resolve turns a path of the parameters into one of this machine.
func resolve(runfiles, path string) string {
	if runfiles == "" {
		return path
	}
	return filepath.Join(runfiles, path)
}

// resolveFile does so for lines that lie in a file.
func resolveFile(runfiles string, all ...*lines) {
	for _, l := range all {
		if l != nil && l.File != "" {
			l.File = resolve(runfiles, l.File)
		}
	}
}
