// Package clitest tests command lines.
package clitest

import (
	"bytes"
	"strings"
	"testing"

	"krabby.dev/krabby/internal/cli"
)

// Case is a command line and its expected result.
type Case struct {
	Args []string
	Code int
	// Stdout and Stderr are contained in the output.
	Stdout, Stderr string
}

// Check runs each case with a new program, as a sub-test.
func Check(t *testing.T, program func() cli.Program, cases map[string]Case) {
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := program().Run(t.Context(), c.Args, &stdout, &stderr)
			if code != c.Code || !strings.Contains(stdout.String(), c.Stdout) || !strings.Contains(stderr.String(), c.Stderr) {
				t.Errorf("exit code %d, stdout %q, stderr %q; want %d, %q, %q", code, &stdout, &stderr, c.Code, c.Stdout, c.Stderr)
			}
		})
	}
}
