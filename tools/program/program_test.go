package program_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"krabby.dev/krabby/tools/program"
)

// single is a tool without commands.
type single struct {
	Error string
	Code  int
}

func (s *single) Run(ctx context.Context, c *program.Console) error {
	c.Progress("at %d %%", 50)
	fmt.Fprintln(c.Out, "result", ctx.Value(key{}))
	switch {
	case s.Code != 0:
		return fmt.Errorf("ended: %w", program.ExitCode(s.Code))
	case s.Error == "usage":
		return fmt.Errorf("reading: %w", program.Usagef("found %q", s.Error))
	case s.Error != "":
		return errors.New(s.Error)
	}
	return nil
}

type key struct{}

// several is a tool with a command, which gets its flags.
type several struct {
	Name string `default:"${name}"`
	Say  sayCmd `cmd:"" help:"Says it."`
}

type sayCmd struct{ Fail bool }

func (s *sayCmd) Run(root *several, c *program.Console) error {
	fmt.Fprintln(c.Out, root.Name)
	if s.Fail {
		return errors.New("mute")
	}
	return nil
}

func TestExitCodesAndWhatIsSaid(t *testing.T) {
	const begun = "tool: at 50 %\n"
	for name, test := range map[string]struct {
		flags          any
		args           []string
		code           int
		stdout, stderr string
	}{
		"the work is done":         {&single{}, nil, 0, "result 7\n", begun},
		"the work fails":           {&single{}, []string{"--error=no\n\tway"}, 1, "result 7\n", begun + "tool: no way\n"},
		"the work finds wrong use": {&single{}, []string{"--error=usage"}, 2, "result 7\n", begun + "tool: reading: found \"usage\" (see --help)\n"},
		"the work has spoken":      {&single{}, []string{"--code=42"}, 42, "result 7\n", begun},
		"an unknown flag":          {&single{}, []string{"--fast"}, 2, "", "tool: unknown flag --fast (see --help)\n"},
		"an argument too many":     {&single{}, []string{"all"}, 2, "", "tool: unexpected argument all (see --help)\n"},
		"a command":                {&several{}, []string{"say"}, 0, "someone\n", ""},
		"a command fails":          {&several{}, []string{"say", "--fail"}, 1, "someone\n", "tool say: mute\n"},
		"no command":               {&several{}, nil, 2, "", "tool: expected \"say\" (see --help)\n"},
		"flags that are no flags":  {"flags", nil, 2, "", "tool: expected a pointer to a struct but got string (see --help)\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			p := program.Program{Name: "tool", Description: "Does it.", Flags: test.flags, Vars: map[string]string{"name": "someone"}}
			code := p.Run(context.WithValue(t.Context(), key{}, 7), test.args, &stdout, &stderr)
			if code != test.code || stdout.String() != test.stdout || stderr.String() != test.stderr {
				t.Errorf("exit code %d, stdout %q, stderr %q; want %d, %q, %q", code, &stdout, &stderr, test.code, test.stdout, test.stderr)
			}
		})
	}
}

func TestHelpIsAllThatIsDone(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := program.Program{Name: "tool", Description: "Does it.", Flags: &single{}}.Run(t.Context(), []string{"--help"}, &stdout, &stderr)
	if text := stdout.String(); code != 0 || !bytes.HasPrefix(stdout.Bytes(), []byte("Usage: tool")) || bytes.Contains(stdout.Bytes(), []byte("result")) || stderr.Len() > 0 {
		t.Errorf("exit code %d, stdout %q, stderr %q; want 0 and help on stdout alone", code, text, &stderr)
	}
}
