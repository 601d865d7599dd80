// Package pip downloads wheels for any platform with this machine's pip.
//
// It must not install a wheel: no code of a wheel runs.
package pip

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"krabby.dev/krabby/tools/layer/wheel"
	"krabby.dev/krabby/tools/pin/client"
	"krabby.dev/krabby/tools/pin/lock"
)

// Request describes one wheel to download.
type Request struct {
	Project   string
	Version   string // The newest if empty.
	Python    string // Such as "3.11".
	Platforms []string
}

// Wheel is a downloaded wheel.
type Wheel struct {
	Filename string
	SHA256   string // In hex.
	Version  string
}

// Download downloads the wheel of a request into the empty directory dir. The arguments of pip are those of
// third_party/python/extensions.bzl, so a build can fetch every wheel that Download finds.
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
		return Wheel{}, fmt.Errorf("pip download %s: found %d wheels, expected 1", requirement, len(wheels))
	}
	name := filepath.Base(wheels[0])
	parsed, err := wheel.ParseFilename(name)
	if err != nil {
		return Wheel{}, err
	}
	if wheel.Normalize(parsed.Project) != wheel.Normalize(r.Project) {
		return Wheel{}, fmt.Errorf("pip download %s: found %s, expected a wheel of %s", requirement, name, r.Project)
	}
	sum, err := lock.SHA256(wheels[0])
	return Wheel{Filename: name, SHA256: sum, Version: parsed.Version}, err
}

// Resolution describes requirements to be met together.
type Resolution struct {
	Requirements []string
	Constraints  []string // Versions to use, as PROJECT==VERSION.
	Python       string   // Such as "3.11".
	Platforms    []string
}

// Resolve downloads wheels that meet the requirements into the empty directory dir and returns their paths. pip evaluates markers
// for the Python and the machine that it runs on, so wheels can be missing or superfluous for another one.
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
	if err := client.Require("python3", "install python3 and python3-pip, which download the wheels"); err != nil {
		return err
	}
	if _, err := client.Run(ctx, client.Command{Name: "python3", Args: []string{"-m", "pip", "--version"}}); err != nil {
		return fmt.Errorf("python3 has no pip: %w: install python3-pip, or run 'python3 -m ensurepip'", err)
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
