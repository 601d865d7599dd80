package main

import (
	"context"
	"fmt"

	"github.com/bazelbuild/rules_go/go/runfiles"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/tools/pin/uv"
)

// Runfile paths of programs, set by the linker (x_defs). They are empty in a program that plain go has built.
var pinnedUV, pinnedOCI string

// resolver returns a resolver that runs the pinned uv, or the one of --uv.
func (c *flags) resolver(ctx context.Context) (*uv.Resolver, error) {
	program, err := program("uv", c.UV, pinnedUV)
	if err != nil {
		return nil, err
	}
	return uv.New(ctx, program)
}

// registry returns a registry client that runs the program of rules_oci, or the one of --oci.
func (c *flags) registry(insecure bool) (*registryClient, error) {
	program, err := program("oci", c.OCI, pinnedOCI)
	if err != nil {
		return nil, err
	}
	return &registryClient{program, insecure}, nil
}

// program returns the program of a flag, or the pinned one.
func program(name, flag, runfile string) (string, error) {
	switch {
	case flag != "":
		return flag, nil
	case runfile == "":
		return "", cli.Usage(fmt.Errorf("plain go builds pin without %s: run `bazel run //tools/pin`, or set --%s", name, name))
	}
	path, err := runfiles.Rlocation(runfile)
	if err != nil {
		return "", fmt.Errorf("the pinned %s: %w", name, err)
	}
	return path, nil
}
