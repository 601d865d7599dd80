package main

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func archiveParams(t *testing.T, run string, files ...placement) params {
	return params{
		Label:   "//zed:layer",
		Archive: &archive{source: source{write(t, "sdk.run", run), "@zed//:archive"}, Files: files},
	}
}

func TestArchive_temporaryFiles(t *testing.T) {
	p := archiveParams(t, runOf(t, sdk()), placement{"/opt", []string{"lib/**"}})
	dir := t.TempDir()
	for want, name := range []string{"good", "bad"} {
		if name == "bad" {
			p.Archive.Files[0].Globs = append(p.Archive.Files[0].Globs, "nowhere")
		}
		if code, _, stderr := runTool(t, "build", "--params", writeJSON(t, p), "--output", filepath.Join(dir, name)); code != want {
			t.Fatalf("%s: exit code %d: %s", name, code, stderr)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "good" {
		t.Errorf("the directory has %v (%v), want the layer only", left, err)
	}
}

func TestArchive_errors(t *testing.T) {
	everything := placement{"/opt", []string{"**"}}
	with := func(e ...entry) string { return runOf(t, e) }
	for _, tc := range []struct {
		name  string
		run   string
		files []placement
		want  string
	}{
		{"no archive", "<html>", []placement{everything}, "a web page"},
		{"no match", runOf(t, sdk()), []placement{{"/opt", []string{"lib/**", "firmware/**"}}}, `glob "firmware/**" of the allow-list matches no file; top level of the archive: 99-zed.rules, doc, install.sh, lib, samples, tools`},
		{"invalid pattern", runOf(t, sdk()), []placement{{"/opt", []string{"[a-z]"}}}, `pattern "[a-z]"`},
		{"directory under its name", runOf(t, sdk()), []placement{{"/etc/", []string{"lib"}}}, "lib is a directory: a destination that ends in a slash (/etc/) takes files only"},
		{"link under its name", runOf(t, sdk()), []placement{{"/etc/", []string{"lib/libzed.so"}}}, "lib/libzed.so is a symlink: a destination that ends in a slash"},
		{"two files with one name", with(entry{"a/x", tar.TypeReg, 0o644, "1", 0}, entry{"b/x", tar.TypeReg, 0o644, "2", 0}), []placement{{"/etc/", []string{"*/x"}}}, "/etc/x: "},
		{"path that leads out", with(entry{"../x", tar.TypeReg, 0o644, "", 0}), []placement{everything}, "lead out of the archive"},
		{"setuid", with(entry{"su", tar.TypeReg, 0o4755, "", 0}), []placement{everything}, "su has mode 4755"},
		{"hard link to a file that is left out", runOf(t, sdk()), []placement{{"/opt", []string{"lib/same.so"}}}, "lib/same.so is a hard link to lib/libzed.so.5, which has no destination or does not precede the link"},
		{"file below a link", with(entry{"a", tar.TypeSymlink, 0o777, "b", 0}, entry{"a/x", tar.TypeReg, 0o644, "", 0}), []placement{everything}, "/opt/a/x"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := layer(t, archiveParams(t, tc.run, tc.files...))
			if err == nil {
				t.Fatal("got no error")
			}
			for _, want := range []string{"//zed:layer", "@zed//:archive", tc.want} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q in it", err, want)
				}
			}
		})
	}
}
