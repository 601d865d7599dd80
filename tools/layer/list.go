package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"

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
	r := bufio.NewReader(f)
	magic, err := r.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var plain io.Reader = r
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		if plain, err = gzip.NewReader(r); err != nil {
			return fmt.Errorf("%s: %w", c.Layer, err)
		}
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		zr, err := zstd.NewReader(r)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Layer, err)
		}
		defer zr.Close()
		plain = zr
	}
	return tree.List(console.Out, plain)
}
