package main

import (
	"strings"
	"testing"
)

const (
	wheelOld = "my_project-1.0-py3-none-any.whl"
	wheelNew = "my_project-1.1-2-cp311-cp311-manylinux_2_28_aarch64.whl"
)

const wheelLockBefore = `{"wheels": {"mine": {
  "build_file": "//x:x.BUILD.bazel",
  "executables": ["bin/x"],
  "platforms": ["any"],
  "project": "My.Project",
  "python": "3.12",
  "version": "1.0"
}}}`

// python returns a machine whose index has two versions of a project.
func python(t *testing.T) *index {
	x := newIndex(t)
	x.write(x.workspace, wheelLock, wheelLockBefore)
	x.add(wheelOld, "Requires-Dist: absent")
	x.add(wheelNew)
	return x
}

func TestWheel(t *testing.T) {
	x := python(t)
	x.pin(0, "wheel")
	want := `{
  "wheels": {
    "mine": {
      "build_file": "//x:x.BUILD.bazel",
      "executables": [
        "bin/x"
      ],
      "filename": "` + wheelOld + `",
      "platforms": [
        "any"
      ],
      "project": "My.Project",
      "python": "3.12",
      "sha256": "` + x.sha256(wheelOld) + `",
      "version": "1.0"
    }
  }
}
`
	if got := x.read(x.workspace, wheelLock); got != want {
		t.Errorf("lock file\n%s\nwant\n%s", got, want)
	}
	x.pin(0, "wheel", "mine", "--check")
}

func TestWheel_newRepository(t *testing.T) {
	x := python(t)
	out, _ := x.pin(0, "wheel", "new", "my-project", "--platform=manylinux_2_28_aarch64", "--build-file=//x:new.BUILD.bazel")
	want := strings.Join([]string{
		`+ wheels new: build_file "//x:new.BUILD.bazel"`,
		`+ wheels new: filename "` + wheelNew + `"`,
		`+ wheels new: platforms ["manylinux_2_28_aarch64"]`,
		`+ wheels new: project "my-project"`,
		`+ wheels new: python "3.11"`,
		`+ wheels new: sha256 "` + x.sha256(wheelNew) + `"`,
		`+ wheels new: version "1.1"`,
		"",
	}, "\n")
	if out != want {
		t.Errorf("output\n%s\nwant\n%s", out, want)
	}
}

func TestWheelCheck(t *testing.T) {
	x := python(t)
	out := x.fails(1, "is out of date", "wheel", "mine", "my-project", "--platform=manylinux_2_28_aarch64", "--python=3.11", "--check")
	if want := "- wheels mine: version \"1.0\"\n+ wheels mine: version \"1.1\"\n"; !strings.Contains(out, want) {
		t.Errorf("output\n%s\nwant in it\n%s", out, want)
	}
}

func TestWheel_newestHasNoWheel(t *testing.T) {
	x := python(t)
	_, _, stderr := x.run("wheel", "mine", "my-project")
	if want := "warning: my-project 1.0 is not the newest release"; !strings.Contains(stderr, want) {
		t.Errorf("standard error:\n%s\nwant %q in it", stderr, want)
	}
}

func TestWheel_refusal(t *testing.T) {
	for name, tc := range map[string]struct{ args, want string }{
		"no project":          {"mine absent==3", "mine: resolving for Python 3.12 on x86_64 with glibc 2.17: uv: No solution found when resolving dependencies: Because absent was not found"},
		"no version":          {"mine my-project==3", "there is no version of my-project==3"},
		"other platform":      {"mine my-project==1.0 --platform=manylinux_2_28_aarch64", "mine: platforms manylinux_2_28_aarch64: my-project 1.0: no wheel for Python 3.12 on aarch64 with glibc 2.28 found"},
		"two architectures":   {"mine my-project --platform=manylinux_2_28_aarch64 --platform=manylinux_2_28_x86_64", "expected tags of one architecture"},
		"unknown platform":    {"mine my-project --platform=win_amd64", "platforms win_amd64: expected tags of one architecture such as manylinux_2_28_aarch64, or any"},
		"yanked":              {"mine yanked==1", "`yanked==1` is yanked"},
		"content has changed": {"mine changed==1", "changed-1-py3-none-any.whl: the content has changed"},
	} {
		t.Run(name, func(t *testing.T) {
			x := python(t)
			x.add("yanked-1-py3-none-any.whl")
			x.yanked["yanked-1-py3-none-any.whl"] = ""
			x.add("changed-1-py3-none-any.whl")
			if name == "content has changed" {
				x.pin(0, "wheel", "mine", "changed==1")
				x.add("changed-1-py3-none-any.whl", "Summary: another")
			}
			x.fails(1, tc.want, append([]string{"wheel"}, strings.Fields(tc.args)...)...)
		})
	}
}

func TestWheel_noPip(t *testing.T) {
	x := python(t)
	x.write(x.answers, "no-pip", "yes")
	x.fails(1, "No module named pip: install python3-pip", "wheel", "mine")
}

func TestWheel_plainGo(t *testing.T) {
	if pinnedUV != "" {
		t.Skip("Bazel builds pin with uv")
	}
	m := newMachine(t, "python3")
	m.write(m.workspace, wheelLock, wheelLockBefore)
	m.fails(2, "plain go builds pin without uv", "wheel", "mine")
}
