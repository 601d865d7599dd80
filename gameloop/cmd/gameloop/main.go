// Command gameloop runs a policy against a synthetic robot and says whether it did what a policy must. Flags, report and
// exit codes are those of locomotion, with one more reason for exit code 1: the verdict, on one line of standard error.
package main

import (
	"context"
	"io"

	"krabby.dev/krabby/compute/inprocess"
	"krabby.dev/krabby/gameloop"
	"krabby.dev/krabby/hal/cmdline"
)

func main() { cmdline.Main(run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return inprocess.Main(ctx, inprocess.Program{
		Name:        "gameloop",
		Description: "Runs a policy against a synthetic robot and judges what it does.",
		Verdict:     gameloop.Verdict,
	}, args, stdout, stderr)
}
