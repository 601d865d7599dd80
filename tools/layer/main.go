// Command layer writes an image layer, which is a tar of files, directories, links, Debian packages and Python wheels, or a wheel
// of Python sources. The same parameters give the same bytes on every machine: the output does not depend on time, user name,
// umask, order of inputs or number of CPUs.
//
// The exit code is 2 for a wrong command line and 1 if the work fails.
package main

import (
	"context"
	"os"

	"github.com/alecthomas/kong"

	"krabby.dev/krabby/internal/cli"
)

type flags struct {
	Build buildCmd `cmd:"" help:"Write a layer from the parameters of the rule layer."`
	Check checkCmd `cmd:"" help:"Check that layers hide no link or directory of the layers below."`
	List  listCmd  `cmd:"" help:"List the entries of a layer, one line for each."`
	Paths pathsCmd `cmd:"" help:"Write the paths of layers, for check."`
	Wheel wheelCmd `cmd:"" help:"Write a wheel from the parameters of the rule python_wheel."`
}

// Signals end the process at once: cancelled actions leave no work to finish.
func main() { os.Exit(layerTool().Run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

func layerTool() cli.Program {
	return cli.Program{
		Name:        "layer",
		Description: "Writes deterministic image layers, and Python wheels to install into them.",
		Flags:       &flags{},
		Vars:        kong.Vars{"paths": pathsSuffix},
	}
}
