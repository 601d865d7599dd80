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

// sdkArchive is as much of a self-extracting archive as is read of it.
func sdkArchive(payload string) string {
	return fmt.Sprintf("#!/bin/sh\n# This script was generated using Makeself 2.4.5\nfilesizes=\"%d\"\nskip=\"5\"\n\techo Compression: zstd\n%s", len(payload), payload)
}

const zedLockBefore = `{
  "archives": {
    "5.1.1": {
      "cuda": "12.6",
      "file": "sdk.run",
      "sha256": "HASH",
      "size": SIZE,
      "url": "URL"
    }
  }
}
`

// vendor is a machine whose lock names an archive of a server that answers with
// what the test says; sha256 and size are those of the pinned content, if any.
func vendor(t *testing.T, pinnedContent string, status int, answer string) *machine {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/sdk/5.1.1/jetsons" { // As the vendor's, it leads to the file.
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
		"URL", server.URL+"/sdk/5.1.1/jetsons", "HASH", hash, "SIZE", fmt.Sprint(len(pinnedContent)),
	).Replace(zedLockBefore))
	return m
}

func (m *machine) dist() []string {
	entries, err := os.ReadDir(filepath.Join(m.workspace, distFolder))
	if err != nil && !os.IsNotExist(err) {
		m.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestArchiveIsDownloadedPinnedAndKept(t *testing.T) {
	run := sdkArchive("payload")
	m := vendor(t, "", http.StatusOK, run)
	out, said := m.pin(0, "archive")
	want := strings.Join([]string{
		`- archives 5.1.1: sha256 ""`,
		`+ archives 5.1.1: sha256 "` + sha256Hex(run) + `"`,
		`- archives 5.1.1: size 0`,
		fmt.Sprintf(`+ archives 5.1.1: size %d`, len(run)),
		"",
	}, "\n")
	if out != want {
		t.Errorf("printed\n%s\nwant\n%s", out, want)
	}
	if said != "pin archive: wrote "+zedLock {
		t.Errorf("said %q", said)
	}
	if got := m.read(m.workspace, distFolder+"/sdk.run"); got != run {
		t.Errorf("kept %q", got)
	}
	if got := m.read(m.workspace, zedLock); !strings.Contains(got, `"cuda": "12.6"`) {
		t.Errorf("other fields of the lock are gone:\n%s", got)
	}
	if _, said := m.pin(0, "archive", "5.1.1", "--check"); said != "pin archive: "+zedLock+" is up to date" {
		t.Errorf("--check of a fresh lock said %q", said)
	}
}

func TestArchivePutByHandIsNotDownloaded(t *testing.T) {
	m := vendor(t, "", http.StatusInternalServerError, "")
	run := sdkArchive("by hand")
	m.write(m.workspace, distFolder+"/sdk.run", run)
	if out, _ := m.pin(0, "archive", "5.1.1"); !strings.Contains(out, sha256Hex(run)) {
		t.Errorf("printed\n%s", out)
	}
}

func TestArchiveCheckNeedsNoNetworkAndFailsWithoutAPin(t *testing.T) {
	run := sdkArchive("payload")
	m := vendor(t, "", http.StatusOK, run)
	_, said := m.pin(1, "archive", "--check")
	if want := "pin archive: 5.1.1: sdk.run is not pinned: third_party/zed/lock.json has no sha256 and size of it; run 'pin archive 5.1.1'"; said != want {
		t.Errorf("said %q, want %q", said, want)
	}
	if left := m.dist(); left != nil {
		t.Errorf("--check left %q in %s", left, distFolder)
	}
	vendor(t, run, http.StatusInternalServerError, "").pin(0, "archive", "--check")
}

func TestArchiveThatChangedIsRefusedUnlessReplaced(t *testing.T) {
	before, now := sdkArchive("before"), sdkArchive("now")
	m := vendor(t, before, http.StatusOK, now)
	lockBefore := m.read(m.workspace, zedLock)
	want := "is not what was pinned: expected sha256 " + sha256Hex(before) + ", found " + sha256Hex(now)
	if _, said := m.pin(1, "archive"); !strings.Contains(said, want) {
		t.Errorf("said %q, want %q in it", said, want)
	}
	m.write(m.workspace, distFolder+"/sdk.run", now)
	if _, said := m.pin(1, "archive", "--check"); !strings.Contains(said, want) {
		t.Errorf("--check said %q, want %q in it", said, want)
	}
	if m.read(m.workspace, zedLock) != lockBefore {
		t.Error("the lock changed")
	}
	if out, _ := m.pin(0, "archive", "--replace"); !strings.Contains(out, `+ archives 5.1.1: sha256 "`+sha256Hex(now)) {
		t.Errorf("printed\n%s", out)
	}
}

func TestArchiveThatCannotBeHadSaysWhereToPutIt(t *testing.T) {
	const advice = "put the file into third_party/dist/sdk.run by hand and run the same again"
	m := vendor(t, "", http.StatusNotFound, "no such version")
	if _, said := m.pin(1, "archive"); !strings.Contains(said, "/files/sdk.run answers 404 Not Found") || !strings.Contains(said, advice) {
		t.Errorf("said %q", said)
	}
	m = newMachine(t)
	m.write(m.workspace, zedLock, strings.NewReplacer("URL", "http://127.0.0.1:1/sdk", "HASH", "", "SIZE", "0").Replace(zedLockBefore))
	if _, said := m.pin(1, "archive"); !strings.Contains(said, "connection refused") || !strings.Contains(said, advice) {
		t.Errorf("said %q", said)
	}
}

func TestWhatIsNoArchiveIsNotPinned(t *testing.T) {
	m := vendor(t, "", http.StatusOK, "<!DOCTYPE html><title>Sign in</title>")
	if _, said := m.pin(1, "archive"); !strings.Contains(said, "not a makeself archive but a web page") {
		t.Errorf("said %q", said)
	}
	if left := m.dist(); left != nil {
		t.Errorf("%q is left in %s", left, distFolder)
	}
	m = vendor(t, "", http.StatusOK, "")
	m.write(m.workspace, distFolder+"/sdk.run", sdkArchive("payload")[:110])
	if _, said := m.pin(1, "archive"); !strings.Contains(said, "truncated") {
		t.Errorf("said %q", said)
	}
}

func TestArchiveRefusesEntriesThatDoNotSayWhatTheyAre(t *testing.T) {
	for _, tc := range []struct{ lock, want string }{
		{`{"archives": {"x": {"url": "http://x.test"}}}`, `x: its field "file" is missing`},
		{`{"archives": {"x": {"file": "../x", "url": "http://x.test"}}}`, `its field "file" is "../x", not the name of a file`},
		{`{"archives": {"x": {"file": "x.run"}}}`, `x: its field "url" is missing`},
	} {
		m := newMachine(t)
		m.write(m.workspace, zedLock, tc.lock)
		if _, said := m.pin(1, "archive"); !strings.Contains(said, tc.want) {
			t.Errorf("%s: said %q, want %q", tc.lock, said, tc.want)
		}
	}
}
