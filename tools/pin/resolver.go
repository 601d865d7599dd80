package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/bazelbuild/rules_go/go/runfiles"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/tools/pin/uv"
)

// pinnedUV is the runfile path of uv, set by the linker (x_defs). It is empty in a program that plain go has built.
var pinnedUV string

// resolver returns a resolver that runs the pinned uv, or the one of --uv.
func (c *flags) resolver(ctx context.Context) (*uv.Resolver, error) {
	program := c.UV
	if program == "" && pinnedUV == "" {
		return nil, cli.Usage(errors.New("plain go builds pin without uv: run `bazel run //tools/pin`, or set --uv"))
	}
	if program == "" {
		path, err := runfiles.Rlocation(pinnedUV)
		if err != nil {
			return nil, fmt.Errorf("the pinned uv: %w", err)
		}
		program = path
	}
	return uv.New(ctx, program)
}
