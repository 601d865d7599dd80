package hosts_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"slices"
	"testing"

	"krabby.dev/krabby/tools/lint/finding"
	"krabby.dev/krabby/tools/lint/finding/findingtest"
	"krabby.dev/krabby/tools/lint/hosts"
)

// registries are hosts that only the configuration of a machine may name. The keys are hashes because this file must not contain
// the names either: printf %s the.host.name | sha256sum
var registries = hosts.Set{
	"00a7dc5a0cc388586b8665846e7d8ae94a6dd096f2aa1aa3b4aab4ac484f998a": "the Go module proxy",
	"9da5f32d964125123cc368f231b473bea59307f811c7b9b2e731601e586b82b5": "Go's checksum database",
	"048e76c14ef34200a2fd1bff13c584ea0770b46ab008f537a9cb62637655eb2b": "a public Go module proxy",
	"be57af6b78a7facae64f87c4f9230a273a036b2a192a16104abb469385e28f46": "a public Go module proxy",
	"a4aa2ac280bb8d1a0ce7a1be5a7bfb10292b49fe9435ad5cff19f421f3c70e41": "the Python package index",
	"8b5bb5eb9d758455b8635855cf8aaf05b68775e3f83f0291e800ef338fb9783c": "the Python package index's files",
	"0dc11026ac75c015aaa1deafff4a7a54ef6d0cf6b3c7f9b1d2c8f3502929aa9e": "the npm registry",
	"e680c440a2e92079ab1bf7a927e8d3920f1bcd173c0487e28e020110b2e59efc": "Debian's content delivery network",
	"c2b35955576ffa710bfb7c4e5de8141335829cb1333377cbaf7daaeff9647b35": "Debian's main mirror",
	"1ba4e37997a2e986efa6cd844e43fd25b9e816359d31612baa9c18b71e3b5294": "Debian's security updates",
	"2e97613f5a81eaa4f8a58f552a005713c0c8f333e026efb7771ad28429532374": "Debian's snapshots",
	"789e46d79514e28093cabe2bb4a0798266f584b0e508ef269ebabb6e57859290": "the Rust crate registry",
	"317d2d52829b78129d2c9e43d001899f0c8d30968bae00b848a47154df56b0ca": "Maven Central",
	"43c04ed1dabe979b9c552549bf0ab023abd3e1cc6d5ff7f42cfa2296b0973a67": "Maven Central",
	"09a8b62abb50247290d457e5da3c97646f61f5bb664b2d5619d4ecd49a3e220d": "the Bazel Central Registry",
	"bbd7fcf0d4f24d9009b5154988add34a1043e8f47aecccb0b0f5f2f52e51bb4c": "Bazel's mirror of archives",
}

// crateProgram names the crate registry: cargo, whose configuration it reads, has the same address built in.
const crateProgram = "third_party/cargo/crate.py"

func TestFind_repository(t *testing.T) {
	find := func(tree fs.FS) ([]finding.Finding, error) {
		findings, err := registries.Find(tree)
		return slices.DeleteFunc(findings, func(f finding.Finding) bool { return f.File == crateProgram }), err
	}
	findingtest.Repository(t, find, "fetch with the package clients of the machine, which have its mirrors: third_party/bazel/fetch.bzl")
}

func TestFind(t *testing.T) {
	set := hosts.Set{}
	for _, host := range []string{"mirror.example.org", "example.net"} {
		sum := sha256.Sum256([]byte(host))
		set[hex.EncodeToString(sum[:])] = "a mirror"
	}
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"URL":                        {"x\nurl = \"https://mirror.example.org/pool\"\n", []string{"a:2: mirror.example.org is a mirror"}},
		"name only":                  {"mirror.example.org", []string{"a:1: mirror.example.org is a mirror"}},
		"with a port":                {"mirror.example.org:443", []string{"a:1: mirror.example.org is a mirror"}},
		"with a user":                {"user@mirror.example.org", []string{"a:1: mirror.example.org is a mirror"}},
		"in a sentence":              {"Ask mirror.example.org.", []string{"a:1: mirror.example.org is a mirror"}},
		"in capitals":                {"MIRROR.Example.org", []string{"a:1: mirror.example.org is a mirror"}},
		"after an underscore":        {"x_mirror.example.org", []string{"a:1: mirror.example.org is a mirror"}},
		"host below":                 {"files.example.net/a", []string{"a:1: files.example.net is a mirror"}},
		"two hosts in a line":        {"a.example.net b.example.net", []string{"a:1: a.example.net is a mirror", "a:1: b.example.net is a mirror"}},
		"sibling host":               {"www.example.org", nil},
		"host above":                 {"example.org", nil},
		"other host with the suffix": {"notexample.net", nil},
		"other host with the prefix": {"mirror.example.organic", nil},
		"no host":                    {"nothing here", nil},
		"binary file":                {"\x00mirror.example.org", nil},
	} {
		t.Run(name, func(t *testing.T) {
			findingtest.File(t, set.Find, "a", test.text, test.want)
		})
	}
}
