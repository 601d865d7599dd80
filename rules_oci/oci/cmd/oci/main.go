// Command oci is the program behind the rules of this module: it fetches manifests, writes image layouts, and sends images to
// container engines and registries. Starlark writes its parameters as JSON.
//
// Build actions call layer, image, index, layout and load --offline, which reach no network. Repository rules and `bazel run` call the
// other commands.
//
// The exit code is 1 for a failure and 2 for misuse.
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
	Credentials credentialsCmd `cmd:"" hidden:"" help:"Print the credentials for a registry."`
	Fetch       fetchCmd       `cmd:"" help:"Fetch a manifest or a small blob from a registry."`
	Image       imageCmd       `cmd:"" help:"Assemble an image as an OCI layout directory."`
	Index       indexCmd       `cmd:"" help:"Assemble an index over images as an OCI layout directory."`
	Layer       layerCmd       `cmd:"" help:"Describe a layer: its compression, digests and size."`
	Layout      layoutCmd      `cmd:"" help:"Assemble a shallow OCI layout directory of an image in a registry."`
	Load        loadCmd        `cmd:"" help:"Load an image into a container engine, or write it as a tar file."`
	Push        pushCmd        `cmd:"" help:"Push an image or index to a registry."`
}

// streams are standard output and standard error.
type streams struct{ out, err io.Writer }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args, streams{os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

func run(ctx context.Context, argv []string, std streams) int {
	args := argv[1:]
	// `bazel run` starts an oci_load or oci_push as a symlink to this program. Its name is that of the command, and the parameters are
	// beside it.
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
	if exit >= 0 { // --help was printed.
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
