package main

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// runOf makes a self-extracting archive with as much of a header as is read.
func runOf(t *testing.T, entries []entry) string {
	t.Helper()
	payload := tarOf(t, entries)
	return fmt.Sprintf("#!/bin/sh\n# This script was generated using Makeself 2.4.5\nfilesizes=\"%d\"\nskip=\"5\"\n\techo Compression: none\n%s", len(payload), payload)
}

func sdk() []entry {
	return []entry{
		{"./", tar.TypeDir, 0o700, "", 0},
		{"./lib/", tar.TypeDir, 0o700, "", 1000},
		{"./lib/libzed.so.5", tar.TypeReg, 0o600, "ELF library", 1000},
		{"./lib/libzed.so", tar.TypeSymlink, 0o777, "libzed.so.5", 0},
		{"./lib/same.so", tar.TypeLink, 0o600, "./lib/libzed.so.5", 1000},
		{"./tools/Explorer", tar.TypeReg, 0o700, "ELF program", 0},
		{"./99-zed.rules", tar.TypeReg, 0o666, "SUBSYSTEM==\"usb\"\n", 0},
		{"./doc/LICENSE", tar.TypeReg, 0o444, "terms\n", 0},
		{"./samples/main.cpp", tar.TypeReg, 0o644, "left out", 0},
		{"./install.sh", tar.TypeReg, 0o755, "never run", 0},
	}
}

func archiveParams(t *testing.T, run string, files ...placement) params {
	return params{
		Label:   "//zed:layer",
		Archive: &archive{source: source{write(t, "sdk.run", run), "@zed//:archive"}, Files: files},
	}
}

func TestArchiveLeavesNothingBesideTheLayer(t *testing.T) {
	p := archiveParams(t, runOf(t, sdk()), placement{"/opt", []string{"lib/**"}})
	dir := t.TempDir()
	for want, name := range []string{"good", "bad"} {
		if name == "bad" {
			p.Archive.Files[0].Globs = append(p.Archive.Files[0].Globs, "nowhere")
		}
		args := []string{"build", "--params", writeJSON(t, p), "--output", filepath.Join(dir, name)}
		var said strings.Builder
		if code := run(args, &said, &said); code != want {
			t.Fatalf("%s: exit code %d: %s", name, code, &said)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "good" {
		t.Errorf("the folder holds %v (%v), want the one layer", left, err)
	}
}

func TestBadArchiveSaysWhatAndWhere(t *testing.T) {
	everything := placement{"/opt", []string{"**"}}
	with := func(e ...entry) string { return runOf(t, e) }
	for _, tc := range []struct {
		name  string
		run   string
		files []placement
		want  string
	}{
		{"no archive", "<html>", []placement{everything}, "a web page"},
		{"nothing matches", runOf(t, sdk()), []placement{{"/opt", []string{"lib/**", "firmware/**"}}}, `nothing in it matches "firmware/**" of the allow-list; it has at its top: 99-zed.rules, doc, install.sh, lib, samples, tools`},
		{"pattern that is none", runOf(t, sdk()), []placement{{"/opt", []string{"[a-z]"}}}, `pattern "[a-z]"`},
		{"directory by its name", runOf(t, sdk()), []placement{{"/etc/", []string{"lib"}}}, "lib is a directory: only files can be put into /etc/ by their names"},
		{"link by its name", runOf(t, sdk()), []placement{{"/etc/", []string{"lib/libzed.so"}}}, "lib/libzed.so is a symlink: only files"},
		{"two files of one name", with(entry{"a/x", tar.TypeReg, 0o644, "1", 0}, entry{"b/x", tar.TypeReg, 0o644, "2", 0}), []placement{{"/etc/", []string{"*/x"}}}, "/etc/x: "},
		{"path that leads out", with(entry{"../x", tar.TypeReg, 0o644, "", 0}), []placement{everything}, "lead out of the archive"},
		{"setuid", with(entry{"su", tar.TypeReg, 0o4755, "", 0}), []placement{everything}, "su has mode 4755"},
		{"hard link to what is left out", runOf(t, sdk()), []placement{{"/opt", []string{"lib/same.so"}}}, "lib/same.so is a hard link to lib/libzed.so.5, which the archive has not before it or the allow-list leaves out"},
		{"file below a link", with(entry{"a", tar.TypeSymlink, 0o777, "b", 0}, entry{"a/x", tar.TypeReg, 0o644, "", 0}), []placement{everything}, "/opt/a/x"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := layer(t, archiveParams(t, tc.run, tc.files...))
			if err == nil {
				t.Fatal("was accepted")
			}
			for _, want := range []string{"//zed:layer", "@zed//:archive", tc.want} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("said %q, want %q in it", err, want)
				}
			}
		})
	}
}
