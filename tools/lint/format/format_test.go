package format

import (
	"context"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"krabby.dev/krabby/tools/lint/sources"
)

// A formatter, by what it is known as.
var formatters = map[string]func(context.Context, string) error{
	"gofmt":      func(_ context.Context, root string) error { return Go(root) },
	"buildifier": Starlark,
	"gazelle":    BuildFiles,
}

func TestGofmt(t *testing.T)      { unchanged(t, "gofmt") }
func TestBuildifier(t *testing.T) { unchanged(t, "buildifier") }
func TestGazelle(t *testing.T)    { unchanged(t, "gazelle") }

func TestBuildifierWarnings(t *testing.T) {
	root := t.TempDir()
	write(t, root, sources.Read(t))
	warnings, err := Warnings(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	for _, warning := range warnings {
		t.Error(warning)
	}
}

// unchanged fails if the formatter would change the repository.
func unchanged(t *testing.T, formatter string) {
	before := sources.Read(t)
	if diff := diff(t, formatter, before); diff != "" {
		t.Errorf("%s would change sources. To let it: %s\n%s", formatter, Fix, diff)
	}
}

func diff(t *testing.T, formatter string, before fs.FS) string {
	t.Helper()
	root := t.TempDir()
	write(t, root, before)
	if err := formatters[formatter](t.Context(), root); err != nil {
		t.Fatal(err)
	}
	diff, err := sources.Diff(before, os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	return diff
}

func write(t *testing.T, root string, tree fs.FS) {
	t.Helper()
	if err := os.CopyFS(root, tree); err != nil {
		t.Fatal(err)
	}
}

// What the formatters are asked here is what they must find in the repository.
func TestFormattersSeeFaults(t *testing.T) {
	const nested = "third_party/bazel/rules_oci/"
	for name, test := range map[string]struct {
		formatter, file, source string
		want                    string // a line of the diff, or empty if there must be none
	}{
		"gofmt":                         {"gofmt", "a.go", "package a\nvar  x = 1\n", "+var x = 1"},
		"gofmt in the nested module":    {"gofmt", nested + "a.go", "package a\nvar  x = 1\n", "+var x = 1"},
		"gofmt leaves testdata":         {"gofmt", "testdata/a.go", "package a\nvar  x = 1\n", ""},
		"buildifier, a BUILD file":      {"buildifier", "a/BUILD.bazel", "filegroup(name='a')\n", "+filegroup(name = \"a\")"},
		"buildifier, a module":          {"buildifier", nested + "MODULE.bazel", "module(name='a')\n", "+module(name = \"a\")"},
		"buildifier, an extension":      {"buildifier", nested + "a.bzl", "A=1\n", "+A = 1"},
		"buildifier, another's BUILD":   {"buildifier", "third_party/a/a.BUILD.bazel", "filegroup(name='a')\n", "+filegroup(name = \"a\")"},
		"gazelle, a new package":        {"gazelle", "a/a.go", "package a\n", "+    importpath = \"example.com/a/a\","},
		"gazelle, a new nested package": {"gazelle", nested + "b/b.go", "package b\n", "+    importpath = \"example.com/nested/b\","},
		"gazelle, a dependency": {
			"gazelle", "a/a.go", "package a\n\nimport _ \"github.com/alecthomas/kong\"\n",
			"+    deps = [\"@com_github_alecthomas_kong//:kong\"],",
		},
	} {
		t.Run(name, func(t *testing.T) {
			diff := diff(t, test.formatter, fstest.MapFS{
				"BUILD.bazel":          {Data: []byte("# gazelle:prefix example.com/a\n# gazelle:exclude third_party/bazel\n")},
				"good.go":              {Data: []byte("package good\n")},
				nested + "BUILD.bazel": {Data: []byte("# gazelle:prefix example.com/nested\n")},
				test.file:              {Data: []byte(test.source)},
			})
			if test.want == "" && diff != "" {
				t.Errorf("%s changes\n%s", test.formatter, diff)
			} else if !strings.Contains(diff, test.want) {
				t.Errorf("%s does not change %s to %q:\n%s", test.formatter, test.file, test.want, diff)
			}
		})
	}
}

func TestFormattersReportFilesThatTheyCannotRead(t *testing.T) {
	for formatter, file := range map[string]string{"gofmt": "a.go", "buildifier": "a.bzl", "gazelle": "BUILD.bazel"} {
		t.Run(formatter, func(t *testing.T) {
			root := t.TempDir()
			write(t, root, fstest.MapFS{
				file:                                   {Data: []byte("((\n")},
				"third_party/bazel/rules_oci/keep.txt": {},
			})
			if err := formatters[formatter](t.Context(), root); err == nil || !strings.Contains(err.Error(), file) {
				t.Errorf("%s = %v, want an error that names %s", formatter, err, file)
			}
		})
	}
}

func TestWarningsAreSeen(t *testing.T) {
	root := t.TempDir()
	write(t, root, fstest.MapFS{"a/a.bzl": {Data: []byte("\"\"\"A.\"\"\"\n\nload(\"//a:b.bzl\", \"unused\")\n")}})
	warnings, err := Warnings(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 1 || !strings.HasPrefix(warnings[0], "a/a.bzl:3: load: ") {
		t.Errorf("Warnings = %q, want one about the unused load in line 3", warnings)
	}
}
