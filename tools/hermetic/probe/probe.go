// Package probe reports which parts of the machine are visible from the sandbox that it runs in. It sends nothing to a network.
//
// It must not import another package of this repository.
package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// UnreachableAddress is an address for documentation (RFC 5737). No machine has it.
const UnreachableAddress = "192.0.2.1:9"

// Compilers are the programs that a build without its own toolchain searches for.
var Compilers = []string{"c++", "cc", "clang", "cpp", "g++", "gcc", "ld"}

// A Report lists the visible parts of the machine. Its JSON is the output of the rule report.
type Report struct {
	// Input is the content of the declared input.
	Input string
	// Interfaces are the network interfaces.
	Interfaces []string
	// Route is the error of connecting to UnreachableAddress. It is empty if there is a route.
	Route string
	// Root are the names in the directory /.
	Root []string
	// Temporary are the names in the directory /tmp.
	Temporary []string
	// Readable are the undeclared files that can be read.
	Readable []string
	// Workspaces are the directories with a MODULE.bazel between the declared input and /.
	Workspaces []string
	// Processes are the processes outside the sandbox whose root directory can be read.
	Processes []string
	// Writable are the writable directories in /.
	Writable []string
	// Environment are the environment variables.
	Environment []string
	// Compilers are the paths of the Compilers on PATH.
	Compilers []string
}

// Run returns a report. The input must be a declared input of the Bazel action; the other files must be undeclared.
func Run(input string, undeclared []string) (Report, error) {
	var report Report
	data, err := os.ReadFile(input)
	if err != nil {
		return report, fmt.Errorf("reading the declared input: %w", err)
	}
	report.Input = strings.TrimSpace(string(data))

	interfaces, err := net.Interfaces()
	if err != nil {
		return report, fmt.Errorf("listing network interfaces: %w", err)
	}
	for _, i := range interfaces {
		report.Interfaces = append(report.Interfaces, i.Name)
	}
	report.Route = route()

	if report.Root, err = list("/"); err != nil {
		return report, err
	}
	if report.Temporary, err = list("/tmp"); err != nil {
		return report, err
	}
	for _, name := range report.Root {
		if writable("/" + name) {
			report.Writable = append(report.Writable, "/"+name)
		}
	}

	for _, file := range undeclared {
		if readable(file) {
			report.Readable = append(report.Readable, file)
		}
	}
	if report.Workspaces, err = workspaces(input); err != nil {
		return report, err
	}
	if report.Processes, err = processes(); err != nil {
		return report, err
	}

	report.Environment = os.Environ()
	slices.Sort(report.Environment)
	for _, name := range Compilers {
		if path, err := exec.LookPath(name); err == nil {
			report.Compilers = append(report.Compilers, path)
		}
	}
	return report, nil
}

// route returns the error of connecting a datagram socket. Connecting selects a route and sends nothing.
func route() string {
	connection, err := net.Dial("udp", UnreachableAddress)
	if err != nil {
		return err.Error()
	}
	connection.Close()
	return ""
}

func list(directory string) ([]string, error) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil, fmt.Errorf("listing a directory: %w", err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, nil
}

func readable(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	file.Close()
	return true
}

func writable(path string) bool {
	const write = 2
	return syscall.Access(path, write) == nil
}

// workspaces searches the parent directories of the input, of its path and of its path with resolved symbolic links.
func workspaces(input string) ([]string, error) {
	named, err := filepath.Abs(input)
	if err != nil {
		return nil, err
	}
	resolved, err := filepath.EvalSymlinks(input)
	if err != nil {
		return nil, err
	}
	if resolved, err = filepath.Abs(resolved); err != nil {
		return nil, err
	}
	var found []string
	for _, path := range []string{named, resolved} {
		for path != "/" {
			path = filepath.Dir(path)
			if readable(filepath.Join(path, "MODULE.bazel")) && !slices.Contains(found, path) {
				found = append(found, path)
			}
		}
	}
	return found, nil
}

// processes returns the processes in /proc with another root directory, through which files outside the sandbox are visible.
func processes() ([]string, error) {
	directories, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var found []string
	for _, directory := range directories {
		root, err := os.Stat(directory + "/root/.")
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ESRCH) {
			continue
		} else if err != nil {
			return nil, err
		}
		ours, err := os.Stat("/")
		if err != nil {
			return nil, err
		}
		if !os.SameFile(root, ours) {
			name, _ := os.ReadFile(directory + "/comm")
			found = append(found, fmt.Sprintf("%s (%s)", directory, strings.TrimSpace(string(name))))
		}
	}
	return found, nil
}
