package main

import (
	"os"
	"strings"
	"testing"

	"krabby.dev/krabby/tools/layer/wheel/wheeltest"
)

const (
	armLock  = "third_party/python/arm.lock.json"
	appOne   = "App-1.0-py3-none-any.whl"
	appTwo   = "App-2.0-py3-none-any.whl"
	libWheel = "lib-1.5-cp311-cp311-manylinux_2_28_aarch64.whl"
	winWheel = "win-1-py3-none-any.whl"
	newWheel = "new-1-py3-none-any.whl"
	badWheel = "lib-1.5-cp311-cp311-manylinux_2_39_aarch64.whl"
)

const requirementsFile = `{
  "environments": {"arm": {"python": "3.11", "architecture": "arm64", "glibc": "2.35"}},
  "groups": {
    "runtime": {"requirements": ["App>=1", "never; sys_platform == 'win32'"]},
    "test": {"requirements": ["lib"]}
  }
}`

// indexed returns a machine whose pip evaluates markers for another platform, so its wheels include a superfluous one and lack a
// needed one.
func indexed(t *testing.T) *machine {
	m := newMachine(t, "python3")
	m.write(m.workspace, wheelRequirements, requirementsFile)
	for name, fields := range map[string][]string{
		appOne:   {"Requires-Dist: lib (>=1,<2)", "Requires-Dist: win; sys_platform == 'win32'"},
		appTwo:   {"Requires-Dist: lib", "Requires-Dist: new>=1; platform_machine == 'aarch64'"},
		libWheel: nil, badWheel: nil, winWheel: nil, newWheel: nil,
	} {
		data, err := os.ReadFile(wheeltest.Write(t, name, fields))
		if err != nil {
			t.Fatal(err)
		}
		m.write(m.answers, "wheels/"+name, string(data))
	}
	m.write(m.answers, "resolve", strings.Join([]string{
		"app>=1 lib / => " + appOne + " " + libWheel + " " + winWheel,
		"app>=1 lib / app==1.0 lib==1.5 => " + appOne + " " + libWheel + " " + winWheel,
		"",
	}, "\n"))
	return m
}

func TestWheels(t *testing.T) {
	m := indexed(t)
	m.pin(0, "wheels")
	want := `{
  "wheels": {
    "app": {
      "filename": "` + appOne + `",
      "groups": [
        "runtime"
      ],
      "sha256": "` + sha256Hex(m.read(m.answers, "wheels/"+appOne)) + `",
      "version": "1.0"
    },
    "lib": {
      "filename": "` + libWheel + `",
      "groups": [
        "runtime",
        "test"
      ],
      "sha256": "` + sha256Hex(m.read(m.answers, "wheels/"+libWheel)) + `",
      "version": "1.5"
    }
  }
}
`
	if got := m.read(m.workspace, armLock); got != want {
		t.Errorf("lock file\n%s\nwant\n%s", got, want)
	}
	if out, last := m.pin(0, "wheels", "arm", "--check"); out != "" || !strings.HasSuffix(last, armLock+" is up to date") {
		t.Errorf("--check of a new lock file: output %q, last line %q", out, last)
	}
}

func TestWheels_upgrade(t *testing.T) {
	m := indexed(t)
	m.pin(0, "wheels")
	m.write(m.answers, "resolve", strings.Join([]string{
		"app>=1 lib / app==1.0 lib==1.5 => " + appOne + " " + libWheel,
		"app>=1 lib / => " + appTwo + " " + libWheel,
		"app>=1 lib new>=1 / => " + appTwo + " " + libWheel + " " + newWheel,
		"",
	}, "\n"))
	m.pin(0, "wheels", "--check")
	out := m.fails(1, armLock+" is out of date: run the command without --check", "wheels", "--check", "--upgrade")
	if !strings.Contains(out, "- wheels app: version \"1.0\"\n+ wheels app: version \"2.0\"\n") || !strings.Contains(out, "+ wheels new: groups [\"runtime\"]\n") {
		t.Errorf("output\n%s", out)
	}
	m.pin(0, "wheels", "--upgrade")
	if got := m.read(m.workspace, armLock); !strings.Contains(got, appTwo) || !strings.Contains(got, newWheel) {
		t.Errorf("lock file after --upgrade\n%s", got)
	}
}

func TestWheels_lockedVersionExcluded(t *testing.T) {
	m := indexed(t)
	m.pin(0, "wheels")
	m.write(m.workspace, wheelRequirements, strings.Replace(requirementsFile, "App>=1", "App>=1,!=1.0", 1))
	m.write(m.answers, "resolve", "app>=1,!=1.0 lib / lib==1.5 => "+appTwo+" "+libWheel+" "+newWheel+"\n"+
		"app>=1,!=1.0 lib new>=1 / lib==1.5 => "+appTwo+" "+libWheel+" "+newWheel+"\n")
	m.pin(0, "wheels")
	if got := m.read(m.workspace, armLock); !strings.Contains(got, appTwo) {
		t.Errorf("lock file\n%s", got)
	}
	m.write(m.answers, "resolve", "")
	m.fails(1, "(--upgrade ignores the locked versions)", "wheels")
}

func TestWheels_failure(t *testing.T) {
	for name, tc := range map[string]struct {
		resolve, requirements, want string
		code                        int
	}{
		"empty index":    {"", requirementsFile, "arm: pip download app>=1 lib for Python 3.11: python3: No matching distribution found", 1},
		"missing wheel":  {"app>=1 lib / => " + appOne + "\napp>=1 lib lib>=1,<2 / => " + appOne, requirementsFile, "arm: group test requires lib: no wheel of lib found", 1},
		"wrong tag":      {"app>=1 lib / => " + appOne + " " + badWheel, requirementsFile, "manylinux_2_39_aarch64 requires glibc 2.39", 1},
		"no environment": {"", `{"environments": {}, "groups": {}}`, "\"arm\" not found in environments of", 2},
		"no glibc":       {"", strings.Replace(requirementsFile, "glibc", "libc", 1), "arm: field \"glibc\": missing", 1},
		"no requirement": {"", strings.Replace(requirementsFile, "App>=1", ">=1", 1), "runtime: requirement \">=1\"", 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := indexed(t)
			m.write(m.answers, "resolve", tc.resolve+"\n")
			m.write(m.workspace, wheelRequirements, tc.requirements)
			m.fails(tc.code, tc.want, "wheels", "arm")
		})
	}
}
