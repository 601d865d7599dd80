package main

import (
	"archive/tar"
	"strings"
	"testing"

	"krabby.dev/krabby/tools/layer/wheel/wheeltest"
)

// debPackageOf returns a package with files in its control archive besides the stanza, such as postinst.
func debPackageOf(t *testing.T, name string, controlFiles map[string]string, data ...entry) source {
	t.Helper()
	files := []entry{{"./control", tar.TypeReg, 0o644, "Package: " + name + "\nVersion: 1\nArchitecture: arm64\n", 0}}
	for file, body := range controlFiles {
		files = append(files, entry{"./" + file, tar.TypeReg, 0o755, body, 0})
	}
	content := arOf("debian-binary", "2.0\n", "control.tar", string(tarOf(t, files)), "data.tar", string(tarOf(t, data)))
	return source{write(t, name+".deb", content), "@debian//:" + name}
}

func regular(name, body string) entry { return entry{name, tar.TypeReg, 0o644, body, 0} }

// checkLines checks that the listing of a layer has lines that begin with want, or has none after a "!".
func checkLines(t *testing.T, p params, want ...string) {
	t.Helper()
	p.Label = "//l"
	data, err := layer(t, p)
	if err != nil {
		t.Fatal(err)
	}
	got := "\n" + list(t, data)
	for _, line := range want {
		line, none := strings.CutPrefix(line, "!")
		if strings.Contains(got, "\n"+line) == none {
			t.Errorf("line %q: found %v in%s", line, !none, got)
		}
	}
}

func TestDeb_md5sums(t *testing.T) {
	with := debPackageOf(t, "with", map[string]string{"md5sums": "d41d8cd98f00b204e9800998ecf8427e  usr/x\n"})
	without := debPackageOf(t, "without", nil)
	checkLines(t, params{Debs: []source{with, without}},
		"var/lib/dpkg/status.d/with file 0644 0:0 ",
		"var/lib/dpkg/status.d/with.md5sums file 0644 0:0 40 sha256=e10f7bd08525417e",
		"var/lib/dpkg/status.d/without file", "!var/lib/dpkg/status.d/without.md5sums")
}

const blasScript = "#!/bin/sh\nset -e\nupdate-alternatives --install /lib/libblas.so.3 libblas.so.3 /usr/lib/blas/libblas.so.3 10\n"

func TestScripts_alternatives(t *testing.T) {
	blas := debPackageOf(t, "blas", map[string]string{"postinst": blasScript}, regular("./usr/lib/blas/libblas.so.3", "blas"))
	fast := debPackageOf(t, "fast", map[string]string{"postinst": strings.NewReplacer("/blas/", "/fast/", " 10", " 100").Replace(blasScript)},
		regular("./usr/lib/fast/libblas.so.3", "fast"))
	checkLines(t, params{Debs: []source{blas}},
		"etc/alternatives/libblas.so.3 symlink 0777 0:0 -> /usr/lib/blas/libblas.so.3\n", "usr/lib/libblas.so.3 symlink 0777 0:0 -> /etc/alternatives/libblas.so.3\n")
	checkLines(t, params{Debs: []source{fast, blas}}, "etc/alternatives/libblas.so.3 symlink 0777 0:0 -> /usr/lib/fast/libblas.so.3\n")
	// The choice of the author stays.
	checkLines(t, params{Debs: []source{blas, fast}, Symlinks: []symlink{{"/usr/lib/libblas.so.3", "blas/libblas.so.3"}}},
		"usr/lib/libblas.so.3 symlink 0777 0:0 -> blas/libblas.so.3\n")
	// Scripts that the author knows do not run.
	checkLines(t, params{Debs: []source{blas}, DebKnownScripts: []string{"blas"}}, "usr/lib/blas/libblas.so.3 file", "!usr/lib/libblas.so.3", "!etc/")
}

func TestScripts_diversions(t *testing.T) {
	driver := debPackageOf(t, "driver", map[string]string{"preinst": "#!/bin/sh\nif [ \"$1\" = install ]; then dpkg-divert --add --rename --package driver /usr/lib/libGL.so.1; fi\n"},
		regular("./usr/lib/libGL.so.1", "driver"))
	mesa := debPackageOf(t, "mesa", nil, regular("./usr/lib/libGL.so.1", "mesa!"), regular("./usr/lib/other", ""))
	for _, order := range [][]source{{driver, mesa}, {mesa, driver}} {
		checkLines(t, params{Debs: order}, "usr/lib/libGL.so.1 file 0644 0:0 6 ", "usr/lib/libGL.so.1.distrib file 0644 0:0 5 ", "usr/lib/other file")
	}
	const late = "#!/bin/sh\ndpkg-divert --add --rename --divert /opt/other /usr/lib/other\nln -s libGL.so.1 /usr/lib/other\n"
	checkLines(t, params{Debs: []source{debPackageOf(t, "late", map[string]string{"postinst": late}), mesa}}, "opt/other file 0644 0:0 0 ", "usr/lib/other symlink 0777 0:0 -> libGL.so.1\n")
	own := debPackageOf(t, "own", map[string]string{"postinst": "#!/bin/sh\ndpkg-divert --add --rename /usr/lib/own\n"}, regular("./usr/lib/own", ""))
	checkLines(t, params{Debs: []source{own}}, "usr/lib/own file", "!usr/lib/own.distrib")
}

func TestScripts_libraries(t *testing.T) {
	library := func(soname string) string { return wheeltest.Library(soname) }
	trigger := map[string]string{"triggers": "# comment\nactivate-noawait ldconfig\n"}
	data := []entry{
		regular("./usr/lib/aarch64-linux-gnu/libvendor.so.2.1", library("libvendor.so.2")),
		regular("./usr/lib/aarch64-linux-gnu/libscript.so", "INPUT(libvendor.so.2)"),
		regular("./usr/lib/aarch64-linux-gnu/libsame.so.1", library("libsame.so.1")),
		regular("./opt/vendor/lib/libprivate.so.1.2", library("libprivate.so.1")),
	}
	const link = "usr/lib/aarch64-linux-gnu/libvendor.so.2 symlink 0777 0:0 -> libvendor.so.2.1\n"
	checkLines(t, params{Debs: []source{debPackageOf(t, "vendor", trigger, data...)}}, link, "!usr/lib/aarch64-linux-gnu/libscript.so symlink", "!opt/vendor/lib/libprivate.so.1 ")
	checkLines(t, params{Debs: []source{debPackageOf(t, "vendor", map[string]string{"postinst": "#!/bin/sh\n/sbin/ldconfig\n"}, data...)}}, link)
	checkLines(t, params{Debs: []source{debPackageOf(t, "vendor", nil, data...)}}, "!"+link) // An installation would not run ldconfig.

	cached := debPackageOf(t, "vendor", trigger, append(data, regular("./etc/ld.so.conf.d/vendor.conf", "# libraries\n/opt/vendor/lib\n/opt/gone\n/usr/lib\n"))...)
	_, err := layer(t, params{Label: "//l", Debs: []source{cached}})
	if err == nil || !strings.Contains(err.Error(), "/etc/ld.so.conf.d/vendor.conf (from @debian//:vendor): ldconfig would add /opt/vendor/lib/libprivate.so.1.2 to its cache") {
		t.Errorf("error %v", err)
	}
	checkLines(t, params{Debs: []source{cached}, DebKnownScripts: []string{"vendor"}}, link)
}

func TestScripts_known(t *testing.T) {
	script := map[string]string{"postinst": "#!/bin/sh\nadduser --system robot\n", "preinst": "#!/bin/sh\nuname -r\n"}
	checkLines(t, params{Debs: []source{debPackageOf(t, "libc6", script), debPackageOf(t, "tzdata", script)}}, "var/lib/dpkg/status.d/libc6 ")

	robot, certificates := debPackageOf(t, "robot", script), debPackageOf(t, "ca-certificates", script)
	for want, p := range map[string]params{
		"deb @debian//:robot (": {Debs: []source{robot}},
		"robot: preinst, line 2: uname -r: a layer cannot do this: add what the image needs by files, directories or symlinks, and \"robot\" to deb_known_scripts": {Debs: []source{robot}},
		"deb_known_scripts: no package robo in debs": {Debs: []source{robot}, DebKnownScripts: []string{"robo"}},
		"ca-certificates: postinst writes /etc/ssl/certs/ca-certificates.crt: set ca_bundle, or add the package to deb_known_scripts": {Debs: []source{certificates}},
	} {
		p.Label = "//l"
		if _, err := layer(t, p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	checkLines(t, params{Debs: []source{robot, certificates}, DebKnownScripts: []string{"robot", "ca-certificates"}}, "var/lib/dpkg/status.d/robot ")
}

func TestUsrMerge_everySource(t *testing.T) {
	x := source{write(t, "x", "x"), "//:x"}
	tree := source{t.TempDir(), "//:tree"}
	checkLines(t, params{
		Files:       []file{{x, "/lib/aarch64-linux-gnu/x.so", "0644"}},
		Trees:       []file{{tree, "/sbin/tree", "0644"}},
		Symlinks:    []symlink{{"/bin/sh", "dash"}},
		Directories: []directory{{"/lib64", "0755", ""}, {"/lib/empty", "0700", ""}},
	},
		"usr/lib/aarch64-linux-gnu/x.so file", "usr/sbin/tree/ dir", "usr/bin/sh symlink 0777 0:0 -> dash", "usr/lib64/ dir", "usr/lib/empty/ dir 0700",
		"!lib", "!bin", "!sbin") // The links are the base's.
}
