package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/tools/pin/apt"
	"krabby.dev/krabby/tools/pin/lock"
)

const (
	debLock = "third_party/debian/lock.json"

	// The only suite that changes at point releases only. Mirrors drop a package of the suites security and updates as soon as
	// its successor appears.
	suite = "bookworm"

	// Sections of the lock file: packages as files, and repositories with an unpacked package or source.
	packages = "packages"
	unpacked = "unpacked"
)

type debCmd struct {
	Package []string `arg:"" optional:"" help:"Packages to pin, or names of unpacked entries. Without any, every entry is pinned again."`
	Arch    string   `help:"Architecture of the packages: ${enum}." enum:"amd64,arm64" default:"arm64"`
	Keyring string   `help:"Keys that must have signed the package lists." default:"/usr/share/keyrings/debian-archive-keyring.gpg" placeholder:"FILE"`
	checkFlag
}

func (*debCmd) Help() string {
	return `Packages come from ` + suite + ` main, whose lists must be signed by Debian. For a repository with one package or source
package, add its entry to "unpacked", with "build_file" and either "package" and "architecture" or "source", and give its name here.`
}

// debTarget is an entry of the lock file and what it pins: a package for an architecture, or without an architecture the upstream
// archive of a source package.
type debTarget struct {
	section, entry     string
	name, architecture string
}

var debName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)

func (d *debCmd) Run(ctx context.Context, root *flags, c *cli.Console) error {
	f, err := root.readLock(debLock)
	if err != nil {
		return err
	}
	targets, err := d.targets(f)
	if err != nil {
		return err
	}
	byArchitecture := map[string][]debTarget{}
	for _, t := range targets {
		byArchitecture[t.architecture] = append(byArchitecture[t.architecture], t)
	}
	dir, err := os.MkdirTemp("", "pin-apt-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	architectures := slices.Sorted(maps.Keys(byArchitecture))
	index, err := d.update(ctx, c, dir, architectures)
	if err != nil {
		return err
	}
	for _, architecture := range architectures {
		group := byArchitecture[architecture]
		found, err := find(ctx, c, index, architecture, packageNames(group))
		if err != nil {
			return err
		}
		for _, t := range group {
			a := found[t.name]
			f.Set(t.section, t.entry, lock.Entry{"path": a.Path, "sha256": a.SHA256, "version": a.Version})
		}
	}
	return finish(c, f, debLock, d.Check)
}

// update fetches the package lists for the architectures. The empty architecture stands for sources.
func (d *debCmd) update(ctx context.Context, c *cli.Console, dir string, architectures []string) (*apt.Index, error) {
	mirror, err := apt.Mirror(ctx)
	if err != nil {
		return nil, err
	}
	binary := slices.DeleteFunc(slices.Clone(architectures), func(a string) bool { return a == "" })
	if len(binary) == 0 {
		binary = []string{d.Arch} // apt requires a native architecture.
	}
	c.Progress("package lists of %s main for %s from %s", suite, strings.Join(binary, ", "), mirror)
	return apt.Update(ctx, dir, apt.Suite{Mirror: mirror, Name: suite, Architectures: binary, Keyring: d.Keyring})
}

// find returns the archives of packages, or with an empty architecture of source packages, by name.
func find(ctx context.Context, c *cli.Console, index *apt.Index, architecture string, names []string) (map[string]apt.Archive, error) {
	if architecture != "" {
		c.Progress("packages for %s: %d", architecture, len(names))
		return index.Binaries(ctx, architecture, names)
	}
	c.Progress("source packages: %d", len(names))
	found := map[string]apt.Archive{}
	for _, name := range names {
		archive, err := index.Source(ctx, name)
		if err != nil {
			return nil, err
		}
		found[name] = archive
	}
	return found, nil
}

func packageNames(group []debTarget) []string {
	var all []string
	for _, t := range group {
		all = append(all, t.name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// targets returns the targets of the arguments, or of all entries if there are no arguments.
func (d *debCmd) targets(f *lock.File) ([]debTarget, error) {
	if len(d.Package) == 0 {
		return allTargets(f)
	}
	var targets []debTarget
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
			return nil, cli.Usagef("invalid name %q: expected a Debian package or an unpacked entry of %s (known: %s)",
				name, debLock, strings.Join(f.Names(unpacked), ", "))
		}
		targets = append(targets, debTarget{packages, name + "_" + d.Arch, name, d.Arch})
	}
	return targets, nil
}

func allTargets(f *lock.File) ([]debTarget, error) {
	var targets []debTarget
	for _, entry := range f.Names(packages) {
		i := strings.LastIndex(entry, "_")
		if i < 0 {
			return nil, fmt.Errorf("%s: %s: found entry %q, expected <package>_<architecture>", debLock, packages, entry)
		}
		targets = append(targets, debTarget{packages, entry, entry[:i], entry[i+1:]})
	}
	for _, entry := range f.Names(unpacked) {
		t, err := unpackedTarget(f, entry)
		if err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	return targets, nil
}

func unpackedTarget(f *lock.File, name string) (debTarget, error) {
	t := debTarget{section: unpacked, entry: name}
	entry, _ := f.Entry(unpacked, name)
	var err error
	if _, ok := entry["source"]; ok {
		t.name, err = entry.String("source")
	} else if t.name, err = entry.String("package"); err == nil {
		t.architecture, err = entry.String("architecture")
	}
	if err == nil && !debName.MatchString(t.name) {
		err = fmt.Errorf("invalid Debian package name %q", t.name)
	}
	if err != nil {
		return t, fmt.Errorf("%s: %s: %w (an unpacked entry has \"package\" and \"architecture\", or \"source\")", debLock, name, err)
	}
	return t, nil
}
