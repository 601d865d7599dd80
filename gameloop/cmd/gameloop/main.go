// Command gameloop runs a policy against a synthetic robot and says whether it did what a policy must. Flags, report and
// exit codes are those of locomotion, with one more reason for exit code 1: the verdict, on one line of standard error.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"krabby.dev/krabby/compute/inprocess"
	"krabby.dev/krabby/gameloop"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return inprocess.Main(ctx, inprocess.Program{
		Name:        "gameloop",
		Description: "Runs a policy against a synthetic robot and judges what it does.",
		Verdict:     gameloop.Verdict,
	}, args, stdout, stderr)
}
