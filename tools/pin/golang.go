package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"krabby.dev/krabby/tools/pin/client"
	"krabby.dev/krabby/tools/program"
)

type goCmd struct {
	Version  string `arg:"" help:"Version of Go, such as 1.26.8."`
	Platform string `help:"GOOS-GOARCH of the machine that compiles." default:"linux-amd64"`
}

func (*goCmd) Help() string {
	return `The SDK is the module golang.org/toolchain; go checks it against the checksum database. Its hash goes into
third_party/go/extensions.bzl, its version there and into MODULE.bazel.`
}

var (
	goVersionForm  = regexp.MustCompile(`^1\.[0-9]+(\.[0-9]+|rc[0-9]+)$`)
	goPlatformForm = regexp.MustCompile(`^[a-z0-9]+-[a-z0-9]+$`)
)

// Validate is kong's hook.
func (g *goCmd) Validate() error {
	if !goVersionForm.MatchString(g.Version) {
		return fmt.Errorf("%q is not a version of Go such as 1.26.8", g.Version)
	}
	if !goPlatformForm.MatchString(g.Platform) {
		return fmt.Errorf("--platform %q is not GOOS-GOARCH", g.Platform)
	}
	return nil
}

func (g *goCmd) Run(ctx context.Context, c *program.Console) error {
	if err := client.Require("go", "install any Go, it only downloads the one that is pinned"); err != nil {
		return err
	}
	module := fmt.Sprintf("golang.org/toolchain@v0.0.1-go%s.%s", g.Version, g.Platform)
	c.Progress("%s", module)
	answer, err := client.Run(ctx, client.Command{
		Name: "go",
		Args: []string{"mod", "download", "-json", module},
		Env:  []string{"GOTOOLCHAIN=local", "GOFLAGS="},
		Dir:  os.TempDir(), // No module of ours has a say.
	})
	var download struct{ Zip, Error string }
	_ = json.Unmarshal([]byte(answer), &download) // No JSON is an answer without either.
	switch {
	case download.Error != "":
		return errors.New(strings.Join(strings.Fields(download.Error), " "))
	case err != nil:
		return fmt.Errorf("%s: %w", module, err)
	case download.Zip == "":
		return fmt.Errorf("%s: go answers without a zip file", module)
	}
	f, err := os.Open(download.Zip)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	fmt.Fprintf(c.Out, "third_party/go/extensions.bzl  VERSION = %q\n", g.Version)
	fmt.Fprintf(c.Out, "third_party/go/extensions.bzl  ARCHIVES %q: %q\n", g.Platform, hex.EncodeToString(h.Sum(nil)))
	fmt.Fprintf(c.Out, "MODULE.bazel                   go_sdk.wrap(version = %q)\n", g.Version)
	return nil
}
