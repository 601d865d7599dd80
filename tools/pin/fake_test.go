package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"krabby.dev/krabby/tools/pin/apt/apttest"
)

// fakes play the package clients as far as pin uses them. They answer from files in the directory FAKE_ANSWERS, without a network.
var fakes = map[string]func(args []string) int{
	"apt-config": fakeAptConfig,
	"apt-get":    fakeAptGet,
	"go":         fakeGo,
	"python3":    fakePython,
}

const fakeMirror = "http://mirror.test/debian"

func answer(name string) string {
	data, err := os.ReadFile(filepath.Join(os.Getenv("FAKE_ANSWERS"), name))
	if err != nil {
		return ""
	}
	return string(data)
}

func failing(format string, args ...any) int {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	return 100
}

// fakeAptConfig prints the configuration of a host that has a proxy and accepts unsigned package lists.
func fakeAptConfig([]string) int {
	fmt.Print("Acquire::http::Proxy \"http://proxy.test\";\n" + apttest.InsecureHost())
	return 0
}

// fakeAptGet prints lines of the files amd64, arm64 and sources, which have the form of --print-uris. It requires an earlier update
// with a configuration file of its own.
func fakeAptGet(args []string) int {
	if args[0] == "indextargets" {
		fmt.Print(answer("indextargets"))
		return 0
	}
	config, err := os.ReadFile(os.Getenv("APT_CONFIG"))
	if err != nil {
		return failing("E: apt-get %v without APT_CONFIG uses the machine's configuration", args)
	}
	lists := filepath.Join(regexp.MustCompile(`Dir::State "(.*)";`).FindStringSubmatch(string(config))[1], "lists/fetched")
	if args[0] == "update" {
		if reason := answer("update-fails"); reason != "" {
			return failing("W: something else\nE: %s\nE: Some index files failed", reason)
		}
		list, err := os.ReadFile(filepath.Join(filepath.Dir(os.Getenv("APT_CONFIG")), "sources.list"))
		if err != nil || !strings.Contains(string(list), "[signed-by=") || !strings.Contains(string(config), "http://proxy.test") {
			return failing("E: no keys, or no proxy of the machine: %s %v", list, err)
		}
		if accepted := apttest.AcceptsUnsigned(string(config)); len(accepted) > 0 {
			return failing("E: accepts unsigned package lists: %q", accepted)
		}
		if err := os.WriteFile(lists, list, 0o644); err != nil {
			return failing("E: %v", err)
		}
		return 0
	}
	if _, err := os.Stat(lists); err != nil {
		return failing("E: no package lists")
	}
	fmt.Println("Reading package lists...")
	if i := slices.Index(args, "source"); i > 0 {
		return printURIs("sources", args[i+1:])
	}
	_, architecture, _ := strings.Cut(args[1], "APT::Architecture=")
	return printURIs(architecture, args[slices.Index(args, "download")+1:])
}

func printURIs(list string, names []string) int {
	for line := range strings.Lines(answer(list)) {
		for _, name := range names {
			if strings.Contains(line, "' "+name+"_") || strings.HasSuffix(line, "/"+name+"\n") {
				fmt.Print(line)
			}
		}
	}
	for _, name := range names {
		if !strings.Contains(answer(list), name) {
			return failing("E: Unable to locate package %s", name)
		}
	}
	return 0
}

func fakeGo(args []string) int {
	if found := answer(args[len(args)-1]); found != "" {
		fmt.Println(found)
		return 0
	}
	fmt.Printf("{\"Error\": \"%s: not found\"}\n", args[len(args)-1])
	return 1
}

// fakePython plays pip's configuration, from the file pip-config, the program that downloads crates, and an interpreter as far as uv asks it about itself.
func fakePython(args []string) int {
	switch {
	case slices.Equal(args, []string{"-m", "pip", "config", "list"}):
		if answer("no-pip") != "" {
			return failing("/usr/bin/python3: No module named pip")
		}
		fmt.Print(answer("pip-config"))
		return 0
	case len(args) == 4 && strings.HasSuffix(args[0], crateProgram):
		content := answer(args[1] + "-" + args[2])
		if content == "" {
			return failing("%s %s: HTTP Error 404: Not Found", args[1], args[2])
		}
		if err := os.WriteFile(args[3], []byte(content), 0o600); err != nil {
			return failing("%v", err)
		}
		return 0
	case slices.ContainsFunc(args, func(a string) bool { return strings.Contains(a, "get_interpreter_info") }):
		fmt.Print(interpreterInfo)
		return 0
	}
	return failing("python3 %q: unexpected arguments", args)
}

// interpreterInfo is uv's question about an interpreter, answered by a Python that is no target of a test.
const interpreterInfo = `{
	"result": "success",
	"markers": {
		"implementation_name": "cpython", "implementation_version": "3.9.1", "os_name": "posix", "platform_machine": "x86_64",
		"platform_python_implementation": "CPython", "platform_release": "1", "platform_system": "Linux", "platform_version": "1",
		"python_full_version": "3.9.1", "python_version": "3.9", "sys_platform": "linux"
	},
	"sys_base_prefix": "/usr", "sys_base_exec_prefix": "/usr", "sys_prefix": "/usr",
	"sys_base_executable": "/usr/bin/python3", "sys_executable": "/usr/bin/python3",
	"sys_path": [], "site_packages": [], "stdlib": "/usr/lib/python3.9", "extension_suffixes": [".so"], "standalone": false,
	"scheme": {"platlib": "/p", "purelib": "/p", "include": "/i", "scripts": "/s", "data": "/d"},
	"virtualenv": {"purelib": "p", "platlib": "p", "include": "i", "scripts": "s", "data": ""},
	"os": {"name": "manylinux", "major": 2, "minor": 31}, "arch": "x86_64", "cpu_info": {"detected": {"kind": "flags", "flags": ""}},
	"manylinux_compatible": true, "gil_disabled": false, "debug_enabled": false, "pointer_size": "64"
}`

func sha256Hex(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}
