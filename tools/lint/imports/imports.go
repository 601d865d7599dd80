// Package imports checks which packages import which. It reads import declarations only.
package imports

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"krabby.dev/krabby/tools/lint/finding"
)

// A Table defines the allowed imports. Packages are named by their directories; "a/..." is a and every package below it.
type Table struct {
	// Modules maps module paths to the directories of the modules; "." is the root.
	Modules map[string]string
	// Rows are the rules. The first row that matches a package applies. A package without a row is a finding, so every new package
	// gets a place in the table.
	Rows []Row
	// Only lists the packages that may import a package from outside the modules, by its import path. Packages below that path count
	// too.
	Only map[string][]string
}

// A Row is the rule for some packages and their tests. A package may always import itself.
type Row struct {
	Packages string
	// Imports are the allowed imports of the packages and their tests.
	Imports []string
	// Tests are the additional imports of their tests.
	Tests []string
}

// Check returns the imports of all Go files in the tree that the table does not allow. It skips directories named testdata.
func (t Table) Check(tree fs.FS) ([]finding.Finding, error) {
	return finding.Collect(tree, func(file string) ([]finding.Finding, error) {
		if path.Ext(file) != ".go" || finding.IsTestdata(file) {
			return nil, nil
		}
		return t.checkFile(tree, file)
	})
}

// Missing returns the packages that the table names and the tree does not have, sorted.
func (t Table) Missing(tree fs.FS) []string {
	var missing []string
	check := func(patterns ...string) {
		for _, pattern := range patterns {
			if info, err := fs.Stat(tree, strings.TrimSuffix(pattern, "/...")); (err != nil || !info.IsDir()) && !slices.Contains(missing, pattern) {
				missing = append(missing, pattern)
			}
		}
	}
	for _, row := range t.Rows {
		check(row.Packages)
		check(row.Imports...)
		check(row.Tests...)
	}
	for _, importers := range t.Only {
		check(importers...)
	}
	slices.Sort(missing)
	return missing
}

func (t Table) checkFile(tree fs.FS, file string) ([]finding.Finding, error) {
	source, err := fs.ReadFile(tree, file)
	if err != nil {
		return nil, err
	}
	positions := token.NewFileSet()
	parsed, err := parser.ParseFile(positions, file, source, parser.ImportsOnly)
	if err != nil {
		return nil, fmt.Errorf("reading imports: %w", err)
	}

	directory := path.Dir(file)
	row := slices.IndexFunc(t.Rows, func(r Row) bool { return matches(r.Packages, directory) })
	if row < 0 {
		return []finding.Finding{{File: file, Line: positions.Position(parsed.Package).Line, Message: directory + " has no row in the table"}}, nil
	}
	allowed := t.Rows[row].Imports
	if strings.HasSuffix(file, "_test.go") {
		allowed = slices.Concat(allowed, t.Rows[row].Tests)
	}

	var findings []finding.Finding
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: import %s: %w", file, spec.Path.Value, err)
		}
		if message := t.check(directory, imported, allowed); message != "" {
			findings = append(findings, finding.Finding{File: file, Line: positions.Position(spec.Pos()).Line, Message: message})
		}
	}
	return findings, nil
}

// check returns "" for an allowed import, and otherwise a message.
func (t Table) check(directory, imported string, allowed []string) string {
	if target, ok := t.directory(imported); ok {
		if target == directory || matchesAny(allowed, target) {
			return ""
		}
		return fmt.Sprintf("%s imports %s, allowed: %s", directory, target, list(allowed))
	}
	for outside, importers := range t.Only {
		if below(outside, imported) && !matchesAny(importers, directory) {
			return fmt.Sprintf("%s imports %q, allowed in: %s", directory, imported, list(importers))
		}
	}
	return ""
}

// directory returns the directory of an import path, and whether the path belongs to one of the modules.
func (t Table) directory(imported string) (string, bool) {
	for module, root := range t.Modules {
		if below(module, imported) {
			return path.Join(root, "."+strings.TrimPrefix(imported, module)), true
		}
	}
	return "", false
}

func list(packages []string) string {
	if len(packages) == 0 {
		return "no packages of these modules"
	}
	return strings.Join(packages, ", ")
}

func matchesAny(patterns []string, directory string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, directory) })
}

func matches(pattern, directory string) bool {
	if parent, ok := strings.CutSuffix(pattern, "/..."); ok {
		return below(parent, directory)
	}
	return pattern == directory
}

func below(parent, child string) bool {
	return child == parent || strings.HasPrefix(child, parent+"/")
}
