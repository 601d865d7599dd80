package wheel

import (
	"archive/zip"
	"bytes"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func spec() Spec {
	return Spec{
		Project: "krabby_hal", Version: "0.1.0", Summary: "A client", License: "Apache-2.0",
		RequiresPython: ">=3.10", RequiresDist: []string{"numpy>=1.24", "pyzmq>=25"},
	}
}

func sources() []SourceFile {
	return []SourceFile{
		{"krabby_hal/wire.py", []byte("y = 2\n")},
		{"krabby_hal/py.typed", nil},
		{"krabby_hal/odd, name.txt", []byte("z")},
		{"krabby_hal/__init__.py", []byte("x = 1\n")},
	}
}

func write(t *testing.T, s Spec, files []SourceFile) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, s, files); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), spec().Filename())
	if err := os.WriteFile(path, write(t, spec(), sources()), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := Open(path) // Compares all files with RECORD.
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if w.Project() != "krabby-hal" || w.Metadata.Version.String() != "0.1.0" || w.Metadata.RequiresPython.String() != ">=3.10" ||
		len(w.Metadata.RequiresDist) != 2 || w.Metadata.RequiresDist[1].String() != "pyzmq>=25" {
		t.Errorf("metadata = %+v", w.Metadata)
	}
	if err := (Target{Python: "3.10", Architecture: "arm64", Glibc: "2.17"}).CheckTags(w.Filename); err != nil {
		t.Error(err)
	}
	files, err := w.Install(opt)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range files {
		found = append(found, f.Path)
	}
	if !slices.Contains(found, "/opt/python/site-packages/krabby_hal/py.typed") {
		t.Errorf("installed files %q", found)
	}
}

func TestWrite_reproducible(t *testing.T) {
	want := write(t, spec(), sources())
	files := sources()
	slices.Reverse(files)
	if got := write(t, spec(), files); !bytes.Equal(got, want) {
		t.Error("the order of the files changed the bytes")
	}
	z, err := zip.NewReader(bytes.NewReader(want), int64(len(want)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
		if f.Mode() != 0o644 || f.Modified.Year() != 1980 || f.ModifiedDate != 33 || f.ModifiedTime != 0 || f.Method != zip.Store || len(f.Extra) != 0 {
			t.Errorf("%s: %+v, want mode 0644, 1980-01-01, not compressed", f.Name, f.FileHeader)
		}
	}
	expected := []string{
		"krabby_hal/__init__.py", "krabby_hal/odd, name.txt", "krabby_hal/py.typed", "krabby_hal/wire.py",
		"krabby_hal-0.1.0.dist-info/METADATA", "krabby_hal-0.1.0.dist-info/WHEEL", "krabby_hal-0.1.0.dist-info/RECORD",
	}
	if !slices.Equal(names, expected) {
		t.Errorf("entries = %q, expected %q", names, expected)
	}
	contents := map[string]string{
		"METADATA": `Metadata-Version: 2.1
Name: krabby_hal
Version: 0.1.0
Summary: A client
License: Apache-2.0
Requires-Python: >=3.10
Requires-Dist: numpy>=1.24
Requires-Dist: pyzmq>=25
`,
		"WHEEL": "Wheel-Version: 1.0\nGenerator: krabby\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		"RECORD": `krabby_hal/__init__.py,sha256=nia_NpkRxFwkPGhBR7I_yeHc_PJX0pmhxjIBam_NM_Q,6
"krabby_hal/odd, name.txt",sha256=WU5RmuSZMSspQzt92Kl_8Gje_LqXVbbV0A6ExSTWewY,1
`,
	}
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		f, err := z.Open("krabby_hal-0.1.0.dist-info/" + name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err != nil || !strings.HasPrefix(string(got), contents[name]) {
			t.Errorf("%s, error %v, is\n%sexpected\n%s", name, err, got, contents[name])
		}
	}
}

func TestWrite_errors(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Spec)
		files  []SourceFile
		want   string
	}{
		"project in capitals":    {func(s *Spec) { s.Project = "Krabby" }, sources(), `invalid project "Krabby": expected lower case letters, digits and _`},
		"project with a hyphen":  {func(s *Spec) { s.Project = "krabby-hal" }, sources(), `invalid project "krabby-hal": expected lower case letters, digits and _`},
		"no version":             {func(s *Spec) { s.Version = "" }, sources(), `invalid version "": expected a version in the normal form of PEP 440`},
		"version not normalized": {func(s *Spec) { s.Version = "1.0-rc.1" }, sources(), `invalid version "1.0-rc.1": expected a version in the normal form of PEP 440`},
		"summary of two lines":   {func(s *Spec) { s.Summary = "a\nName: b" }, sources(), `invalid summary "a\nName: b": expected one line of text`},
		"no licence":             {func(s *Spec) { s.License = "" }, sources(), `invalid license "": expected one line of text`},
		"no Python":              {func(s *Spec) { s.RequiresPython = "" }, sources(), `invalid required Python "": expected a condition such as >=3.10`},
		"invalid requirement":    {func(s *Spec) { s.RequiresDist = []string{">=3"} }, sources(), `requirement ">=3": expected a project name`},
		"no files":               {func(*Spec) {}, nil, "no files for the wheel"},
		"duplicate file":         {func(*Spec) {}, append(sources(), sources()[0]), "krabby_hal/wire.py occurs twice"},
		"path leads out":         {func(*Spec) {}, []SourceFile{{"../a.py", nil}}, `path "../a.py" contains ".."`},
		"file in dist-info":      {func(*Spec) {}, []SourceFile{{"a-1.dist-info/METADATA", nil}}, "a-1.dist-info/METADATA: the directories *.dist-info and *.data are reserved"},
	} {
		s := spec()
		tt.change(&s)
		var b bytes.Buffer
		if err := Write(&b, s, tt.files); err == nil || !strings.HasPrefix(err.Error(), tt.want) || b.Len() != 0 {
			t.Errorf("%s: error %v and %d bytes, want %q and none", name, err, b.Len(), tt.want)
		}
	}
}
