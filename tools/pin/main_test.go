package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the test binary stand in for the package clients: it is on PATH
// under their names.
func TestMain(m *testing.M) {
	if fake, ok := fakes[filepath.Base(os.Args[0])]; ok {
		os.Exit(fake(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// machine is a workspace and the clients that are installed beside it.
type machine struct {
	t         *testing.T
	workspace string
	answers   string
}

func newMachine(t *testing.T, clients ...string) *machine {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, workspace: t.TempDir(), answers: t.TempDir()}
	path := t.TempDir()
	for _, c := range clients {
		if err := os.Symlink(self, filepath.Join(path, c)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", path)
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("DEBIAN_MIRROR", "")
	t.Setenv("FAKE_ANSWERS", m.answers)
	m.write(m.workspace, debLock, `{"packages": {}, "unpacked": {}}`)
	m.write(m.workspace, wheelLock, `{"wheels": {}}`)
	m.write(m.workspace, zedLock, `{"archives": {}}`)
	return m
}

func (m *machine) write(dir, name, content string) {
	m.t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) read(dir, name string) string {
	m.t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(data)
}

// pin runs the command and returns what it printed and the last line it said.
func (m *machine) pin(wantCode int, args ...string) (stdout, last string) {
	m.t.Helper()
	code, stdout, said := m.run(args...)
	if code != wantCode {
		m.t.Fatalf("pin %s: exit code %d, want %d; it said:\n%s", strings.Join(args, " "), code, wantCode, said)
	}
	left, globErr := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*"))
	if globErr != nil || len(left) > 0 {
		m.t.Errorf("pin %s left temporary files behind: %v %v", strings.Join(args, " "), left, globErr)
	}
	lines := strings.Split(strings.TrimSpace(said), "\n")
	return stdout, lines[len(lines)-1]
}

func (m *machine) run(args ...string) (code int, stdout, stderr string) {
	m.t.Helper()
	if len(args) > 0 && args[0] == "deb" {
		m.write(m.answers, "keyring", "")
		args = append([]string{"deb", "--keyring", filepath.Join(m.answers, "keyring")}, args[1:]...)
	}
	var out, err bytes.Buffer
	code = pin().Run(m.t.Context(), append([]string{"--workspace", m.workspace}, args...), &out, &err)
	return code, out.String(), err.String()
}

func TestWrongUseExitsWith2AndOneLine(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"", "expected one of"},
		{"deb --arch mips tzdata", "--arch must be one of"},
		{"deb Bad_Name", `"Bad_Name" is neither the name of a Debian package nor an unpacked entry`},
		{"deb -- -o=evil", `"-o=evil" is neither`},
		{"wheel new", "a new repository needs PROJECT, --platform and --build-file"},
		{"wheel Bad", "lower case letters, digits and underscores"},
		{"wheel x numpy>=2", "is not PROJECT or PROJECT==VERSION"},
		{"wheel x numpy --platform=Any", "is not a tag"},
		{"wheel x numpy --python=3", "is not a version such as 3.11"},
		{"wheel x numpy --build-file=BUILD", "is not a label"},
		{"wheel --platform=any", "belong to one REPOSITORY"},
		{"archive 4.0", `third_party/zed/lock.json has no archive "4.0"`},
		{"go latest", "is not a version of Go"},
		{"go 1.26.8 --platform=linux", "is not GOOS-GOARCH"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			m := newMachine(t, "apt-get", "apt-config", "python3", "go")
			code, _, said := m.run(strings.Fields(tc.args)...)
			if code != 2 {
				t.Errorf("exit code %d, want 2", code)
			}
			if strings.Count(said, "\n") != 1 || !strings.Contains(said, tc.want) {
				t.Errorf("said %q, want one line with %q", said, tc.want)
			}
		})
	}
}

func TestHelpNamesEveryCommand(t *testing.T) {
	out, _ := newMachine(t).pin(0, "--help")
	for _, want := range []string{"archive ", "base ", "deb ", "wheel ", "wheels ", "go <version>"} {
		if !strings.Contains(out, want) {
			t.Errorf("--help does not mention %q:\n%s", want, out)
		}
	}
}

func TestWorkspaceWithoutLocksIsWrongUse(t *testing.T) {
	m := newMachine(t, "apt-get", "apt-config")
	m.workspace = t.TempDir()
	if _, said := m.pin(2, "deb"); !strings.Contains(said, debLock+" is not there") {
		t.Errorf("said %q", said)
	}
}

func TestMissingClientSaysWhatToInstall(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"deb tzdata", "apt-get is not on PATH: Debian packages are pinned on a machine that has apt"},
		{"wheel x numpy --platform=any --build-file=//x:x", "python3 is not on PATH: wheels are fetched with 'python3 -m pip': install python3 and python3-pip"},
		{"go 1.26.8", "go is not on PATH: install any Go"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			if _, said := newMachine(t).pin(1, strings.Fields(tc.args)...); !strings.Contains(said, tc.want) {
				t.Errorf("said %q, want %q", said, tc.want)
			}
		})
	}
}

func TestGoPrintsThePins(t *testing.T) {
	m := newMachine(t, "go")
	m.write(m.answers, "toolchain.zip", "a Go SDK")
	answer, err := json.Marshal(map[string]string{"Zip": filepath.Join(m.answers, "toolchain.zip")})
	if err != nil {
		t.Fatal(err)
	}
	m.write(m.answers, "golang.org/toolchain@v0.0.1-go1.26.8.linux-amd64", string(answer))
	out, _ := m.pin(0, "go", "1.26.8")
	for _, want := range []string{
		`VERSION = "1.26.8"`,
		`"linux-amd64": "` + sha256Hex("a Go SDK") + `"`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("printed %q, want %q in it", out, want)
		}
	}
	if _, said := m.pin(1, "go", "1.26.9"); said != "pin go: golang.org/toolchain@v0.0.1-go1.26.9.linux-amd64: not found" {
		t.Errorf("said %q", said)
	}
}
