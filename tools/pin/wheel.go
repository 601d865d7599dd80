package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/tools/layer/wheel"
	"krabby.dev/krabby/tools/pin/lock"
	"krabby.dev/krabby/tools/pin/uv"
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
	Platform    []string `help:"Platform tag of the wheel, such as manylinux_2_28_aarch64 or any. Can be repeated." placeholder:"TAG"`
	Python      string   `help:"Python version of the wheel (${default_python} for a new repository)." placeholder:"VERSION"`
	BuildFile   string   `help:"Label of the repository's BUILD file." placeholder:"LABEL"`
	checkFlag
}

func (*wheelCmd) Help() string {
	return `A new repository requires PROJECT, --platform and --build-file, and an entry in use_repo of MODULE.bazel. The pinned uv
finds each wheel on the package indexes of this machine's pip and uv; a warning tells if a newer release has no such wheel.`
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

func (w *wheelCmd) Run(ctx context.Context, root *flags, c *cli.Console) (err error) {
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
	resolver, err := root.resolver(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, resolver.Close()) }()
	for i, name := range repositories {
		entry, _ := f.Entry(wheels, name)
		version, _ := entry["version"].(string)
		c.Progress("[%d/%d] %s: %s %s", i+1, len(repositories), name, entry["project"], cmp.Or(version, "(newest)"))
		fields, err := w.pinOne(ctx, resolver, entry, c)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		f.Set(wheels, name, fields)
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

// pinOne returns the fields of an entry that depend on the index.
func (w *wheelCmd) pinOne(ctx context.Context, resolver *uv.Resolver, entry lock.Entry, c *cli.Console) (lock.Entry, error) {
	project, noProject := entry.String("project")
	python, noPython := entry.String("python")
	platforms, noPlatforms := entry.Strings("platforms")
	if err := errors.Join(noProject, noPython, noPlatforms); err != nil {
		return nil, fmt.Errorf("%s: %w", wheelLock, err)
	}
	target, err := targetOf(python, platforms)
	if err != nil {
		return nil, err
	}
	request := uv.Request{Target: target, Requirements: []string{project}, NoDeps: true}
	version, _ := entry["version"].(string) // Without a version, the newest.
	if version != "" {
		request.Requirements[0] += "==" + version
	}
	releases, err := resolver.Resolve(ctx, request)
	if err != nil {
		return nil, err
	}
	release := releases[0]
	release.Wheels = slices.DeleteFunc(release.Wheels, func(w uv.Wheel) bool { return !hasPlatform(w.Filename, platforms) })
	chosen, err := choose(target, release, entry)
	if err != nil {
		return nil, fmt.Errorf("platforms %s: %w", strings.Join(platforms, ", "), err)
	}
	if version == "" {
		reason, err := resolver.Newer(ctx, request, release, nil)
		if err != nil {
			return nil, err
		}
		warnOlder(c, release, reason, target)
	}
	return lock.Entry{"filename": chosen.Filename, "sha256": chosen.SHA256, "version": release.Version}, nil
}

// hasPlatform reports whether a wheel has one of the platform tags.
func hasPlatform(filename string, platforms []string) bool {
	name, err := wheel.ParseFilename(filename)
	return err == nil && slices.ContainsFunc(name.Platform, func(tag string) bool { return slices.Contains(platforms, tag) })
}

// targetOf returns the target that takes wheels with the platform tags of an entry, and perhaps others. Tags of several architectures
// are an error.
func targetOf(python string, platforms []string) (wheel.Target, error) {
	for _, glibc := range uv.Glibcs() {
		for _, architecture := range []string{"amd64", "arm64"} {
			t := wheel.Target{Python: python, Architecture: architecture, Glibc: glibc}
			fitting := t.Platforms()
			if !slices.ContainsFunc(platforms, func(tag string) bool { return !slices.Contains(fitting, tag) }) {
				return t, t.Validate()
			}
		}
	}
	return wheel.Target{}, fmt.Errorf("platforms %s: expected tags of one architecture such as manylinux_2_28_aarch64, or any", strings.Join(platforms, ", "))
}
