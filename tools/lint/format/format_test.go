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

// formatters maps names of formatters to their functions.
var formatters = map[string]func(context.Context, string) error{
	"gofmt":      func(_ context.Context, root string) error { return Go(root) },
	"buildifier": Starlark,
	"gazelle":    BuildFiles,
}

func TestGo_repository(t *testing.T)         { checkRepository(t, "gofmt") }
func TestStarlark_repository(t *testing.T)   { checkRepository(t, "buildifier") }
func TestBuildFiles_repository(t *testing.T) { checkRepository(t, "gazelle") }

// requirePrograms skips tests of buildifier and gazelle, which are runfiles, under plain `go test`.
func requirePrograms(t *testing.T, formatter string) {
	t.Helper()
	if formatter != "gofmt" && buildifier == "" && os.Getenv("TEST_TARGET") == "" {
		t.Skip("buildifier and gazelle not found: run this test with Bazel")
	}
}

func TestWarnings_repository(t *testing.T) {
	requirePrograms(t, "buildifier")
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

// checkRepository fails if the formatter changes the repository.
func checkRepository(t *testing.T, formatter string) {
	requirePrograms(t, formatter)
	before := sources.Read(t)
	if diff := diff(t, formatter, before); diff != "" {
		t.Errorf("%s changes sources; to apply the changes: %s\n%s", formatter, Fix, diff)
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

// TestFormatters_change gives the formatters files that they must change, with the options of the tests of the repository.
func TestFormatters_change(t *testing.T) {
	const nested = "rules_oci/"
	for name, test := range map[string]struct {
		formatter, file, source string
		want                    string // A line of the diff, empty for no diff.
	}{
		"gofmt":                              {"gofmt", "a.go", "package a\nvar  x = 1\n", "+var x = 1"},
		"gofmt in the nested module":         {"gofmt", nested + "a.go", "package a\nvar  x = 1\n", "+var x = 1"},
		"gofmt in testdata":                  {"gofmt", "testdata/a.go", "package a\nvar  x = 1\n", ""},
		"buildifier, a BUILD file":           {"buildifier", "a/BUILD.bazel", "filegroup(name='a')\n", "+filegroup(name = \"a\")"},
		"buildifier, a module":               {"buildifier", nested + "MODULE.bazel", "module(name='a')\n", "+module(name = \"a\")"},
		"buildifier, an extension":           {"buildifier", nested + "a.bzl", "A=1\n", "+A = 1"},
		"buildifier, an external BUILD file": {"buildifier", "third_party/a/a.BUILD.bazel", "filegroup(name='a')\n", "+filegroup(name = \"a\")"},
		"gazelle, a new package":             {"gazelle", "a/a.go", "package a\n", "+    importpath = \"example.com/a/a\","},
		"gazelle, a new nested package":      {"gazelle", nested + "b/b.go", "package b\n", "+    importpath = \"example.com/nested/b\","},
		"gazelle, a dependency": {
			"gazelle", "a/a.go", "package a\n\nimport _ \"github.com/alecthomas/kong\"\n",
			"+    deps = [\"@com_github_alecthomas_kong//:kong\"],",
		},
	} {
		t.Run(name, func(t *testing.T) {
			requirePrograms(t, test.formatter)
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

func TestFormatters_invalidFile(t *testing.T) {
	for formatter, file := range map[string]string{"gofmt": "a.go", "buildifier": "a.bzl", "gazelle": "BUILD.bazel"} {
		t.Run(formatter, func(t *testing.T) {
			requirePrograms(t, formatter)
			root := t.TempDir()
			write(t, root, fstest.MapFS{
				file:                 {Data: []byte("((\n")},
				"rules_oci/keep.txt": {},
			})
			if err := formatters[formatter](t.Context(), root); err == nil || !strings.Contains(err.Error(), file) {
				t.Errorf("%s = %v, want an error with %s", formatter, err, file)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	requirePrograms(t, "buildifier")
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
