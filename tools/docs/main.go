// Command docs regenerates docs/rules from the docstrings of Starlark files, and the diagram of docs/architecture.md from the imports of
// Go packages.
//
//	./tools/bazel run //tools/docs
package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"

	"krabby.dev/krabby/internal/cli"
)

type flags struct {
	Workspace string `help:"Root of the repository." env:"BUILD_WORKSPACE_DIRECTORY" required:"" type:"existingdir" placeholder:"DIR"`
}

func main() { program().Main() }

func program() cli.Program {
	return cli.Program{Name: "docs", Description: "Regenerates the pages of docs that are made from sources.", Flags: &flags{}}
}

// Run writes the pages that changed.
func (f *flags) Run(console *cli.Console) error {
	made, err := pages(os.DirFS(f.Workspace))
	if err != nil {
		return err
	}
	for _, page := range slices.Sorted(maps.Keys(made)) {
		file := filepath.Join(f.Workspace, page)
		if old, err := os.ReadFile(file); err == nil && string(old) == made[page] {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(made[page]), 0o644); err != nil {
			return err
		}
		console.Progress("wrote %s", page)
	}
	return nil
}
