// Package apt queries apt for the pool path and the hash of Debian packages. It uses an apt configuration of its own: one suite,
// one component, package lists signed by Debian. The script apt.sh, which tools/bootstrap.sh also runs, prints that configuration.
//
// It must not install or download a package.
package apt

import (
	"context"
	_ "embed"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"krabby.dev/krabby/tools/pin/client"
)

// script is the only source of the mirror and of apt's settings.
//
//go:embed apt.sh
var script string

func runScript(ctx context.Context, args ...string) (string, error) {
	return client.Run(ctx, client.Command{
		Name: "/bin/sh", Title: "apt.sh", Args: append([]string{"-c", script, "apt.sh"}, args...),
	})
}

const advice = "pin Debian packages on a machine that has apt"

// Archive is one file of the pool.
type Archive struct {
	Path    string // Below the mirror, escaped as apt does: pool/main/...
	SHA256  string // In hex.
	Version string // Debian's version; of a source package without the epoch.
}

// Mirror returns the Debian mirror of this machine: DEBIAN_MIRROR, or the first mirror in apt's configuration.
func Mirror(ctx context.Context) (string, error) {
	if os.Getenv("DEBIAN_MIRROR") == "" {
		if err := client.Require("apt-get", advice); err != nil {
			return "", err
		}
	}
	mirror, err := runScript(ctx, "mirror")
	return strings.TrimSpace(mirror), err
}

// Index holds the signed package lists of one suite.
type Index struct {
	env  []string
	dir  string
	name string // Suite and component for error messages, such as "bookworm main".
}

// Suite selects the package lists to fetch.
type Suite struct {
	Mirror        string
	Name          string   // Such as "bookworm". The component is main.
	Architectures []string // The first one is apt's native architecture.
	Keyring       string   // Path of the keys that must have signed the lists.
}

// Update fetches the package lists of a suite into the empty directory dir. A list that is unsigned, incomplete or signed by
// another key is an error.
func Update(ctx context.Context, dir string, s Suite) (*Index, error) {
	for _, name := range []string{"apt-get", "apt-config"} {
		if err := client.Require(name, advice); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(s.Keyring); err != nil {
		return nil, fmt.Errorf("keyring for the package lists: %w: install debian-archive-keyring", err)
	}
	configuration, err := runScript(ctx, append([]string{"config", dir}, s.Architectures...)...)
	if err != nil {
		return nil, err
	}
	for _, d := range []string{"lists/partial", "archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	config := filepath.Join(dir, "apt.conf")
	for path, content := range map[string]string{
		config:                             configuration,
		filepath.Join(dir, "sources.list"): sources(s),
		filepath.Join(dir, "status"):       "", // Without installed packages, no package conflicts.
	} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return nil, err
		}
	}
	index := &Index{env: []string{"APT_CONFIG=" + config}, dir: dir, name: s.Name + " main"}
	if _, err := index.run(ctx, "update"); err != nil {
		return nil, fmt.Errorf("package lists of %s: %w", index.name, err)
	}
	return index, nil
}

func sources(s Suite) string {
	var b strings.Builder
	for _, kind := range []string{"deb", "deb-src"} {
		fmt.Fprintf(&b, "%s [signed-by=%s] %s %s main\n", kind, s.Keyring, s.Mirror, s.Name)
	}
	return b.String()
}

// run returns the output of apt-get with the configuration of the index.
func (i *Index) run(ctx context.Context, args ...string) (string, error) {
	return client.Run(ctx, client.Command{Name: "apt-get", Args: args, Env: i.env, Dir: i.dir})
}

// Binaries returns the packages with the given names for one architecture, by name. A package for all architectures counts.
func (i *Index) Binaries(ctx context.Context, architecture string, names []string) (map[string]Archive, error) {
	args := append([]string{"-o", "APT::Architecture=" + architecture, "--print-uris", "download"}, names...)
	output, err := i.run(ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("%s for %s: %w", i.name, architecture, err)
	}
	found := map[string]Archive{}
	files, err := parse(output)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		name, rest, _ := strings.Cut(strings.TrimSuffix(f.name, ".deb"), "_")
		version, arch, ok := strings.Cut(rest, "_")
		if !ok || (arch != architecture && arch != "all") {
			return nil, fmt.Errorf("apt-get printed %q, expected a package for %s", f.name, architecture)
		}
		if f.Version, err = url.PathUnescape(version); err != nil {
			return nil, fmt.Errorf("apt-get printed %q: %w", f.name, err)
		}
		found[name] = f.Archive
	}
	for _, name := range names {
		if _, ok := found[name]; !ok {
			return nil, fmt.Errorf("%s for %s: apt-get printed no address of %s", i.name, architecture, name)
		}
	}
	return found, nil
}

// Source returns the upstream archive (.orig.tar) of a source package.
func (i *Index) Source(ctx context.Context, name string) (Archive, error) {
	output, err := i.run(ctx, "--print-uris", "--only-source", "source", name)
	if err != nil {
		return Archive{}, fmt.Errorf("sources of %s: %w", i.name, err)
	}
	files, err := parse(output)
	if err != nil {
		return Archive{}, err
	}
	archive := slices.IndexFunc(files, func(f file) bool {
		return strings.Contains(f.name, ".orig.tar.") && !strings.HasSuffix(f.name, ".asc")
	})
	description := slices.IndexFunc(files, func(f file) bool { return strings.HasSuffix(f.name, ".dsc") })
	if archive < 0 || description < 0 {
		return Archive{}, fmt.Errorf("sources of %s: no .orig.tar archive of %s found", i.name, name)
	}
	result := files[archive].Archive
	_, result.Version, _ = strings.Cut(strings.TrimSuffix(files[description].name, ".dsc"), "_")
	return result, nil
}
