// Package tools_test checks the launcher, tools/bazel, and what builds its private root, tools/bootstrap.sh, up to the point
// where they would need a network. Programs of the machine are played by fakes on PATH.
package tools_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// checkout is a workspace with the launcher and nothing to build.
type checkout struct {
	dir  string
	fake string // Folder of fakes, first on PATH.
	path string // The rest of PATH.
}

func newCheckout(t *testing.T) *checkout {
	t.Helper()
	c := &checkout{dir: t.TempDir(), fake: t.TempDir(), path: "/usr/bin:/bin"}
	for _, script := range []string{"bazel", "bootstrap.sh"} {
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

// play puts a fake program on PATH.
func (c *checkout) play(t *testing.T, program, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.fake, program), []byte("#!/bin/bash\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

type result struct {
	code           int
	stdout, stderr string
}

// run starts the launcher in the checkout, with nothing in its environment but what is given.
func (c *checkout) run(t *testing.T, environment []string, arguments ...string) result {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(c.dir, "tools", "bazel"), arguments...)
	command.Dir = c.dir
	command.Env = append([]string{"HOME=" + c.dir, "PATH=" + c.fake + ":" + c.path}, environment...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	command.WaitDelay = time.Second
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return result{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// wantError wants the exit code of an error of the machine, and a last line that has every part.
func (r result) wantError(t *testing.T, parts ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
	last := lines[len(lines)-1]
	if r.code != 36 || r.stdout != "" || !strings.HasPrefix(last, "tools/bazel: error: ") {
		t.Errorf("exit code %d, stdout %q, last line %q; want 36, nothing and an error", r.code, r.stdout, last)
	}
	for _, part := range parts {
		if !strings.Contains(last, part) {
			t.Errorf("the error is %q, want %q in it", last, part)
		}
	}
}

const echo = `printf '[%s]' "$@"`

func TestUnderBazeliskTheLauncherOnlyPassesOn(t *testing.T) {
	c := newCheckout(t)
	c.play(t, "real", echo)
	r := c.run(t, []string{"BAZEL_REAL=" + filepath.Join(c.fake, "real")}, "build", "--flag=a b", "//...")
	if r.code != 0 || r.stdout != "[build][--flag=a b][//...]" || r.stderr != "" {
		t.Errorf("%+v, want the arguments as they were, and silence", r)
	}
	if _, err := os.Stat(filepath.Join(c.dir, ".bazelrc.network")); err == nil {
		t.Error("a network was recorded")
	}
}

func TestADirectNetworkIsForBazelisk(t *testing.T) {
	c := newCheckout(t)
	c.play(t, "bazelisk", echo)
	r := c.run(t, []string{"KRABBY_NETWORK=direct"}, "build", "//:x")
	if r.code != 0 || r.stdout != "[build][//:x]" || !strings.Contains(r.stderr, "network: direct (KRABBY_NETWORK says so)") {
		t.Errorf("%+v, want bazelisk to be called, and one line that says why", r)
	}
	// The second time it knows, and says nothing.
	if r := c.run(t, nil, "build", "//:x"); r.code != 0 || r.stdout != "[build][//:x]" || r.stderr != "" {
		t.Errorf("the second time: %+v, want silence", r)
	}
	recorded, err := os.ReadFile(filepath.Join(c.dir, ".bazelrc.network"))
	if err != nil || strings.Contains(string(recorded), "\ncommon") || strings.Contains(string(recorded), "\nstartup") {
		t.Errorf("recorded %q (%v), want no options: a direct network needs none", recorded, err)
	}
}

func TestWhatCannotWorkIsSaidInOneLine(t *testing.T) {
	tests := []struct {
		name        string
		prepare     func(*checkout)
		environment []string
		want        []string
	}{
		{
			"an unknown network", nil, []string{"KRABBY_NETWORK=fast"},
			[]string{"KRABBY_NETWORK is 'fast', expected 'direct' or 'mirrored'"},
		},
		{
			"a direct network without bazelisk", nil, []string{"KRABBY_NETWORK=direct"},
			[]string{"bazelisk is not on PATH", "KRABBY_NETWORK=mirrored"},
		},
		{
			"no Debian mirror", func(c *checkout) { c.play(t, "apt-get", "exit 0") }, nil,
			[]string{"names no Debian mirror", "DEBIAN_MIRROR"},
		},
		{
			"a mirror that does not answer",
			func(c *checkout) {
				c.play(t, "apt-get", `[[ $* != *update* ]] || { echo "E: Could not connect" && exit 100; }`)
			},
			[]string{"DEBIAN_MIRROR=http://mirror.example/debian/"},
			[]string{"no package list from http://mirror.example/debian (testing)", "E: Could not connect"},
		},
		{
			"another Bazel on the mirror",
			func(c *checkout) {
				c.play(t, "apt-get", "exit 0")
				c.play(t, "apt-cache", "echo '  Candidate: 8.0.0+ds-1'")
			},
			[]string{"DEBIAN_MIRROR=http://mirror.example/debian"},
			[]string{"is not the 7.7.1 that .bazelversion wants", "8.0.0 in testing; 8.0.0 in unstable;"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCheckout(t)
			c.needApt(t)
			if tt.prepare != nil {
				tt.prepare(c)
			}
			c.run(t, tt.environment, "version").wantError(t, tt.want...)
			if _, err := os.Stat(filepath.Join(c.dir, ".bazelrc.network")); err == nil {
				t.Error("a network that does not work was recorded")
			}
		})
	}
}

// needApt skips a test that goes as far as apt on a machine that has none.
func (c *checkout) needApt(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("apt-config"); err != nil {
		t.Skip("this machine has no apt")
	}
	if _, err := os.Stat("/usr/share/keyrings/debian-archive-keyring.gpg"); err != nil {
		t.Skip("this machine has no keyring of Debian")
	}
}

func TestAMissingProgramIsNamed(t *testing.T) {
	c := newCheckout(t)
	c.path = t.TempDir() // Only these programs, so no apt.
	for _, program := range []string{"bash", "cat", "cut", "dirname", "env", "grep", "sed", "sha256sum", "uname"} {
		path, err := exec.LookPath(program)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(c.path, program)); err != nil {
			t.Fatal(err)
		}
	}
	c.run(t, nil, "version").wantError(t, "apt-get is missing", "bazelisk")
}
