package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the test binary play the package clients: PATH has links to it under their names.
func TestMain(m *testing.M) {
	if fake, ok := fakes[filepath.Base(os.Args[0])]; ok {
		os.Exit(fake(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// machine is a workspace and a PATH with some package clients.
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
	t.Setenv("HOME", t.TempDir())
	t.Setenv("DEBIAN_MIRROR", "")
	clearPrograms(t)
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

// pin runs the command and returns its standard output and the last line of standard error.
func (m *machine) pin(wantCode int, args ...string) (stdout, last string) {
	m.t.Helper()
	code, stdout, stderr := m.run(args...)
	if code != wantCode {
		m.t.Fatalf("pin %s: exit code %d, want %d; standard error:\n%s", strings.Join(args, " "), code, wantCode, stderr)
	}
	left, globErr := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*"))
	if globErr != nil || len(left) > 0 {
		m.t.Errorf("pin %s left temporary files: %v %v", strings.Join(args, " "), left, globErr)
	}
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	return stdout, lines[len(lines)-1]
}

// fails runs the command, which must exit with wantCode, print an error that contains want and leave every file of the workspace
// as it is. It returns the standard output.
func (m *machine) fails(wantCode int, want string, args ...string) (stdout string) {
	m.t.Helper()
	before := m.files()
	stdout, last := m.pin(wantCode, args...)
	if !strings.Contains(last, want) {
		m.t.Errorf("pin %s: error %q, want %q in it", strings.Join(args, " "), last, want)
	}
	if after := m.files(); after != before {
		m.t.Errorf("pin %s changed the workspace from\n%s\nto\n%s", strings.Join(args, " "), before, after)
	}
	return stdout
}

// files returns the names and contents of all files of the workspace.
func (m *machine) files() string {
	m.t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(m.workspace, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			b.WriteString(path + "\n" + m.read("", path) + "\n")
		}
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return b.String()
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

func TestUsage(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"", "expected one of"},
		{"deb --arch mips tzdata", "--arch must be one of"},
		{"deb Bad_Name", `invalid name "Bad_Name": expected a Debian package or an unpacked entry`},
		{"deb -- -o=evil", `invalid name "-o=evil"`},
		{"wheel new", "a new repository requires PROJECT, --platform and --build-file"},
		{"wheel Bad", "expected lower case letters, digits and underscores"},
		{"wheel x numpy>=2", "expected PROJECT or PROJECT==VERSION"},
		{"wheel x numpy --platform=Any", `invalid --platform "Any": expected a tag`},
		{"wheel x numpy --python=3", `invalid --python "3": expected a version such as 3.11`},
		{"wheel x numpy --build-file=BUILD", `invalid --build-file "BUILD": expected a label`},
		{"wheel --platform=any", "require REPOSITORY"},
		{"archive 4.0", `"4.0" not found in archives of third_party/zed/lock.json`},
		{"go latest", `invalid Go version "latest"`},
		{"go 1.26.8 --platform=linux", `invalid --platform "linux": expected GOOS-GOARCH`},
	} {
		t.Run(tc.args, func(t *testing.T) {
			m := newMachine(t, "apt-get", "apt-config", "python3", "go")
			code, _, stderr := m.run(strings.Fields(tc.args)...)
			if code != 2 {
				t.Errorf("exit code %d, want 2", code)
			}
			if strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, tc.want) {
				t.Errorf("standard error %q, want one line with %q", stderr, tc.want)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	out, _ := newMachine(t).pin(0, "--help")
	for _, want := range []string{"archive ", "base ", "crate ", "deb ", "wheel ", "wheels ", "go <version>"} {
		if !strings.Contains(out, want) {
			t.Errorf("--help has no command %q:\n%s", want, out)
		}
	}
}

func TestWorkspace_noLockFile(t *testing.T) {
	m := newMachine(t, "apt-get", "apt-config")
	m.workspace = t.TempDir()
	m.fails(2, debLock+" not found", "deb")
}

func TestClient_notFound(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"deb tzdata", "apt-get not found on PATH: pin Debian packages on a machine that has apt"},
		{"--uv=/proc/self/exe wheel x numpy --platform=any --build-file=//x:x", "python3 not found on PATH: install python3 and python3-pip"},
		{"go 1.26.8", "go not found on PATH: install any version of Go"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			newMachine(t).fails(1, tc.want, strings.Fields(tc.args)...)
		})
	}
}

func TestGo(t *testing.T) {
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
			t.Errorf("output %q, want %q in it", out, want)
		}
	}
	if _, last := m.pin(1, "go", "1.26.9"); last != "pin go: golang.org/toolchain@v0.0.1-go1.26.9.linux-amd64: not found" {
		t.Errorf("error %q", last)
	}
}
