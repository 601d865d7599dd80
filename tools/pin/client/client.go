// Package client runs package clients: apt, pip and go of this machine, and the pinned uv. They know the machine's mirrors, proxies
// and credentials, so this repository does not.
//
// It must not interpret the output of a client.
package client

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Command is one call of a client.
type Command struct {
	Name  string
	Title string // Name in error messages, Name if empty.
	Args  []string
	Env   []string // Added to this process's environment, as KEY=VALUE.
	Dir   string   // Working directory, this process's if empty.

	// Reason returns the reason of a failure from the client's standard error. Without it, the reason is the first line that apt or pip
	// marks as an error, or else the last line.
	Reason func(stderr string) string
	// Warnings also receives the client's standard error.
	Warnings io.Writer
}

// NotFoundError reports that a client is not on PATH. Advice tells what to do about it.
type NotFoundError struct{ Name, Advice string }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("%s not found on PATH: %s", e.Name, e.Advice)
}

// Require returns a *NotFoundError unless the client is on PATH.
func Require(name, advice string) error {
	if _, err := exec.LookPath(name); err != nil {
		return &NotFoundError{Name: name, Advice: advice}
	}
	return nil
}

// Run returns the standard output of the client. If the client fails, the error is one line with the reason that the client printed
// on standard error.
func Run(ctx context.Context, c Command) (string, error) {
	title := cmp.Or(c.Title, c.Name)
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, c.Name, c.Args...)
	cmd.Env = append(append(os.Environ(), "LC_ALL=C"), c.Env...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.Dir, &stdout, &stderr
	if c.Warnings != nil {
		cmd.Stderr = io.MultiWriter(&stderr, c.Warnings)
	}
	// A child of the client that keeps the pipes open must not block an interrupted run.
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		return "", fmt.Errorf("%s: interrupted: %w", title, ctx.Err())
	}
	if err != nil {
		find := c.Reason
		if find == nil {
			find = reason
		}
		if reason := find(stderr.String()); reason != "" {
			err = errors.New(reason)
		}
		return stdout.String(), fmt.Errorf("%s: %w", title, err)
	}
	return stdout.String(), nil
}

// reason returns the first line that apt or pip marks as an error, or else the last line.
func reason(output string) string {
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
