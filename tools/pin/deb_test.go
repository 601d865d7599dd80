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

// debian returns a machine whose mirror has four packages.
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

func TestDeb(t *testing.T) {
	m := debian(t)
	m.write(m.workspace, debLock, debLockBefore)
	m.pin(0, "deb")
	want := strings.NewReplacer("AAAA", hashA, "BBBB", hashB, "CCCC", hashC).Replace(debLockAfter)
	if got := m.read(m.workspace, debLock); got != want {
		t.Errorf("lock file\n%s\nwant\n%s", got, want)
	}
	if out, last := m.pin(0, "deb", "--check"); out != "" || last != "pin deb: "+debLock+" is up to date" {
		t.Errorf("--check of a new lock file: output %q, last line %q", out, last)
	}
}

func TestDeb_named(t *testing.T) {
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
		t.Errorf("output\n%s\nwant\n%s", out, want)
	}
}

func TestDebCheck(t *testing.T) {
	m := debian(t)
	m.write(m.workspace, debLock, debLockBefore)
	out := m.fails(1, "pin deb: "+debLock+" is out of date: run the command without --check", "deb", "--check", "libstdc++6")
	if want := "- packages libstdc++6_arm64: sha256 \"old\"\n+ packages libstdc++6_arm64: sha256 \"" + hashA + "\"\n"; !strings.Contains(out, want) {
		t.Errorf("output\n%s\nwant in it\n%s", out, want)
	}
}

func TestDebMirror(t *testing.T) {
	for _, tc := range []struct{ name, targets, environment, want string }{
		{"apt, not its security mirror", "main http://s.test/debian-security\nmain " + fakeMirror, "", "from " + fakeMirror},
		{"environment", "", "http://mine.test/debian/", "from http://mine.test/debian"},
		{"none", "main http://vendor.test/ubuntu", "", "no Debian mirror found in this machine's apt configuration: set DEBIAN_MIRROR"},
		{"no scheme", "", "mine.test/debian", `invalid Debian mirror "mine.test/debian": expected an address`},
		{"two words", "", "http://mine.test/debian sid", `invalid Debian mirror "http://mine.test/debian sid"`},
		{"brackets", "", "http://mine.test/[debian", `invalid Debian mirror "http://mine.test/[debian"`},
		{"comment", "", "http://mine.test/#debian", `invalid Debian mirror "http://mine.test/#debian"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := debian(t)
			m.write(m.answers, "indextargets", tc.targets)
			m.write(m.answers, "update-fails", "stop here")
			t.Setenv("DEBIAN_MIRROR", tc.environment)
			code, _, stderr := m.run("deb", "tzdata")
			if code != 1 || !strings.Contains(stderr, tc.want) {
				t.Errorf("exit code %d, standard error %q, want 1 and %q", code, stderr, tc.want)
			}
		})
	}
}

func TestDeb_failure(t *testing.T) {
	uri := "'" + fakeMirror + "/pool/main/t/tzdata/tzdata_1_all.deb' tzdata_1_all.deb 3 "
	for _, tc := range []struct{ name, file, content, want string }{
		{"no mirror answers", "update-fails", "Failed to fetch", "package lists of bookworm main: apt-get: Failed to fetch"},
		{"no such package", "arm64", "", "bookworm main for arm64: apt-get: Unable to locate package tzdata"},
		{"no hash", "arm64", uri + "\n", "apt-get printed no valid sha256 of tzdata_1_all.deb"},
		{"weak hash", "arm64", uri + "MD5Sum:" + hashA[:32] + "\n", "apt-get printed no valid sha256 of tzdata_1_all.deb"},
		{"short hash", "arm64", uri + "SHA256:aa\n", "apt-get printed no valid sha256 of tzdata_1_all.deb"},
		{"no size", "arm64", "'" + fakeMirror + "/pool/main/t/tzdata/tzdata_1_all.deb' tzdata_1_all.deb\n", "expected 'URI' NAME SIZE HASH"},
		{"open quote", "arm64", "'" + fakeMirror + "/tzdata\n", "expected 'URI' NAME SIZE HASH"},
		{"other component", "arm64", strings.Replace(uri, "main", "non-free", 1) + "SHA256:" + hashA + "\n", "expected an address in Debian's component main"},
		{"other architecture", "arm64", strings.ReplaceAll(uri, "_all", "_amd64") + "SHA256:" + hashA + "\n", "expected a package for arm64"},
		{"no address", "arm64", "tzdata is already the newest version\n", "apt-get printed no address of tzdata"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := debian(t)
			m.write(m.answers, tc.file, tc.content)
			m.fails(1, tc.want, "deb", "tzdata")
		})
	}
}

func TestDeb_invalidLockFile(t *testing.T) {
	for _, tc := range []struct{ lock, want string }{
		{`{"packages": {"tzdata": {}}}`, `packages: found entry "tzdata", expected <package>_<architecture>`},
		{`{"unpacked": {"x": {"package": "tzdata"}}}`, `x: field "architecture": missing`},
		{`{"unpacked": {"x": {"source": 7}}}`, `x: field "source": missing or not a string`},
		{`{"unpacked": {"x": {"source": "-o=evil"}}}`, `x: invalid Debian package name "-o=evil"`},
		{`{"unpacked": []}`, "invalid lock file"},
		{`{} {}`, "unexpected data after the JSON object"},
		{`null`, "invalid lock file"},
	} {
		m := debian(t)
		m.write(m.workspace, debLock, tc.lock)
		m.fails(1, tc.want, "deb")
	}
}

func TestDeb_noUpstreamArchive(t *testing.T) {
	m := debian(t)
	m.write(m.workspace, debLock, debLockBefore)
	m.write(m.answers, "sources", "'"+fakeMirror+"/pool/main/z/zeromq3/zeromq3_4.dsc' zeromq3_4.dsc 1 SHA256:"+hashA+"\n")
	m.fails(1, "no .orig.tar archive of zeromq3 found", "deb", "libzmq")
}

func TestDeb_noKeyring(t *testing.T) {
	m := debian(t)
	m.fails(1, "keyring for the package lists: stat /nonexistent: no such file or directory: install debian-archive-keyring",
		"deb", "--keyring", "/nonexistent", "tzdata")
}
