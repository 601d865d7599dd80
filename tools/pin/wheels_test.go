package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	armLock  = "third_party/python/arm.lock.json"
	appOne   = "App-1.0-py3-none-any.whl"
	appTwo   = "App-2.0-py3-none-any.whl"
	libWheel = "lib-1.5-cp311-cp311-manylinux_2_28_aarch64.whl"
)

const requirementsFile = `{
  "environments": {"arm": {"python": "3.11.2", "architecture": "arm64", "glibc": "2.35"}},
  "groups": {
    "runtime": {"requirements": ["App>=1", "never; sys_platform == 'win32'"]},
    "test": {"requirements": ["lib"]}
  }
}`

// indexed returns a machine whose index has an app and a library.
func indexed(t *testing.T) *index {
	x := newIndex(t)
	x.write(x.workspace, wheelRequirements, requirementsFile)
	x.add(appOne, "Requires-Dist: lib (>=1,<2)", "Requires-Dist: win; sys_platform == 'win32'")
	x.add(libWheel)
	return x
}

// requiring returns a machine with one environment and one group.
func requiring(t *testing.T, python, architecture string, requirements ...string) *index {
	x := newIndex(t)
	x.write(x.workspace, wheelRequirements, `{
		"environments": {"arm": {"python": "`+python+`", "architecture": "`+architecture+`", "glibc": "2.35"}},
		"groups": {"g": {"requirements": ["`+strings.Join(requirements, `", "`)+`"]}}
	}`)
	return x
}

func TestWheels(t *testing.T) {
	x := indexed(t)
	x.pin(0, "wheels")
	want := `{
  "wheels": {
    "app": {
      "filename": "` + appOne + `",
      "groups": [
        "runtime"
      ],
      "sha256": "` + x.sha256(appOne) + `",
      "version": "1.0"
    },
    "lib": {
      "filename": "` + libWheel + `",
      "groups": [
        "runtime",
        "test"
      ],
      "sha256": "` + x.sha256(libWheel) + `",
      "version": "1.5"
    }
  }
}
`
	if got := x.read(x.workspace, armLock); got != want {
		t.Errorf("lock file\n%s\nwant\n%s", got, want)
	}
	if out, last := x.pin(0, "wheels", "arm", "--check"); out != "" || !strings.HasSuffix(last, armLock+" is up to date") {
		t.Errorf("--check of a new lock file: output %q, last line %q", out, last)
	}
}

// TestWheels_markersOfTarget has cases in which the result for this machine, whatever it is, is wrong for one of the targets.
func TestWheels_markersOfTarget(t *testing.T) {
	for name, tc := range map[string]struct{ python, architecture, requirement, want string }{
		"older Python":        {"3.11.2", "arm64", "app", "app 1, dep 1"},
		"newer Python":        {"3.12.3", "arm64", "app", "app 1, dep 2"},
		"third number":        {"3.11.2", "arm64", "patch", "dep 1, patch 1"},
		"no third number":     {"3.11", "arm64", "patch", "dep 1, patch 1"},
		"later third number":  {"3.11.3", "arm64", "patch", "patch 1"},
		"other processor":     {"3.11.2", "arm64", "appb", "appb 1"},
		"processor":           {"3.11.2", "amd64", "appb", "appb 1, onlyx 1"},
		"marker of a root":    {"3.11.2", "arm64", "onlyx; platform_machine == 'x86_64'", ""},
		"extra of the target": {"3.12.3", "amd64", "appb[more]", "appb 1, dep 2, onlyx 1"},
	} {
		t.Run(name, func(t *testing.T) {
			x := requiring(t, tc.python, tc.architecture, tc.requirement)
			x.add("app-1-py3-none-any.whl", `Requires-Dist: dep==1; python_version<"3.12"`, `Requires-Dist: dep==2; python_version>="3.12"`)
			x.add("dep-1-py3-none-any.whl")
			x.add("dep-2-py3-none-any.whl")
			x.add("patch-1-py3-none-any.whl", `Requires-Dist: dep<2; python_full_version<"3.11.3"`)
			x.add("appb-1-py3-none-any.whl", `Requires-Dist: onlyx; platform_machine=="x86_64"`, "Provides-Extra: more",
				`Requires-Dist: dep; extra=="more" and python_version>="3.12"`)
			x.add("onlyx-1-py3-none-manylinux_2_17_x86_64.whl")
			x.links() // As PIP_NO_INDEX and PIP_FIND_LINKS do.
			x.pin(0, "wheels")
			if got := x.locked(); got != tc.want {
				t.Errorf("found %q, expected %q", got, tc.want)
			}
		})
	}
}

func TestWheels_upgrade(t *testing.T) {
	x := indexed(t)
	x.pin(0, "wheels")
	x.add(appTwo, "Requires-Dist: lib", "Requires-Dist: new>=1; platform_machine == 'aarch64'")
	x.add("new-1-py3-none-any.whl")
	x.pin(0, "wheels", "--check")
	out := x.fails(1, armLock+" is out of date: run the command without --check", "wheels", "--check", "--upgrade")
	if !strings.Contains(out, "- wheels app: version \"1.0\"\n+ wheels app: version \"2.0\"\n") || !strings.Contains(out, "+ wheels new: groups [\"runtime\"]\n") {
		t.Errorf("output\n%s", out)
	}
	x.pin(0, "wheels", "--upgrade")
	if got := x.locked(); got != "app 2.0, lib 1.5, new 1" {
		t.Errorf("lock file after --upgrade: %s", got)
	}
}

func TestWheels_lockedVersionExcluded(t *testing.T) {
	x := indexed(t)
	x.pin(0, "wheels")
	x.add("lib-1.6-py3-none-any.whl")
	x.add(appTwo, "Requires-Dist: lib")
	x.write(x.workspace, wheelRequirements, strings.Replace(requirementsFile, "App>=1", "App>=1,!=1.0", 1))
	x.pin(0, "wheels")
	if got := x.locked(); got != "app 2.0, lib 1.5" {
		t.Errorf("found %s, expected the new app and the locked lib", got)
	}
}

func TestWheels_unchangedIsNotWritten(t *testing.T) {
	x := indexed(t)
	x.pin(0, "wheels")
	path := filepath.Join(x.workspace, armLock)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	// A better wheel of a locked release changes nothing either.
	x.add("lib-1.5-cp311-cp311-manylinux_2_35_aarch64.whl")
	x.pin(0, "wheels")
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		t.Errorf("the unchanged lock file was written: %v", err)
	}
}

func TestWheels_bestWheel(t *testing.T) {
	x := requiring(t, "3.11.2", "arm64", "p")
	for _, name := range []string{
		"p-1-py3-none-any.whl", "p-1-cp310-abi3-manylinux2014_aarch64.whl", "p-1-cp311-cp311-manylinux_2_17_aarch64.whl",
		"p-1-cp311-cp311-manylinux_2_28_aarch64.whl", "p-1-cp311-cp311-manylinux_2_39_aarch64.whl", "p-1-cp312-cp312-manylinux_2_28_aarch64.whl",
		"p-1-cp311-cp311-manylinux_2_28_x86_64.whl", "p-1-cp311-cp311-musllinux_1_2_aarch64.whl",
	} {
		x.add(name)
	}
	x.pin(0, "wheels")
	if got, want := x.read(x.workspace, armLock), `"filename": "p-1-cp311-cp311-manylinux_2_28_aarch64.whl"`; !strings.Contains(got, want) {
		t.Errorf("lock file %s\nwant %s in it", got, want)
	}
}

func TestWheels_noAddresses(t *testing.T) {
	x := indexed(t)
	x.bare = true // uv computes hashes that the index does not have.
	x.pin(0, "wheels")
	got := x.read(x.workspace, armLock)
	if strings.Contains(got, "http") || strings.Contains(got, "127.0.0.1") || !strings.Contains(got, x.sha256(libWheel)) {
		t.Errorf("lock file\n%s\nwant the hash of %s and no address", got, libWheel)
	}
	x.links()
	if out, _ := x.pin(0, "wheels", "--check", "--upgrade"); out != "" {
		t.Errorf("the lock file depends on the kind of index:\n%s", out)
	}
}

func TestWheels_newestHasNoWheel(t *testing.T) {
	const tail = "is not the newest release: no newer one has a wheel for Python 3.11.2 on aarch64 with glibc 2.35 ("
	for name, tc := range map[string]struct{ file, requirement, want string }{
		"newer glibc":                  {"old-3-cp311-cp311-manylinux_2_39_aarch64.whl", "old", "old 2 " + tail + "Wheels are available for `old` (v3) on the following platform: `manylinux_2_39_aarch64`)"},
		"newer Python":                 {"old-3-cp312-cp312-manylinux_2_28_aarch64.whl", "old", "old 2 " + tail + "3 has no such wheel)"},
		"source distribution":          {"old-3.tar.gz", "old", "old 2 " + tail + "3 has no such wheel)"},
		"excluded by the requirements": {"old-3.tar.gz", "old<3", ""},
		"excluded by another wheel":    {"old-3.tar.gz", "limits", ""},
		"pre-release":                  {"old-3rc1.tar.gz", "old", ""},
		"yanked":                       {"old-3-py3-none-any.whl", "old", ""},
	} {
		t.Run(name, func(t *testing.T) {
			x := requiring(t, "3.11.2", "arm64", tc.requirement)
			x.add("old-2-py3-none-any.whl")
			x.add("limits-1-py3-none-any.whl", "Requires-Dist: old<3")
			if strings.HasSuffix(tc.file, ".whl") {
				x.add(tc.file)
			} else {
				x.files[tc.file] = []byte("no archive: nothing may open it")
			}
			if name == "yanked" {
				x.yanked[tc.file], x.yanked["old-3.tar.gz"] = "broken", "broken"
				x.files["old-3.tar.gz"] = []byte("no archive: nothing may open it")
			}
			code, _, stderr := x.run("wheels")
			if code != 0 || !strings.Contains(x.locked(), "old 2") {
				t.Fatalf("exit code %d, lock file %s, expected old 2; standard error:\n%s", code, x.locked(), stderr)
			}
			if warned := strings.Contains(stderr, "warning"); warned != (tc.want != "") || !strings.Contains(stderr, tc.want) {
				t.Errorf("standard error:\n%s\nwant a warning with %q", stderr, tc.want)
			}
			if _, _, stderr := x.run("wheels"); strings.Contains(stderr, "warning") {
				t.Errorf("warning about a locked version:\n%s", stderr)
			}
		})
	}
}

func TestWheels_refusal(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(x *index)
		want   string
	}{
		"unresolvable": {func(x *index) { x.add(libWheel, "Requires-Dist: app>=7") },
			"arm: resolving for Python 3.11.2 on aarch64 with glibc 2.35: uv: No solution found when resolving dependencies: Because"},
		"missing project":     {func(x *index) { delete(x.files, libWheel) }, "lib was not found in the package registry"},
		"index out of reach":  {func(x *index) { x.server.Close() }, "Connection refused"},
		"locked and yanked":   {func(x *index) { x.yanked[libWheel] = "broken" }, "arm: `lib==1.5` is yanked (reason: \"broken\"): its publisher has withdrawn this release; require another version, or drop a locked version with --upgrade"},
		"content has changed": {func(x *index) { x.add(libWheel, "Summary: another") }, "arm: " + libWheel + ": the content has changed: expected sha256 "},
	} {
		t.Run(name, func(t *testing.T) {
			x := indexed(t)
			x.pin(0, "wheels")
			t.Setenv("UV_HTTP_RETRIES", "0")
			tc.change(x)
			x.fails(1, tc.want, "wheels")
		})
	}
}

func TestWheels_upgradeOfYanked(t *testing.T) {
	x := indexed(t)
	x.pin(0, "wheels")
	x.yanked[libWheel] = "broken"
	x.add("lib-1.4-py3-none-any.whl")
	x.pin(0, "wheels", "--upgrade")
	if got := x.locked(); got != "app 1.0, lib 1.4" {
		t.Errorf("found %s, expected the lib that is not yanked", got)
	}
}

func TestWheels_requiredVersionYanked(t *testing.T) {
	x := requiring(t, "3.11.2", "arm64", "lib==1.5")
	x.add(libWheel)
	x.yanked[libWheel] = "broken"
	x.fails(1, "`lib==1.5` is yanked", "wheels")
}

func TestWheels_invalidRequirements(t *testing.T) {
	for name, tc := range map[string]struct {
		old, new, want string
		code           int
	}{
		"no environment":     {`"arm": {"python": "3.11.2", "architecture": "arm64", "glibc": "2.35"}`, "", "\"arm\" not found in environments of", 2},
		"no glibc":           {"glibc", "libc", "arm: field \"glibc\": missing", 1},
		"one number":         {"3.11.2", "3", "invalid Python version \"3\"", 1},
		"unknown glibc":      {"2.35", "2.30", "glibc 2.30: expected one of 2.17, 2.28, 2.31", 1},
		"no project":         {"App>=1", ">=1", "runtime: requirement \">=1\"", 1},
		"option of the tool": {"App>=1", "--index-url=http://other.test", "runtime: requirement \"--index-url", 1},
	} {
		t.Run(name, func(t *testing.T) {
			x := indexed(t)
			x.write(x.workspace, wheelRequirements, strings.Replace(requirementsFile, tc.old, tc.new, 1))
			x.fails(tc.code, tc.want, "wheels", "arm")
		})
	}
}

// locked returns the projects of the lock file and their versions.
func (x *index) locked() string {
	x.t.Helper()
	f, err := (&flags{Workspace: x.workspace}).readLock(armLock)
	if err != nil {
		x.t.Fatal(err)
	}
	var all []string
	for _, project := range f.Names(wheels) {
		entry, _ := f.Entry(wheels, project)
		all = append(all, project+" "+entry["version"].(string))
	}
	return strings.Join(all, ", ")
}
