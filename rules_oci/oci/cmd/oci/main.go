// Command oci does the work behind the rules of this module: it fetches the
// manifests of images, assembles image layouts, and feeds them to container
// runtimes and registries. Starlark writes its parameters as JSON; nothing else
// decides on the bytes it writes.
//
// Build actions call image, index, layout and load --offline, which reach no
// network; the rest is for repository rules and `bazel run`.
//
// It exits with 2 when it was called wrongly and with 1 when the work failed.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/alecthomas/kong"
)

type cli struct {
	Fetch  fetchCmd  `cmd:"" help:"Fetch a manifest or a small blob from a registry."`
	Image  imageCmd  `cmd:"" help:"Assemble an image as an OCI layout directory."`
	Index  indexCmd  `cmd:"" help:"Assemble an index over images as an OCI layout directory."`
	Layout layoutCmd `cmd:"" help:"Assemble a shallow OCI layout directory of an image in a registry."`
	Load   loadCmd   `cmd:"" help:"Load an image into a container runtime, or write it as one tar file."`
	Push   pushCmd   `cmd:"" help:"Push an image or index to a registry."`
}

// streams are where a command speaks.
type streams struct{ out, err io.Writer }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args, streams{os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

func run(ctx context.Context, argv []string, std streams) int {
	args := argv[1:]
	// `bazel run` starts an oci_load or oci_push as a symlink to this binary,
	// named after its command, with its parameters beside it: no shell is needed
	// in between.
	if params := argv[0] + ".json"; isFile(params) {
		args = append([]string{filepath.Base(argv[0]), "--params", params, "--runfiles", runfilesDir(argv[0])}, args...)
	}

	exit := -1
	parser, err := kong.New(&cli{},
		kong.Name("oci"),
		kong.Description("Fetches, assembles, loads and pushes OCI images for the rules of rules_oci."),
		kong.Writers(std.out, std.err),
		kong.Exit(func(code int) { exit = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(std),
	)
	if err != nil {
		fmt.Fprintf(std.err, "oci: %v\n", err)
		return 1
	}
	c, err := parser.Parse(args)
	if exit >= 0 { // --help has spoken.
		return exit
	}
	if err != nil {
		fmt.Fprintf(std.err, "oci: %v (see --help)\n", err)
		return 2
	}
	if err := c.Run(); err != nil {
		fmt.Fprintf(std.err, "oci %s: %v\n", c.Command(), err)
		return 1
	}
	return 0
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
