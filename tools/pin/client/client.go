// Package client runs the package clients of this machine: apt, pip, go. They
// know its mirrors, proxies and credentials, so nothing here does.
//
// It must never know what a client's output means.
package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Command is one run of a client.
type Command struct {
	Name string
	Args []string
	Env  []string // Added to this process's environment, as KEY=VALUE.
	Dir  string   // Working directory, this process's if empty.
}

// Missing says that a client is not on PATH, and what to do about it.
type Missing struct {
	Name, Advice string
}

func (m *Missing) Error() string { return fmt.Sprintf("%s is not on PATH: %s", m.Name, m.Advice) }

// Require returns *Missing unless the client is on PATH.
func Require(name, advice string) error {
	if _, err := exec.LookPath(name); err != nil {
		return &Missing{Name: name, Advice: advice}
	}
	return nil
}

// Run returns what the client wrote to standard output. When the client fails,
// the error is one line with the reason that the client gave on standard error.
func Run(ctx context.Context, c Command) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, c.Name, c.Args...)
	cmd.Env = append(append(os.Environ(), "LC_ALL=C"), c.Env...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.Dir, &stdout, &stderr
	// A grandchild that keeps the pipes open must not keep an interrupted run alive.
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		return "", fmt.Errorf("%s: interrupted: %w", c.Name, ctx.Err())
	}
	if err != nil {
		if reason := lastWords(stderr.String()); reason != "" {
			err = errors.New(reason)
		}
		return stdout.String(), fmt.Errorf("%s: %w", c.Name, err)
	}
	return stdout.String(), nil
}

// lastWords picks the line that says why: the first one that is marked as an
// error, as apt and pip mark theirs, or the last one.
func lastWords(output string) string {
	last := ""
	for line := range strings.Lines(output) {
		line = strings.Join(strings.Fields(line), " ")
		for _, mark := range []string{"E: ", "ERROR: "} {
			if reason, ok := strings.CutPrefix(line, mark); ok {
				return reason
			}
		}
		if line != "" {
			last = line
		}
	}
	return last
}
