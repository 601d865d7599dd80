package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/tools/layer/wheel"
	"krabby.dev/krabby/tools/layer/wheel/pep440"
	"krabby.dev/krabby/tools/pin/lock"
	"krabby.dev/krabby/tools/pin/pip"
)

const (
	wheelRequirements = "third_party/python/requirements.json"

	// Sections of the requirements.
	environments = "environments"
	groups       = "groups"

	// Limit for the calls of pip: each call adds the requirements that the call before left unmet.
	maxRounds = 5
)

type wheelsCmd struct {
	Environment []string `arg:"" optional:"" help:"Environments to pin. Without any, all are pinned."`
	Upgrade     bool     `help:"Pin the newest versions that the requirements allow. Without it, locked versions stay where possible."`
	checkFlag
}

func (*wheelsCmd) Help() string {
	return `The requirements and the environments are written by hand, in ` + wheelRequirements + `. Each environment has one fully
resolved lock file. Markers are evaluated for the environment, not for this machine. Only wheels are used; none of their code runs.`
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

func (w *wheelsCmd) Run(ctx context.Context, root *flags, c *cli.Console) error {
	requirements, err := root.readLock(wheelRequirements)
	if err != nil {
		return err
	}
	envs, err := w.environments(requirements)
	if err != nil {
		return err
	}
	roots, err := readRoots(requirements)
	if err != nil {
		return fmt.Errorf("%s: %w", wheelRequirements, err)
	}
	var outdated error
	for _, e := range envs {
		f, err := lock.ReadOrNew(filepath.Join(root.Workspace, e.lockPath()))
		if err != nil {
			return err
		}
		r := resolver{environment: e, roots: roots, console: c}
		if !w.Upgrade {
			r.locked = f
		}
		entries, err := r.resolve(ctx)
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

// readRoots returns the requirements of each group.
func readRoots(requirements *lock.File) (map[string][]wheel.Root, error) {
	roots := map[string][]wheel.Root{}
	for _, group := range requirements.Names(groups) {
		entry, _ := requirements.Entry(groups, group)
		lines, err := entry.Strings("requirements")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", group, err)
		}
		for _, line := range lines {
			r, err := wheel.ParseRequirement(line)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", group, err)
			}
			roots[group] = append(roots[group], wheel.Root{By: "group " + group, Requirement: r})
		}
	}
	return roots, nil
}

// resolver finds the wheels of one environment.
type resolver struct {
	environment
	roots   map[string][]wheel.Root
	locked  *lock.File // Versions to keep; nil for the newest.
	console *cli.Console
}

// resolve calls pip until all requirements of the wheels are met, and leaves out wheels that no requirement leads to. It evaluates
// the requirements itself because pip evaluates markers for this machine.
func (r *resolver) resolve(ctx context.Context) (map[string]lock.Entry, error) {
	var roots []wheel.Root
	for _, group := range r.groups() {
		roots = append(roots, r.roots[group]...)
	}
	var wanted []string
	for _, root := range roots {
		ok, err := root.Requirement.Applies(r.target, "")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", root.By, err)
		}
		if ok {
			wanted = append(wanted, unconditional(root.Requirement))
		}
	}
	for range maxRounds {
		slices.Sort(wanted)
		wanted = slices.Compact(wanted)
		r.console.Progress("%s: %s", r.name, strings.Join(wanted, ", "))
		entries, unmet, err := r.round(ctx, wanted, roots)
		if err != nil || len(unmet) == 0 {
			return entries, err
		}
		before := len(wanted)
		for _, u := range unmet {
			if text := unconditional(u.Requirement); !slices.Contains(wanted, text) {
				wanted = append(wanted, text)
			}
		}
		if len(wanted) == before {
			return nil, errors.New(unmet[0].String())
		}
	}
	return nil, fmt.Errorf("requirements are still unmet after %d calls of pip", maxRounds)
}

// unconditional returns a requirement without its marker.
func unconditional(r wheel.Requirement) string {
	text := r.Project
	if len(r.Extras) > 0 {
		text += "[" + strings.Join(r.Extras, ",") + "]"
	}
	return text + r.Specifier.String()
}

// round calls pip once. It returns the entries of the needed wheels or, if wheels are missing, the unmet requirements.
func (r *resolver) round(ctx context.Context, wanted []string, roots []wheel.Root) (_ map[string]lock.Entry, _ []wheel.UnmetRequirement, err error) {
	dir, err := os.MkdirTemp("", "pin-wheels-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	paths, err := pip.Resolve(ctx, dir, pip.Resolution{
		Requirements: wanted, Constraints: r.constraints(roots), Python: r.target.Python, Platforms: r.target.Platforms(),
	})
	if err != nil && r.locked != nil {
		err = fmt.Errorf("%w (--upgrade ignores the locked versions)", err)
	}
	if err != nil {
		return nil, nil, err
	}
	set := wheel.Set{}
	defer func() {
		for _, w := range set {
			err = errors.Join(err, w.Close())
		}
	}()
	for _, path := range paths {
		w, err := wheel.Open(path)
		if err != nil {
			return nil, nil, err
		}
		if err := set.Add(w); err != nil {
			return nil, nil, errors.Join(err, w.Close())
		}
	}
	needed, unmet, err := set.Closure(r.target, roots)
	if err != nil || len(unmet) > 0 {
		return nil, unmet, err
	}
	for project := range set {
		if !slices.Contains(needed, project) {
			if err := set[project].Close(); err != nil {
				return nil, nil, err
			}
			delete(set, project)
		}
	}
	if err := set.CheckTarget(r.target); err != nil {
		return nil, nil, err
	}
	entries, err := r.entries(dir, set)
	return entries, nil, err
}

// constraints returns the locked versions that the requirements allow.
func (r *resolver) constraints(roots []wheel.Root) []string {
	if r.locked == nil {
		return nil
	}
	var all []string
	for _, project := range r.locked.Names(wheels) {
		entry, _ := r.locked.Entry(wheels, project)
		text, err := entry.String("version")
		if err != nil {
			continue
		}
		version, err := pep440.Parse(text)
		excluded := slices.ContainsFunc(roots, func(root wheel.Root) bool {
			return root.Requirement.Project == project && !root.Requirement.Specifier.Contains(version)
		})
		if err == nil && !excluded {
			all = append(all, project+"=="+text)
		}
	}
	return all
}

// entries returns the entries of the lock file for a set of wheels, with the groups that need each wheel.
func (r *resolver) entries(dir string, set wheel.Set) (map[string]lock.Entry, error) {
	entries := map[string]lock.Entry{}
	for project, w := range set {
		sum, err := lock.SHA256(filepath.Join(dir, w.Name))
		if err != nil {
			return nil, err
		}
		var by []any
		for _, group := range r.groups() {
			needed, _, err := set.Closure(r.target, r.roots[group])
			if err != nil {
				return nil, err
			}
			if slices.Contains(needed, project) {
				by = append(by, group)
			}
		}
		entries[project] = lock.Entry{"filename": w.Name, "groups": by, "sha256": sum, "version": w.Metadata.Version.String()}
	}
	return entries, nil
}

func (r *resolver) groups() []string {
	return slices.Sorted(maps.Keys(r.roots))
}
