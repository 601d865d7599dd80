package wheel

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Set holds wheels that are installed together, by normalized project name.
type Set map[string]*Wheel

// Add adds a wheel. A second wheel of a project is an error.
func (s Set) Add(w *Wheel) error {
	if old := s[w.Project()]; old != nil {
		return fmt.Errorf("%s and %s are wheels of the same project %s", old.Name, w.Name, w.Project())
	}
	s[w.Project()] = w
	return nil
}

// CheckTarget returns an error if the tags or Requires-Python of a wheel do not fit the target. Errors begin with the wheel's name.
func (s Set) CheckTarget(t Target) error {
	python, err := parsePython(t)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		w := s[name]
		err := t.CheckTags(w.Filename)
		if err != nil && w.LinuxTag && t.fitsPython(w.Filename) && slices.Contains(w.Platform, "linux_"+machines[t.Architecture]) {
			err = w.checkELF(t)
		}
		if err != nil {
			return fmt.Errorf("%s: wrong tag: %w", w.Name, err)
		}
		if !w.Metadata.RequiresPython.Contains(python) {
			return fmt.Errorf("%s: wrong Python version: found %s, expected %s", w.Name, t.Python, w.Metadata.RequiresPython)
		}
	}
	return nil
}

// UnmetRequirement is a requirement that no wheel of the set meets.
type UnmetRequirement struct {
	By          string // Origin of the requirement: a wheel or a Root.
	Requirement Requirement
	Found       *Wheel // The project's wheel with another version, nil if there is none.
}

func (u UnmetRequirement) String() string {
	if u.Found == nil {
		return fmt.Sprintf("%s requires %s: no wheel of %s found", u.By, u.Requirement, u.Requirement.Project)
	}
	return fmt.Sprintf("%s requires %s: found version %s (%s)", u.By, u.Requirement, u.Found.Metadata.Version, u.Found.Name)
}

// CheckRequirements returns an error that lists all requirements of the wheels that the set does not meet on the target.
func (s Set) CheckRequirements(t Target) error {
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

// all returns one requirement for each wheel of the set.
func (s Set) all() []Root {
	var roots []Root
	for _, name := range slices.Sorted(maps.Keys(s)) {
		roots = append(roots, Root{By: "the set", Requirement: Requirement{Project: name}})
	}
	return roots
}

// Root is a requirement that does not come from a wheel.
type Root struct {
	By          string // Origin of the requirement for error messages.
	Requirement Requirement
}

// Closure follows the requirements from the roots. It returns the sorted projects that are needed on the target, and the unmet
// requirements.
func (s Set) Closure(t Target, roots []Root) (needed []string, unmet []UnmetRequirement, err error) {
	// Each project is visited once for each extra and once without an extra.
	type visit struct{ project, extra string }
	seen := map[visit]bool{}
	var queue []visit
	reached := map[string]bool{}
	require := func(by string, r Requirement) {
		w := s[r.Project]
		if w == nil || !r.Specifier.Contains(w.Metadata.Version) {
			unmet = append(unmet, UnmetRequirement{by, r, w})
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
				return nil, nil, fmt.Errorf("%s: METADATA: %w", w.Name, err)
			}
			if ok {
				require(w.Name, r)
			}
		}
	}
	return slices.Sorted(maps.Keys(reached)), dedupe(unmet), nil
}

// dedupe removes requirements that several extras have in common.
func dedupe(unmet []UnmetRequirement) []UnmetRequirement {
	var out []UnmetRequirement
	for _, u := range unmet {
		if !slices.ContainsFunc(out, func(o UnmetRequirement) bool { return o.By == u.By && o.Requirement.text == u.Requirement.text }) {
			out = append(out, u)
		}
	}
	return out
}
