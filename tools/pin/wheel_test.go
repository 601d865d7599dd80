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
func python(t *testing.T) *machine {
	m := newMachine(t, "python3")
	m.write(m.workspace, wheelLock, wheelLockBefore)
	m.write(m.answers, "index", strings.Join([]string{
		"My.Project==1.0 any " + wheelOld,
		"my-project manylinux_2_28_aarch64 " + wheelNew,
		"other any other_thing-1.0-py3-none-any.whl",
		"two any " + wheelOld + " " + wheelNew,
		"none any",
		"odd any odd.whl",
		"",
	}, "\n"))
	return m
}

func TestWheel(t *testing.T) {
	m := python(t)
	m.pin(0, "wheel")
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
      "sha256": "` + sha256Hex(wheelOld) + `",
      "version": "1.0"
    }
  }
}
`
	if got := m.read(m.workspace, wheelLock); got != want {
		t.Errorf("lock file\n%s\nwant\n%s", got, want)
	}
	m.pin(0, "wheel", "mine", "--check")
}

func TestWheel_newRepository(t *testing.T) {
	m := python(t)
	out, _ := m.pin(0, "wheel", "new", "my-project", "--platform=manylinux_2_28_aarch64", "--build-file=//x:new.BUILD.bazel")
	want := strings.Join([]string{
		`+ wheels new: build_file "//x:new.BUILD.bazel"`,
		`+ wheels new: filename "` + wheelNew + `"`,
		`+ wheels new: platforms ["manylinux_2_28_aarch64"]`,
		`+ wheels new: project "my-project"`,
		`+ wheels new: python "3.11"`,
		`+ wheels new: sha256 "` + sha256Hex(wheelNew) + `"`,
		`+ wheels new: version "1.1"`,
		"",
	}, "\n")
	if out != want {
		t.Errorf("output\n%s\nwant\n%s", out, want)
	}
}

func TestWheelCheck(t *testing.T) {
	m := python(t)
	out := m.fails(1, "is out of date", "wheel", "mine", "my-project", "--platform=manylinux_2_28_aarch64", "--check")
	if want := "- wheels mine: version \"1.0\"\n+ wheels mine: version \"1.1\"\n"; !strings.Contains(out, want) {
		t.Errorf("output\n%s\nwant in it\n%s", out, want)
	}
}

func TestWheel_failure(t *testing.T) {
	for _, tc := range []struct{ requirement, want string }{
		{"absent==3", "mine: pip download absent==3 for Python 3.12 on any: python3: No matching distribution found for absent==3"},
		{"other", "found other_thing-1.0-py3-none-any.whl, expected a wheel of other"},
		{"two", "found 2 wheels, expected 1"},
		{"odd", `"odd.whl" is not the name of a wheel`},
	} {
		t.Run(tc.requirement, func(t *testing.T) {
			python(t).fails(1, tc.want, "wheel", "mine", tc.requirement)
		})
	}
}

func TestWheel_noPip(t *testing.T) {
	m := python(t)
	m.write(m.answers, "no-pip", "yes")
	m.fails(1, "No module named pip: install python3-pip", "wheel", "mine")
}
