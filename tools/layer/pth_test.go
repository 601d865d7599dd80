package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazelbuild/rules_go/go/runfiles"

	"krabby.dev/krabby/tools/layer/wheel/wheeltest"
	"krabby.dev/krabby/tools/rootfs"
)

// runPython runs a Python program with the files of a layer, as images do, and returns its output. Bazel sets PYTHON, a program of
// //tools/python, and SYSTEM, a root file system. Plain go uses the python3 of the machine.
func runPython(t *testing.T, layer []byte, program string) string {
	t.Helper()
	archive, script := write(t, "layer.tar", string(layer)), write(t, "main.py", program)
	var command *exec.Cmd
	if python := os.Getenv("PYTHON"); python != "" {
		command = exec.Command(runfile(t, python), "--root", runfile(t, os.Getenv("SYSTEM")), "--root", archive, "--", script)
	} else {
		host, err := exec.LookPath("python3")
		if err != nil {
			t.Skip("python3 not found on PATH, and PYTHON is not set")
		}
		root := t.TempDir()
		if err := rootfs.Unpack(archive, root); err != nil {
			t.Fatal(err)
		}
		command = exec.Command(host, script)
		command.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(root, "opt/krabby/python/site-packages"), "PYTHONDONTWRITEBYTECODE=1")
	}
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", command.Args, err, output)
	}
	return string(output)
}

func runfile(t *testing.T, path string) string {
	t.Helper()
	file, err := runfiles.Rlocation(path)
	if err != nil {
		t.Fatalf("runfile %q: %v", path, err)
	}
	return file
}

// pathFiles returns a layer with wheels that have .pth files.
func pathFiles(t *testing.T) params {
	t.Helper()
	file := func(name, body string) wheeltest.File { return wheeltest.File{Name: name, Mode: 0o644, Body: body} }
	directory := wheeltest.Write(t, "pthdir-1-py3-none-any.whl", nil, file("pthdir.pth", "# a comment\npthdir_modules\n/nowhere\n"), file("pthdir_modules/pthmod.py", "VALUE = 'module'\n"))
	line := wheeltest.Write(t, "pthline-1-py3-none-any.whl", nil, file("pthline.py", "import sys\nsys.pthline = 'line'\n"), file("pthline-1.data/purelib/pthline.pth", "import pthline\n"))
	return params{
		Label:  "//oci:wheels",
		Wheels: []source{{directory, "//wheels:pthdir"}, {line, "//wheels:pthline"}},
		Python: &python{Version: "3.11", Architecture: "amd64", Glibc: "2.35", Prefix: "/opt/krabby/python"},
	}
}

func TestPathFiles(t *testing.T) {
	data, err := layer(t, pathFiles(t))
	if err != nil {
		t.Fatal(err)
	}
	got := runPython(t, data, `
import importlib.metadata, pthmod, sys
site_packages = [entry for entry in sys.path if entry.endswith("/opt/krabby/python/site-packages")]
print(pthmod.VALUE, sys.pthline, len(site_packages), importlib.metadata.version("pthdir"))
`)
	if got != "module line 1 1\n" {
		t.Errorf("output %q, want the effects of both files and the directory once on sys.path", got)
	}
}

// TestPathFiles_otherSitecustomize tests that the sitecustomize that the layer's hides still runs. The program imports it again with
// another one in the next directory: the base has its own, or none.
func TestPathFiles_otherSitecustomize(t *testing.T) {
	p := pathFiles(t)
	p.Files = []file{{source{write(t, "other.py", "import sys\nsys.other = __name__ + ' of ' + __file__.rsplit('/', 2)[1]\n"), "//:other"}, "/opt/krabby/python/site-packages/pthdir_modules/sitecustomize.py", "0644"}}
	data, err := layer(t, p)
	if err != nil {
		t.Fatal(err)
	}
	got := runPython(t, data, `
import os, sys
site_packages = next(entry for entry in sys.path if entry.endswith("/opt/krabby/python/site-packages"))
sys.path.insert(sys.path.index(site_packages) + 1, os.path.join(site_packages, "pthdir_modules"))
sys.modules.pop("sitecustomize", None)
import sitecustomize
print(sys.other, sys.pthline, sitecustomize.__file__.rsplit("/", 2)[1])
`)
	if got != "sitecustomize of pthdir_modules line pthdir_modules\n" {
		t.Errorf("output %q, want that of the other module", got)
	}
}

func TestPathFiles_noneNoSitecustomize(t *testing.T) {
	p := pathFiles(t)
	p.WheelExclude = map[string][]string{"PthDir": {"*.pth"}, "pthline": {"pthline-1.data/purelib/*.pth"}}
	data, err := layer(t, p)
	if err != nil {
		t.Fatal(err)
	}
	got := list(t, data)
	if strings.Contains(got, ".pth") || strings.Contains(got, "sitecustomize") || !strings.Contains(got, "pthdir_modules/pthmod.py") {
		t.Errorf("entries\n%swant the modules without .pth files and sitecustomize", got)
	}
}

func TestWheelOptions_errors(t *testing.T) {
	own := wheeltest.Write(t, "own-1-py3-none-any.whl", nil, wheeltest.File{Name: "sitecustomize.py", Mode: 0o644, Body: "pass\n"})
	linux := wheeltest.Write(t, "linux-1-cp311-cp311-linux_aarch64.whl", nil, wheeltest.File{Name: "l.py", Mode: 0o644, Body: ""})
	for want, change := range map[string]func(*params){
		"RECORD: no line for recy.py of the wheel (wheel_unverified_records installs the wheel as it is)": func(p *params) {
			files := append(wheeltest.Metadata("recy", "1"), wheeltest.File{Name: "recy.py", Mode: 0o644, Body: "x"})
			p.Wheels = []source{{wheeltest.Pack(t, "recy-1-py3-none-any.whl", append(files, wheeltest.Record("recy", "1", files[:2]))), "//wheels:recy"}}
		},
		"wheels: wheel_exclude: no wheel of other found":                                                   func(p *params) { p.WheelExclude = map[string][]string{"other": {"*"}} },
		"wheels: wheel_linux_tags: no wheel of other found":                                                func(p *params) { p.WheelLinuxTags = []string{"other"} },
		"wheels: wheel_unverified_records: no wheel of other found":                                        func(p *params) { p.WheelUnverifiedRecords = []string{"Other"} },
		`wheels: wheel_exclude: glob "tests/**" matches no file of pthdir`:                                 func(p *params) { p.WheelExclude = map[string][]string{"pthdir": {"tests/**"}} },
		`wheels: wheel_exclude: pthdir: invalid pattern "[a]"`:                                             func(p *params) { p.WheelExclude = map[string][]string{"pthdir": {"[a]"}} },
		"site-packages/sitecustomize.py: conflicting contents: sha256":                                     func(p *params) { p.Wheels = append(p.Wheels, source{own, "//wheels:own"}) },
		"from the .pth files of pthdir-1-py3-none-any.whl":                                                 func(p *params) { p.Wheels = append(p.Wheels, source{own, "//wheels:own"}) },
		"linux-1-cp311-cp311-linux_aarch64.whl: wrong tag: it is not for Python 3.11 on x86_64 with glibc": func(p *params) { p.Wheels, p.WheelLinuxTags = []source{{linux, "//wheels:linux"}}, []string{"linux"} },
	} {
		p := pathFiles(t)
		change(&p)
		if _, err := layer(t, p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestWheelOptions_allow(t *testing.T) {
	p := pathFiles(t)
	linux := wheeltest.Write(t, "linux-1-cp311-cp311-linux_x86_64.whl", nil, wheeltest.File{Name: "l.py", Mode: 0o644, Body: ""})
	files := append(wheeltest.Metadata("recy", "1"), wheeltest.File{Name: "recy/__init__.py", Mode: 0o644, Body: ""}, wheeltest.File{Name: "recy/a.lock", Mode: 0o644, Body: "x"})
	recorded := wheeltest.Record("recy", "1", files[:len(files)-1])
	p.Wheels = []source{{linux, "//wheels:linux"}, {wheeltest.Pack(t, "recy-1-py3-none-any.whl", append(files, recorded)), "//wheels:recy"}}
	p.WheelLinuxTags, p.WheelUnverifiedRecords = []string{"Linux"}, []string{"recy"}
	data, err := layer(t, p)
	if err != nil {
		t.Fatal(err)
	}
	got := list(t, data)
	for _, want := range []string{"site-packages/l.py ", "site-packages/recy/a.lock "} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
