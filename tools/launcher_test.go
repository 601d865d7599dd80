// Package tools_test tests the launcher tools/bazel and tools/bootstrap.sh, which builds its private root, without a network. Fake
// programs on PATH replace those of the machine.
package tools_test

import (
	"bytes"
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"krabby.dev/krabby/tools/pin/apt/apttest"
)

// checkout is a workspace that has the launcher and no packages.
type checkout struct {
	dir  string
	from string // Directory that the launcher is called from; the default is dir.
	fake string // Directory of fakes, first on PATH.
	path string // The rest of PATH.
}

func newCheckout(t *testing.T) *checkout {
	t.Helper()
	c := &checkout{dir: t.TempDir(), fake: t.TempDir(), path: "/usr/bin:/bin"}
	for _, script := range []string{"bazel", "bootstrap.sh", "pin/apt/apt.sh"} {
		content, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		c.write(t, filepath.Join("tools", script), string(content), 0o755)
	}
	c.write(t, ".bazelversion", "7.7.1\n", 0o644)
	c.write(t, "go.mod", "require github.com/bazelbuild/rules_go v0.60.0\n", 0o644)
	c.write(t, "go.sum", "github.com/bazelbuild/rules_go v0.60.0 h1:x=\n", 0o644)
	return c
}

func (c *checkout) write(t *testing.T, name, content string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func (c *checkout) read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// addFake puts a fake program on PATH.
func (c *checkout) addFake(t *testing.T, program, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.fake, program), []byte("#!/bin/bash\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

type result struct {
	code           int
	stdout, stderr string
}

// run calls the launcher in the checkout. Its environment is HOME, PATH and the given variables.
func (c *checkout) run(t *testing.T, environment []string, arguments ...string) result {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(c.dir, "tools", "bazel"), arguments...)
	command.Dir = cmp.Or(c.from, c.dir)
	command.Env = append([]string{"HOME=" + c.dir, "PATH=" + c.fake + ":" + c.path}, environment...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	command.WaitDelay = time.Second
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return result{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// checkError requires the exit code for a problem of the machine and a last line that contains every part.
func (r result) checkError(t *testing.T, parts ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
	last := lines[len(lines)-1]
	if r.code != 36 || r.stdout != "" || !strings.HasPrefix(last, "tools/bazel: error: ") {
		t.Errorf("exit code %d, standard output %q, last line %q; want 36, no output and an error", r.code, r.stdout, last)
	}
	for _, part := range parts {
		if !strings.Contains(last, part) {
			t.Errorf("error %q, want %q in it", last, part)
		}
	}
}

const echo = `printf '[%s]' "$@"`

func TestBazel_calledByBazelisk(t *testing.T) {
	c := newCheckout(t)
	c.addFake(t, "real", echo)
	r := c.run(t, []string{"BAZEL_REAL=" + filepath.Join(c.fake, "real")}, "build", "--flag=a b", "//...")
	if r.code != 0 || r.stdout != "[build][--flag=a b][//...]" || r.stderr != "" {
		t.Errorf("%+v, want the same arguments and no messages", r)
	}
	if _, err := os.Stat(filepath.Join(c.dir, ".bazelrc.network")); err == nil {
		t.Error("the launcher recorded a network")
	}
}

func TestBazel_directNetwork(t *testing.T) {
	c := newCheckout(t)
	c.addFake(t, "bazelisk", echo)
	r := c.run(t, []string{"KRABBY_NETWORK=direct"}, "build", "//:x")
	if r.code != 0 || r.stdout != "[build][//:x]" || !strings.Contains(r.stderr, "network: direct (KRABBY_NETWORK is set)") {
		t.Errorf("%+v, want a call of bazelisk and one line with the reason", r)
	}
	// The second run reads the recorded network.
	if r := c.run(t, nil, "build", "//:x"); r.code != 0 || r.stdout != "[build][//:x]" || r.stderr != "" {
		t.Errorf("second run: %+v, want no messages", r)
	}
	recorded := c.read(t, ".bazelrc.network")
	if strings.Contains(recorded, "\ncommon") || strings.Contains(recorded, "\nstartup") {
		t.Errorf(".bazelrc.network of a direct network:\n%s\nwant no options", recorded)
	}
}

func TestBazel_anotherWorkspace(t *testing.T) {
	c := newCheckout(t)
	c.addFake(t, "bazelisk", "pwd -P")
	c.from = filepath.Join(t.TempDir(), "robot", "cmd")
	if err := os.MkdirAll(c.from, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.from, "..", "MODULE.bazel"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if r := c.run(t, []string{"KRABBY_NETWORK=direct"}, "build"); r.code != 0 || strings.TrimSpace(r.stdout) != c.from {
		t.Errorf("%+v, want a call of bazelisk in %s", r, c.from)
	}
	if _, err := os.Stat(filepath.Join(c.from, "..", ".bazelrc.network")); err != nil {
		t.Errorf("options of the network: %v", err)
	}

	// Outside of all workspaces, the command is for the launcher's repository.
	c.from = t.TempDir()
	if r := c.run(t, []string{"KRABBY_NETWORK=direct"}, "build"); r.code != 0 || strings.TrimSpace(r.stdout) != c.dir {
		t.Errorf("%+v, want a call of bazelisk in %s", r, c.dir)
	}
}

func TestBazel_mirroredNetwork_upstream(t *testing.T) {
	c := newCheckout(t)
	r := c.run(t, []string{"KRABBY_NETWORK=mirrored"}, "build", "--config=upstream", "//:x")
	r.checkError(t, "--config=upstream requires the Bazel Central Registry", "omit it")
}

func TestBazel_errors(t *testing.T) {
	tests := []struct {
		name        string
		prepare     func(*checkout)
		environment []string
		want        []string
	}{
		{
			"unknown network", nil, []string{"KRABBY_NETWORK=fast"},
			[]string{"KRABBY_NETWORK: found 'fast', expected 'direct' or 'mirrored'"},
		},
		{
			"direct network without bazelisk", nil, []string{"KRABBY_NETWORK=direct"},
			[]string{"bazelisk is not on PATH", "KRABBY_NETWORK=mirrored"},
		},
		{
			"no Debian mirror", func(c *checkout) { c.addFake(t, "apt-get", "exit 0") }, nil,
			[]string{"no Debian mirror found", "DEBIAN_MIRROR"},
		},
		{
			"invalid Debian mirror", nil, []string{"DEBIAN_MIRROR=http://mirror.example/debian sid"},
			[]string{`invalid Debian mirror "http://mirror.example/debian sid"`},
		},
		{
			"unreachable mirror",
			func(c *checkout) {
				c.addFake(t, "apt-get", `[[ $* != *update* ]] || { echo "W: old" && echo "E: Could not connect" && exit 100; }`)
			},
			[]string{"DEBIAN_MIRROR=http://mirror.example/debian/"},
			[]string{"no package list from http://mirror.example/debian (testing)", "E: Could not connect"},
		},
		{
			"another Bazel version on the mirror",
			func(c *checkout) {
				c.addFake(t, "apt-get", "exit 0")
				c.addFake(t, "apt-cache", "echo '  Candidate: 8.0.0+ds-1'")
			},
			[]string{"DEBIAN_MIRROR=http://mirror.example/debian"},
			[]string{"is not version 7.7.1 of .bazelversion", "8.0.0 in testing; 8.0.0 in unstable;"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCheckout(t)
			c.requireApt(t)
			if tt.prepare != nil {
				tt.prepare(c)
			}
			c.run(t, tt.environment, "version").checkError(t, tt.want...)
			if _, err := os.Stat(filepath.Join(c.dir, ".bazelrc.network")); err == nil {
				t.Error("the launcher recorded a network that failed")
			}
		})
	}
}

// requireApt skips a test that calls apt on a machine without apt or without Debian's keys.
func (c *checkout) requireApt(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("apt-config"); err != nil {
		t.Skip("apt-config not found")
	}
	if _, err := os.Stat("/usr/share/keyrings/debian-archive-keyring.gpg"); err != nil {
		t.Skip("keyring of Debian not found")
	}
}

// TestBootstrap_signedLists fetches Bazel on a host whose apt accepts unsigned package lists.
func TestBootstrap_signedLists(t *testing.T) {
	c := newCheckout(t)
	c.requireApt(t)
	c.addFake(t, "apt-config", "cat <<'CONFIG'\n"+apttest.InsecureHost()+"CONFIG")
	c.addFake(t, "apt-get", `cp "$APT_CONFIG" "$HOME/apt.conf"; cp "${APT_CONFIG%/*}/sources.list" "$HOME"; echo "E: stop"; exit 100`)
	c.run(t, []string{"DEBIAN_MIRROR=http://mirror.example/debian"}, "version").checkError(t, "E: stop")
	if accepted := apttest.AcceptsUnsigned(c.read(t, "apt.conf")); len(accepted) > 0 {
		t.Errorf("apt accepts unsigned package lists: %q", accepted)
	}
	const signed = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg check-valid-until=no] http://mirror.example/debian testing main\n"
	if got := c.read(t, "sources.list"); got != signed {
		t.Errorf("sources.list is %q, want %q", got, signed)
	}
}

func TestBootstrap_programNotFound(t *testing.T) {
	c := newCheckout(t)
	c.path = t.TempDir() // The following programs only, without apt.
	for _, program := range []string{"bash", "cat", "cut", "dirname", "env", "grep", "sed", "sha256sum", "uname"} {
		path, err := exec.LookPath(program)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(c.path, program)); err != nil {
			t.Fatal(err)
		}
	}
	c.run(t, nil, "version").checkError(t, "apt-get not found", "bazelisk")
}
