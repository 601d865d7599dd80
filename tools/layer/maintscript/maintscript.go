// Package maintscript finds out what the maintainer scripts of Debian packages do when a package is installed for the first time. An
// interpreter runs each script on the file tree of a layer: no process starts, and no file of the machine is read or written. A command
// that the package does not know is an error with its line.
//
// It must not import a package that reads packages or writes layers.
package maintscript

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// Package is the package of a script.
type Package struct {
	Name         string
	Architecture string // As dpkg names it, such as amd64.
}

// Root is the file tree that scripts see and change. Paths are absolute.
type Root interface {
	// Lookup returns the entry at a path. It follows links in parent directories and, if follow is true, at the path itself.
	Lookup(name string, follow bool) (Entry, bool)
	// Names returns the sorted names in a directory.
	Names(dir string) []string
	// Mkdir creates a directory and its parents.
	Mkdir(name string, mode int64) error
	// Symlink creates a symbolic link.
	Symlink(target, name string) error
	// Rename moves the file of a package other than pkg, if there is one.
	Rename(pkg, from, to string) error
	// Excluded reports whether the author of the layer leaves out a path.
	Excluded(name string) bool
}

// Entry is an entry of a file tree.
type Entry struct {
	Mode   fs.FileMode
	Target string // Of a symbolic link.
	Open   func() (io.ReadCloser, error)
}

// maxCalls is the largest number of calls of commands in a script. Loops of real scripts have some hundred.
const maxCalls = 100_000

// Unsupported is the error for what a script does and a layer cannot do.
type Unsupported struct {
	Script string // Such as postinst.
	Line   uint   // 0 if it is unknown.
	What   string
}

func (e *Unsupported) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.Script, e.What)
	}
	return fmt.Sprintf("%s, line %d: %s", e.Script, e.Line, e.What)
}

// Preinst runs the preinst script of a package before its files are unpacked.
func (s *State) Preinst(pkg Package, script []byte, root Root) error {
	return s.run(pkg, "preinst", script, root, "install")
}

// Postinst runs the postinst script of a package after its files are unpacked.
func (s *State) Postinst(pkg Package, script []byte, root Root) error {
	return s.run(pkg, "postinst", script, root, "configure", "")
}

func (s *State) run(pkg Package, name string, script []byte, root Root, args ...string) error {
	r := &runner{State: s, pkg: pkg, script: name, root: &lockedRoot{root: root}}
	program, err := r.parse(script)
	if err != nil {
		return err
	}
	r.program = program
	shell, err := interp.New(
		interp.StdIO(nil, io.Discard, io.Discard),
		interp.Dir("/"),
		interp.Params(append([]string{"--"}, args...)...),
		interp.Env(expand.ListEnviron(
			"DEBIAN_FRONTEND=noninteractive", "DPKG_MAINTSCRIPT_ARCH="+pkg.Architecture, "DPKG_MAINTSCRIPT_NAME="+name,
			"DPKG_MAINTSCRIPT_PACKAGE="+pkg.Name, "DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1", "DPKG_ROOT=", "HOME=/root", "LC_ALL=C.UTF-8",
			"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "SHELL=/bin/sh")),
		interp.CallHandler(r.call),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return r.exec }),
		interp.OpenHandler(r.open),
		interp.ReadDirHandler2(r.readDir),
		interp.StatHandler(func(_ context.Context, name string, follow bool) (fs.FileInfo, error) { return r.stat(name, follow) }),
		interp.AccessHandler(func(_ context.Context, name string, mode interp.AccessMode) error { return r.access(name, mode) }),
	)
	if err != nil {
		return err
	}
	err = shell.Run(context.Background(), program)
	if r.unsupported != nil {
		return r.unsupported
	}
	if status, ok := errors.AsType[interp.ExitStatus](err); ok {
		return &Unsupported{Script: name, Line: r.last, What: fmt.Sprintf("the script ends with exit code %d here", status)}
	}
	return err
}

// runner runs one script. Commands of a pipe run at the same time.
type runner struct {
	*State
	pkg    Package
	script string
	root   Root

	program     *syntax.File
	mu          sync.Mutex
	unsupported *Unsupported // The first in the script.
	calls       int
	last        uint // Line of the last command.
}

func (r *runner) parse(script []byte) (*syntax.File, error) {
	line, _, _ := bytes.Cut(script, []byte("\n"))
	interpreter, ok := strings.CutPrefix(string(line), "#!")
	words := strings.Fields(interpreter)
	if !ok || len(words) == 0 {
		return nil, &Unsupported{Script: r.script, What: "not a script: it does not begin with #!"}
	}
	if shell := path.Base(words[0]); shell != "sh" && shell != "bash" && shell != "dash" {
		return nil, &Unsupported{Script: r.script, Line: 1, What: "a script of " + shell + ", not of sh"}
	}
	program, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(bytes.NewReader(script), "")
	if err != nil {
		return nil, &Unsupported{Script: r.script, What: "syntax error: " + err.Error()}
	}
	var refused *Unsupported
	syntax.Walk(program, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.ProcSubst: // The interpreter would make a named pipe on the machine.
			refused = &Unsupported{r.script, n.Pos().Line(), "process substitution"}
		case *syntax.Stmt:
			if n.Background {
				refused = &Unsupported{r.script, n.Pos().Line(), "a command in the background"}
			}
		}
		return refused == nil
	})
	if refused != nil {
		return nil, refused
	}
	if interpreterHasFlag(words[1:], 'e') { // dpkg executes the script, so the flags of the first line count.
		program.Stmts = append([]*syntax.Stmt{setE()}, program.Stmts...)
	}
	return program, nil
}

func interpreterHasFlag(flags []string, flag rune) bool {
	for _, f := range flags {
		if strings.HasPrefix(f, "-") && strings.ContainsRune(f, flag) {
			return true
		}
	}
	return false
}

// setE returns the command "set -e".
func setE() *syntax.Stmt {
	word := func(s string) *syntax.Word { return &syntax.Word{Parts: []syntax.WordPart{&syntax.Lit{Value: s}}} }
	return &syntax.Stmt{Cmd: &syntax.CallExpr{Args: []*syntax.Word{word("set"), word("-e")}}}
}

// refuse stops the script.
func (r *runner) refuse(pos syntax.Pos, what string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u := (&Unsupported{r.script, pos.Line(), what}); r.unsupported == nil || u.Line < r.unsupported.Line {
		r.unsupported = u
	}
	return r.unsupported
}

// call sees every command before it runs, including builtins and functions.
func (r *runner) call(ctx context.Context, args []string) ([]string, error) {
	pos := interp.HandlerCtx(ctx).Pos
	r.mu.Lock()
	r.calls++
	calls := r.calls
	if pos.IsValid() {
		r.last = pos.Line()
	}
	r.mu.Unlock()
	if calls > maxCalls {
		return nil, r.refuse(pos, fmt.Sprintf("more than %d commands: an endless loop?", maxCalls))
	}
	switch args[0] {
	case ".", "source":
		what := "reads " + strings.Join(args[1:], " ")
		if len(args) > 1 && strings.HasSuffix(args[1], "/debconf/confmodule") {
			what = "asks questions by debconf"
		}
		return nil, r.refuse(pos, what)
	case "type", "hash":
		return append([]string{"which"}, args[1:]...), nil
	case "command":
		// The builtin would look for the program on the machine.
		if len(args) > 1 && (args[1] == "-v" || args[1] == "-V") {
			return append([]string{"which"}, args[2:]...), nil
		}
	}
	return args, nil
}

func (r *runner) exec(ctx context.Context, args []string) error {
	hc := interp.HandlerCtx(ctx)
	name := path.Base(args[0])
	if slices.Contains(withoutEffect, name) {
		return nil
	}
	command := commandOf(name)
	if command == nil {
		return r.refuse(hc.Pos, strings.Join(args, " "))
	}
	status, err := command(r, call{hc, args[1:]})
	if _, ok := errors.AsType[*Unsupported](err); ok {
		return err
	}
	if err != nil {
		return r.refuse(hc.Pos, strings.Join(args, " ")+": "+err.Error())
	}
	if status != 0 {
		return interp.ExitStatus(status)
	}
	return nil
}

func (r *runner) open(ctx context.Context, name string, flag int, _ fs.FileMode) (io.ReadWriteCloser, error) {
	hc := interp.HandlerCtx(ctx)
	name = absolute(hc.Dir, name)
	if name == "/dev/null" {
		return file{bytes.NewReader(nil)}, nil
	}
	if flag&(os.O_WRONLY|os.O_RDWR) != 0 {
		return nil, r.refuse(r.redirection(name), "writes "+name)
	}
	e, ok := r.root.Lookup(name, true)
	if !ok || !e.Mode.IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	content, err := read(e)
	if err != nil {
		return nil, err
	}
	return file{bytes.NewReader(content)}, nil
}

// redirection returns the position of the redirection to a file, which the interpreter does not tell: that with the file's name, or
// the next one after the last command.
func (r *runner) redirection(name string) (pos syntax.Pos) {
	r.mu.Lock()
	defer r.mu.Unlock()
	syntax.Walk(r.program, func(n syntax.Node) bool {
		if rd, ok := n.(*syntax.Redirect); ok && rd.Word != nil {
			literal := rd.Word.Lit() == name
			if literal || !pos.IsValid() && rd.Word.Lit() == "" && rd.Pos().Line() >= r.last {
				pos = rd.Pos()
			}
		}
		return true
	})
	return pos
}

func read(e Entry) ([]byte, error) {
	in, err := e.Open()
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(in)
	return content, errors.Join(err, in.Close())
}

// file is an open file of the tree. It loses what is written to it, as /dev/null does.
type file struct{ io.Reader }

func (file) Write(p []byte) (int, error) { return len(p), nil }
func (file) Close() error                { return nil }

func absolute(dir, name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(dir, name)
}

func (r *runner) stat(name string, follow bool) (fs.FileInfo, error) {
	if name == "/dev/null" {
		return info{"null", fs.ModeDevice | fs.ModeCharDevice | 0o666}, nil
	}
	e, ok := r.root.Lookup(name, follow)
	if !ok {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return info{path.Base(name), e.Mode}, nil
}

func (r *runner) access(name string, mode interp.AccessMode) error {
	i, err := r.stat(name, true)
	if err == nil && mode&interp.AccessExec != 0 && i.Mode()&0o111 == 0 {
		err = &fs.PathError{Op: "access", Path: name, Err: fs.ErrPermission}
	}
	return err
}

func (r *runner) readDir(_ context.Context, name string) ([]fs.DirEntry, error) {
	var entries []fs.DirEntry
	for _, n := range r.root.Names(name) {
		i, err := r.stat(path.Join(name, n), false)
		if err != nil {
			return nil, err
		}
		entries = append(entries, fs.FileInfoToDirEntry(i))
	}
	return entries, nil
}
