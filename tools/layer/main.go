// Command layer makes one image layer, a tar, out of files, directories, links,
// Debian packages and Python wheels, or one wheel, out of Python sources. The same
// parameters give the same bytes on every machine: no time, user name, umask, order
// or CPU count gets in.
//
// It exits with 2 when it was called wrongly and with 1 when the work failed.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"
)

type cli struct {
	Build buildCmd `cmd:"" help:"Make a layer from parameters, as the rule layer writes them."`
	List  listCmd  `cmd:"" help:"Describe a layer, one line an entry."`
	Wheel wheelCmd `cmd:"" help:"Make a wheel from parameters, as the rule python_wheel writes them."`
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	exit := -1
	parser, err := kong.New(&cli{},
		kong.Name("layer"),
		kong.Description("Makes deterministic image layers, and wheels to put into them."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.BindTo(stdout, (*io.Writer)(nil)),
	)
	if err != nil {
		fmt.Fprintf(stderr, "layer: %v\n", err)
		return 1
	}
	c, err := parser.Parse(args)
	if exit >= 0 { // --help has spoken.
		return exit
	}
	if err != nil {
		fmt.Fprintf(stderr, "layer: %v (see --help)\n", err)
		return 2
	}
	if err := c.Run(); err != nil {
		fmt.Fprintf(stderr, "layer %s: %v\n", c.Selected().Name, err)
		return 1
	}
	return 0
}
