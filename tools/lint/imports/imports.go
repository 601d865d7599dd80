// Package imports checks which packages import which, by reading nothing but import declarations.
package imports

import (
	"cmp"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A Table says what may be imported. Packages are named by their folders; "a/..." is a and all that is below it.
type Table struct {
	// Modules are the folders of the modules that Rows is about, by their paths; "." is the root.
	Modules map[string]string
	// Rows are looked through from the top, and the first that names a package is its own. A package that no row names
	// is a violation, so that every new one is given a place.
	Rows []Row
	// Only lists those packages that may import a package from outside the modules, by its path. What is below that path
	// counts as well.
	Only map[string][]string
}

// A Row is the rule for some packages, and for their tests. A package may always import itself.
type Row struct {
	Packages string
	// Imports may be imported by the packages and by their tests.
	Imports []string
	// Tests may be imported by their tests too.
	Tests []string
}

// A Violation is an import that the table does not allow.
type Violation struct {
	File string
	Line int
	Why  string
}

func (v Violation) String() string {
	return fmt.Sprintf("%s:%d: %s", v.File, v.Line, v.Why)
}

// Check returns the violations in all Go files of the tree, sorted; folders named testdata are left out.
func (t Table) Check(tree fs.FS) ([]Violation, error) {
	var violations []Violation
	err := fs.WalkDir(tree, ".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == "testdata":
			return fs.SkipDir
		case entry.IsDir() || path.Ext(file) != ".go":
			return nil
		}
		found, err := t.checkFile(tree, file)
		violations = append(violations, found...)
		return err
	})
	slices.SortFunc(violations, func(a, b Violation) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line)
	})
	return violations, err
}

func (t Table) checkFile(tree fs.FS, file string) ([]Violation, error) {
	source, err := fs.ReadFile(tree, file)
	if err != nil {
		return nil, err
	}
	positions := token.NewFileSet()
	parsed, err := parser.ParseFile(positions, file, source, parser.ImportsOnly)
	if err != nil {
		return nil, fmt.Errorf("reading imports: %w", err)
	}

	folder := path.Dir(file)
	row := slices.IndexFunc(t.Rows, func(r Row) bool { return matches(r.Packages, folder) })
	if row < 0 {
		return []Violation{{file, positions.Position(parsed.Package).Line, folder + " has no row in the table"}}, nil
	}
	allowed := t.Rows[row].Imports
	if strings.HasSuffix(file, "_test.go") {
		allowed = slices.Concat(allowed, t.Rows[row].Tests)
	}

	var violations []Violation
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: import %s: %w", file, spec.Path.Value, err)
		}
		if why := t.refusal(folder, imported, allowed); why != "" {
			violations = append(violations, Violation{file, positions.Position(spec.Pos()).Line, why})
		}
	}
	return violations, nil
}

// refusal says why a package may not be imported; it is empty if it may.
func (t Table) refusal(folder, imported string, allowed []string) string {
	if ours, ok := t.folder(imported); ok {
		if ours == folder || matchesAny(allowed, ours) {
			return ""
		}
		return fmt.Sprintf("%s imports %s, may import only: %s", folder, ours, list(allowed))
	}
	for outside, importers := range t.Only {
		if below(outside, imported) && !matchesAny(importers, folder) {
			return fmt.Sprintf("%s imports %q, which only these may: %s", folder, imported, list(importers))
		}
	}
	return ""
}

// folder translates an import path into the folder of one of our modules.
func (t Table) folder(imported string) (string, bool) {
	for module, root := range t.Modules {
		if below(module, imported) {
			return path.Join(root, "."+strings.TrimPrefix(imported, module)), true
		}
	}
	return "", false
}

func list(packages []string) string {
	if len(packages) == 0 {
		return "nothing of ours"
	}
	return strings.Join(packages, ", ")
}

func matchesAny(patterns []string, folder string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, folder) })
}

func matches(pattern, folder string) bool {
	if parent, ok := strings.CutSuffix(pattern, "/..."); ok {
		return below(parent, folder)
	}
	return pattern == folder
}

func below(parent, child string) bool {
	return child == parent || strings.HasPrefix(child, parent+"/")
}
