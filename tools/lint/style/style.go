// Package style checks rules of this repository that formatters and compilers do not check: the lengths of functions and files, and
// the names of tests.
package style

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"krabby.dev/krabby/tools/lint/finding"
)

// Limits for sources other than tests.
const (
	MaxFunctionLines = 60 // From the keyword func to the closing brace.
	MaxFileLines     = 500
)

// sentence matches test names that are sentences. A name starts with the subject of the test, such as TestSend_noPeer.
var sentence = regexp.MustCompile(`^Test(?:(?:What|Where|Who|Nobody|An|The|No)[A-Z]|A[A-Z][a-z]|[A-Za-z0-9]*[a-z](?:Are|Does|Is|Must|Says?|That|What|Which)[A-Z][A-Za-z0-9]*$)`)

// Functions returns the Go functions outside of tests that exceed MaxFunctionLines.
func Functions(tree fs.FS) ([]finding.Finding, error) {
	return goFunctions(tree, false, func(f *ast.FuncDecl, lines int) string {
		if lines <= MaxFunctionLines {
			return ""
		}
		return fmt.Sprintf("function %s has %d lines, the limit is %d: split it", f.Name.Name, lines, MaxFunctionLines)
	})
}

// Tests returns the Go tests whose names are sentences.
func Tests(tree fs.FS) ([]finding.Finding, error) {
	return goFunctions(tree, true, func(f *ast.FuncDecl, _ int) string {
		if f.Recv != nil || !sentence.MatchString(f.Name.Name) {
			return ""
		}
		return fmt.Sprintf("test %s is named by a sentence: expected TestSubject, TestSubject_condition or TestSubject_condition_result", f.Name.Name)
	})
}

// goFunctions calls check for every function of the Go files that are tests, or of all others. It returns a finding for each
// message that is not empty.
func goFunctions(tree fs.FS, tests bool, check func(f *ast.FuncDecl, lines int) string) ([]finding.Finding, error) {
	return finding.Collect(tree, func(file string) ([]finding.Finding, error) {
		if path.Ext(file) != ".go" || isTest(file) != tests || finding.IsTestdata(file) {
			return nil, nil
		}
		source, err := fs.ReadFile(tree, file)
		if err != nil {
			return nil, err
		}
		positions := token.NewFileSet()
		parsed, err := parser.ParseFile(positions, file, source, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		var findings []finding.Finding
		for _, declaration := range parsed.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if !ok {
				continue
			}
			first, last := positions.Position(f.Pos()).Line, positions.Position(f.End()).Line
			if message := check(f, last-first+1); message != "" {
				findings = append(findings, finding.Finding{File: file, Line: first, Message: message})
			}
		}
		return findings, nil
	})
}

// Files returns the Go, Starlark and Python files outside of tests that exceed MaxFileLines.
func Files(tree fs.FS) ([]finding.Finding, error) {
	return finding.Collect(tree, func(file string) ([]finding.Finding, error) {
		switch path.Ext(file) {
		case ".go", ".bzl", ".bazel", ".py":
		default:
			return nil, nil
		}
		if isTest(file) || finding.IsTestdata(file) {
			return nil, nil
		}
		source, err := fs.ReadFile(tree, file)
		if err != nil {
			return nil, err
		}
		lines := bytes.Count(source, []byte("\n"))
		if lines <= MaxFileLines {
			return nil, nil
		}
		return []finding.Finding{{File: file, Line: MaxFileLines + 1, Message: fmt.Sprintf("the file has %d lines, the limit is %d: split it", lines, MaxFileLines)}}, nil
	})
}

// isTest reports whether a file belongs to tests: *_test.go, test_*.py, *_test.py and conftest.py.
func isTest(file string) bool {
	name := path.Base(file)
	switch path.Ext(name) {
	case ".go":
		return strings.HasSuffix(name, "_test.go")
	case ".py":
		return strings.HasPrefix(name, "test_") || strings.HasSuffix(name, "_test.py") || name == "conftest.py"
	}
	return false
}
