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

// open opens a good wheel of a project with more fields and files.
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

// everything is a wheel that uses every place once.
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
			t.Errorf("%s: %d bytes, said %d", f.Path, len(data), f.Size)
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
	sum := sha256.Sum256([]byte(content["/opt/python/bin/e-python"])) // Not the hash of what was in the wheel.
	for _, line := range []string{
		"../bin/e-python,sha256=" + base64.RawURLEncoding.EncodeToString(sum[:]) + ",34\n",
		`"every/odd, name.txt",sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0` + "\n",
		"Every_Thing-1.0.dist-info/RECORD,,\n",
	} {
		if !strings.Contains(record, line) {
			t.Errorf("RECORD does not have %q:\n%s", line, record)
		}
	}
}

func TestBadWheelSaysWhatAndWhere(t *testing.T) {
	const name = "a-1-py3-none-any.whl"
	base := func(more ...wheeltest.File) []wheeltest.File { return append(more, wheeltest.Metadata("a", "1")...) }
	good := func(more ...wheeltest.File) []wheeltest.File {
		e := base(more...)
		return append(e, wheeltest.Record("a", "1", e))
	}
	module := file("a.py", 0o644, "x")
	// record makes a wheel of a module whose line in RECORD is another.
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
	for what, tc := range map[string]struct {
		filename string
		entries  []wheeltest.File
		want     string
	}{
		"not a wheel's name":          {"a-1.zip", good(), "is not the name of a wheel"},
		"a name without tags":         {"a-1-any.whl", good(), "is not the name of a wheel"},
		"a build without a number":    {"a-1-x-py3-none-any.whl", good(), "does not begin with a digit"},
		"wrong hash":                  {name, record("a.py,sha256=AAAA,1\n"), "RECORD: a.py: wrong hash: expected sha256=AAAA, found sha256=LXEW"},
		"wrong size":                  {name, record("a.py,sha256=AAAA,2\n"), "RECORD: a.py: expected 2 bytes, found 1"},
		"weak hash":                   {name, record("a.py,md5=AAAA,1\n"), "RECORD: a.py: its hash \"md5=AAAA\" is none of"},
		"no hash":                     {name, record("a.py,,\n"), "RECORD: a.py: its hash \"\""},
		"not in RECORD":               {name, record(""), "RECORD: a.py is in the wheel, but not in it"},
		"only in RECORD":              {name, record("b.py,sha256=AAAA,1\n"), "RECORD: b.py is in it, but not in the wheel"},
		"twice in RECORD":             {name, record("a-1.dist-info/RECORD,,\n"), "RECORD: a-1.dist-info/RECORD is in it twice"},
		"RECORD is no table":          {name, record("a.py\n"), "RECORD: "},
		"no RECORD":                   {name, without("RECORD"), "it has no RECORD"},
		"no METADATA":                 {name, good()[:0], "0 folders of metadata"},
		"no WHEEL":                    {name, replaceRecord(without("WHEEL")), "it has no WHEEL"},
		"twice in it":                 {name, good(module, module), "a.py is in it twice"},
		"path leads out":              {name, good(file("../../etc/passwd", 0o644, "x")), "\"..\" in it"},
		"path leads out of its data":  {name, good(file("a-1.data/data/../../../etc/passwd", 0o644, "x")), "\"..\" in it"},
		"absolute path":               {name, good(file("/etc/passwd", 0o644, "x")), `"/etc/passwd" is absolute`},
		"Windows path":                {name, good(file(`..\x.py`, 0o644, "x")), "characters that no file of a wheel has"},
		"path with a dot":             {name, good(file("a/./x.py", 0o644, "x")), "not in its simplest form"},
		"symbolic link":               {name, good(file("a.so", 0o777|fs.ModeSymlink, "/etc/passwd")), "a.so is a symbolic link"},
		"another project":             {"b-1-py3-none-any.whl", good(), "a-1.dist-info, which is another project"},
		"another version":             {"a-2-py3-none-any.whl", good(), "a-1.dist-info, which is another project or version"},
		"two folders of metadata":     {name, good(file("b-1.dist-info/METADATA", 0o644, "x")), "2 folders of metadata"},
		"another name in METADATA":    {name, replace("METADATA", "Name: b\nVersion: 1\n"), `METADATA: the project is "b"`},
		"another version in METADATA": {name, replace("METADATA", "Name: a\nVersion: 2\n"), "METADATA: the version is 2"},
		"no version in METADATA":      {name, replace("METADATA", "Name: a\n"), "METADATA: the field Version is there 0 times"},
		"a requirement that is none":  {name, replace("METADATA", "Name: a\nVersion: 1\nRequires-Dist: b >> 1\n"), `METADATA: requirement "b >> 1"`},
		"METADATA is no metadata":     {name, replace("METADATA", "Name: a\nVersion 1\n"), "METADATA: malformed MIME header"},
		"a future format":             {name, replace("WHEEL", "Wheel-Version: 2.0\nRoot-Is-Purelib: true\n"), `WHEEL: the format is "2.0"`},
		"an entry point that is none": {name, good(file("a-1.dist-info/entry_points.txt", 0o644, "[console_scripts]\n../x = a:main\n")), "entry_points.txt: \"../x = a:main\""},
	} {
		t.Run(what, func(t *testing.T) {
			w, err := Open(wheeltest.Pack(t, tc.filename, tc.entries))
			if err == nil {
				t.Fatalf("was accepted: %v", w.Metadata)
			}
			if !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), tc.filename+": ") {
				t.Errorf("said %q, want %q in it", err, tc.want)
			}
		})
	}
	t.Run("truncated", func(t *testing.T) {
		path := wheeltest.Pack(t, name, good(module))
		if err := os.Truncate(path, 100); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "not a wheel, which is a zip file") {
			t.Errorf("said %v", err)
		}
	})
}

// replaceRecord makes RECORD true again for what is left.
func replaceRecord(entries []wheeltest.File) []wheeltest.File {
	kept := slices.DeleteFunc(entries, func(e wheeltest.File) bool { return strings.HasSuffix(e.Name, "RECORD") })
	return append(kept, wheeltest.Record("a", "1", kept))
}

func TestWhatCannotBeInstalledIsSaid(t *testing.T) {
	for want, more := range map[string][]wheeltest.File{
		"two of its files go to /opt/python/bin/x": {
			file("a-1.data/scripts/x", 0o755, "x"), file("a-1.dist-info/entry_points.txt", 0o644, "[console_scripts]\nx = a:x\n"),
		},
		"two of its files go to /opt/python/site-packages/a.py": {file("a.py", 0o644, "1"), file("a-1.data/purelib/a.py", 0o644, "2")},
		"a-1.data/stdlib/x is for a place that is not known":    {file("a-1.data/stdlib/x", 0o644, "x")},
		"a-1.data/x lies beside the folders of a-1.data":        {file("a-1.data/x", 0o644, "x")},
		"a.pth would have no effect":                            {file("a.pth", 0o644, "import a\n")},
		"a.pyc is compiled for one Python":                      {file("a.pyc", 0o644, "x")},
	} {
		_, err := open(t, "a-1-py3-none-any.whl", nil, more...).Install(opt)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "a-1-py3-none-any.whl: ") {
			t.Errorf("said %v, want %q", err, want)
		}
	}
}

func TestSchemesThatCannotBe(t *testing.T) {
	for want, s := range map[string]Scheme{
		`"usr" is not an absolute path`:       {"usr", "/usr/bin/python3"},
		`"/usr/../etc" is not an absolute`:    {"/usr/../etc", "/usr/bin/python3"},
		`"python3" is not an absolute path`:   {"/usr", "python3"},
		"does not fit into the first line of": {"/usr", "/usr/my python"},
	} {
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: said %v, want %q", s, err, want)
		}
	}
	if err := opt.Validate(); err != nil {
		t.Error(err)
	}
}

func TestTags(t *testing.T) {
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
		{"cp311-cp311-manylinux_2_36_aarch64", "manylinux_2_36_aarch64 needs glibc 2.36"},
		{"cp311-cp311-manylinux_2_17_x86_64", "manylinux_2_17_x86_64 is another architecture"},
		{"cp311-cp311-musllinux_1_2_aarch64", "musllinux_1_2_aarch64 is another system"},
		{"cp311-cp311-macosx_11_0_arm64", "macosx_11_0_arm64 is another system"},
		{"cp311-cp311-linux_aarch64", "linux_aarch64 does not say which glibc"},
	} {
		f, err := ParseFilename("a-1-" + tc.tags + ".whl")
		if err != nil {
			t.Error(err)
			continue
		}
		err = arm.Fits(f)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: said %v, want %q", tc.tags, err, tc.want)
		}
	}
	// What is asked of the index is what fits.
	for _, p := range arm.Platforms() {
		if err := arm.Fits(Filename{Python: []string{"py3"}, ABI: []string{"none"}, Platform: []string{p}}); err != nil {
			t.Errorf("%s is offered, but: %v", p, err)
		}
	}
	if got := arm.Platforms(); got[0] != "manylinux_2_35_aarch64" || !slices.Contains(got, "manylinux2014_aarch64") {
		t.Errorf("platforms are %q", got)
	}
}

func TestTargetsThatCannotBe(t *testing.T) {
	for want, target := range map[string]Target{
		`python "3"`:           {"3", "arm64", "2.35"},
		`glibc "2.035"`:        {"3.11", "arm64", "2.035"},
		`architecture "riscv"`: {"3.11.2", "riscv", "2.35"},
	} {
		if err := target.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: said %v, want %q", target, err, want)
		}
	}
}

func TestMarkers(t *testing.T) {
	arm := Target{Python: "3.11.2", Architecture: "arm64", Glibc: "2.35"}
	for marker, want := range map[string]bool{
		`python_version < "3.9"`:                                          false, // As versions: as text it were true.
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
		`sys_platform == "linux" or os_name == "nt" and extra == "no"`:    true, // "and" binds more strongly.
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
		t.Errorf("an extra in another spelling: %v (%v), want true", got, err)
	}
}

func TestRequirementsThatCannotBeReadAreSaid(t *testing.T) {
	for requirement, want := range map[string]string{
		`>=1`:                           "does not begin with a project's name",
		`a @ file:///a.whl`:             "names an address",
		`a (>=1`:                        "a parenthesis is not closed",
		`a >= one`:                      "not a version",
		`a; python_version`:             "a variable, an operator and a quoted value were expected",
		`a; "a" == "b"`:                 "a variable, an operator and a quoted value were expected",
		`a; python_version => "3"`:      "cannot be read",
		`a; os_name is "posix"`:         "operator \"is\", which is not known",
		`a; (os_name == "posix"`:        "parenthesis of its marker is not closed",
		`a; os_name == "posix" os_name`: "goes on with \"os_name\"",
	} {
		if _, err := ParseRequirement(requirement); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: said %v, want %q", requirement, err, want)
		}
	}
	r, err := ParseRequirement(`a; platform_release > "5"`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Applies(Target{Python: "3.11"}, ""); err == nil || !strings.Contains(err.Error(), "asks for platform_release") {
		t.Errorf("said %v", err)
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

func TestDependencies(t *testing.T) {
	arm := Target{Python: "3.11", Architecture: "arm64", Glibc: "2.35"}
	for what, tc := range map[string]struct {
		wheels map[string][]string
		want   string // Empty: complete.
	}{
		"met": {map[string][]string{
			"a-1-py3-none-any.whl":     {"Requires-Dist: B_b (>=1.0,<2)", "Requires-Dist: colorama; sys_platform == 'win32'", "Requires-Python: >=3.8"},
			"b.B-1.5-py3-none-any.whl": {"Requires-Dist: sphinx; extra == 'docs'"},
		}, ""},
		"a pre-release is what was pinned": {map[string][]string{
			"a-1-py3-none-any.whl":      {"Requires-Dist: b>=1"},
			"b-2.0rc1-py3-none-any.whl": nil,
		}, ""},
		"missing": {map[string][]string{
			"a-1-py3-none-any.whl": {"Requires-Dist: b (>=1.0,<2)"},
		}, "missing dependency: a-1-py3-none-any.whl requires b (>=1.0,<2): found no wheel of b"},
		"another version": {map[string][]string{
			"a-1-py3-none-any.whl":   {"Requires-Dist: b>=2"},
			"b-1.5-py3-none-any.whl": nil,
		}, "a-1-py3-none-any.whl requires b>=2: found version 1.5 (b-1.5-py3-none-any.whl)"},
		"all that is missing": {map[string][]string{
			"a-1-py3-none-any.whl": {"Requires-Dist: c", "Requires-Dist: d"},
		}, "of c; a-1-py3-none-any.whl requires d: found no wheel of d"},
		"of an extra that is asked for": {map[string][]string{
			"a-1-py3-none-any.whl": {"Requires-Dist: b[Fast_Mode]"},
			"b-1-py3-none-any.whl": {`Requires-Dist: c>=3; extra == "fast-mode"`, `Requires-Dist: d; extra == "other"`},
		}, "missing dependency: b-1-py3-none-any.whl requires c>=3; extra == \"fast-mode\": found no wheel of c"},
		"of an extra of itself": {map[string][]string{
			"a-1-py3-none-any.whl": {"Requires-Dist: b[dev]"},
			"b-1-py3-none-any.whl": {`Requires-Dist: b[tests]; extra == "dev"`, `Requires-Dist: c; extra == "tests"`},
		}, "b-1-py3-none-any.whl requires c; extra == \"tests\""},
	} {
		t.Run(what, func(t *testing.T) {
			s := set(t, tc.wheels)
			if err := s.Fit(arm); err != nil {
				t.Error(err)
			}
			err := s.Check(arm)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("said %v, want %q", err, tc.want)
			}
		})
	}
}

func TestClosureLeavesOutWhatNothingNeeds(t *testing.T) {
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

func TestSetRefusesWhatDoesNotFit(t *testing.T) {
	arm := Target{Python: "3.11", Architecture: "arm64", Glibc: "2.35"}
	for name, tc := range map[string]struct {
		fields []string
		want   string
	}{
		"a-1-cp312-cp312-manylinux_2_17_aarch64.whl": {nil, "a-1-cp312-cp312-manylinux_2_17_aarch64.whl: wrong tag: it is for Python cp312-cp312"},
		"a-2-py3-none-any.whl":                       {[]string{"Requires-Python: >=3.12"}, "a-2-py3-none-any.whl: it requires Python >=3.12, not 3.11"},
	} {
		if err := set(t, map[string][]string{name: tc.fields}).Fit(arm); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("said %v, want %q", err, tc.want)
		}
	}
	s := set(t, map[string][]string{"a-1-py3-none-any.whl": nil})
	err := s.Add(open(t, "A-2-py3-none-any.whl", nil))
	if err == nil || err.Error() != "a-1-py3-none-any.whl and A-2-py3-none-any.whl are both of a; only one can be installed" {
		t.Errorf("said %v", err)
	}
}
