package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/tools/layer/wheel"
	"krabby.dev/krabby/tools/pin/lock"
	"krabby.dev/krabby/tools/pin/uv"
)

const (
	wheelRequirements = "third_party/python/requirements.json"

	// Sections of the requirements.
	environments = "environments"
	groups       = "groups"
)

type wheelsCmd struct {
	Environment []string `arg:"" optional:"" help:"Environments to pin. Without any, all are pinned."`
	Upgrade     bool     `help:"Pin the newest versions that the requirements allow. Without it, locked versions stay where possible."`
	checkFlag
}

func (*wheelsCmd) Help() string {
	return `The requirements and the environments are written by hand, in ` + wheelRequirements + `. Each environment has one fully
resolved lock file. The pinned uv resolves the requirements with the markers of the environment, not of this machine, from the package
indexes of this machine's pip and uv. Only wheels are used; none of their code runs. A warning names each project whose newest release
has no wheel for the environment.`
}

// environment is a Python on a machine, which has one lock file.
type environment struct {
	name   string
	target wheel.Target
}

// lockPath returns the path of the lock file in the workspace.
func (e environment) lockPath() string {
	return filepath.Join(filepath.Dir(wheelRequirements), e.name+".lock.json")
}

func (w *wheelsCmd) Run(ctx context.Context, root *flags, c *cli.Console) (err error) {
	requirements, err := root.readLock(wheelRequirements)
	if err != nil {
		return err
	}
	envs, err := w.environments(requirements)
	if err != nil {
		return err
	}
	byGroup, err := readGroups(requirements)
	if err != nil {
		return fmt.Errorf("%s: %w", wheelRequirements, err)
	}
	resolver, err := root.resolver(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, resolver.Close()) }()
	var outdated error
	for _, e := range envs {
		f, err := lock.ReadOrNew(filepath.Join(root.Workspace, e.lockPath()))
		if err != nil {
			return err
		}
		p := pinning{environment: e, groups: byGroup, locked: f, upgrade: w.Upgrade, resolver: resolver, console: c}
		entries, err := p.resolve(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		f.Replace(wheels, entries)
		if err := finish(c, f, e.lockPath(), w.Check); err != nil && !w.Check {
			return err
		} else if outdated == nil {
			outdated = err
		}
	}
	return outdated
}

// environments returns the environments of the arguments, or all environments if there are no arguments.
func (w *wheelsCmd) environments(requirements *lock.File) ([]environment, error) {
	names, err := selected(requirements, wheelRequirements, environments, w.Environment)
	if err != nil {
		return nil, err
	}
	var all []environment
	for _, name := range names {
		entry, _ := requirements.Entry(environments, name)
		e := environment{name: name}
		var errs [3]error
		e.target.Python, errs[0] = entry.String("python")
		e.target.Architecture, errs[1] = entry.String("architecture")
		e.target.Glibc, errs[2] = entry.String("glibc")
		err := errors.Join(errs[:]...)
		if err == nil {
			err = e.target.Validate()
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", wheelRequirements, name, err)
		}
		all = append(all, e)
	}
	return all, nil
}

// readGroups returns the requirements of each group.
func readGroups(requirements *lock.File) (map[string][]string, error) {
	all := map[string][]string{}
	for _, group := range requirements.Names(groups) {
		entry, _ := requirements.Entry(groups, group)
		lines, err := entry.Strings("requirements")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", group, err)
		}
		for _, line := range lines {
			if _, err := wheel.ParseRequirement(line); err != nil {
				return nil, fmt.Errorf("%s: %w", group, err)
			}
		}
		all[group] = lines
	}
	return all, nil
}

// pinning finds the wheels of one environment.
type pinning struct {
	environment
	groups   map[string][]string // Requirements by group.
	locked   *lock.File
	upgrade  bool
	resolver *uv.Resolver
	console  *cli.Console
}

// resolve returns the entries of the lock file. All groups have the same version of a project.
func (p *pinning) resolve(ctx context.Context) (map[string]lock.Entry, error) {
	request := uv.Request{Target: p.target, Preferred: p.preferred()}
	for _, group := range p.groupNames() {
		request.Requirements = append(request.Requirements, p.groups[group]...)
	}
	p.console.Progress("%s: resolving for %s", p.name, p.target)
	releases, err := p.resolver.Resolve(ctx, request)
	if yanked := new(uv.YankedError); errors.As(err, &yanked) && !p.upgrade {
		return nil, fmt.Errorf("%w, or drop a locked version with --upgrade", err)
	}
	if err != nil {
		return nil, err
	}
	by, err := p.members(ctx, releases)
	if err != nil {
		return nil, err
	}
	entries := map[string]lock.Entry{}
	for _, release := range releases {
		known, _ := p.locked.Entry(wheels, release.Project)
		w, err := choose(p.target, release, known)
		if err != nil {
			return nil, err
		}
		if known["version"] != release.Version {
			reason, err := p.resolver.Newer(ctx, request, release, releases)
			if err != nil {
				return nil, err
			}
			warnOlder(p.console, release, reason, p.target)
		}
		entries[release.Project] = lock.Entry{"filename": w.Filename, "groups": by[release.Project], "sha256": w.SHA256, "version": release.Version}
	}
	return entries, nil
}

// preferred returns the locked versions.
func (p *pinning) preferred() map[string]string {
	versions := map[string]string{}
	for _, project := range p.locked.Names(wheels) {
		entry, _ := p.locked.Entry(wheels, project)
		if version, err := entry.String("version"); err == nil && !p.upgrade {
			versions[project] = version
		}
	}
	return versions
}

// members returns the groups that need each project, sorted.
func (p *pinning) members(ctx context.Context, releases []uv.Release) (map[string][]any, error) {
	versions := map[string]string{}
	for _, release := range releases {
		versions[release.Project] = release.Version
	}
	by := map[string][]any{}
	for _, group := range p.groupNames() {
		needed, err := p.resolver.Resolve(ctx, uv.Request{Target: p.target, Requirements: p.groups[group], Preferred: versions})
		if err != nil {
			return nil, fmt.Errorf("group %s: %w", group, err)
		}
		for _, release := range needed {
			if versions[release.Project] != release.Version {
				return nil, fmt.Errorf("group %s alone requires %s %s, all groups together %s: add the requirement that decides to the group",
					group, release.Project, release.Version, cmp.Or(versions[release.Project], "none"))
			}
			by[release.Project] = append(by[release.Project], group)
		}
	}
	return by, nil
}

func (p *pinning) groupNames() []string {
	return slices.Sorted(maps.Keys(p.groups))
}

// choose returns the wheel of a release that the lock file gets: the locked one while the release has it, else the one that fits the
// target best. A locked wheel with another content is an error.
func choose(t wheel.Target, release uv.Release, known lock.Entry) (uv.Wheel, error) {
	var names []wheel.Filename
	for _, w := range release.Wheels {
		if w.Filename == known["filename"] {
			if sum, pinned := known["sha256"].(string); pinned && sum != w.SHA256 {
				return w, fmt.Errorf("%s: the content has changed: expected sha256 %s of the lock file, found %s on the index; files of a release do not change: ask the publisher or the mirror which one is correct, and delete the entry of the lock file to pin the other one",
					w.Filename, sum, w.SHA256)
			}
			return w, nil
		}
		name, err := wheel.ParseFilename(w.Filename)
		if err != nil {
			return w, err
		}
		names = append(names, name)
	}
	best := t.Best(names)
	if best < 0 {
		return uv.Wheel{}, fmt.Errorf("%s %s: no wheel for %s found", release.Project, release.Version, t)
	}
	return release.Wheels[best], nil
}

// warnOlder prints a warning if there is a reason for which a newer release is not used.
func warnOlder(c *cli.Console, release uv.Release, reason string, t wheel.Target) {
	if reason != "" {
		c.Progress("warning: %s %s is not the newest release: no newer one has a wheel for %s (%s)", release.Project, release.Version, t, reason)
	}
}
