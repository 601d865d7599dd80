package main

import (
	"strings"
	"testing"
)

var (
	hashA = strings.Repeat("a", 64)
	hashB = strings.Repeat("b", 64)
	hashC = strings.Repeat("c", 64)
)

// debian is a machine whose mirror has four packages.
func debian(t *testing.T) *machine {
	m := newMachine(t, "apt-get", "apt-config")
	m.write(m.answers, "indextargets", "contrib http://other.test/debian/\nmain http://security.test/debian-security/\nmain "+fakeMirror+"/\n")
	m.write(m.answers, "arm64", strings.Join([]string{
		"'" + fakeMirror + "/pool/main/g/gcc-12/libstdc%2b%2b6_12.2.0-14%2bdeb12u1_arm64.deb' libstdc++6_12.2.0-14+deb12u1_arm64.deb 556608 SHA256:" + hashA,
		"'" + fakeMirror + "/pool/main/t/tzdata/tzdata_2026b-0%2bdeb12u1_all.deb' tzdata_2026b-0+deb12u1_all.deb 304148 SHA256:" + hashB,
		"",
	}, "\n"))
	m.write(m.answers, "amd64", "'"+fakeMirror+"/pool/main/q/qemu/qemu-user-static_7.2%2bdfsg-7_amd64.deb' qemu-user-static_1%3a7.2+dfsg-7_amd64.deb 62603724 SHA256:"+hashC+"\n")
	m.write(m.answers, "sources", strings.Join([]string{
		"'" + fakeMirror + "/pool/main/z/zeromq3/zeromq3_4.3.4-6.dsc' zeromq3_4.3.4-6.dsc 1870 SHA256:" + hashA,
		"'" + fakeMirror + "/pool/main/z/zeromq3/zeromq3_4.3.4.orig.tar.gz.asc' zeromq3_4.3.4.orig.tar.gz.asc 833 SHA256:" + hashC,
		"'" + fakeMirror + "/pool/main/z/zeromq3/zeromq3_4.3.4.orig.tar.gz' zeromq3_4.3.4.orig.tar.gz 918193 SHA256:" + hashB,
		"",
	}, "\n"))
	return m
}

const debLockBefore = `{
  "unpacked": {
    "libzmq": {"source": "zeromq3", "build_file": "//x:libzmq.BUILD.bazel", "strip_prefix": "libzmq-4.3.4"},
    "qemu": {"package": "qemu-user-static", "architecture": "amd64", "note": {"size": 12345678901234567890}}
  },
  "packages": {"libstdc++6_arm64": {"path": "pool/old.deb", "sha256": "old"}}
}`

const debLockAfter = `{
  "packages": {
    "libstdc++6_arm64": {
      "path": "pool/main/g/gcc-12/libstdc%2b%2b6_12.2.0-14%2bdeb12u1_arm64.deb",
      "sha256": "AAAA",
      "version": "12.2.0-14+deb12u1"
    }
  },
  "unpacked": {
    "libzmq": {
      "build_file": "//x:libzmq.BUILD.bazel",
      "path": "pool/main/z/zeromq3/zeromq3_4.3.4.orig.tar.gz",
      "sha256": "BBBB",
      "source": "zeromq3",
      "strip_prefix": "libzmq-4.3.4",
      "version": "4.3.4-6"
    },
    "qemu": {
      "architecture": "amd64",
      "note": {
        "size": 12345678901234567890
      },
      "package": "qemu-user-static",
      "path": "pool/main/q/qemu/qemu-user-static_7.2%2bdfsg-7_amd64.deb",
      "sha256": "CCCC",
      "version": "1:7.2+dfsg-7"
    }
  }
}
`

func TestDebPinsEveryEntryAnewAndKeepsOtherFields(t *testing.T) {
	m := debian(t)
	m.write(m.workspace, debLock, debLockBefore)
	m.pin(0, "deb")
	want := strings.NewReplacer("AAAA", hashA, "BBBB", hashB, "CCCC", hashC).Replace(debLockAfter)
	if got := m.read(m.workspace, debLock); got != want {
		t.Errorf("the lock is\n%s\nwant\n%s", got, want)
	}
	if out, said := m.pin(0, "deb", "--check"); out != "" || said != "pin deb: "+debLock+" is up to date" {
		t.Errorf("--check of a fresh lock printed %q and said %q", out, said)
	}
}

func TestDebAddsPackagesAndPinsOnlyWhatIsNamed(t *testing.T) {
	m := debian(t)
	m.write(m.workspace, debLock, debLockBefore)
	out, _ := m.pin(0, "deb", "tzdata", "libzmq")
	want := strings.Join([]string{
		`+ packages tzdata_arm64: path "pool/main/t/tzdata/tzdata_2026b-0%2bdeb12u1_all.deb"`,
		`+ packages tzdata_arm64: sha256 "` + hashB + `"`,
		`+ packages tzdata_arm64: version "2026b-0+deb12u1"`,
		`+ unpacked libzmq: path "pool/main/z/zeromq3/zeromq3_4.3.4.orig.tar.gz"`,
		`+ unpacked libzmq: sha256 "` + hashB + `"`,
		`+ unpacked libzmq: version "4.3.4-6"`,
		"",
	}, "\n")
	if out != want {
		t.Errorf("printed\n%s\nwant\n%s", out, want)
	}
}

func TestDebCheckWritesNothingAndExitsWith1(t *testing.T) {
	m := debian(t)
	m.write(m.workspace, debLock, debLockBefore)
	out, said := m.pin(1, "deb", "--check", "libstdc++6")
	if want := "- packages libstdc++6_arm64: sha256 \"old\"\n+ packages libstdc++6_arm64: sha256 \"" + hashA + "\"\n"; !strings.Contains(out, want) {
		t.Errorf("printed\n%s\nwant in it\n%s", out, want)
	}
	if want := "pin deb: " + debLock + " would change: run the same without --check"; said != want {
		t.Errorf("said %q, want %q", said, want)
	}
	if m.read(m.workspace, debLock) != debLockBefore {
		t.Error("--check changed the lock")
	}
}

func TestDebMirror(t *testing.T) {
	for _, tc := range []struct{ name, targets, environment, want string }{
		{"of apt, not its security one", "main http://s.test/debian-security\nmain " + fakeMirror, "", "from " + fakeMirror},
		{"of the environment", "", "http://mine.test/debian/", "from http://mine.test/debian"},
		{"none", "main http://vendor.test/ubuntu", "", "this machine's apt names no Debian mirror: set DEBIAN_MIRROR"},
		{"no address", "", "mine.test/debian", `the Debian mirror "mine.test/debian" is not the address`},
		{"more than an address", "", "http://mine.test/debian sid", "is not the address of one"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := debian(t)
			m.write(m.answers, "indextargets", tc.targets)
			m.write(m.answers, "update-fails", "stop here")
			t.Setenv("DEBIAN_MIRROR", tc.environment)
			code, _, said := m.run("deb", "tzdata")
			if code != 1 || !strings.Contains(said, tc.want) {
				t.Errorf("exit code %d, said %q, want 1 and %q", code, said, tc.want)
			}
		})
	}
}

func TestDebFailureLeavesTheLockAlone(t *testing.T) {
	uri := "'" + fakeMirror + "/pool/main/t/tzdata/tzdata_1_all.deb' tzdata_1_all.deb 3 "
	for _, tc := range []struct{ name, file, content, want string }{
		{"no mirror answers", "update-fails", "Failed to fetch", "package lists of bookworm main: apt-get: Failed to fetch"},
		{"no such package", "arm64", "", "bookworm main for arm64: apt-get: Unable to locate package tzdata"},
		{"no hash", "arm64", uri + "\n", "apt-get gives no sha256 of tzdata_1_all.deb"},
		{"weak hash", "arm64", uri + "MD5Sum:" + hashA[:32] + "\n", "apt-get gives no sha256 of tzdata_1_all.deb"},
		{"short hash", "arm64", uri + "SHA256:aa\n", "apt-get gives no sha256 of tzdata_1_all.deb"},
		{"no size", "arm64", "'" + fakeMirror + "/pool/main/t/tzdata/tzdata_1_all.deb' tzdata_1_all.deb\n", "a line that is not URI, name, size and hash"},
		{"open quote", "arm64", "'" + fakeMirror + "/tzdata\n", "a line that is not URI, name, size and hash"},
		{"other component", "arm64", strings.Replace(uri, "main", "non-free", 1) + "SHA256:" + hashA + "\n", "not in Debian's main component"},
		{"other architecture", "arm64", strings.ReplaceAll(uri, "_all", "_amd64") + "SHA256:" + hashA + "\n", "no package for arm64"},
		{"talk only", "arm64", "tzdata is already the newest version\n", "apt-get does not say where tzdata is"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := debian(t)
			m.write(m.answers, tc.file, tc.content)
			if _, said := m.pin(1, "deb", "tzdata"); !strings.Contains(said, tc.want) {
				t.Errorf("said %q, want %q", said, tc.want)
			}
			if got := m.read(m.workspace, debLock); got != `{"packages": {}, "unpacked": {}}` {
				t.Errorf("the lock is %s", got)
			}
		})
	}
}

func TestDebRefusesEntriesThatDoNotSayWhatTheyAre(t *testing.T) {
	for _, tc := range []struct{ lock, want string }{
		{`{"packages": {"tzdata": {}}}`, `the entry "tzdata" in "packages" is not <package>_<architecture>`},
		{`{"unpacked": {"x": {"package": "tzdata"}}}`, `x: its field "architecture" is missing`},
		{`{"unpacked": {"x": {"source": 7}}}`, `x: its field "source" is missing or not a string`},
		{`{"unpacked": {"x": {"source": "-o=evil"}}}`, `x: "-o=evil" is not the name of a Debian package`},
		{`{"unpacked": []}`, "not a lock"},
		{`{} {}`, "something follows the JSON object"},
		{`null`, "not a lock"},
	} {
		m := debian(t)
		m.write(m.workspace, debLock, tc.lock)
		if _, said := m.pin(1, "deb"); !strings.Contains(said, tc.want) {
			t.Errorf("%s: said %q, want %q", tc.lock, said, tc.want)
		}
	}
}

func TestSourceWithoutUpstreamArchive(t *testing.T) {
	m := debian(t)
	m.write(m.workspace, debLock, debLockBefore)
	m.write(m.answers, "sources", "'"+fakeMirror+"/pool/main/z/zeromq3/zeromq3_4.dsc' zeromq3_4.dsc 1 SHA256:"+hashA+"\n")
	if _, said := m.pin(1, "deb", "libzmq"); !strings.Contains(said, "zeromq3 has no .orig.tar archive") {
		t.Errorf("said %q", said)
	}
}

func TestDebWithoutTheKeysOfDebian(t *testing.T) {
	m := debian(t)
	_, _, said := m.run("deb", "--keyring", "/nonexistent", "tzdata")
	if want := "the lists cannot be checked (stat /nonexistent: no such file or directory): install debian-archive-keyring"; !strings.Contains(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
}
