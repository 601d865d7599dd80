// Package starlark renders reference pages of Starlark files from their docstrings: rules, macros, providers and module extensions.
//
// It parses the files and evaluates only literals, names of the same repository, `+`, `|` and `str.format`; other expressions appear
// as source.
package starlark

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/bazelbuild/buildtools/build"
)

// Page is one reference page.
type Page struct {
	// Title is the first heading, Output the file name of the page.
	Title, Output string
	// Label is the .bzl file as users load it, Path its path in the tree.
	Label, Path string
	// Symbols are the public symbols to describe, in this order.
	Symbols []string
}

// Render returns the page as Markdown. The error names a symbol that is not found or has no docstring.
func Render(tree fs.FS, p Page) (string, error) {
	module, err := load(tree, p.Path)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	fmt.Fprintf(&out, "# %s\n\n%s\n", p.Title, generated)
	if doc := docstring(module.file.Stmt); doc != "" {
		fmt.Fprintf(&out, "\n%s\n", doc)
	}
	for _, symbol := range p.Symbols {
		section, err := module.symbol(symbol, p.Label)
		if err != nil {
			return "", fmt.Errorf("%s: %s: %w", p.Path, symbol, err)
		}
		fmt.Fprintf(&out, "\n## %s\n\n%s", symbol, section)
	}
	return out.String(), nil
}

// generated is the note at the top of every page.
const generated = "<!-- Generated from docstrings by `./tools/bazel run //tools/docs`. -->"

// module is a parsed .bzl file.
type module struct {
	tree    fs.FS
	path    string
	file    *build.File
	globals map[string]build.Expr
	defs    map[string]*build.DefStmt
	loads   map[string]loaded
}

// loaded is a symbol of another file.
type loaded struct{ label, symbol string }

func load(tree fs.FS, file string) (*module, error) {
	source, err := fs.ReadFile(tree, file)
	if err != nil {
		return nil, err
	}
	parsed, err := build.ParseBzl(file, source)
	if err != nil {
		return nil, err
	}
	m := &module{tree: tree, path: file, file: parsed, globals: map[string]build.Expr{}, defs: map[string]*build.DefStmt{}, loads: map[string]loaded{}}
	for _, stmt := range parsed.Stmt {
		switch s := stmt.(type) {
		case *build.DefStmt:
			m.defs[s.Name] = s
		case *build.AssignExpr:
			if name, ok := s.LHS.(*build.Ident); ok {
				m.globals[name.Name] = s.RHS
			}
		case *build.LoadStmt:
			for i := range s.From {
				m.loads[s.To[i].Name] = loaded{s.Module.Value, s.From[i].Name}
			}
		}
	}
	return m, nil
}

// resolve returns the module and the name that define a symbol, following re-exports within the tree.
func (m *module) resolve(symbol string) (*module, string, error) {
	if from, ok := m.loads[symbol]; ok {
		file := m.pathOf(from.label)
		if file == "" {
			return nil, "", fmt.Errorf("loaded from %s, which is not in this repository", from.label)
		}
		other, err := load(m.tree, file)
		if err != nil {
			return nil, "", err
		}
		return other.resolve(from.symbol)
	}
	if alias, ok := m.globals[symbol].(*build.Ident); ok {
		return m.resolve(alias.Name)
	}
	if m.globals[symbol] == nil && m.defs[symbol] == nil {
		return nil, "", fmt.Errorf("symbol not found")
	}
	return m, symbol, nil
}

// pathOf returns the path of a label in the tree, or "" for a label of another repository.
func (m *module) pathOf(label string) string {
	pkg, name, ok := strings.Cut(label, ":")
	switch {
	case !ok || strings.HasPrefix(label, "@"):
		return ""
	case pkg == "":
		return path.Join(path.Dir(m.path), name)
	}
	pkg = strings.TrimPrefix(pkg, "//")
	// A label of a nested module refers to the directory of its MODULE.bazel.
	for dir := path.Dir(m.path); ; dir = path.Dir(dir) {
		if _, err := fs.Stat(m.tree, path.Join(dir, "MODULE.bazel")); err == nil || dir == "." {
			return path.Join(dir, pkg, name)
		}
	}
}

// symbol renders the definition of a symbol.
func (m *module) symbol(symbol, label string) (string, error) {
	home, name, err := m.resolve(symbol)
	if err != nil {
		return "", err
	}
	head := fmt.Sprintf("```starlark\nload(\"%s\", \"%s\")\n```\n\n", label, symbol)
	if def := home.defs[name]; def != nil {
		body, err := home.function(def)
		return head + body, err
	}
	call, ok := home.globals[name].(*build.CallExpr)
	if !ok {
		return "", fmt.Errorf("neither a function nor a rule, provider or module extension")
	}
	switch kind := build.FormatString(call.X); kind {
	case "rule", "repository_rule":
		body, err := home.rule(call)
		return head + body, err
	case "module_extension":
		body, err := home.extension(symbol, call)
		return fmt.Sprintf("```starlark\n%[2]s = use_extension(\"%[1]s\", \"%[2]s\")\n```\n\n", label, symbol) + body, err
	default:
		return "", fmt.Errorf("no page for a %s", kind)
	}
}

// docstring returns the dedented docstring at the start of a body.
func docstring(body []build.Expr) string {
	for _, stmt := range body {
		switch s := stmt.(type) {
		case *build.CommentBlock:
			continue
		case *build.StringExpr:
			return dedent(s.Value)
		}
		break
	}
	return ""
}

// dedent removes the indentation of the second line from all lines but the first.
func dedent(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	indent := -1
	for _, line := range lines[1:] {
		if trimmed := strings.TrimLeft(line, " "); trimmed != "" && (indent < 0 || len(line)-len(trimmed) < indent) {
			indent = len(line) - len(trimmed)
		}
	}
	for i, line := range lines[1:] {
		lines[i+1] = strings.TrimRight(line[min(max(indent, 0), len(line)):], " ")
	}
	return strings.Join(lines, "\n")
}
