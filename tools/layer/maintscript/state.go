package maintscript

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// State is what the scripts of all packages of a layer ask for. The zero value is empty.
type State struct {
	mu         sync.Mutex
	diversions map[string]Diversion
	groups     map[string]*group // Alternatives by name.
	cache      bool
}

// Diversion moves the file of other packages from Path to To.
type Diversion struct {
	Package  string // The package whose own file stays at Path; empty for none.
	Path, To string
}

// Diversions returns the diversions, sorted by path.
func (s *State) Diversions() []Diversion {
	var all []Diversion
	for _, p := range slices.Sorted(maps.Keys(s.diversions)) {
		all = append(all, s.diversions[p])
	}
	return all
}

// Divert returns the path of a package's file.
func (s *State) Divert(pkg, name string) string {
	if d, ok := s.diversions[name]; ok && d.Package != pkg {
		return d.To
	}
	return name
}

// LinkerCache reports whether a script calls ldconfig.
func (s *State) LinkerCache() bool { return s.cache }

func (r *runner) ldconfig(call) (int, error) {
	r.State.mu.Lock()
	defer r.State.mu.Unlock()
	r.cache = true
	return 0, nil
}

// divert is dpkg-divert.
func (r *runner) divert(c call) (int, error) {
	d, action, rename := Diversion{Package: r.pkg.Name}, "--add", false
	for i := 0; i < len(c.args); i++ {
		a, value, hasValue := strings.Cut(c.args[i], "=")
		next := func() string {
			if !hasValue && i+1 < len(c.args) {
				i++
				value = c.args[i]
			}
			return value
		}
		switch a {
		case "--package":
			d.Package = next()
		case "--divert":
			d.To = next()
		case "--local":
			d.Package = ""
		case "--rename":
			rename = true
		case "--no-rename", "--quiet":
		case "--add", "--remove", "--listpackage", "--truename":
			action = a
		default:
			if strings.HasPrefix(a, "-") || d.Path != "" {
				return 0, fmt.Errorf("unsupported argument %s", a)
			}
			d.Path = absolute(c.Dir, c.args[i])
		}
	}
	if d.Path == "" {
		return 0, errors.New("expected a path")
	}
	if err := r.changeDiversion(c, action, &d); err != nil || action != "--add" || !rename {
		return 0, err
	}
	return 0, r.root.Rename(d.Package, d.Path, d.To)
}

func (r *runner) changeDiversion(c call, action string, d *Diversion) error {
	r.State.mu.Lock()
	defer r.State.mu.Unlock()
	old, exists := r.diversions[d.Path]
	switch action {
	case "--listpackage":
		if !exists {
			return nil
		}
		_, err := fmt.Fprintln(c.Stdout, cmp.Or(old.Package, "LOCAL"))
		return err
	case "--truename":
		_, err := fmt.Fprintln(c.Stdout, cmp.Or(old.To, d.Path))
		return err
	case "--remove":
		if exists && old.Package == d.Package {
			delete(r.diversions, d.Path)
		}
		return nil
	}
	d.To = cmp.Or(d.To, d.Path+".distrib")
	if exists && old != *d {
		return fmt.Errorf("%s is already diverted to %s by %s", d.Path, old.To, cmp.Or(old.Package, "LOCAL"))
	}
	if r.diversions == nil {
		r.diversions = map[string]Diversion{}
	}
	r.diversions[d.Path] = *d
	return nil
}

// group is a group of alternatives: files for one link.
type group struct {
	link    string
	choices map[string]choice // By path.
	manual  string            // The path of --set.
}

type choice struct {
	priority int
	slaves   map[string]slave // By name.
}

type slave struct{ link, path string }

// Link is a symbolic link.
type Link struct{ Path, Target string }

// Alternatives returns the links of the alternatives with the highest priority: from each link to its name in /etc/alternatives, and
// from there to the file. Of equal priorities, the first path in order counts.
func (s *State) Alternatives() []Link {
	var links []Link
	add := func(name, link, target string) {
		links = append(links, Link{link, "/etc/alternatives/" + name}, Link{"/etc/alternatives/" + name, target})
	}
	for _, name := range slices.Sorted(maps.Keys(s.groups)) {
		g := s.groups[name]
		best := g.manual
		for _, p := range slices.Sorted(maps.Keys(g.choices)) {
			if g.manual == "" && (best == "" || g.choices[p].priority > g.choices[best].priority) {
				best = p
			}
		}
		if best == "" {
			continue
		}
		add(name, g.link, best)
		for _, n := range slices.Sorted(maps.Keys(g.choices[best].slaves)) {
			add(n, g.choices[best].slaves[n].link, g.choices[best].slaves[n].path)
		}
	}
	return links
}

// alternatives is update-alternatives.
func (r *runner) alternatives(c call) (int, error) {
	var action []string
	ch := choice{slaves: map[string]slave{}}
	operands := map[string]int{"--install": 4, "--remove": 2, "--remove-all": 1, "--set": 2, "--auto": 1, "--slave": 3, "--follower": 3, "--log": 1}
	for rest := c.args; len(rest) > 0; {
		a := rest[0]
		n, ok := operands[a]
		switch {
		case a == "--quiet" || a == "--force" || a == "--verbose" || a == "--skip-auto":
		case !ok || len(rest) < n+1:
			return 0, fmt.Errorf("unsupported or incomplete argument %q", a)
		case a == "--slave" || a == "--follower":
			ch.slaves[rest[2]] = slave{rest[1], rest[3]}
		case a != "--log":
			action = rest[:n+1]
		}
		rest = rest[1+n:]
	}
	if len(action) == 0 {
		return 0, errors.New("expected an action")
	}
	return r.changeAlternatives(action, ch)
}

func (r *runner) changeAlternatives(action []string, ch choice) (int, error) {
	r.State.mu.Lock()
	defer r.State.mu.Unlock()
	name := action[1]
	switch action[0] {
	case "--install":
		return 0, r.install(action[1], action[2], action[3], action[4], ch)
	case "--remove":
		if g := r.groups[name]; g != nil {
			delete(g.choices, action[2])
		}
	case "--remove-all":
		delete(r.groups, name)
	case "--set":
		g := r.groups[name]
		if g == nil {
			return 2, nil
		}
		if _, ok := g.choices[action[2]]; !ok {
			return 2, nil
		}
		g.manual = action[2]
	case "--auto":
		if g := r.groups[name]; g != nil {
			g.manual = ""
		}
	}
	return 0, nil
}

func (r *runner) install(link, name, target, priority string, ch choice) error {
	var err error
	if ch.priority, err = strconv.Atoi(priority); err != nil {
		return fmt.Errorf("invalid priority %q", priority)
	}
	if r.root.Excluded(target) {
		return nil
	}
	if _, ok := r.root.Lookup(target, true); !ok {
		return fmt.Errorf("%s not found in the layer", target)
	}
	// Like update-alternatives, leave out the links to files that do not exist.
	maps.DeleteFunc(ch.slaves, func(_ string, s slave) bool {
		_, ok := r.root.Lookup(s.path, true)
		return !ok || r.root.Excluded(s.link)
	})
	if r.groups == nil {
		r.groups = map[string]*group{}
	}
	if r.groups[name] == nil {
		r.groups[name] = &group{link: link, choices: map[string]choice{}}
	}
	if g := r.groups[name]; g.link != link {
		return fmt.Errorf("another package has the link %s for %s", g.link, name)
	}
	r.groups[name].choices[target] = ch
	return nil
}
