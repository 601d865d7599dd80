// Package uv resolves requirements for another machine with uv, and names the wheels of the result with their hashes.
//
// It must not install a package or build a source distribution: no code of a package runs. It must not return an address of an
// index, which is this machine's.
package uv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"krabby.dev/krabby/tools/layer/wheel"
	"krabby.dev/krabby/tools/pin/client"
)

// Resolver runs uv with the package indexes of this machine. All calls share one cache, which Close deletes, so they see the same
// state of the indexes and no other call of uv can change it.
type Resolver struct {
	program string
	indexes []string // Variables of uv with the configuration of pip.
	noIndex bool
	dir     string
}

// New returns a Resolver that runs the program uv.
func New(ctx context.Context, program string) (*Resolver, error) {
	if err := client.Require("python3", "install python3 and python3-pip: uv requires an interpreter, and builds fetch wheels with pip"); err != nil {
		return nil, err
	}
	settings, err := pipConfig(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pin-uv-")
	if err != nil {
		return nil, err
	}
	return &Resolver{program: program, indexes: settings.variables(os.LookupEnv), noIndex: settings.noIndex(), dir: dir}, nil
}

// Close deletes the cache.
func (r *Resolver) Close() error { return os.RemoveAll(r.dir) }

// Request describes requirements to be met together.
type Request struct {
	Target       wheel.Target
	Requirements []string          // As PEP 508 writes them. Markers are evaluated for the target.
	Preferred    map[string]string // Versions by project, used where the requirements allow it.
	NoDeps       bool              // Ignores the requirements of the packages.
}

// Release is one version of a project, with the wheels that fit the target.
type Release struct {
	Project string // Normalized.
	Version string
	Wheels  []Wheel
}

// Wheel is one file of a release.
type Wheel struct {
	Filename string
	SHA256   string // In hex.
}

// YankedError reports that a requirement or a preferred version leads to a release that its publisher has withdrawn.
type YankedError struct{ Warning string }

func (e *YankedError) Error() string {
	return e.Warning + ": its publisher has withdrawn this release; require another version"
}

// Resolve returns the newest releases that meet the requirements and have a wheel for the target, sorted by project.
func (r *Resolver) Resolve(ctx context.Context, request Request) ([]Release, error) {
	var warnings strings.Builder
	raw, err := r.compile(ctx, request, client.Command{Warnings: &warnings})
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(warnings.String()) {
		if warning, ok := strings.CutPrefix(strings.TrimSpace(line), "warning: "); ok && strings.Contains(warning, " is yanked") {
			return nil, &YankedError{warning}
		}
	}
	return parse(raw)
}

// compile runs uv and returns the lock file that it writes, a pylock.toml. command adds to the command line.
func (r *Resolver) compile(ctx context.Context, request Request, command client.Command) ([]byte, error) {
	platform, err := platformOf(request.Target)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(r.dir, "resolution-")
	if err != nil {
		return nil, err
	}
	output := filepath.Join(dir, "pylock.toml")
	err = os.WriteFile(filepath.Join(dir, "requirements.in"), []byte(strings.Join(request.Requirements, "\n")+"\n"), 0o644)
	if err == nil && len(request.Preferred) > 0 {
		// uv prefers the versions of an existing output file.
		err = os.WriteFile(output, preferences(request.Preferred), 0o644)
	}
	if err != nil {
		return nil, err
	}
	command.Name, command.Title, command.Dir, command.Reason = r.program, "uv", dir, reason
	command.Env = append(slices.Clone(r.indexes), "UV_PYTHON_DOWNLOADS=never")
	command.Args = append(command.Args, "pip", "compile", "requirements.in", "--output-file", "pylock.toml", "--format", "pylock.toml",
		"--generate-hashes", "--only-binary", ":all:", "--cache-dir", filepath.Join(r.dir, "cache"), "--color", "never",
		"--python", "python3", "--python-version", fullVersion(request.Target.Python), "--python-platform", platform)
	if r.noIndex {
		command.Args = append(command.Args, "--no-index")
	}
	if request.NoDeps {
		command.Args = append(command.Args, "--no-deps")
	}
	if _, err := client.Run(ctx, command); err != nil {
		return nil, fmt.Errorf("resolving for %s: %w", request.Target, err)
	}
	return os.ReadFile(output)
}

// fullVersion returns a version of Python with three numbers. A missing third number is 0, as in markers.
func fullVersion(python string) string {
	if strings.Count(python, ".") == 1 {
		return python + ".0"
	}
	return python
}

// Glibcs returns the versions of glibc that uv resolves for, the oldest first.
func Glibcs() []string {
	return []string{"2.17", "2.28", "2.31", "2.32", "2.33", "2.34", "2.35", "2.36", "2.37", "2.38", "2.39", "2.40"}
}

// platformOf returns uv's name of a target. The names with a glibc are exact: aarch64-unknown-linux-gnu stands for glibc 2.28.
func platformOf(t wheel.Target) (string, error) {
	if err := t.Validate(); err != nil {
		return "", err
	}
	if known := Glibcs(); !slices.Contains(known, t.Glibc) {
		return "", fmt.Errorf("glibc %s: expected one of %s, for which uv resolves", t.Glibc, strings.Join(known, ", "))
	}
	return t.Machine() + "-manylinux_" + strings.ReplaceAll(t.Glibc, ".", "_"), nil
}

// reason returns uv's error and its causes and hints, which are sentences over several lines, as one line.
func reason(stderr string) string {
	_, text, found := strings.Cut("\n"+stderr, "\nerror: ")
	if !found {
		text = stderr
	}
	text = strings.NewReplacer("\n  cause: ", ": ", ".\n\nhint: ", "; ", "\n\nhint: ", "; ").Replace(text)
	return strings.TrimSuffix(strings.Join(strings.Fields(text), " "), ".")
}
