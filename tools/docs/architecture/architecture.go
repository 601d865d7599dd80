// Package architecture keeps docs/architecture.md current: it draws the diagram of package dependencies from the imports of the Go
// sources, and compares the listed directories with those of the repository.
package architecture

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Page is the path of the page.
const Page = "docs/architecture.md"

// modulePath is the Go module of the diagram.
const modulePath = "krabby.dev/krabby/"

// The diagram lies between these lines of the page.
const (
	begin = "<!-- Diagram generated from the imports by `./tools/bazel run //tools/docs`. -->"
	end   = "<!-- End of the diagram. -->"
)

// layers are the nodes of the diagram, from the top. A node represents a directory and all below it, except other nodes.
var layers = []struct {
	title string
	nodes []string
}{
	{"Programs", []string{"cmd", "gameloop"}},
	{"Wiring", []string{"internal/bringup"}},
	{"Inference", []string{
		"compute/inference", "compute/runner", "compute/doctor", "compute/parkour", "compute/observation", "compute/onnx", "compute/rollout",
		"compute/policy",
	}},
	{"Hardware abstraction layer", []string{
		"hal/metrics", "hal/server", "hal/client", "hal/backends", "hal/mujoco", "hal/synthetic", "hal/backend", "hal/safety", "hal/bus",
		"hal/wire", "hal/message", "hal/robot",
	}},
}

// edges has the imports of each node.
type edges map[string]map[string]bool

// Update returns the page with the current diagram.
func Update(tree fs.FS) (string, error) {
	page, err := fs.ReadFile(tree, Page)
	if err != nil {
		return "", err
	}
	before, rest, ok := strings.Cut(string(page), begin+"\n")
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", fmt.Errorf("%s: the lines %q and %q not found", Page, begin, end)
	}
	found, err := imports(tree)
	if err != nil {
		return "", err
	}
	return before + begin + "\n" + diagram(found.reduce()) + end + after, nil
}

// nodeOf returns the node of a directory, or "".
func nodeOf(dir string) string {
	best := ""
	for _, layer := range layers {
		for _, node := range layer.nodes {
			if (dir == node || strings.HasPrefix(dir, node+"/")) && len(node) > len(best) {
				best = node
			}
		}
	}
	return best
}

// imports returns the edges between nodes. Tests and packages for tests do not count.
func imports(tree fs.FS) (edges, error) {
	found := edges{}
	err := fs.WalkDir(tree, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
			return err
		}
		from := nodeOf(path.Dir(file))
		if from == "" || strings.HasSuffix(path.Dir(file), "test") {
			return nil
		}
		source, err := fs.ReadFile(tree, file)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if dir, ok := strings.CutPrefix(imported, modulePath); ok {
				found.add(from, nodeOf(dir))
			}
		}
		return nil
	})
	return found, err
}

func (e edges) add(from, to string) {
	if to == "" || to == from {
		return
	}
	if e[from] == nil {
		e[from] = map[string]bool{}
	}
	e[from][to] = true
}

// reaches reports whether a path leads from one node to another.
func (e edges) reaches(from, to string) bool {
	for next := range e[from] {
		if next == to || e.reaches(next, to) {
			return true
		}
	}
	return false
}

// reduce returns the edges without those that a longer path implies.
func (e edges) reduce() edges {
	reduced := edges{}
	for from, tos := range e {
		for to := range tos {
			implied := false
			for other := range tos {
				implied = implied || other != to && e.reaches(other, to)
			}
			if !implied {
				reduced.add(from, to)
			}
		}
	}
	return reduced
}

// diagram draws the edges as a Mermaid flowchart.
func diagram(e edges) string {
	id := func(node string) string { return strings.ReplaceAll(node, "/", "_") }
	var out strings.Builder
	out.WriteString("```mermaid\nflowchart TD\n")
	for i, layer := range layers {
		fmt.Fprintf(&out, "  subgraph layer%d [%s]\n", i, layer.title)
		for _, node := range layer.nodes {
			fmt.Fprintf(&out, "    %s[%s]\n", id(node), node)
		}
		out.WriteString("  end\n")
	}
	for _, layer := range layers {
		for _, from := range layer.nodes {
			for _, to := range slices.Sorted(maps.Keys(e[from])) {
				fmt.Fprintf(&out, "  %s --> %s\n", id(from), id(to))
			}
		}
	}
	out.WriteString("```\n")
	return out.String()
}

// listed matches a line of the page's list of directories.
var listed = regexp.MustCompile(`(?m)^ *([\w.][\w./-]*)/ +\S.*$`)

// Directories returns the differences between the directories of the page and those of the repository, at the top and one level below.
func Directories(tree fs.FS) ([]string, error) {
	page, err := fs.ReadFile(tree, Page)
	if err != nil {
		return nil, err
	}
	exist, err := directories(tree)
	if err != nil {
		return nil, err
	}
	var differences []string
	found := map[string]bool{}
	for _, match := range listed.FindAllStringSubmatch(string(page), -1) {
		switch dir := match[1]; {
		case found[dir]:
			differences = append(differences, dir+" is listed twice")
		case !exist[dir]:
			differences = append(differences, dir+" is listed and does not exist")
		default:
			found[dir] = true
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(exist)) {
		if !found[dir] {
			differences = append(differences, dir+" is not listed")
		}
	}
	return differences, nil
}

// directories returns the directories with files, at the top and one level below, without test data.
func directories(tree fs.FS) (map[string]bool, error) {
	exist := map[string]bool{}
	err := fs.WalkDir(tree, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		parts := strings.Split(path.Dir(file), "/")
		if parts[0] == "." || parts[0] == ".git" || slices.Contains(parts, "testdata") {
			return nil
		}
		exist[parts[0]] = true
		if len(parts) > 1 {
			exist[parts[0]+"/"+parts[1]] = true
		}
		return nil
	})
	return exist, err
}
