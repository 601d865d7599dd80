// Package apt asks apt where a Debian package is and what its hash is, with a
// configuration of its own: one suite, one component, Debian's own signature.
//
// It must never install or download a package.
package apt

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"krabby.dev/krabby/tools/pin/client"
)

const advice = "Debian packages are pinned on a machine that has apt"

// Archive is one file of the pool.
type Archive struct {
	Path    string // Below the mirror, escaped as apt does: pool/main/...
	SHA256  string
	Version string // Debian's; of a source package without the epoch.
}

// Mirror returns where this machine takes Debian from: DEBIAN_MIRROR, or the
// first mirror in apt's own configuration.
func Mirror(ctx context.Context) (string, error) {
	mirror := os.Getenv("DEBIAN_MIRROR")
	if mirror == "" {
		if err := client.Require("apt-get", advice); err != nil {
			return "", err
		}
		targets, err := client.Run(ctx, client.Command{
			Name: "apt-get",
			Args: []string{"indextargets", "--format", "$(COMPONENT) $(REPO_URI)", "Created-By: Packages"},
		})
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(targets) {
			component, uri, _ := strings.Cut(strings.TrimSpace(line), " ")
			if component == "main" && strings.HasSuffix(strings.TrimRight(uri, "/"), "/debian") {
				mirror = uri
				break
			}
		}
		if mirror == "" {
			return "", errors.New("this machine's apt names no Debian mirror: set DEBIAN_MIRROR to the address of one, up to .../debian")
		}
	}
	// It becomes a word of sources.list.
	if u, err := url.Parse(mirror); err != nil || u.Scheme == "" || strings.ContainsAny(mirror, " \t\r\n[]#") {
		return "", fmt.Errorf("the Debian mirror %q is not the address of one, up to .../debian", mirror)
	}
	return strings.TrimRight(mirror, "/"), nil
}

// Index is the signed package lists of one suite.
type Index struct {
	env  []string
	dir  string
	from string // "bookworm main", for messages.
}

// Suite says which lists to fetch, from where, and who must have signed them.
type Suite struct {
	Mirror        string
	Name          string // "bookworm"; of its components, main.
	Architectures []string
	Keyring       string // Path of the keys.
}

// Update fetches the lists of a suite into dir, which must be empty.
func Update(ctx context.Context, dir string, s Suite) (*Index, error) {
	for _, name := range []string{"apt-get", "apt-config"} {
		if err := client.Require(name, advice); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(s.Keyring); err != nil {
		return nil, fmt.Errorf("the lists cannot be checked (%w): install debian-archive-keyring", err)
	}
	// What the machine says about reaching its mirror is kept: proxies, certificates.
	acquire, err := client.Run(ctx, client.Command{
		Name: "apt-config",
		Args: []string{"dump", "--format", `%F "%v";%n`, "Acquire"},
	})
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
		config:                             acquire + configuration(dir, s.Architectures),
		filepath.Join(dir, "sources.list"): sources(s),
		filepath.Join(dir, "status"):       "",
	} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return nil, err
		}
	}
	index := &Index{env: []string{"APT_CONFIG=" + config}, dir: dir, from: s.Name + " main"}
	if _, err := index.get(ctx, "update"); err != nil {
		return nil, fmt.Errorf("package lists of %s: %w", index.from, err)
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

// configuration leaves nothing to the machine's own: its sources, hooks and
// pins play no part. The sandbox user could not read dir, half a list is no
// list, and a status without packages has none that conflict.
func configuration(dir string, architectures []string) string {
	return strings.NewReplacer(
		"DIR", dir,
		"NATIVE", architectures[0],
		"ALL", strings.Join(architectures, `"; "`),
	).Replace(`
Dir::State "DIR";
Dir::State::status "DIR/status";
Dir::State::lists "DIR/lists";
Dir::Cache "DIR";
Dir::Cache::archives "DIR/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "DIR/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "NATIVE";
APT::Architectures { "ALL"; };
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::AllowInsecureRepositories "false";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::Retries "2";
Acquire::http::Timeout "10";
Acquire::https::Timeout "10";
`)
}

func (i *Index) get(ctx context.Context, args ...string) (string, error) {
	return client.Run(ctx, client.Command{Name: "apt-get", Args: args, Env: i.env, Dir: i.dir})
}

// Binaries finds packages for one architecture, among them those for all.
func (i *Index) Binaries(ctx context.Context, architecture string, names []string) (map[string]Archive, error) {
	args := append([]string{"-o", "APT::Architecture=" + architecture, "--print-uris", "download"}, names...)
	output, err := i.get(ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("%s for %s: %w", i.from, architecture, err)
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
			return nil, fmt.Errorf("apt-get answers with %q, which is no package for %s", f.name, architecture)
		}
		if f.Version, err = url.PathUnescape(version); err != nil {
			return nil, fmt.Errorf("apt-get answers with %q: %w", f.name, err)
		}
		found[name] = f.Archive
	}
	for _, name := range names {
		if _, ok := found[name]; !ok {
			return nil, fmt.Errorf("%s for %s: apt-get does not say where %s is", i.from, architecture, name)
		}
	}
	return found, nil
}

// Source finds the archive that upstream released, as a source package has it.
func (i *Index) Source(ctx context.Context, name string) (Archive, error) {
	output, err := i.get(ctx, "--print-uris", "--only-source", "source", name)
	if err != nil {
		return Archive{}, fmt.Errorf("sources of %s: %w", i.from, err)
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
		return Archive{}, fmt.Errorf("sources of %s: %s has no .orig.tar archive", i.from, name)
	}
	result := files[archive].Archive
	_, result.Version, _ = strings.Cut(strings.TrimSuffix(files[description].name, ".dsc"), "_")
	return result, nil
}
