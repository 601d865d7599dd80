package wheel

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/tools/layer/wheel/wheeltest"
)

func file(name string, mode fs.FileMode, body string) wheeltest.File {
	return wheeltest.File{Name: name, Mode: mode, Body: body}
}

// open opens a valid wheel with additional fields of METADATA and additional files.
func open(t *testing.T, filename string, fields []string, more ...wheeltest.File) *Wheel {
	t.Helper()
	w, err := Open(wheeltest.Write(t, filename, fields, more...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

var opt = Scheme{Prefix: "/opt/python", Interpreter: "/usr/bin/python3.11"}

// everything returns a wheel that uses every destination once.
func everything(t *testing.T) *Wheel {
	return open(t, "Every_Thing-1.0-py3-none-any.whl", nil,
		file("every/__init__.py", 0o644, "x = 1\n"),
		file("every/tool.sh", 0o700, "#!/bin/sh\n"),
		file("every/__pycache__/__init__.cpython-311.pyc", 0o644, "stale"),
		file("every/odd, name.txt", 0o600, ""),
		file("Every_Thing-1.0.data/purelib/pure.py", 0o644, "pure"),
		file("Every_Thing-1.0.data/platlib/plat.so", 0o755, "\x7fELF"),
		file("Every_Thing-1.0.data/headers/e.h", 0o644, "#pragma once\n"),
		file("Every_Thing-1.0.data/data/share/man/e.1", 0o644, ".TH E\n"),
		file("Every_Thing-1.0.data/scripts/e-python", 0o644, "#!python -s\nprint(1)\n"),
		file("Every_Thing-1.0.data/scripts/e-shell", 0o644, "#!/bin/sh\necho\n"),
		file("Every_Thing-1.0.dist-info/INSTALLER", 0o644, "pip\n"),
		file("Every_Thing-1.0.dist-info/direct_url.json", 0o644, "{}"),
		file("Every_Thing-1.0.dist-info/entry_points.txt", 0o644, `
; a comment
[console_scripts]
e-main = every.main:App.run [fast]
[pytest11]
e = every.plugin
[gui_scripts]
e-gui=every:gui
`),
	)
}

func TestInstall(t *testing.T) {
	files, err := everything(t).Install(opt)
	if err != nil {
		t.Fatal(err)
	}
	content := map[string]string{}
	var got []string
	for _, f := range files {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(data)) != f.Size {
			t.Errorf("%s has %d bytes, Size is %d", f.Path, len(data), f.Size)
		}
		content[f.Path] = string(data)
		mode := " "
		if f.Executable {
			mode = "x"
		}
		got = append(got, mode+" "+f.Path)
	}
	const site = "/opt/python/site-packages/"
	want := []string{
		"x /opt/python/bin/e-gui",
		"x /opt/python/bin/e-main",
		"x /opt/python/bin/e-python",
		"x /opt/python/bin/e-shell",
		"  /opt/python/include/Every_Thing/e.h",
		"  /opt/python/share/man/e.1",
		"  " + site + "Every_Thing-1.0.dist-info/INSTALLER",
		"  " + site + "Every_Thing-1.0.dist-info/METADATA",
		"  " + site + "Every_Thing-1.0.dist-info/RECORD",
		"  " + site + "Every_Thing-1.0.dist-info/WHEEL",
		"  " + site + "Every_Thing-1.0.dist-info/entry_points.txt",
		"  " + site + "every/__init__.py",
		"  " + site + "every/odd, name.txt",
		"x " + site + "every/tool.sh",
		"x " + site + "plat.so",
		"  " + site + "pure.py",
	}
	if !slices.Equal(got, want) {
		t.Errorf("files\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for path, want := range map[string]string{
		"/opt/python/bin/e-main":                     "#!/usr/bin/python3.11\nimport sys\n\nfrom every.main import App\n\nif __name__ == \"__main__\":\n    sys.exit(App.run())\n",
		"/opt/python/bin/e-python":                   "#!/usr/bin/python3.11 -s\nprint(1)\n",
		"/opt/python/bin/e-shell":                    "#!/bin/sh\necho\n",
		site + "Every_Thing-1.0.dist-info/INSTALLER": "krabby\n",
	} {
		if content[path] != want {
			t.Errorf("%s is %q, want %q", path, content[path], want)
		}
	}
	record := content[site+"Every_Thing-1.0.dist-info/RECORD"]
	if lines := strings.Count(record, "\n"); lines != len(want) {
		t.Errorf("RECORD has %d lines for %d files:\n%s", lines, len(want), record)
	}
	sum := sha256.Sum256([]byte(content["/opt/python/bin/e-python"])) // The hash of the installed script, not of the one in the wheel.
	for _, line := range []string{
		"../bin/e-python,sha256=" + base64.RawURLEncoding.EncodeToString(sum[:]) + ",34\n",
		`"every/odd, name.txt",sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0` + "\n",
		"Every_Thing-1.0.dist-info/RECORD,,\n",
	} {
		if !strings.Contains(record, line) {
			t.Errorf("RECORD has no line %q:\n%s", line, record)
		}
	}
}

func TestOpen_errors(t *testing.T) {
	const name = "a-1-py3-none-any.whl"
	base := func(more ...wheeltest.File) []wheeltest.File { return append(more, wheeltest.Metadata("a", "1")...) }
	good := func(more ...wheeltest.File) []wheeltest.File {
		e := base(more...)
		return append(e, wheeltest.Record("a", "1", e))
	}
	module := file("a.py", 0o644, "x")
	// record returns a wheel with a module and another line for it in RECORD.
	record := func(line string) []wheeltest.File {
		e := good(module)
		_, after, _ := strings.Cut(e[len(e)-1].Body, "\n")
		e[len(e)-1].Body = line + after
		return e
	}
	replace := func(name, body string) []wheeltest.File {
		e := base(module)
		for i := range e {
			if e[i].Name == "a-1.dist-info/"+name {
				e[i].Body = body
			}
		}
		return append(e, wheeltest.Record("a", "1", e))
	}
	without := func(name string) []wheeltest.File {
		return slices.DeleteFunc(good(module), func(e wheeltest.File) bool { return strings.HasSuffix(e.Name, name) })
	}
	for name, tc := range map[string]struct {
		filename string
		entries  []wheeltest.File
		want     string
	}{
		"not a wheel's name":          {"a-1.zip", good(), "is not the name of a wheel"},
		"name without tags":           {"a-1-any.whl", good(), "is not the name of a wheel"},
		"build tag without a number":  {"a-1-x-py3-none-any.whl", good(), "does not begin with a digit"},
		"wrong hash":                  {name, record("a.py,sha256=AAAA,1\n"), "RECORD: a.py: wrong hash: expected sha256=AAAA, found sha256=LXEW"},
		"wrong size":                  {name, record("a.py,sha256=AAAA,2\n"), "RECORD: a.py: expected 2 bytes, found 1"},
		"weak hash":                   {name, record("a.py,md5=AAAA,1\n"), "RECORD: a.py: hash \"md5=AAAA\": expected sha256"},
		"no hash":                     {name, record("a.py,,\n"), "RECORD: a.py: hash \"\""},
		"not in RECORD":               {name, record(""), "RECORD: no line for a.py of the wheel"},
		"only in RECORD":              {name, record("b.py,sha256=AAAA,1\n"), "RECORD: b.py not found in the wheel"},
		"twice in RECORD":             {name, recordTwice(good(module)), "RECORD: a.py: expected 7 bytes, found 1"},
		"RECORD is no table":          {name, record("a.py\n"), "RECORD: "},
		"no RECORD":                   {name, without("RECORD"), "RECORD: not found"},
		"no METADATA":                 {name, good()[:0], "found 0 directories *.dist-info"},
		"no WHEEL":                    {name, replaceRecord(without("WHEEL")), "WHEEL not found"},
		"duplicate file":              {name, good(module, file("a.py", 0o644, "y")), "a.py occurs twice, with different contents"},
		"path leads out":              {name, good(file("../../etc/passwd", 0o644, "x")), "contains \"..\""},
		"path leads out of its data":  {name, good(file("a-1.data/data/../../../etc/passwd", 0o644, "x")), "contains \"..\""},
		"absolute path":               {name, good(file("/etc/passwd", 0o644, "x")), `"/etc/passwd" is absolute`},
		"Windows path":                {name, good(file(`..\x.py`, 0o644, "x")), "backslashes, zero bytes and line breaks are not allowed"},
		"path with a dot":             {name, good(file("a/./x.py", 0o644, "x")), "contains \".\" or double slashes"},
		"symbolic link":               {name, good(file("a.so", 0o777|fs.ModeSymlink, "/etc/passwd")), "a.so: found a symbolic link"},
		"another project":             {"b-1-py3-none-any.whl", good(), "the directory a-1.dist-info is of another project"},
		"another version":             {"a-2-py3-none-any.whl", good(), "the directory a-1.dist-info is of another project or version"},
		"two metadata directories":    {name, good(file("b-1.dist-info/METADATA", 0o644, "x")), "found 2 directories *.dist-info"},
		"another name in METADATA":    {name, replace("METADATA", "Name: b\nVersion: 1\n"), `METADATA: found project "b", expected "a"`},
		"another version in METADATA": {name, replace("METADATA", "Name: a\nVersion: 2\n"), "METADATA: found version 2, expected 1"},
		"no version in METADATA":      {name, replace("METADATA", "Name: a\n"), "METADATA: field Version not found"},
		"two versions in METADATA":    {name, replace("METADATA", "Name: a\nVersion: 1\nVersion: 1.0\n"), `METADATA: field Version: found "1" and "1.0", expected one value`},
		"METADATA is no metadata":     {name, replace("METADATA", "Name: a\nVersion 1\n"), "METADATA: field Version not found"},
		"future format":               {name, replace("WHEEL", "Wheel-Version: 2.0\nRoot-Is-Purelib: true\n"), `WHEEL: unsupported format version "2.0"`},
		"invalid entry point":         {name, good(file("a-1.dist-info/entry_points.txt", 0o644, "[console_scripts]\n../x = a:main\n")), "entry_points.txt: found \"../x = a:main\""},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := Open(wheeltest.Pack(t, tc.filename, tc.entries))
			if err == nil {
				t.Fatalf("Open accepted the wheel: %v", w.Metadata)
			}
			if !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), tc.filename+": ") {
				t.Errorf("error %q, want %q in it", err, tc.want)
			}
		})
	}
	t.Run("truncated", func(t *testing.T) {
		path := wheeltest.Pack(t, name, good(module))
		if err := os.Truncate(path, 100); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "not a wheel: expected a zip file") {
			t.Errorf("error %v", err)
		}
	})
}

// recordTwice adds a second line for a.py with a wrong size to RECORD.
func recordTwice(entries []wheeltest.File) []wheeltest.File {
	line, _, _ := strings.Cut(entries[len(entries)-1].Body, "\n")
	entries[len(entries)-1].Body += strings.TrimSuffix(line, "1") + "7\n"
	return entries
}

// replaceRecord replaces RECORD by one of the entries.
func replaceRecord(entries []wheeltest.File) []wheeltest.File {
	kept := slices.DeleteFunc(entries, func(e wheeltest.File) bool { return strings.HasSuffix(e.Name, "RECORD") })
	return append(kept, wheeltest.Record("a", "1", kept))
}

func TestInstall_errors(t *testing.T) {
	for want, more := range map[string][]wheeltest.File{
		"two files of 1 and 96 bytes have the destination /opt/python/bin/x": {
			file("a-1.data/scripts/x", 0o755, "x"), file("a-1.dist-info/entry_points.txt", 0o644, "[console_scripts]\nx = a:x\n"),
		},
		"two files of 1 and 1 bytes have the destination /opt/python/site-packages/a.py": {file("a.py", 0o644, "1"), file("a-1.data/purelib/a.py", 0o644, "2")},
		"a-1.data/stdlib/x: unknown install scheme key":                                  {file("a-1.data/stdlib/x", 0o644, "x")},
		"a-1.data/x: expected a file in a subdirectory of a-1.data":                      {file("a-1.data/x", 0o644, "x")},
		"a.pyc is a compiled module":                                                     {file("a.pyc", 0o644, "x")},
	} {
		_, err := open(t, "a-1-py3-none-any.whl", nil, more...).Install(opt)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "a-1-py3-none-any.whl: ") {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// install returns the installed files without metadata: path, x for a program, content.
func install(t *testing.T, w *Wheel) map[string]string {
	t.Helper()
	files, err := w.Install(opt)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range files {
		if strings.Contains(f.Path, ".dist-info/") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		mode := " "
		if f.Executable {
			mode = "x"
		}
		got[strings.TrimPrefix(f.Path, opt.Prefix+"/")] = mode + string(data)
	}
	return got
}

func TestInstall_data(t *testing.T) {
	const module = "site-packages/rp/__init__.py"
	for name, tc := range map[string]struct {
		files []wheeltest.File
		want  map[string]string
	}{
		"another spelling": {
			[]wheeltest.File{file("R.P-1.data/scripts/run", 0o644, "#!python\nprint()\n"), file("R.P-1.data/headers/r.h", 0o644, "h")},
			map[string]string{"bin/run": "x#!/usr/bin/python3.11\nprint()\n", "include/r_p/r.h": " h"},
		},
		"first lines": {
			[]wheeltest.File{
				file("r_p-1.data/scripts/gui", 0o644, "#!pythonw -s\r\n"), file("r_p-1.data/scripts/three", 0o644, "#!python3\nx"),
				file("r_p-1.data/scripts/system", 0o644, "#!/usr/bin/python\n"), file("r_p-1.data/scripts/none", 0o644, ""),
			},
			map[string]string{"bin/gui": "x#!/usr/bin/python3.11 -s\n", "bin/three": "x#!/usr/bin/python3.11\nx", "bin/system": "x#!/usr/bin/python\n", "bin/none": "x"},
		},
		"equal files": {
			[]wheeltest.File{file("rp/__init__.py", 0o644, "a\n"), file("r_p-1.data/platlib/rp/__init__.py", 0o755, "a\n"), file("r_p-1.data/purelib/rp/__init__.py", 0o644, "a\n")},
			map[string]string{module: "xa\n"},
		},
		"file that ends in .data": {
			[]wheeltest.File{file("table.data", 0o644, "1")},
			map[string]string{"site-packages/table.data": " 1"},
		},
		"a .pth file": {
			[]wheeltest.File{file("a.pth", 0o644, "sub\n"), file("r_p-1.data/purelib/b.pth", 0o644, "")},
			map[string]string{"site-packages/a.pth": " sub\n", "site-packages/b.pth": " "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := install(t, open(t, "r_p-1-py3-none-any.whl", nil, tc.files...)); !maps.Equal(got, tc.want) {
				t.Errorf("installed %q, want %q", got, tc.want)
			}
		})
	}
}

func TestInstall_exclude(t *testing.T) {
	w := open(t, "a-1-py3-none-any.whl", nil, file("a.py", 0o644, ""), file("a.pth", 0o644, ""), file("tests/__init__.py", 0o644, ""),
		file("a-1.dist-info/entry_points.txt", 0o644, "[console_scripts]\nx = a:x\ny = a:y\n"))
	w.Exclude = func(path string) bool {
		return slices.Contains([]string{"a.pth", "tests/__init__.py", "bin/x"}, path)
	}
	if got := slices.Sorted(maps.Keys(install(t, w))); !slices.Equal(got, []string{"bin/y", "site-packages/a.py"}) {
		t.Errorf("installed %q", got)
	}
}

func TestOpen_equalLines(t *testing.T) {
	files := append(wheeltest.Metadata("a", "1"), file("a.py", 0o644, "x"))
	record := wheeltest.Record("a", "1", files)
	record.Body += record.Body                                                   // Every line twice, also that of RECORD.
	record.Body += "a.py,sha256=LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE=,\n" // Right, too.
	files = append(files, file("a.py", 0o755, "x"))
	w, err := Open(wheeltest.Pack(t, "a-1-py3-none-any.whl", append(files, record)))
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
}

func TestOpenUnverified(t *testing.T) {
	for name, record := range map[string]string{
		"missing line": "a-1.dist-info/RECORD,,\n",
		"wrong size":   "a.py,sha256=LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE,7\n",
		"wrong hash":   "a.py,sha256=AAAA,1\n",
		"only there":   "b.py,,\n",
		"no table":     "a.py\n",
	} {
		path := wheeltest.Pack(t, "a-1-py3-none-any.whl", append(wheeltest.Metadata("a", "1"), file("a.py", 0o644, "x"), file("a-1.dist-info/RECORD", 0o644, record)))
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "RECORD: ") {
			t.Errorf("%s: Open: error %v, want one about RECORD", name, err)
		}
		w, err := OpenUnverified(path)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := install(t, w); got["site-packages/a.py"] != " x" {
			t.Errorf("%s: installed %q", name, got)
		}
		w.Close()
	}
}

func TestScheme_invalid(t *testing.T) {
	for want, s := range map[string]Scheme{
		`invalid path "usr": expected an absolute path`:         {"usr", "/usr/bin/python3"},
		`invalid path "/usr/../etc": expected an absolute path`: {"/usr/../etc", "/usr/bin/python3"},
		`invalid path "python3": expected an absolute path`:     {"/usr", "python3"},
		"too long for the first line of a script":               {"/usr", "/usr/my python"},
	} {
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v, want %q", s, err, want)
		}
	}
	if err := opt.Validate(); err != nil {
		t.Error(err)
	}
}

func TestCheckTags(t *testing.T) {
	arm := Target{Python: "3.11", Architecture: "arm64", Glibc: "2.35"}
	for _, tc := range []struct{ tags, want string }{
		{"py3-none-any", ""},
		{"py2.py3-none-any", ""},
		{"py310-none-any", ""},
		{"py312-none-any", "for Python py312-none"},
		{"py2-none-any", "for Python py2-none"},
		{"cp311-cp311-manylinux_2_28_aarch64", ""},
		{"cp311-cp311-manylinux2014_aarch64", ""},
		{"cp311-cp311-manylinux_2_99_aarch64.manylinux_2_35_aarch64", ""},
		{"cp311-none-any", ""},
		{"cp39-abi3-manylinux_2_17_aarch64", ""},
		{"cp312-abi3-manylinux_2_17_aarch64", "for Python cp312-abi3, not for Python 3.11 on aarch64 with glibc 2.35"},
		{"cp310-cp310-manylinux_2_17_aarch64", "for Python cp310-cp310"},
		{"cp311-cp311t-manylinux_2_17_aarch64", "for Python cp311-cp311t"},
		{"cp310-none-any", "for Python cp310-none"},
		{"pp311-pypy311_pp73-manylinux_2_17_aarch64", "for Python pp311"},
		{"cp311-cp311-manylinux_2_36_aarch64", "manylinux_2_36_aarch64 requires glibc 2.36"},
		{"cp311-cp311-manylinux_2_17_x86_64", "manylinux_2_17_x86_64 is for another architecture"},
		{"cp311-cp311-musllinux_1_2_aarch64", "musllinux_1_2_aarch64 is for another operating system"},
		{"cp311-cp311-macosx_11_0_arm64", "macosx_11_0_arm64 is for another operating system"},
		{"cp311-cp311-linux_aarch64", "linux_aarch64 has no glibc version (a layer takes it if wheel_linux_tags names the project)"},
		{"cp311-cp311-linux_x86_64", "linux_x86_64 is for another architecture"},
	} {
		f, err := ParseFilename("a-1-" + tc.tags + ".whl")
		if err != nil {
			t.Error(err)
			continue
		}
		err = arm.CheckTags(f)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", tc.tags, err, tc.want)
		}
	}
	// All tags of Platforms fit.
	for _, p := range arm.Platforms() {
		if err := arm.CheckTags(Filename{Python: []string{"py3"}, ABI: []string{"none"}, Platform: []string{p}}); err != nil {
			t.Errorf("Platforms returned %s: %v", p, err)
		}
	}
	if got := arm.Platforms(); got[0] != "manylinux_2_35_aarch64" || !slices.Contains(got, "manylinux2014_aarch64") {
		t.Errorf("platforms are %q", got)
	}
}

func TestTarget_invalid(t *testing.T) {
	for want, target := range map[string]Target{
		`Python version "3"`:    {"3", "arm64", "2.35"},
		`glibc version "2.035"`: {"3.11", "arm64", "2.035"},
		`architecture "riscv"`:  {"3.11.2", "riscv", "2.35"},
	} {
		if err := target.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v, want %q", target, err, want)
		}
	}
}

func TestApplies(t *testing.T) {
	arm := Target{Python: "3.11.2", Architecture: "arm64", Glibc: "2.35"}
	for marker, want := range map[string]bool{
		`python_version < "3.9"`:                                          false, // As text, the comparison would be true.
		`python_version >= '3.9'`:                                         true,
		`"3.11" == python_version`:                                        true,
		`python_version ~= "3.10"`:                                        true,
		`python_version == "3.*"`:                                         true,
		`python_version in "3.10 3.11"`:                                   true,
		`python_version not in "2.7, 3.10"`:                               true,
		`python_full_version < "3.11.3"`:                                  true,
		`sys_platform == "win32"`:                                         false,
		`sys_platform != "win32" and platform_machine == "aarch64"`:       true,
		`sys_platform == "win32" or os_name == "posix"`:                   true,
		`(sys_platform == "win32" or os_name == "posix") and extra == ""`: true,
		`sys_platform == "linux" or os_name == "nt" and extra == "no"`:    true, // "and" has the higher precedence.
		`implementation_name == "pypy"`:                                   false,
		`platform_python_implementation == "CPython"`:                     true,
		`platform_system=="Linux"`:                                        true,
		`extra == "Dev.Tools"`:                                            false,
	} {
		r, err := ParseRequirement("a; " + marker)
		if err != nil {
			t.Error(err)
			continue
		}
		if got, err := r.Applies(arm, ""); err != nil || got != want {
			t.Errorf("%s: %v (%v), want %v", marker, got, err, want)
		}
	}
	r, err := ParseRequirement(`a ; extra == "Dev.Tools"`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Applies(arm, "dev_tools"); err != nil || !got {
		t.Errorf("extra in another spelling: %v (%v), want true", got, err)
	}
}

func TestParseRequirement_errors(t *testing.T) {
	for requirement, want := range map[string]string{
		`>=1`:                           "expected a project name",
		`a @ file:///a.whl;x == "1"`:    "expected a space after the address",
		`a[b,,c]`:                       `invalid extra ""`,
		`a (>=1`:                        "missing closing parenthesis",
		`a >= one`:                      "not a version",
		`a; python_version`:             "expected two variables or quoted values with an operator between them",
		`a; os == "b"`:                  "expected two variables or quoted values with an operator between them",
		`a; python_version => "3"`:      "marker: unexpected",
		`a; os_name is "posix"`:         "unknown operator \"is\"",
		`a; (os_name == "posix"`:        "marker: missing closing parenthesis",
		`a; os_name == "posix" os_name`: "unexpected \"os_name\"",
	} {
		if _, err := ParseRequirement(requirement); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", requirement, err, want)
		}
	}
	r, err := ParseRequirement(`a; platform_release > "5"`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Applies(Target{Python: "3.11"}, ""); err == nil || !strings.Contains(err.Error(), "unsupported variable platform_release") {
		t.Errorf("error %v", err)
	}
}

func set(t *testing.T, wheels map[string][]string) Set {
	t.Helper()
	s := Set{}
	for _, name := range slices.Sorted(maps.Keys(wheels)) {
		if err := s.Add(open(t, name, wheels[name])); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestCheckRequirements(t *testing.T) {
	arm := Target{Python: "3.11", Architecture: "arm64", Glibc: "2.35"}
	for name, tc := range map[string]struct {
		wheels map[string][]string
		want   string // Empty: complete.
	}{
		"met": {map[string][]string{
			"a-1-py3-none-any.whl":     {"Requires-Dist: B_b (>=1.0,<2)", "Requires-Dist: colorama; sys_platform == 'win32'", "Requires-Python: >=3.8"},
			"b.B-1.5-py3-none-any.whl": {"Requires-Dist: sphinx; extra == 'docs'"},
		}, ""},
		"pinned pre-release": {map[string][]string{
			"a-1-py3-none-any.whl":      {"Requires-Dist: b>=1"},
			"b-2.0rc1-py3-none-any.whl": nil,
		}, ""},
		"missing": {map[string][]string{
			"a-1-py3-none-any.whl": {"Requires-Dist: b (>=1.0,<2)"},
		}, "missing dependency: a-1-py3-none-any.whl requires b (>=1.0,<2): no wheel of b found"},
		"another version": {map[string][]string{
			"a-1-py3-none-any.whl":   {"Requires-Dist: b>=2"},
			"b-1.5-py3-none-any.whl": nil,
		}, "a-1-py3-none-any.whl requires b>=2: found version 1.5 (b-1.5-py3-none-any.whl)"},
		"two missing": {map[string][]string{
			"a-1-py3-none-any.whl": {"Requires-Dist: c", "Requires-Dist: d"},
		}, "no wheel of c found; a-1-py3-none-any.whl requires d: no wheel of d found"},
		"required extra": {map[string][]string{
			"a-1-py3-none-any.whl": {"Requires-Dist: b[Fast_Mode]"},
			"b-1-py3-none-any.whl": {`Requires-Dist: c>=3; extra == "fast-mode"`, `Requires-Dist: d; extra == "other"`},
		}, "missing dependency: b-1-py3-none-any.whl requires c>=3; extra == \"fast-mode\": no wheel of c found"},
		"extra of itself": {map[string][]string{
			"a-1-py3-none-any.whl": {"Requires-Dist: b[dev]"},
			"b-1-py3-none-any.whl": {`Requires-Dist: b[tests]; extra == "dev"`, `Requires-Dist: c; extra == "tests"`},
		}, "b-1-py3-none-any.whl requires c; extra == \"tests\""},
	} {
		t.Run(name, func(t *testing.T) {
			s := set(t, tc.wheels)
			if err := s.CheckTarget(arm); err != nil {
				t.Error(err)
			}
			err := s.CheckRequirements(arm)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestClosure(t *testing.T) {
	s := set(t, map[string][]string{
		"a-1-py3-none-any.whl":   {"Requires-Dist: b", `Requires-Dist: old; python_version < "3"`},
		"b-1-py3-none-any.whl":   nil,
		"old-1-py3-none-any.whl": nil,
	})
	r, err := ParseRequirement("A>=1")
	if err != nil {
		t.Fatal(err)
	}
	needed, unmet, err := s.Closure(Target{Python: "3.11", Architecture: "arm64", Glibc: "2.35"}, []Root{{"me", r}})
	if err != nil || len(unmet) > 0 || !slices.Equal(needed, []string{"a", "b"}) {
		t.Errorf("needed %q, unmet %v, error %v; want a and b", needed, unmet, err)
	}
}

func TestSet_errors(t *testing.T) {
	arm := Target{Python: "3.11", Architecture: "arm64", Glibc: "2.35"}
	for name, tc := range map[string]struct {
		fields []string
		want   string
	}{
		"a-1-cp312-cp312-manylinux_2_17_aarch64.whl": {nil, "a-1-cp312-cp312-manylinux_2_17_aarch64.whl: wrong tag: it is for Python cp312-cp312"},
		"a-2-py3-none-any.whl":                       {[]string{"Requires-Python: >=3.12"}, "a-2-py3-none-any.whl: wrong Python version: found 3.11, expected >=3.12"},
	} {
		if err := set(t, map[string][]string{name: tc.fields}).CheckTarget(arm); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("error %v, want %q", err, tc.want)
		}
	}
	s := set(t, map[string][]string{"a-1-py3-none-any.whl": nil})
	err := s.Add(open(t, "A-2-py3-none-any.whl", nil))
	if err == nil || err.Error() != "a-1-py3-none-any.whl and A-2-py3-none-any.whl are wheels of the same project a" {
		t.Errorf("error %v", err)
	}
}
