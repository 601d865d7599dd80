// Command locomotion runs a robot: the server of its hardware abstraction layer, the client, and a policy's inference,
// in one process. It runs until --duration is over or it gets SIGINT or SIGTERM, and then writes a report as one JSON
// object to standard output. Logs go to standard error.
//
// The exit code is 0 after a run, 2 where the command line, the policy or the library is wrong or the machine does not
// permit what was asked for (with one line on standard error and no run), and 1 where the run itself failed.
package main

import (
	"context"
	"io"

	"krabby.dev/krabby/compute/inprocess"
	"krabby.dev/krabby/hal/cmdline"
)

func main() { cmdline.Main(run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return inprocess.Main(ctx, inprocess.Program{
		Name:        "locomotion",
		Description: "Runs a legged robot with a trained policy.",
	}, args, stdout, stderr)
}
