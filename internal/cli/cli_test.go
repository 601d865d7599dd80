package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"krabby.dev/krabby/internal/cli"
)

// single is a program without commands.
type single struct {
	Error  string
	Code   int
	Number int `default:"7"`
}

func (s *single) Run(ctx context.Context, c *cli.Console) error {
	c.Progress("at %d %%", 50)
	fmt.Fprintln(c.Out, "result", ctx.Value(key{}), s.Number)
	switch {
	case s.Code != 0:
		return fmt.Errorf("ended: %w", cli.ExitCode(s.Code))
	case s.Error == "usage":
		return fmt.Errorf("reading: %w", cli.Usagef("found %q", s.Error))
	case s.Error == "file":
		return cli.Usage(fs.ErrNotExist)
	case s.Error != "":
		return errors.New(s.Error)
	}
	return nil
}

type key struct{}

// several is a program with a default command and another one, which gets its flags.
type several struct {
	Name string  `default:"${name}"`
	Idle idleCmd `cmd:"" default:"withargs" help:"Does nothing."`
	Show showCmd `cmd:"" help:"Prints the name."`
}

type idleCmd struct{ Fail bool }

func (i *idleCmd) Run() error {
	if i.Fail {
		return errors.New("not idle")
	}
	return nil
}

// argument requires an argument.
type argument struct {
	File string `arg:""`
}

func (a *argument) Run(c *cli.Console) error {
	fmt.Fprintln(c.Out, a.File)
	return nil
}

// required is a program without a default command.
type required struct {
	Show struct{} `cmd:"" help:"Prints the name."`
}

type showCmd struct{ Fail bool }

func (s *showCmd) Run(root *several, c *cli.Console) error {
	fmt.Fprintln(c.Out, root.Name)
	if s.Fail {
		return errors.New("no terminal")
	}
	return nil
}

func TestRun_exitCodeAndOutput(t *testing.T) {
	const begun = "tool: at 50 %\n"
	for name, test := range map[string]struct {
		flags          any
		args           []string
		code           int
		stdout, stderr string
	}{
		"success":                {&single{}, nil, 0, "result 5 7\n", begun},
		"flag value":             {&single{}, []string{"--number=3"}, 0, "result 5 3\n", begun},
		"failure":                {&single{}, []string{"--error=no\n\tway"}, 1, "result 5 7\n", begun + "tool: no way\n"},
		"usage error":            {&single{}, []string{"--error=usage"}, 2, "result 5 7\n", begun + "tool: reading: found \"usage\" (see --help)\n"},
		"wrapped usage error":    {&single{}, []string{"--error=file"}, 2, "result 5 7\n", begun + "tool: file does not exist (see --help)\n"},
		"own exit code":          {&single{}, []string{"--code=42"}, 42, "result 5 7\n", begun},
		"unknown flag":           {&single{}, []string{"--fast"}, 2, "", "tool: unknown flag --fast (see --help)\n"},
		"similar flag":           {&single{}, []string{"--numbers=3"}, 2, "", "tool: unknown flag --numbers, did you mean \"--number\"? (see --help)\n"},
		"not a number":           {&single{}, []string{"--number=x"}, 2, "", "tool: --number: expected a valid 64 bit int but got \"x\" (see --help)\n"},
		"excess argument":        {&single{}, []string{"all"}, 2, "", "tool: unexpected argument all (see --help)\n"},
		"missing argument":       {&argument{}, nil, 2, "", "tool: expected \"<file>\" (see --help)\n"},
		"command":                {&several{}, []string{"show"}, 0, "a name\n", ""},
		"failed command":         {&several{}, []string{"show", "--fail"}, 1, "a name\n", "tool show: no terminal\n"},
		"default command":        {&several{}, nil, 0, "", ""},
		"failed default command": {&several{}, []string{"--fail"}, 1, "", "tool: not idle\n"},
		"missing command":        {&required{}, nil, 2, "", "tool: expected \"show\" (see --help)\n"},
		"invalid Flags":          {"flags", nil, 2, "", "tool: expected a pointer to a struct but got string (see --help)\n"},
		"deprecated flag":        {&single{}, []string{"--count=3"}, 0, "result 5 3\n", "tool: warning: --count is deprecated and will be removed in the next version: use --number\n" + begun},
		"deprecated flag, separate value": {&single{}, []string{"--count", "3"}, 0, "result 5 3\n",
			"tool: warning: --count is deprecated and will be removed in the next version: use --number\n" + begun},
		"after --": {&argument{}, []string{"--", "--count"}, 0, "--count\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			p := cli.Program{Name: "tool", Description: "Does it.", Flags: test.flags, Vars: map[string]string{"name": "a name"}, Deprecated: map[string]string{"count": "number"}}
			code := p.Run(context.WithValue(t.Context(), key{}, 5), test.args, &stdout, &stderr)
			if code != test.code || stdout.String() != test.stdout || stderr.String() != test.stderr {
				t.Errorf("exit code %d, stdout %q, stderr %q; want %d, %q, %q", code, &stdout, &stderr, test.code, test.stdout, test.stderr)
			}
		})
	}
}

func TestRun_help_skipsWork(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := cli.Program{Name: "tool", Description: "Does it.", Flags: &single{}}.Run(t.Context(), []string{"--help"}, &stdout, &stderr)
	if text := stdout.String(); code != 0 || !bytes.HasPrefix(stdout.Bytes(), []byte("Usage: tool")) || bytes.Contains(stdout.Bytes(), []byte("result")) || stderr.Len() > 0 {
		t.Errorf("exit code %d, stdout %q, stderr %q; want 0 and help on stdout alone", code, text, &stderr)
	}
}
