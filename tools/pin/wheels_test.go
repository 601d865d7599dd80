package main

import (
	"os"
	"path/filepath"
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

// indexed is a machine with wheels: pip there thinks of another platform, and
// so brings one wheel too many and one too few.
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

func TestWheelsPinsWhatIsNeededThere(t *testing.T) {
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
		t.Errorf("the lock is\n%s\nwant\n%s", got, want)
	}
	if out, said := m.pin(0, "wheels", "arm", "--check"); out != "" || !strings.HasSuffix(said, armLock+" is up to date") {
		t.Errorf("--check of a fresh lock printed %q and said %q", out, said)
	}
}

func TestWheelsStaysAtLockedVersionsUntilUpgrade(t *testing.T) {
	m := indexed(t)
	m.pin(0, "wheels")
	before := m.read(m.workspace, armLock)
	m.write(m.answers, "resolve", strings.Join([]string{
		"app>=1 lib / app==1.0 lib==1.5 => " + appOne + " " + libWheel,
		"app>=1 lib / => " + appTwo + " " + libWheel,
		"app>=1 lib new>=1 / => " + appTwo + " " + libWheel + " " + newWheel,
		"",
	}, "\n"))
	m.pin(0, "wheels", "--check")
	out, said := m.pin(1, "wheels", "--check", "--upgrade")
	if !strings.Contains(out, "- wheels app: version \"1.0\"\n+ wheels app: version \"2.0\"\n") || !strings.Contains(out, "+ wheels new: groups [\"runtime\"]\n") {
		t.Errorf("printed\n%s", out)
	}
	if !strings.HasSuffix(said, armLock+" would change: run the same without --check") {
		t.Errorf("said %q", said)
	}
	if m.read(m.workspace, armLock) != before {
		t.Error("--check changed the lock")
	}
	m.pin(0, "wheels", "--upgrade")
	if got := m.read(m.workspace, armLock); !strings.Contains(got, appTwo) || !strings.Contains(got, newWheel) {
		t.Errorf("after --upgrade the lock is\n%s", got)
	}
}

func TestWheelsLeavesLockedVersionsThatAreExcludedNow(t *testing.T) {
	m := indexed(t)
	m.pin(0, "wheels")
	m.write(m.workspace, wheelRequirements, strings.Replace(requirementsFile, "App>=1", "App>=1,!=1.0", 1))
	m.write(m.answers, "resolve", "app>=1,!=1.0 lib / lib==1.5 => "+appTwo+" "+libWheel+" "+newWheel+"\n"+
		"app>=1,!=1.0 lib new>=1 / lib==1.5 => "+appTwo+" "+libWheel+" "+newWheel+"\n")
	m.pin(0, "wheels")
	if got := m.read(m.workspace, armLock); !strings.Contains(got, appTwo) {
		t.Errorf("the lock is\n%s", got)
	}
	m.write(m.answers, "resolve", "")
	if _, said := m.pin(1, "wheels"); !strings.HasSuffix(said, "(if locked versions are in the way: --upgrade)") {
		t.Errorf("said %q", said)
	}
}

func TestWheelsFailureLeavesTheLockAlone(t *testing.T) {
	for what, tc := range map[string]struct {
		resolve, requirements, want string
		code                        int
	}{
		"nothing is there":      {"", requirementsFile, "arm: pip download app>=1 lib for Python 3.11: python3: No matching distribution found", 1},
		"what is missing stays": {"app>=1 lib / => " + appOne + "\napp>=1 lib lib>=1,<2 / => " + appOne, requirementsFile, "arm: the group test requires lib: found no wheel of lib", 1},
		"wrong tag":             {"app>=1 lib / => " + appOne + " " + badWheel, requirementsFile, "manylinux_2_39_aarch64 needs glibc 2.39", 1},
		"no environment":        {"", `{"environments": {}, "groups": {}}`, "\"arm\" is no environment of", 2},
		"no glibc":              {"", strings.Replace(requirementsFile, "glibc", "libc", 1), "arm: its field \"glibc\" is missing", 1},
		"no requirement":        {"", strings.Replace(requirementsFile, "App>=1", ">=1", 1), "runtime: requirement \">=1\"", 1},
	} {
		t.Run(what, func(t *testing.T) {
			m := indexed(t)
			m.write(m.answers, "resolve", tc.resolve+"\n")
			m.write(m.workspace, wheelRequirements, tc.requirements)
			if _, said := m.pin(tc.code, "wheels", "arm"); !strings.Contains(said, tc.want) {
				t.Errorf("said %q, want %q", said, tc.want)
			}
			if _, err := os.Stat(filepath.Join(m.workspace, armLock)); err == nil {
				t.Error("a lock was written")
			}
		})
	}
}
