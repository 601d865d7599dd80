package maintscript

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/interp"
)

// call is a call of a command: where it is and its arguments.
type call struct {
	interp.HandlerContext
	args []string
}

// command runs a command. The error is what a layer cannot do.
type command func(*runner, call) (status int, err error)

// commandOf returns the command of a name that a layer can carry out, or nil.
func commandOf(name string) command {
	switch name {
	case "basename":
		return func(_ *runner, c call) (int, error) { return c.print(path.Base) }
	case "cat":
		return cat
	case "dirname":
		return func(_ *runner, c call) (int, error) { return c.print(path.Dir) }
	case "dpkg":
		return dpkg
	case "dpkg-divert":
		return (*runner).divert
	case "ldconfig":
		return (*runner).ldconfig
	case "ln":
		return ln
	case "mkdir":
		return mkdir
	case "rm", "rmdir":
		return remove
	case "update-alternatives":
		return (*runner).alternatives
	case "which":
		return which
	}
	return nil
}

// withoutEffect are the commands that change nothing on a first installation, or nothing that an image needs: an image has no init
// system, no compiled Python modules, no index of documentation and no kernel.
var withoutEffect = []string{
	"deb-systemd-helper", "deb-systemd-invoke", "dpkg-maintscript-helper", "dpkg-trigger", "install-docs", "install-info", "invoke-rc.d", "mandb",
	"py3clean", "py3compile", "pyclean", "pycompile", "pypy3clean", "pypy3compile", "restorecon", "systemctl", "udevadm", "update-initramfs",
	"update-menus", "update-rc.d",
}

func (c call) print(f func(string) string) (int, error) {
	if len(c.args) != 1 {
		return 0, errors.New("expected one path")
	}
	_, err := fmt.Fprintln(c.Stdout, f(c.args[0]))
	return 0, err
}

func cat(r *runner, c call) (int, error) {
	if len(c.args) == 0 {
		_, err := io.Copy(c.Stdout, c.Stdin)
		return 0, err
	}
	for _, name := range c.args {
		e, ok := r.root.Lookup(absolute(c.Dir, name), true)
		if !ok || !e.Mode.IsRegular() {
			return 1, nil
		}
		content, err := read(e)
		if err != nil {
			return 0, err
		}
		if _, err := c.Stdout.Write(content); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// which looks for programs in the tree, and for the commands that every Debian system has.
func which(r *runner, c call) (int, error) {
	for _, name := range c.args {
		if strings.HasPrefix(name, "-") {
			continue
		}
		found := commandOf(name) != nil
		directories := []string{"/usr/sbin", "/usr/bin"}
		if strings.Contains(name, "/") {
			directories = []string{c.Dir}
		}
		for _, d := range directories {
			found = found || r.access(absolute(d, name), interp.AccessExec) == nil
		}
		if !found {
			return 1, nil
		}
		if _, err := fmt.Fprintln(c.Stdout, absolute("/usr/bin", name)); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// dpkg compares the version before the installation, which is empty, or prints the architecture.
func dpkg(r *runner, c call) (int, error) {
	if slices.Equal(c.args, []string{"--print-architecture"}) {
		_, err := fmt.Fprintln(c.Stdout, r.pkg.Architecture)
		return 0, err
	}
	if len(c.args) == 4 && c.args[0] == "--compare-versions" && c.args[1] == "" {
		// The empty version is older than any other, but newer for the operators that end in -nl.
		holds, ok := map[string]bool{
			"lt": true, "le": true, "ne": true, "<": true, "<<": true, "<=": true, "eq": false, "ge": false, "gt": false, ">": false,
			">>": false, ">=": false, "=": false, "lt-nl": false, "le-nl": false, "ge-nl": true, "gt-nl": true,
		}[c.args[2]]
		if ok && holds {
			return 0, nil
		}
		if ok {
			return 1, nil
		}
	}
	return 0, errors.New("expected the version before the installation, or --print-architecture")
}

// ln creates a symbolic link.
func ln(r *runner, c call) (int, error) {
	var flags, operands []string
	for _, a := range c.args {
		if strings.HasPrefix(a, "-") && a != "--" {
			flags = append(flags, strings.TrimLeft(a, "-"))
		} else if a != "--" {
			operands = append(operands, a)
		}
	}
	given := strings.Join(flags, "")
	if len(operands) != 2 || !strings.Contains(given, "s") || strings.Trim(given, "sfnTv") != "" {
		return 0, errors.New("expected a symbolic link, with the flags -s, -f, -n, -T and -v only")
	}
	target, name := operands[0], absolute(c.Dir, operands[1])
	if e, ok := r.root.Lookup(name, !strings.Contains(given, "n")); ok && e.Mode.IsDir() && !strings.Contains(given, "T") {
		name = path.Join(name, path.Base(target))
	}
	old, exists := r.root.Lookup(name, false)
	switch {
	case exists && !strings.Contains(given, "f"):
		return 1, nil
	case exists && old.Target != target:
		return 0, fmt.Errorf("%s exists, and is not this link", name)
	case exists:
		return 0, nil
	}
	return 0, r.root.Symlink(target, name)
}

// mkdir creates directories.
func mkdir(r *runner, c call) (int, error) {
	mode, parents := int64(0o755), false
	for i := 0; i < len(c.args); i++ {
		switch a := c.args[i]; {
		case a == "-p" || a == "--parents":
			parents = true
		case a == "-m" && i+1 < len(c.args):
			i++
			m, err := strconv.ParseInt(c.args[i], 8, 64)
			if err != nil || m < 0 || m > 0o7777 {
				return 0, fmt.Errorf("invalid mode %q", c.args[i])
			}
			mode = m
		case a == "-v" || a == "--":
		case strings.HasPrefix(a, "-"):
			return 0, errors.New("expected the flags -p, -m and -v only")
		default:
			name := absolute(c.Dir, a)
			if e, ok := r.root.Lookup(name, true); ok && (!parents || !e.Mode.IsDir()) {
				return 1, nil
			} else if ok {
				continue
			}
			if err := r.root.Mkdir(name, mode); err != nil {
				return 0, err
			}
		}
	}
	return 0, nil
}

// remove removes files that do not exist, such as those of earlier versions.
func remove(r *runner, c call) (int, error) {
	status := 1
	for _, a := range c.args {
		if strings.HasPrefix(a, "-") {
			if strings.Contains(a, "f") { // Also --ignore-fail-on-non-empty of rmdir.
				status = 0
			}
			continue
		}
		if _, ok := r.root.Lookup(absolute(c.Dir, a), false); ok {
			return 0, fmt.Errorf("%s exists", absolute(c.Dir, a))
		}
	}
	return status, nil
}
