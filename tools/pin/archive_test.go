package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sdkArchive returns a self-extracting archive with the header lines that package makeself reads, and as many as the vendor's 5.0.5.
func sdkArchive(payload string) string {
	return fmt.Sprintf("#!/bin/sh\n# This script was generated using Makeself 2.4.5\nfilesizes=\"%d\"\nskip=\"717\"\n\techo Compression: zstd\n%s%s",
		len(payload), strings.Repeat("# Terms of use.\n", 712), payload)
}

const zedLockBefore = `{
  "archives": {
    "5.1.1": {
      "cuda": "12.6",
      "file": "sdk.run",
      "sha256": "HASH",
      "url": "URL"
    }
  }
}
`

// vendor returns a machine whose lock file has an archive of a server. The server sends status and answer. The pinned sha256 is
// that of pinnedContent, if it is not empty.
func vendor(t *testing.T, pinnedContent string, status int, answer string) *machine {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/sdk/5.1.1/jetsons" { // The vendor's server redirects, too.
			http.Redirect(w, r, "/files/sdk.run", http.StatusFound)
			return
		}
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(server.Close)
	hash := ""
	if pinnedContent != "" {
		hash = sha256Hex(pinnedContent)
	}
	m := newMachine(t)
	m.write(m.workspace, zedLock, strings.NewReplacer(
		"URL", server.URL+"/sdk/5.1.1/jetsons", "HASH", hash,
	).Replace(zedLockBefore))
	return m
}

func (m *machine) dist() []string {
	entries, err := os.ReadDir(filepath.Join(m.workspace, distDirectory))
	if err != nil && !os.IsNotExist(err) {
		m.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestArchive_download(t *testing.T) {
	run := sdkArchive("payload")
	m := vendor(t, "", http.StatusOK, run)
	out, last := m.pin(0, "archive")
	want := strings.Join([]string{
		`- archives 5.1.1: sha256 ""`,
		`+ archives 5.1.1: sha256 "` + sha256Hex(run) + `"`,
		"",
	}, "\n")
	if out != want {
		t.Errorf("output\n%s\nwant\n%s", out, want)
	}
	if last != "pin archive: wrote "+zedLock {
		t.Errorf("last line %q", last)
	}
	if got := m.read(m.workspace, distDirectory+"/sdk.run"); got != run {
		t.Errorf("the archive in %s is %q, want %q", distDirectory, got, run)
	}
	if got := m.read(m.workspace, zedLock); !strings.Contains(got, `"cuda": "12.6"`) {
		t.Errorf("the lock file lost other fields:\n%s", got)
	}
	if _, last := m.pin(0, "archive", "5.1.1", "--check"); last != "pin archive: "+zedLock+" is up to date" {
		t.Errorf("--check of a new lock file: last line %q", last)
	}
}

func TestArchive_putByHand(t *testing.T) {
	m := vendor(t, "", http.StatusInternalServerError, "")
	run := sdkArchive("by hand")
	m.write(m.workspace, distDirectory+"/sdk.run", run)
	if out, _ := m.pin(0, "archive", "5.1.1"); !strings.Contains(out, sha256Hex(run)) {
		t.Errorf("output\n%s", out)
	}
}

func TestArchiveCheck_noNetwork(t *testing.T) {
	run := sdkArchive("payload")
	m := vendor(t, "", http.StatusOK, run)
	_, last := m.pin(1, "archive", "--check")
	if want := "pin archive: 5.1.1: sdk.run is not pinned: sha256 missing in third_party/zed/lock.json: run 'pin archive 5.1.1'"; last != want {
		t.Errorf("error %q, want %q", last, want)
	}
	if left := m.dist(); left != nil {
		t.Errorf("--check left %q in %s", left, distDirectory)
	}
	vendor(t, run, http.StatusInternalServerError, "").pin(0, "archive", "--check")
}

func TestArchive_changed(t *testing.T) {
	before, now := sdkArchive("before"), sdkArchive("now")
	m := vendor(t, before, http.StatusOK, now)
	want := "wrong sha256: expected " + sha256Hex(before) + ", found " + sha256Hex(now)
	m.fails(1, want, "archive")
	m.write(m.workspace, distDirectory+"/sdk.run", now)
	m.fails(1, want, "archive", "--check")
	if out, _ := m.pin(0, "archive", "--replace"); !strings.Contains(out, `+ archives 5.1.1: sha256 "`+sha256Hex(now)) {
		t.Errorf("output\n%s", out)
	}
}

func TestArchive_downloadFails(t *testing.T) {
	const advice = "put the file at third_party/dist/sdk.run and run the command again"
	m := vendor(t, "", http.StatusNotFound, "no such version")
	if _, last := m.pin(1, "archive"); !strings.Contains(last, "/files/sdk.run: 404 Not Found") || !strings.Contains(last, advice) {
		t.Errorf("error %q", last)
	}
	m = newMachine(t)
	m.write(m.workspace, zedLock, strings.NewReplacer("URL", "http://127.0.0.1:1/sdk", "HASH", "", "SIZE", "0").Replace(zedLockBefore))
	if _, last := m.pin(1, "archive"); !strings.Contains(last, "connection refused") || !strings.Contains(last, advice) {
		t.Errorf("error %q", last)
	}
}

func TestArchive_invalid(t *testing.T) {
	m := vendor(t, "", http.StatusOK, "<!DOCTYPE html><title>Sign in</title>")
	m.fails(1, "not a makeself archive but a web page", "archive")
	if left := m.dist(); left != nil {
		t.Errorf("left %q in %s", left, distDirectory)
	}
	m = vendor(t, "", http.StatusOK, "")
	m.write(m.workspace, distDirectory+"/sdk.run", sdkArchive("payload")[:110])
	m.fails(1, "truncated", "archive")
}

func TestArchive_invalidEntry(t *testing.T) {
	for _, tc := range []struct{ lock, want string }{
		{`{"archives": {"x": {"url": "http://x.test"}}}`, `x: field "file": missing`},
		{`{"archives": {"x": {"file": "../x", "url": "http://x.test"}}}`, `field "file": found "../x", expected a file name`},
		{`{"archives": {"x": {"file": "x.run"}}}`, `x: field "url": missing`},
	} {
		m := newMachine(t)
		m.write(m.workspace, zedLock, tc.lock)
		m.fails(1, tc.want, "archive")
	}
}
