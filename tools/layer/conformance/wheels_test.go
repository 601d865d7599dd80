package conformance_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/tools/layer/wheel"
	"krabby.dev/krabby/tools/layer/wheel/wheeltest"
)

// recordChanges are changes of a valid RECORD. Both accept the valid one.
var recordChanges = map[string]struct {
	change               func(g generator, lines []string, body string) []string
	accepted, referenced bool // Whether package wheel and installer accept the result.
}{
	"valid":      {func(_ generator, l []string, _ string) []string { return l }, true, true},
	"line twice": {func(g generator, l []string, _ string) []string { return append(l, l[g.IntN(len(l))]) }, true, true},
	"lines in any order": {func(g generator, l []string, _ string) []string {
		g.Shuffle(len(l), func(i, j int) { l[i], l[j] = l[j], l[i] })
		return l
	}, true, true},
	"SHA-512": {func(_ generator, l []string, body string) []string { return with(l, hash("sha512", body), "") }, true, true},
	"SHA-384": {func(_ generator, l []string, body string) []string { return with(l, hash("sha384", body), "") }, true, true},
	"two right lines": {func(_ generator, l []string, body string) []string {
		return append(with(l, hash("sha512", body), ""), l[0])
	}, true, true},
	"missing line": {func(_ generator, l []string, _ string) []string { return l[1:] }, false, false},
	"wrong size":   {func(_ generator, l []string, body string) []string { return with(l, hash("sha256", body), "7777") }, false, false},
	"wrong hash":   {func(_ generator, l []string, _ string) []string { return with(l, hash("sha256", "other"), "") }, false, false},
	"no hash":      {func(_ generator, l []string, _ string) []string { return with(l, "", "") }, false, false},
	"unknown hash": {func(_ generator, l []string, _ string) []string { return with(l, "crc=x", "") }, false, false},
	"two columns":  {func(_ generator, l []string, _ string) []string { return append(l, "x,") }, false, false},

	// Known differences. RECORD requires SHA-256 or better, and no size. The reference takes the last of several lines, and ignores
	// lines without a file, as importlib.metadata does not.
	"MD5":         {func(_ generator, l []string, body string) []string { return with(l, hash("md5", body), "") }, false, true},
	"no size":     {func(_ generator, l []string, body string) []string { return with(l, hash("sha256", body), "none") }, true, false},
	"padded hash": {func(_ generator, l []string, body string) []string { return with(l, hash("sha256", body)+"=", "") }, true, false},
	"wrong line": {func(_ generator, l []string, _ string) []string {
		return append(with(l, hash("sha256", "other"), ""), l[0])
	}, false, true},
	"line without a file": {func(_ generator, l []string, _ string) []string { return append(l, "nothing.py,sha256=AAAA,1") }, false, true},
	"RECORD with its hash": {func(_ generator, l []string, _ string) []string {
		l[len(l)-1] = strings.TrimSuffix(l[len(l)-1], ",,") + ",sha256=AAAA,1"
		return l
	}, true, false},
	"empty line at the end": {func(_ generator, l []string, _ string) []string { return append(l, "") }, true, false},
}

func hash(algorithm, body string) string {
	var sum []byte
	switch algorithm {
	case "md5":
		s := md5.Sum([]byte(body))
		sum = s[:]
	case "sha256":
		s := sha256.Sum256([]byte(body))
		sum = s[:]
	case "sha384":
		s := sha512.Sum384([]byte(body))
		sum = s[:]
	case "sha512":
		s := sha512.Sum512([]byte(body))
		sum = s[:]
	}
	return algorithm + "=" + base64.RawURLEncoding.EncodeToString(sum)
}

// with returns lines with another hash, and another size unless it is empty, in the first line. The size "none" is none.
func with(lines []string, hash, size string) []string {
	end := strings.LastIndex(lines[0], ",")
	old := lines[0][end+1:]
	name := lines[0][:strings.LastIndex(lines[0][:end], ",")]
	switch size {
	case "":
		size = old
	case "none":
		size = ""
	}
	return append([]string{name + "," + hash + "," + size}, lines[1:]...)
}

// wheelFiles returns the files of a wheel, the first of which is a module.
func (g generator) wheelFiles() []wheeltest.File {
	body := func() string {
		return strings.Repeat(g.choose("x = 1\n", "# \u00fc\n", "\x00\xff", "a,b\n"), g.IntN(4))
	}
	mode := func() fs.FileMode { return []fs.FileMode{0o644, 0o755, 0o600, 0o700}[g.IntN(4)] }
	files := []wheeltest.File{{Name: "pkg/__init__.py", Mode: mode(), Body: body()}}
	for _, name := range []string{
		"pkg/core.so", "pkg/odd, name.txt", "pkg/data/\u00fc.bin", "pkg/__pycache__/x.cpython-311.pyc", "top.py", "tests/__init__.py", "pkg/empty.txt",
		"pkg-1.0.data/purelib/pure.py", "pkg-1.0.data/platlib/plat/p.so", "pkg-1.0.data/data/share/pkg/d.json", "pkg-1.0.data/headers/sub/p.h",
		"pkg-1.0.data/scripts/run.sh", "table.data", "pkg-1.0.dist-info/licenses/LICENSE", "pkg-1.0.dist-info/top_level.txt",
	} {
		if g.IntN(2) == 0 {
			files = append(files, wheeltest.File{Name: name, Mode: mode(), Body: body()})
		}
	}
	if g.IntN(2) == 0 {
		files = append(files, wheeltest.File{Name: "pkg-1.0.data/scripts/run.py", Mode: mode(), Body: "#!python" + g.choose("", "w") + "\n" + body()})
	}
	if g.IntN(2) == 0 {
		files = append(files, wheeltest.File{Name: "pkg-1.0.dist-info/entry_points.txt", Mode: 0o644,
			Body: "[console_scripts]\nfirst = pkg:main\nsecond=pkg.core:App.run [extra]\n[plugins]\nx = y:z\n[gui_scripts]\nthird = pkg:gui\n"})
	}
	return append(files, wheeltest.Metadata("pkg", "1.0")...)
}

func TestWheels(t *testing.T) {
	g := newGenerator(5)
	type wheelCase struct{ change, path string }
	var cases []wheelCase
	var paths []string
	for _, change := range slices.Sorted(maps.Keys(recordChanges)) {
		c := recordChanges[change]
		for range 20 {
			files := g.wheelFiles()
			record := wheeltest.Record("pkg", "1.0", files)
			lines := c.change(g, strings.Split(strings.TrimSuffix(record.Body, "\n"), "\n"), files[0].Body)
			record.Body = strings.Join(lines, "\n") + "\n"
			cases = append(cases, wheelCase{change, wheeltest.Pack(t, "pkg-1.0-py3-none-any.whl", append(files, record))})
			paths = append(paths, cases[len(cases)-1].path)
		}
	}
	var answers []json.RawMessage
	ask(t, "wheels", paths, &answers)
	for i, c := range cases {
		want := recordChanges[c.change]
		if referenced := string(answers[i]) != `"invalid"`; referenced != want.referenced {
			t.Errorf("%s: the reference accepts it: %v, want %v", c.change, referenced, want.referenced)
			continue
		}
		got, err := installed(t, c.path)
		if (err == nil) != want.accepted {
			t.Errorf("%s: error %v, want it accepted: %v", c.change, err, want.accepted)
		}
		if !want.accepted || !want.referenced {
			continue
		}
		if wantFiles := reference(t, answers[i]); !reflect.DeepEqual(got, wantFiles) {
			t.Errorf("%s: installed\n%v, the reference installs\n%v", c.change, got, wantFiles)
		}
	}
	t.Logf("%d wheels", len(cases))
}

// installedFile is the content of an installed file, as SHA-256, and whether it is executable. The content of a program that the
// installer writes is empty.
type installedFile struct {
	sum        string
	executable bool
}

// installed returns the files that package wheel installs, by paths relative to the prefix, without those of the installer.
func installed(t *testing.T, path string) (map[string]installedFile, error) {
	t.Helper()
	w, err := wheel.Open(path)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	files, err := w.Install(wheel.Scheme{Prefix: "/p", Interpreter: "/usr/bin/python3.11"})
	if err != nil {
		return nil, err
	}
	all := map[string]installedFile{}
	for _, f := range files {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(content)
		entry := installedFile{hex.EncodeToString(sum[:]), f.Executable}
		if bytes.Contains(content, []byte("sys.exit(")) {
			entry.sum = ""
		}
		all[strings.TrimPrefix(f.Path, "/p/")] = entry
	}
	delete(all, "site-packages/pkg-1.0.dist-info/INSTALLER")
	delete(all, "site-packages/pkg-1.0.dist-info/RECORD")
	return all, nil
}

// reference returns the files that installer installs, in the same form.
func reference(t *testing.T, answer []byte) map[string]installedFile {
	t.Helper()
	var files map[string][2]any
	if err := json.Unmarshal(answer, &files); err != nil {
		t.Fatal(err)
	}
	directories := map[string]string{
		"purelib": "site-packages/", "platlib": "site-packages/", "scripts": "bin/", "data": "", "headers": "include/pkg/",
	}
	all := map[string]installedFile{}
	for path, f := range files {
		scheme, rest, _ := strings.Cut(path, "/")
		sum := f[0].(string)
		if strings.Contains(sum, ":") {
			sum = ""
		}
		all[directories[scheme]+rest] = installedFile{sum, f[1].(bool)}
	}
	return all
}
