// Command layer makes one image layer, a tar, out of files, directories, links,
// Debian packages and Python wheels, or one wheel, out of Python sources. The same
// parameters give the same bytes on every machine: no time, user name, umask, order
// or CPU count gets in.
//
// It exits with 2 when it was called wrongly and with 1 when the work failed.
package main

import (
	"context"
	"io"
	"os"

	"krabby.dev/krabby/tools/program"
)

type cli struct {
	Build buildCmd `cmd:"" help:"Make a layer from parameters, as the rule layer writes them."`
	List  listCmd  `cmd:"" help:"Describe a layer, one line an entry."`
	Wheel wheelCmd `cmd:"" help:"Make a wheel from parameters, as the rule python_wheel writes them."`
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	return program.Program{
		Name:        "layer",
		Description: "Makes deterministic image layers, and wheels to put into them.",
		Flags:       &cli{},
	}.Run(context.Background(), args, stdout, stderr)
}
