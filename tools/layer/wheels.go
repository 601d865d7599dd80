package main

import (
	"errors"
	"fmt"
	"path"

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
	if len(p.Wheels) == 0 {
		return done, nil
	}
	if err := p.installWheels(t, owner, set); err != nil {
		return done, fmt.Errorf("wheels: %w", err)
	}
	return done, nil
}

func (p *params) installWheels(t *tree.Tree, owner tree.Owner, set wheel.Set) error {
	if p.Python == nil {
		return errors.New("no Python version for the wheels")
	}
	target := wheel.Target{Python: p.Python.Version, Architecture: p.Python.Architecture, Glibc: p.Python.Glibc}
	if err := target.Validate(); err != nil {
		return err
	}
	scheme := wheel.Scheme{Prefix: p.Python.Prefix, Interpreter: p.Python.Interpreter}
	if scheme.Interpreter == "" {
		scheme.Interpreter = "/usr/bin/python" + target.PythonXY()
	}
	if err := scheme.Validate(); err != nil {
		return err
	}
	for _, src := range p.Wheels {
		w, err := wheel.Open(src.Path)
		if err != nil {
			return fmt.Errorf("%s: %w", src.Label, err)
		}
		if err := set.Add(w); err != nil {
			return errors.Join(err, w.Close())
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
	for _, file := range files {
		e := tree.Entry{Kind: tree.File, Mode: 0o644, Owner: owner, Content: &tree.Content{Size: file.Size, Open: file.Open}, Source: name}
		if file.Executable {
			e.Mode = 0o755
		}
		if err := t.Add(file.Path, e); err != nil {
			return err
		}
	}
	return nil
}
