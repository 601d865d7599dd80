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

// fakePython plays pip. Lines of the file index have a requirement, a platform and the names of wheels; the content of such a wheel
// is its name. Lines of the file resolve have requirements and constraints and the wheels that meet them; their contents are in the
// directory wheels.
func fakePython(args []string) int {
	if answer("no-pip") != "" {
		return failing("/usr/bin/python3: No module named pip")
	}
	if args[2] == "--version" {
		return 0
	}
	if !slices.Contains(args, "--no-deps") {
		return fakeResolve(args)
	}
	dest, want := "", ""
	for _, a := range args {
		if d, ok := strings.CutPrefix(a, "--dest="); ok {
			dest = d
		}
		if p, ok := strings.CutPrefix(a, "--platform="); ok {
			want = args[len(args)-1] + " " + p + " "
		}
	}
	for line := range strings.Lines(answer("index")) {
		if wheels, ok := strings.CutPrefix(line, want); ok {
			for _, w := range strings.Fields(wheels) {
				if err := os.WriteFile(filepath.Join(dest, w), []byte(w), 0o644); err != nil {
					return failing("ERROR: %v", err)
				}
			}
			return 0
		}
	}
	return failing("WARNING: something else\nERROR: No matching distribution found for %s", args[len(args)-1])
}

func fakeResolve(args []string) int {
	dest, constraints := "", ""
	for _, a := range args {
		if d, ok := strings.CutPrefix(a, "--dest="); ok {
			dest = d
		}
		if c, ok := strings.CutPrefix(a, "--constraint="); ok {
			data, err := os.ReadFile(c)
			if err != nil {
				return failing("ERROR: %v", err)
			}
			constraints = strings.Join(strings.Fields(string(data)), " ")
		}
	}
	want := strings.TrimSpace(strings.Join(args[slices.Index(args, "--")+1:], " ") + " / " + constraints)
	for line := range strings.Lines(answer("resolve")) {
		if request, wheels, _ := strings.Cut(line, " => "); request == want {
			for _, name := range strings.Fields(wheels) {
				if err := os.WriteFile(filepath.Join(dest, name), []byte(answer("wheels/"+name)), 0o644); err != nil {
					return failing("ERROR: %v", err)
				}
			}
			return 0
		}
	}
	return failing("ERROR: No matching distribution found for %s", want)
}

func sha256Hex(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}
