package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"krabby.dev/krabby/tools/pin/apt"
	"krabby.dev/krabby/tools/pin/lock"
	"krabby.dev/krabby/tools/program"
)

const (
	debLock = "third_party/debian/lock.json"

	// The one suite that stays as it is between point releases: what is pinned
	// from security or updates vanishes with the next update.
	suite = "bookworm"

	// Sections of the lock: packages as they are, and repositories made of one.
	packages = "packages"
	unpacked = "unpacked"
)

type debCmd struct {
	Package []string `arg:"" optional:"" help:"Packages to pin, or names of unpacked entries. Without any, every entry is pinned anew."`
	Arch    string   `help:"Architecture of the packages: ${enum}." enum:"amd64,arm64" default:"arm64"`
	Keyring string   `help:"Keys that the package lists must be signed with." default:"/usr/share/keyrings/debian-archive-keyring.gpg" placeholder:"FILE"`
	Check   bool     `help:"Write nothing; print what would change and exit with 1 if anything would."`
}

func (*debCmd) Help() string {
	return `Only ` + suite + ` main is pinned; its lists must be signed by Debian. For a repository made of one package or source
package, write its entry into "unpacked" with "build_file" and either "package" and "architecture" or "source", then name
it here.`
}

// target is an entry of the lock and what it pins: a package for an
// architecture, or with no architecture the upstream archive of a source package.
type target struct {
	section, entry         string
	package_, architecture string
}

var debName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)

func (d *debCmd) Run(ctx context.Context, root *cli, c *program.Console) error {
	f, err := root.readLock(debLock)
	if err != nil {
		return err
	}
	targets, err := d.targets(f)
	if err != nil {
		return err
	}
	mirror, err := apt.Mirror(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "pin-apt-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	byArchitecture := map[string][]target{}
	for _, t := range targets {
		byArchitecture[t.architecture] = append(byArchitecture[t.architecture], t)
	}
	architectures := slices.Sorted(maps.Keys(byArchitecture))
	binary := slices.DeleteFunc(slices.Clone(architectures), func(a string) bool { return a == "" })
	if len(binary) == 0 {
		binary = []string{d.Arch} // apt must have one, whatever it is asked.
	}
	c.Progress("package lists of %s main for %s from %s", suite, strings.Join(binary, ", "), mirror)
	index, err := apt.Update(ctx, dir, apt.Suite{
		Mirror: mirror, Name: suite, Architectures: binary, Keyring: d.Keyring,
	})
	if err != nil {
		return err
	}
	for _, architecture := range architectures {
		group := byArchitecture[architecture]
		var found map[string]apt.Archive
		if architecture == "" {
			c.Progress("source packages: %d", len(group))
			found, err = sources(ctx, index, group)
		} else {
			c.Progress("packages for %s: %d", architecture, len(group))
			found, err = index.Binaries(ctx, architecture, names(group))
		}
		if err != nil {
			return err
		}
		for _, t := range group {
			a := found[t.package_]
			f.Set(t.section, t.entry, lock.Entry{"path": a.Path, "sha256": a.SHA256, "version": a.Version})
		}
	}
	return finish(c, f, debLock, d.Check)
}

// targets finds what the arguments name, or without any all entries.
func (d *debCmd) targets(f *lock.File) ([]target, error) {
	var targets []target
	if len(d.Package) == 0 {
		for _, name := range f.Names(packages) {
			package_, architecture, ok := cutLast(name, "_")
			if !ok {
				return nil, fmt.Errorf("%s: the entry %q in %q is not <package>_<architecture>", debLock, name, packages)
			}
			targets = append(targets, target{packages, name, package_, architecture})
		}
		for _, name := range f.Names(unpacked) {
			t, err := unpackedTarget(f, name)
			if err != nil {
				return nil, err
			}
			targets = append(targets, t)
		}
		return targets, nil
	}
	for _, name := range d.Package {
		if _, ok := f.Entry(unpacked, name); ok {
			t, err := unpackedTarget(f, name)
			if err != nil {
				return nil, err
			}
			targets = append(targets, t)
			continue
		}
		if !debName.MatchString(name) {
			return nil, program.Usagef("%q is neither the name of a Debian package nor an unpacked entry of %s (%s)",
				name, debLock, strings.Join(f.Names(unpacked), ", "))
		}
		targets = append(targets, target{packages, name + "_" + d.Arch, name, d.Arch})
	}
	return targets, nil
}

func unpackedTarget(f *lock.File, name string) (target, error) {
	t := target{section: unpacked, entry: name}
	entry, _ := f.Entry(unpacked, name)
	var err error
	if _, ok := entry["source"]; ok {
		t.package_, err = entry.String("source")
	} else if t.package_, err = entry.String("package"); err == nil {
		t.architecture, err = entry.String("architecture")
	}
	if err == nil && !debName.MatchString(t.package_) {
		err = fmt.Errorf("%q is not the name of a Debian package", t.package_)
	}
	if err != nil {
		return t, fmt.Errorf("%s: %s: %w (an unpacked entry says \"package\" and \"architecture\", or \"source\")", debLock, name, err)
	}
	return t, nil
}

func names(group []target) []string {
	var all []string
	for _, t := range group {
		all = append(all, t.package_)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func sources(ctx context.Context, index *apt.Index, group []target) (map[string]apt.Archive, error) {
	found := map[string]apt.Archive{}
	for _, name := range names(group) {
		archive, err := index.Source(ctx, name)
		if err != nil {
			return nil, err
		}
		found[name] = archive
	}
	return found, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
