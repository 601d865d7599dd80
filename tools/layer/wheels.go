package main

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"path"
	"slices"

	"krabby.dev/krabby/tools/layer/glob"
	"krabby.dev/krabby/tools/layer/tree"
	"krabby.dev/krabby/tools/layer/wheel"
)

// addWheels installs the wheels if all of them fit the target and all their requirements are met. The returned function closes the
// wheels after the layer is written.
func (p *params) addWheels(t *tree.Tree, owner tree.Owner) (func() error, error) {
	set := wheel.Set{}
	done := func() error {
		var all error
		for _, w := range set {
			all = errors.Join(all, w.Close())
		}
		return all
	}
	if err := p.installWheels(t, owner, set); err != nil {
		return done, fmt.Errorf("wheels: %w", err)
	}
	return done, nil
}

func (p *params) installWheels(t *tree.Tree, owner tree.Owner, set wheel.Set) error {
	options, err := p.wheelOptions()
	if err != nil {
		return err
	}
	if len(p.Wheels) == 0 {
		return options.checkUse()
	}
	target, scheme, err := p.interpreter()
	if err != nil {
		return err
	}
	for _, src := range p.Wheels {
		if err := options.open(src, set); err != nil {
			return err
		}
	}
	if err := set.CheckTarget(target); err != nil {
		return err
	}
	if err := set.CheckRequirements(target); err != nil {
		return err
	}
	for _, src := range p.Wheels {
		if err := installWheel(t, owner, scheme, set, path.Base(src.Path)); err != nil {
			return err
		}
	}
	return options.checkUse()
}

// interpreter returns the target of the wheels and the destinations of their files.
func (p *params) interpreter() (target wheel.Target, scheme wheel.Scheme, err error) {
	if p.Python == nil {
		return target, scheme, errors.New("no Python version for the wheels")
	}
	target = wheel.Target{Python: p.Python.Version, Architecture: p.Python.Architecture, Glibc: p.Python.Glibc}
	if err := target.Validate(); err != nil {
		return target, scheme, err
	}
	scheme = wheel.Scheme{Prefix: p.Python.Prefix, Interpreter: p.Python.Interpreter}
	if scheme.Interpreter == "" {
		scheme.Interpreter = "/usr/bin/python" + target.PythonXY()
	}
	return target, scheme, scheme.Validate()
}

// wheelOptions are the deviations that the author of the layer allows, by normalized project.
type wheelOptions struct {
	exclude    map[string][]*exclusion
	linuxTag   map[string]bool
	unverified map[string]bool
	used       map[string]bool // Projects with a wheel.
}

// exclusion is one glob of wheel_exclude.
type exclusion struct {
	pattern string
	match   glob.Set
	found   bool
}

func (p *params) wheelOptions() (*wheelOptions, error) {
	o := &wheelOptions{exclude: map[string][]*exclusion{}, linuxTag: map[string]bool{}, unverified: map[string]bool{}, used: map[string]bool{}}
	for _, project := range slices.Sorted(maps.Keys(p.WheelExclude)) {
		for _, pattern := range p.WheelExclude[project] {
			set, err := glob.Compile([]string{pattern})
			if err != nil {
				return nil, fmt.Errorf("wheel_exclude: %s: %w", project, err)
			}
			name := wheel.Normalize(project)
			o.exclude[name] = append(o.exclude[name], &exclusion{pattern: pattern, match: set})
		}
	}
	for _, project := range p.WheelLinuxTags {
		o.linuxTag[wheel.Normalize(project)] = true
	}
	for _, project := range p.WheelUnverifiedRecords {
		o.unverified[wheel.Normalize(project)] = true
	}
	return o, nil
}

// open adds a wheel with its options to the set.
func (o *wheelOptions) open(src source, set wheel.Set) error {
	name, err := wheel.ParseFilename(path.Base(src.Path))
	if err != nil {
		return fmt.Errorf("%s: %w", src.Label, err)
	}
	project := wheel.Normalize(name.Project)
	open := wheel.Open
	if o.unverified[project] {
		open = wheel.OpenUnverified
	}
	w, err := open(src.Path)
	if _, ok := errors.AsType[*wheel.RecordError](err); ok {
		return fmt.Errorf("%s: %w (wheel_unverified_records installs the wheel as it is)", src.Label, err)
	} else if err != nil {
		return fmt.Errorf("%s: %w", src.Label, err)
	}
	w.LinuxTag = o.linuxTag[project]
	w.Exclude = func(file string) bool {
		excluded := false
		for _, e := range o.exclude[project] {
			if e.match.Match(file) {
				e.found, excluded = true, true
			}
		}
		return excluded
	}
	o.used[project] = true
	if err := set.Add(w); err != nil {
		return errors.Join(err, w.Close())
	}
	return nil
}

// checkUse returns an error for an option that has no effect.
func (o *wheelOptions) checkUse() error {
	unused := func(attribute string, projects iter.Seq[string]) error {
		for _, project := range slices.Sorted(projects) {
			if !o.used[project] {
				return fmt.Errorf("%s: no wheel of %s found", attribute, project)
			}
		}
		return nil
	}
	if err := cmp.Or(
		unused("wheel_exclude", maps.Keys(o.exclude)),
		unused("wheel_linux_tags", maps.Keys(o.linuxTag)),
		unused("wheel_unverified_records", maps.Keys(o.unverified)),
	); err != nil {
		return err
	}
	for _, project := range slices.Sorted(maps.Keys(o.exclude)) {
		for _, e := range o.exclude[project] {
			if !e.found {
				return fmt.Errorf("wheel_exclude: glob %q matches no file of %s", e.pattern, project)
			}
		}
	}
	return nil
}

func installWheel(t *tree.Tree, owner tree.Owner, scheme wheel.Scheme, set wheel.Set, name string) error {
	f, err := wheel.ParseFilename(name)
	if err != nil {
		return err
	}
	files, err := set[wheel.Normalize(f.Project)].Install(scheme)
	if err != nil {
		return err
	}
	if scheme.HasPathFile(files) {
		if err := addWheelFile(t, owner, scheme.SiteCustomize(), "the .pth files of "+name); err != nil {
			return err
		}
	}
	for _, file := range files {
		if err := addWheelFile(t, owner, file, name); err != nil {
			return err
		}
	}
	return nil
}

func addWheelFile(t *tree.Tree, owner tree.Owner, file wheel.File, source string) error {
	e := tree.Entry{Kind: tree.File, Mode: 0o644, Owner: owner, Content: &tree.Content{Size: file.Size, Open: file.Open}, Source: source}
	if file.Executable {
		e.Mode = 0o755
	}
	return t.Add(file.Path, e)
}
