package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/tools/pin/lock"
	"krabby.dev/krabby/tools/pin/pip"
)

const (
	wheelLock = "third_party/python/lock.json"
	wheels    = "wheels"

	// The Python version of a new repository without --python: that of the images.
	defaultPython = "3.11"
)

type wheelCmd struct {
	Repository  string   `arg:"" optional:"" help:"Name of the Bazel repository. Without one, every entry is pinned again at its version."`
	Requirement string   `arg:"" optional:"" name:"project==version" help:"Wheel to pin: the newest version if there is no version, the locked wheel if left out."`
	Platform    []string `help:"Platform tag of pip, such as manylinux_2_28_aarch64 or any. Can be repeated." placeholder:"TAG"`
	Python      string   `help:"Python version of the wheel (${default_python} for a new repository)." placeholder:"VERSION"`
	BuildFile   string   `help:"Label of the repository's BUILD file." placeholder:"LABEL"`
	checkFlag
}

func (*wheelCmd) Help() string {
	return `A new repository requires PROJECT, --platform and --build-file, and an entry in use_repo of MODULE.bazel. This machine's pip
downloads each wheel.`
}

var (
	repositoryName  = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	requirementForm = regexp.MustCompile(`^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:==([A-Za-z0-9][A-Za-z0-9.!+_-]*))?$`)
	pythonForm      = regexp.MustCompile(`^3\.[0-9]+$`)
	platformForm    = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	labelForm       = regexp.MustCompile(`^//[^\s:]+:[^\s:]+$`)
)

// Validate is called by kong.
func (w *wheelCmd) Validate() error {
	if w.Repository == "" && (len(w.Platform) > 0 || w.Python != "" || w.BuildFile != "") {
		return fmt.Errorf("--platform, --python and --build-file require REPOSITORY")
	}
	if w.Repository != "" && !repositoryName.MatchString(w.Repository) {
		return fmt.Errorf("invalid repository %q: expected lower case letters, digits and underscores", w.Repository)
	}
	if w.Requirement != "" && !requirementForm.MatchString(w.Requirement) {
		return fmt.Errorf("invalid requirement %q: expected PROJECT or PROJECT==VERSION", w.Requirement)
	}
	if w.Python != "" && !pythonForm.MatchString(w.Python) {
		return fmt.Errorf("invalid --python %q: expected a version such as 3.11", w.Python)
	}
	for _, p := range w.Platform {
		if !platformForm.MatchString(p) {
			return fmt.Errorf("invalid --platform %q: expected a tag such as manylinux_2_28_aarch64", p)
		}
	}
	if w.BuildFile != "" && !labelForm.MatchString(w.BuildFile) {
		return fmt.Errorf("invalid --build-file %q: expected a label such as //third_party/x:x.BUILD.bazel", w.BuildFile)
	}
	return nil
}

func (w *wheelCmd) Run(ctx context.Context, root *flags, c *cli.Console) error {
	f, err := root.readLock(wheelLock)
	if err != nil {
		return err
	}
	repositories := f.Names(wheels)
	if w.Repository != "" {
		if err := w.apply(f); err != nil {
			return err
		}
		repositories = []string{w.Repository}
	}
	for i, name := range repositories {
		entry, _ := f.Entry(wheels, name)
		request, err := readRequest(entry)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", wheelLock, name, err)
		}
		c.Progress("[%d/%d] %s: %s %s", i+1, len(repositories), name, request.Project, orNewest(request.Version))
		wheel, err := downloadWheel(ctx, request)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		f.Set(wheels, name, lock.Entry{"filename": wheel.Filename, "sha256": wheel.SHA256, "version": wheel.Version})
	}
	return finish(c, f, wheelLock, w.Check)
}

// apply sets the fields of the command line in the entry, which may be new.
func (w *wheelCmd) apply(f *lock.File) error {
	fields := lock.Entry{}
	if _, ok := f.Entry(wheels, w.Repository); !ok {
		if w.Requirement == "" || len(w.Platform) == 0 || w.BuildFile == "" {
			return cli.Usagef("%q not found in %s: a new repository requires PROJECT, --platform and --build-file (known: %s)",
				w.Repository, wheelLock, strings.Join(f.Names(wheels), ", "))
		}
		fields["python"] = defaultPython
	}
	if w.Requirement != "" {
		form := requirementForm.FindStringSubmatch(w.Requirement)
		fields["project"], fields["version"] = form[1], form[2]
	}
	if len(w.Platform) > 0 {
		tags := make([]any, len(w.Platform))
		for i, p := range w.Platform {
			tags[i] = p
		}
		fields["platforms"] = tags
	}
	if w.Python != "" {
		fields["python"] = w.Python
	}
	if w.BuildFile != "" {
		fields["build_file"] = w.BuildFile
	}
	f.Set(wheels, w.Repository, fields)
	return nil
}

func readRequest(entry lock.Entry) (r pip.Request, err error) {
	if r.Project, err = entry.String("project"); err != nil {
		return r, err
	}
	if r.Python, err = entry.String("python"); err != nil {
		return r, err
	}
	if r.Platforms, err = entry.Strings("platforms"); err != nil {
		return r, err
	}
	r.Version, _ = entry["version"].(string) // Without a version, the newest.
	return r, nil
}

// downloadWheel downloads a wheel and returns its name, hash and version.
func downloadWheel(ctx context.Context, r pip.Request) (pip.Wheel, error) {
	dir, err := os.MkdirTemp("", "pin-wheel-")
	if err != nil {
		return pip.Wheel{}, err
	}
	defer os.RemoveAll(dir)
	return pip.Download(ctx, dir, r)
}

func orNewest(version string) string {
	if version == "" {
		return "(newest)"
	}
	return version
}
