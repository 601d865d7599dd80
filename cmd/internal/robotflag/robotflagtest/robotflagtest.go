// Package robotflagtest tests that commands take robots by --robot and --limits: every command that knows a robot's name has a test that
// calls Check.
//
// Only tests may import it.
package robotflagtest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"krabby.dev/krabby/compute/policy"
	"krabby.dev/krabby/compute/policy/policytest"
	"krabby.dev/krabby/hal/robot"
	"krabby.dev/krabby/internal/cli"
)

// Name is the name of the robot that is not built in.
const Name = "mine"

// File writes the file of a robot that is not built in, a Go1 by another name, and returns its path.
func File(t *testing.T) string {
	t.Helper()
	r := robot.Go1()
	r.Name = Name
	content, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "mine.json", string(content))
}

// Policy returns the directory of the Go1's policy, for the robot of File.
func Policy(t *testing.T) string {
	t.Helper()
	p := policytest.Load(t, policytest.Policy(t))
	p.Manifest.Robot = Name
	dir := t.TempDir()
	if err := policytest.Write(dir, p.Manifest, map[string][]byte{policy.ModelFile: p.Models[policy.PolicyGraph]}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Check runs a command with each form of --robot, and with --limits if the command has it. args are the other arguments with which it
// succeeds for the robot of File.
func Check(t *testing.T, program func() cli.Program, hasLimits bool, args ...string) {
	t.Helper()
	file := File(t)
	type invocation struct {
		flags []string
		code  int
		want  string // In stderr.
	}
	cases := map[string]invocation{
		"file":         {[]string{"--robot=" + file}, cli.ExitOK, ""},
		"unknown name": {[]string{"--robot=spot"}, cli.ExitUsage, `--robot: unknown robot "spot": expected one of g1, go1, go2, hex, t1`},
		"no file":      {[]string{"--robot=./nowhere.json"}, cli.ExitUsage, "--robot: robot: open ./nowhere.json: no such file or directory"},
		"invalid file": {[]string{"--robot=" + write(t, "a.json", "{}")}, cli.ExitUsage, "a.json: schema_version: found 0, expected 1"},
	}
	if hasLimits {
		limits := func(fields string) string {
			return "--limits=" + write(t, "limits.json", `{"schema_version": 1, "robot": "mine", "joints": {"FR_calf_joint": {`+fields+`}}}`)
		}
		cases["limits"] = invocation{[]string{"--robot=" + file, limits(`"lower_rad": -2.7, "effort_limit_nm": 30`)}, cli.ExitOK, ""}
		cases["wider limits"] = invocation{[]string{"--robot=" + file, limits(`"lower_rad": -3`)}, cli.ExitUsage,
			"limits.json: joints.FR_calf_joint.lower_rad: found -3, expected -2.818 to -1.8: within mine's limits, around its default position"}
		cases["unknown limits"] = invocation{[]string{"--robot=" + file, "--limits=urdf"}, cli.ExitUsage, `--limits: unknown limits "urdf" of robot mine: expected the path of a file`}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := program().Run(t.Context(), append(append([]string{}, args...), c.flags...), &stdout, &stderr)
			if code != c.code || !strings.Contains(stderr.String(), c.want) {
				t.Errorf("%q: exit code %d, stderr %q; want %d and %q", c.flags, code, &stderr, c.code, c.want)
			}
		})
	}
}
