package main

import (
	"strings"
	"testing"
)

const cargoLockBefore = `{
  "crates": {
    "libzmq": {
      "build_file": "//x:libzmq.BUILD.bazel",
      "crate": "zeromq-src",
      "sha256": "HASH",
      "strip_prefix": "zeromq-src-0.3.6+4.3.5/vendor",
      "version": "0.3.6+4.3.5"
    }
  }
}
`

// cargo returns a machine whose lock file has the hash, and whose registry has two versions of a crate.
func cargo(t *testing.T, hash string) *machine {
	m := newMachine(t, "python3")
	m.write(m.workspace, cargoLock, strings.Replace(cargoLockBefore, "HASH", hash, 1))
	m.write(m.answers, "zeromq-src-0.3.6+4.3.5", "old sources")
	m.write(m.answers, "zeromq-src-0.3.7+4.3.6", "new sources")
	return m
}

func TestCrate(t *testing.T) {
	for _, tt := range []struct{ hash, args, version, content string }{
		{"", "crate", "0.3.6+4.3.5", "old sources"},
		{sha256Hex("old sources"), "crate libzmq", "0.3.6+4.3.5", "old sources"},
		{sha256Hex("old sources"), "crate libzmq 0.3.7+4.3.6", "0.3.7+4.3.6", "new sources"},
	} {
		m := cargo(t, tt.hash)
		m.pin(0, strings.Fields(tt.args)...)
		want := strings.NewReplacer("HASH", sha256Hex(tt.content), `"version": "0.3.6+4.3.5"`, `"version": "`+tt.version+`"`).Replace(cargoLockBefore)
		if got := m.read(m.workspace, cargoLock); got != want {
			t.Errorf("%s: lock file\n%s\nwant\n%s", tt.args, got, want)
		}
		if _, last := m.pin(0, "crate", "--check"); last != "pin crate: "+cargoLock+" is up to date" {
			t.Errorf("%s: --check: %q", tt.args, last)
		}
	}
}

func TestCrate_failure(t *testing.T) {
	for _, tt := range []struct {
		hash, args, want string
		code             int
	}{
		{sha256Hex("other sources"), "crate", "libzmq: zeromq-src 0.3.6+4.3.5: the content has changed: expected sha256 " + sha256Hex("other sources"), 1},
		{"", "crate --check", cargoLock + " is out of date", 1},
		{"", "crate libzmq 0.4.0", "libzmq: downloading: zeromq-src 0.4.0: HTTP Error 404: Not Found", 1},
		{"", "crate libzmq latest", `invalid version "latest": expected a version such as 0.3.6+4.3.5`, 2},
		{"", "crate other", `"other" not found in crates of ` + cargoLock + " (known: libzmq)", 2},
	} {
		cargo(t, tt.hash).fails(tt.code, tt.want, strings.Fields(tt.args)...)
	}
}
