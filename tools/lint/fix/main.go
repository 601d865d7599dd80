// Command fix formats the sources of the workspace in place and prints the warnings that require changes by hand. The exit code is
// 1 if there are warnings or the work fails.
//
//	./tools/bazel run //tools/lint/fix
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"krabby.dev/krabby/tools/lint/format"
)

func main() {
	if err := run(context.Background(), os.Getenv("BUILD_WORKSPACE_DIRECTORY")); err != nil {
		fmt.Fprintln(os.Stderr, "fix:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, workspace string) error {
	if workspace == "" {
		return errors.New("BUILD_WORKSPACE_DIRECTORY is not set: run " + format.Fix)
	}
	if err := format.Go(workspace); err != nil {
		return err
	}
	if err := format.BuildFiles(ctx, workspace); err != nil {
		return err
	}
	if err := format.Starlark(ctx, workspace); err != nil {
		return err
	}
	warnings, err := format.Warnings(ctx, workspace)
	for _, warning := range warnings {
		fmt.Println(warning)
	}
	if err == nil && len(warnings) > 0 {
		err = fmt.Errorf("%d warnings", len(warnings))
	}
	return err
}
