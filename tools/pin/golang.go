package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"krabby.dev/krabby/internal/cli"
	"krabby.dev/krabby/tools/pin/client"
	"krabby.dev/krabby/tools/pin/lock"
)

type goCmd struct {
	Version  string `arg:"" help:"Version of Go, such as 1.26.8."`
	Platform string `help:"GOOS-GOARCH of the machine that compiles." default:"linux-amd64"`
}

func (*goCmd) Help() string {
	return `The SDK is the module golang.org/toolchain, which go verifies with the checksum database. Copy the hash to
third_party/go/extensions.bzl, and the version to that file and to MODULE.bazel.`
}

var (
	goVersionForm  = regexp.MustCompile(`^1\.[0-9]+(\.[0-9]+|rc[0-9]+)$`)
	goPlatformForm = regexp.MustCompile(`^[a-z0-9]+-[a-z0-9]+$`)
)

// Validate is called by kong.
func (g *goCmd) Validate() error {
	if !goVersionForm.MatchString(g.Version) {
		return fmt.Errorf("invalid Go version %q: expected a version such as 1.26.8", g.Version)
	}
	if !goPlatformForm.MatchString(g.Platform) {
		return fmt.Errorf("invalid --platform %q: expected GOOS-GOARCH", g.Platform)
	}
	return nil
}

func (g *goCmd) Run(ctx context.Context, c *cli.Console) error {
	if err := client.Require("go", "install any version of Go, which downloads the pinned one"); err != nil {
		return err
	}
	module := fmt.Sprintf("golang.org/toolchain@v0.0.1-go%s.%s", g.Version, g.Platform)
	c.Progress("%s", module)
	output, err := client.Run(ctx, client.Command{
		Name: "go",
		Args: []string{"mod", "download", "-json", module},
		Env:  []string{"GOTOOLCHAIN=local", "GOFLAGS="},
		Dir:  os.TempDir(), // Outside any module.
	})
	var download struct{ Zip, Error string }
	_ = json.Unmarshal([]byte(output), &download) // Output that is not JSON leaves both fields empty.
	switch {
	case download.Error != "":
		return errors.New(strings.Join(strings.Fields(download.Error), " "))
	case err != nil:
		return fmt.Errorf("%s: %w", module, err)
	case download.Zip == "":
		return fmt.Errorf("%s: 'go mod download' printed no zip file", module)
	}
	sum, err := lock.SHA256(download.Zip)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Out, "third_party/go/extensions.bzl  VERSION = %q\n", g.Version)
	fmt.Fprintf(c.Out, "third_party/go/extensions.bzl  ARCHIVES %q: %q\n", g.Platform, sum)
	fmt.Fprintf(c.Out, "MODULE.bazel                   go_sdk.wrap(version = %q)\n", g.Version)
	return nil
}
