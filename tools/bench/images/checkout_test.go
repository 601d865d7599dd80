package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestFindLine(t *testing.T) {
	lines := []line{{"cmd/main.go", `"Runs`}, {"old/main.go", `"Runs`}}
	for name, test := range map[string]struct {
		files map[string]string
		want  line
		fails string
	}{
		"first":                  {files: map[string]string{"cmd/main.go": `x = "Runs a robot."`, "old/main.go": `x = "Runs a robot."`}, want: lines[0]},
		"second":                 {files: map[string]string{"old/main.go": `x = "Runs a robot."`}, want: lines[1]},
		"first without the line": {files: map[string]string{"cmd/main.go": "package main", "old/main.go": `x = "Runs a robot."`}, want: lines[1]},
		"none": {
			files: map[string]string{"old/main.go": "package main"},
			fails: `line to change not found: cmd/main.go: no such file; old/main.go: no line with "Runs: add one to tools/bench/images/checkout.go`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			tree := fstest.MapFS{}
			for path, content := range test.files {
				tree[path] = &fstest.MapFile{Data: []byte(content)}
			}
			got, err := findLine(tree, lines)
			if test.fails != "" {
				if err == nil || err.Error() != test.fails {
					t.Errorf("err = %v, want %q", err, test.fails)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("line %v, error %v, want %v", got, err, test.want)
			}
		})
	}
}

func TestFindLine_repository(t *testing.T) {
	for _, lines := range [][]line{programLines, leafLines} {
		if _, err := findLine(os.DirFS("../../.."), lines); err != nil {
			t.Error(err)
		}
	}
}

func TestHasConfig(t *testing.T) {
	for name, test := range map[string]struct {
		bazelrc string
		want    bool
	}{
		"config":                 {"build --x\ncommon:shallow --override_module=a=b\n", true},
		"config of another name": {"common:shallower --x\ncommon:upstream --x\n", false},
		"comment":                {"# common:shallow --x\n", false},
		"empty":                  {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, map[string]string{".bazelrc": test.bazelrc})
			if got, err := hasConfig(dir, "shallow"); err != nil || got != test.want {
				t.Errorf("%v, error %v, want %v", got, err, test.want)
			}
		})
	}
}

func TestCheckout_changes(t *testing.T) {
	program := line{"cmd/main.go", `"Runs`}
	files := map[string]string{program.file: "package main\n\nvar description = \"Runs a robot.\"\n", "MODULE.bazel": "module()\n"}
	c := &checkout{dir: t.TempDir(), originals: map[string][]byte{}}
	write(t, c.dir, files)
	read := func(path string) string {
		data, err := os.ReadFile(filepath.Join(c.dir, path))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	seen := map[string]bool{files[program.file]: true}
	for range 3 {
		if err := c.edit(program); err != nil {
			t.Fatal(err)
		}
		got := read(program.file)
		if seen[got] || strings.Count(got, "\n") != 3 || !strings.HasPrefix(got, "package main\n\nvar description = \"Runs ") || !strings.HasSuffix(got, " a robot.\"\n") {
			t.Errorf("content %q, want a new third line", got)
		}
		seen[got] = true
	}
	for _, text := range []string{"one", "two"} {
		if err := c.append("MODULE.bazel", text); err != nil {
			t.Fatal(err)
		}
	}
	if got := read("MODULE.bazel"); got != "module()\n\none\ntwo" {
		t.Errorf("MODULE.bazel is %q, want both texts at the end", got)
	}
	if err := c.append("absent", "x"); err == nil {
		t.Error("append to a file that does not exist: no error")
	}
	if err := c.restore(); err != nil {
		t.Fatal(err)
	}
	check(t, c.dir, files)
}

func TestExecutedTests(t *testing.T) {
	for output, want := range map[string]int64{
		"//a:a_test  PASSED in 0.1s\n\nExecuted 2 out of 117 tests: 117 tests pass.\n": 2,
		"Executed 0 out of 1 test: 1 test passes.\n":                                   0,
	} {
		if got, err := executedTests(output); err != nil || got != want {
			t.Errorf("executedTests(%q) = %d, %v, want %d", output, got, err, want)
		}
	}
	if _, err := executedTests("//a:a_test PASSED\n"); err == nil || !strings.Contains(err.Error(), "number of tests not found") {
		t.Errorf("err = %v, want that the number was not found", err)
	}
}

// fakeBazel is a launcher that logs its calls. Its image is a copy of the program's source, and its server is the test's process.
const fakeBazel = `#!/bin/sh
echo "$@" >>calls
case $1 in
info) echo %d ;;
test) cat tests ;;
build)
  mkdir -p bazel-bin/oci/locomotion
  [ -e frozen ] || cp cmd/locomotion/main.go bazel-bin/oci/locomotion/index.json
  for argument in "$@"; do
    case $argument in --disk_cache=*) mkdir "${argument#*=}" && echo x >"${argument#*=}/entry" ;; esac
  done
  ;;
esac
`

// openFake opens a checkout with fakeBazel. The result returns the calls since the last one.
func openFake(t *testing.T, bazelrc string) (c *checkout, calls func() []string) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, map[string]string{
		".bazelrc":           bazelrc,
		"tools/bazel":        fmt.Sprintf(fakeBazel, os.Getpid()),
		programLines[0].file: "x = " + programLines[0].text + ".\"\n",
		leafLines[0].file:    "x = " + leafLines[0].text + "\"\n",
		"tests":              "Executed 2 out of 3 tests: 3 tests pass.\n",
	})
	if err := os.Chmod(filepath.Join(dir, "tools/bazel"), 0o755); err != nil {
		t.Fatal(err)
	}
	c, err := openCheckout(t.Context(), dir, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	return c, func() []string {
		t.Helper()
		path := filepath.Join(dir, "calls")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	}
}

func TestCheckout_calls(t *testing.T) {
	for name, test := range map[string]struct{ bazelrc, flags string }{
		"config shallow":    {"common:shallow --override_module=a=b\n", "--noshow_progress --color=no --config=shallow"},
		"no config shallow": {"common --override_module=a=b\n", "--noshow_progress --color=no"},
	} {
		t.Run(name, func(t *testing.T) {
			c, calls := openFake(t, test.bazelrc)
			disk := filepath.Join(c.dir, "bazel-cold-cache")
			write(t, disk, map[string]string{"left": "by an interrupted run"})
			if _, err := c.editAndBuild(t.Context(), target); err != nil {
				t.Error(err)
			}
			if _, err := c.coldBuild(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(disk); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("disk cache: %v, want no such file", err)
			}
			if err := c.close(); err != nil {
				t.Error(err)
			}
			var want []string
			for _, call := range [][2]string{
				{"build", " //oci:locomotion"}, {"info", " server_pid"}, {"build", " //oci:locomotion"},
				{"clean", " --expunge"}, {"build", " --disk_cache=" + disk + " //oci:locomotion"}, {"info", " server_pid"}, {"shutdown", ""},
			} {
				want = append(want, call[0]+" "+test.flags+call[1])
			}
			if got := calls(); !slices.Equal(got, want) {
				t.Errorf("calls %q, want %q", got, want)
			}
		})
	}
}

func TestEditAndBuild_imageUnchanged(t *testing.T) {
	c, _ := openFake(t, "")
	write(t, c.dir, map[string]string{"frozen": "yes"})
	want := "cmd/locomotion/main.go has changed, but the image //oci:locomotion has not"
	if _, err := c.editAndBuild(t.Context(), target); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("err = %v, want %q in it", err, want)
	}
}

func TestEditAndTest(t *testing.T) {
	c, _ := openFake(t, "")
	if err := c.findLeaf(); err != nil {
		t.Fatal(err)
	}
	cost, tests, err := c.editAndTest(t.Context())
	if err != nil || tests != 2 || cost.Time <= 0 {
		t.Errorf("%d tests in %v, error %v, want 2 in more than 0", tests, cost.Time, err)
	}
	if data, err := os.ReadFile(filepath.Join(c.dir, leafLines[0].file)); err != nil || string(data) == string(c.originals[leafLines[0].file]) {
		t.Errorf("leaf package: content %q, error %v, want a changed line", data, err)
	}
	write(t, c.dir, map[string]string{"tests": "Executed 0 out of 3 tests: 3 tests pass.\n"})
	if _, _, err := c.editAndTest(t.Context()); err == nil || !strings.Contains(err.Error(), "compute/doctor/plot/plot.go has changed, but no test ran") {
		t.Errorf("err = %v, want that no test ran", err)
	}
}
