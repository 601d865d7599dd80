// Package pip downloads a wheel with this machine's pip, for any platform.
//
// It must never install anything: a wheel's code does not run.
package pip

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"krabby.dev/krabby/tools/pin/client"
)

// Request says which wheel.
type Request struct {
	Project   string
	Version   string // The newest if empty.
	Python    string // "3.11"
	Platforms []string
}

// Wheel is what the index answered.
type Wheel struct {
	Filename string
	SHA256   string
	Version  string
}

// Download brings the one wheel that serves a request into dir, which must be
// empty. Its arguments are those of third_party/python/extensions.bzl, so that
// what can be pinned can be fetched.
func Download(ctx context.Context, dir string, r Request) (Wheel, error) {
	requirement := r.Project
	if r.Version != "" {
		requirement += "==" + r.Version
	}
	if err := download(ctx, dir, r.Python, r.Platforms, []string{"--no-deps", "--", requirement}); err != nil {
		return Wheel{}, fmt.Errorf("pip download %s for Python %s on %s: %w", requirement, r.Python, strings.Join(r.Platforms, ", "), err)
	}
	wheels, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil {
		return Wheel{}, err
	}
	if len(wheels) != 1 {
		return Wheel{}, fmt.Errorf("pip download %s: %d wheels came, wanted 1", requirement, len(wheels))
	}
	w := Wheel{Filename: filepath.Base(wheels[0])}
	if w.Version, err = version(w.Filename, r.Project); err != nil {
		return Wheel{}, err
	}
	w.SHA256, err = Sum(wheels[0])
	return w, err
}

// Resolution says which requirements are to be met together.
type Resolution struct {
	Requirements []string
	Constraints  []string // PROJECT==VERSION: which version, if any.
	Python       string
	Platforms    []string
}

// Resolve brings wheels that meet the requirements into dir, which must be
// empty, and returns their paths. pip evaluates markers for the Python and the
// machine that it runs on, so what comes can be too much and too little.
func Resolve(ctx context.Context, dir string, r Resolution) ([]string, error) {
	arguments := append([]string{"--"}, r.Requirements...)
	if len(r.Constraints) > 0 {
		constraints := filepath.Join(dir, "constraints.txt")
		if err := os.WriteFile(constraints, []byte(strings.Join(r.Constraints, "\n")+"\n"), 0o644); err != nil {
			return nil, err
		}
		arguments = append([]string{"--constraint=" + constraints}, arguments...)
	}
	if err := download(ctx, dir, r.Python, r.Platforms, arguments); err != nil {
		return nil, fmt.Errorf("pip download %s for Python %s: %w", strings.Join(r.Requirements, " "), r.Python, err)
	}
	return filepath.Glob(filepath.Join(dir, "*.whl"))
}

func download(ctx context.Context, dir, python string, platforms, arguments []string) error {
	if err := client.Require("python3", "wheels are fetched with 'python3 -m pip': install python3 and python3-pip"); err != nil {
		return err
	}
	if _, err := client.Run(ctx, client.Command{Name: "python3", Args: []string{"-m", "pip", "--version"}}); err != nil {
		return fmt.Errorf("python3 has no pip (%w): install python3-pip, or run 'python3 -m ensurepip'", err)
	}
	args := []string{
		"-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-cache-dir",
		"--retries=2", "--timeout=10", "--only-binary=:all:", "--implementation=cp",
		"--python-version=" + python, "--dest=" + dir,
	}
	for _, p := range platforms {
		args = append(args, "--platform="+p)
	}
	_, err := client.Run(ctx, client.Command{Name: "python3", Args: append(args, arguments...)})
	return err
}

// version reads {project}-{version}[-{build}]-{python}-{abi}-{platform}.whl.
func version(filename, project string) (string, error) {
	parts := strings.Split(strings.TrimSuffix(filename, ".whl"), "-")
	if len(parts) != 5 && len(parts) != 6 {
		return "", fmt.Errorf("%s is not the name of a wheel", filename)
	}
	if normal(parts[0]) != normal(project) {
		return "", fmt.Errorf("%s is not a wheel of %s", filename, project)
	}
	return parts[1], nil
}

var separators = regexp.MustCompile(`[-_.]+`)

// normal is a project's name as indexes compare it.
func normal(project string) string {
	return separators.ReplaceAllString(strings.ToLower(project), "-")
}

// Sum returns the sha256 of a file, in hex.
func Sum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), errors.Join(err, f.Close())
}
