package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"

	"krabby.dev/krabby/tools/pin/lock"
	"krabby.dev/krabby/tools/pin/pip"
	"krabby.dev/krabby/tools/program"
)

const (
	wheelLock = "third_party/python/lock.json"
	wheels    = "wheels"

	// The Python of the images, for a new repository that names none.
	defaultPython = "3.11"
)

type wheelCmd struct {
	Repository  string   `arg:"" optional:"" help:"Name of the Bazel repository. Without one, every entry is fetched at its version."`
	Requirement string   `arg:"" optional:"" name:"project==version" help:"What to pin; the newest version if it names none, the locked one if left out."`
	Platform    []string `help:"Platform tag of pip, such as manylinux_2_28_aarch64 or any; can be repeated." placeholder:"TAG"`
	Python      string   `help:"Python version that the wheel is for (${default_python} for a new repository)." placeholder:"VERSION"`
	BuildFile   string   `help:"Label of the repository's BUILD file." placeholder:"LABEL"`
	Check       bool     `help:"Write nothing; print what would change and exit with 1 if anything would."`
}

func (*wheelCmd) Help() string {
	return `A new repository needs PROJECT, --platform and --build-file; name it in MODULE.bazel too (use_repo). Each wheel is downloaded
by this machine's pip and hashed here.`
}

var (
	repositoryName  = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	requirementForm = regexp.MustCompile(`^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:==([A-Za-z0-9][A-Za-z0-9.!+_-]*))?$`)
	pythonForm      = regexp.MustCompile(`^3\.[0-9]+$`)
	platformForm    = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	labelForm       = regexp.MustCompile(`^//[^\s:]+:[^\s:]+$`)
)

// Validate is kong's hook.
func (w *wheelCmd) Validate() error {
	if w.Repository == "" && (len(w.Platform) > 0 || w.Python != "" || w.BuildFile != "") {
		return fmt.Errorf("--platform, --python and --build-file belong to one REPOSITORY")
	}
	if w.Repository != "" && !repositoryName.MatchString(w.Repository) {
		return fmt.Errorf("repository %q: lower case letters, digits and underscores, please", w.Repository)
	}
	if w.Requirement != "" && !requirementForm.MatchString(w.Requirement) {
		return fmt.Errorf("%q is not PROJECT or PROJECT==VERSION", w.Requirement)
	}
	if w.Python != "" && !pythonForm.MatchString(w.Python) {
		return fmt.Errorf("--python %q is not a version such as 3.11", w.Python)
	}
	for _, p := range w.Platform {
		if !platformForm.MatchString(p) {
			return fmt.Errorf("--platform %q is not a tag such as manylinux_2_28_aarch64", p)
		}
	}
	if w.BuildFile != "" && !labelForm.MatchString(w.BuildFile) {
		return fmt.Errorf("--build-file %q is not a label such as //third_party/x:x.BUILD.bazel", w.BuildFile)
	}
	return nil
}

func (w *wheelCmd) Run(ctx context.Context, root *cli, c *program.Console) error {
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
		request, err := request(entry)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", wheelLock, name, err)
		}
		c.Progress("[%d/%d] %s: %s %s", i+1, len(repositories), name, request.Project, orNewest(request.Version))
		wheel, err := downloadOne(ctx, request)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		f.Set(wheels, name, lock.Entry{"filename": wheel.Filename, "sha256": wheel.SHA256, "version": wheel.Version})
	}
	return finish(c, f, wheelLock, w.Check)
}

// apply puts what the command line says into the entry, new or not.
func (w *wheelCmd) apply(f *lock.File) error {
	fields := lock.Entry{}
	if _, ok := f.Entry(wheels, w.Repository); !ok {
		if w.Requirement == "" || len(w.Platform) == 0 || w.BuildFile == "" {
			return program.Usagef("%s is new: a new repository needs PROJECT, --platform and --build-file (known: %s)",
				w.Repository, strings.Join(f.Names(wheels), ", "))
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

func request(entry lock.Entry) (r pip.Request, err error) {
	if r.Project, err = entry.String("project"); err != nil {
		return r, err
	}
	if r.Python, err = entry.String("python"); err != nil {
		return r, err
	}
	if r.Platforms, err = entry.Strings("platforms"); err != nil {
		return r, err
	}
	r.Version, _ = entry["version"].(string) // None: the newest.
	return r, nil
}

func downloadOne(ctx context.Context, r pip.Request) (pip.Wheel, error) {
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
