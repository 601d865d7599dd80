// Package probe looks out of the sandbox it runs in, and tells what it can see. It sends nothing to any network.
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

// Nowhere is an address for documentation (RFC 5737), which no machine has.
const Nowhere = "192.0.2.1:9"

// Compilers are the programs that a build without a toolchain of its own would look for.
var Compilers = []string{"c++", "cc", "clang", "cpp", "g++", "gcc", "ld"}

// A Report is what can be seen.
type Report struct {
	// Input is what the declared input says.
	Input string
	// Interfaces are the network interfaces.
	Interfaces []string
	// Route says why there is no route to Nowhere; it is empty if there is one.
	Route string
	// Root is what "/" holds.
	Root []string
	// Temporary is what /tmp holds.
	Temporary []string
	// Readable are those of the files asked about that can be read.
	Readable []string
	// Workspaces are the folders from the declared input up to "/" that hold a MODULE.bazel.
	Workspaces []string
	// Processes are the other processes whose environment or root folder can be looked into.
	Processes []string
	// Writable are the folders in "/" that can be written to.
	Writable []string
	// Environment is the environment.
	Environment []string
	// Compilers are where each of Compilers is, for those that are anywhere.
	Compilers []string
}

// Look makes a report. The input must be declared to Bazel, the other files must not be.
func Look(input string, undeclared []string) (Report, error) {
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

// route connects a datagram socket, which chooses a route and sends nothing.
func route() string {
	connection, err := net.Dial("udp", Nowhere)
	if err != nil {
		return err.Error()
	}
	connection.Close()
	return ""
}

func list(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("listing a folder: %w", err)
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

// workspaces looks above the input as it is named, and as its symbolic links, if any, resolve.
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

// processes looks into /proc, through which a process outside the sandbox could show its files.
func processes() ([]string, error) {
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var found []string
	for _, folder := range folders {
		// A process of the sandbox has the sandbox's root.
		root, err := os.Stat(folder + "/root/.")
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
			name, _ := os.ReadFile(folder + "/comm")
			found = append(found, fmt.Sprintf("%s (%s)", folder, strings.TrimSpace(string(name))))
		}
	}
	return found, nil
}
