package main

import (
	"fmt"
	"os"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/tools/layer/tree"
)

type listCmd struct {
	Layer string `arg:"" placeholder:"FILE" help:"A tar: uncompressed, gzip or zstd."`
}

// Run prints the entries of the layer.
func (c *listCmd) Run(console *cli.Console) error {
	f, err := os.Open(c.Layer)
	if err != nil {
		return err
	}
	defer f.Close()
	plain, err := tree.Decompress(f)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Layer, err)
	}
	return tree.List(console.Out, plain)
}
