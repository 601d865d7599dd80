package wheel

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Set is wheels that are installed together, by normalized project.
type Set map[string]*Wheel

// Add adds a wheel; a project can be there once.
func (s Set) Add(w *Wheel) error {
	if old := s[w.Project()]; old != nil {
		return fmt.Errorf("%s and %s are both of %s; only one can be installed", old.Name, w.Name, w.Project())
	}
	s[w.Project()] = w
	return nil
}

// Fit checks every wheel against the target: its tags and its Requires-Python.
// Errors name the wheel.
func (s Set) Fit(t Target) error {
	python, err := parsePython(t)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		w := s[name]
		if err := t.Fits(w.Filename); err != nil {
			return fmt.Errorf("%s: wrong tag: %w", w.Name, err)
		}
		if !w.Metadata.RequiresPython.Contains(python) {
			return fmt.Errorf("%s: it requires Python %s, not %s", w.Name, w.Metadata.RequiresPython, t.Python)
		}
	}
	return nil
}

// Unmet is a requirement that no wheel of the set meets.
type Unmet struct {
	By          string // Name of the wheel, or who else requires it.
	Requirement Requirement
	Found       *Wheel // Of another version; nil if there is none of the project.
}

func (u Unmet) String() string {
	if u.Found == nil {
		return fmt.Sprintf("%s requires %s: found no wheel of %s", u.By, u.Requirement, u.Requirement.Project)
	}
	return fmt.Sprintf("%s requires %s: found version %s (%s)", u.By, u.Requirement, u.Found.Metadata.Version, u.Found.Name)
}

// Check returns an error that names every requirement of the wheels that the
// set does not meet on the target.
func (s Set) Check(t Target) error {
	_, unmet, err := s.Closure(t, s.all())
	if err != nil {
		return err
	}
	var lines []string
	for _, u := range unmet {
		lines = append(lines, u.String())
	}
	if len(lines) > 0 {
		return fmt.Errorf("missing dependency: %s", strings.Join(lines, "; "))
	}
	return nil
}

// all requires everything that is there.
func (s Set) all() []Root {
	var roots []Root
	for _, name := range slices.Sorted(maps.Keys(s)) {
		roots = append(roots, Root{By: "the set", Requirement: Requirement{Project: name}})
	}
	return roots
}

// Root is a requirement that does not come from a wheel.
type Root struct {
	By          string
	Requirement Requirement
}

// Closure follows requirements from the roots on: which projects are needed on
// the target, and what is not met.
func (s Set) Closure(t Target, roots []Root) (needed []string, unmet []Unmet, err error) {
	// A project is visited once for each extra, and once without.
	type visit struct{ project, extra string }
	seen := map[visit]bool{}
	var queue []visit
	reached := map[string]bool{}
	require := func(by string, r Requirement) {
		w := s[r.Project]
		if w == nil || !r.Specifier.Contains(w.Metadata.Version) {
			unmet = append(unmet, Unmet{by, r, w})
			return
		}
		reached[r.Project] = true
		for _, extra := range append([]string{""}, r.Extras...) {
			if v := (visit{r.Project, extra}); !seen[v] {
				seen[v] = true
				queue = append(queue, v)
			}
		}
	}
	for _, root := range roots {
		ok, err := root.Requirement.Applies(t, "")
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", root.By, err)
		}
		if ok {
			require(root.By, root.Requirement)
		}
	}
	for len(queue) > 0 {
		v := queue[0]
		queue = queue[1:]
		w := s[v.project]
		for _, r := range w.Metadata.RequiresDist {
			ok, err := r.Applies(t, v.extra)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", w.Name, err)
			}
			if ok {
				require(w.Name, r)
			}
		}
	}
	return slices.Sorted(maps.Keys(reached)), dedupe(unmet), nil
}

// dedupe drops what was found again for an extra.
func dedupe(unmet []Unmet) []Unmet {
	var out []Unmet
	for _, u := range unmet {
		if !slices.ContainsFunc(out, func(o Unmet) bool { return o.By == u.By && o.Requirement.text == u.Requirement.text }) {
			out = append(out, u)
		}
	}
	return out
}
