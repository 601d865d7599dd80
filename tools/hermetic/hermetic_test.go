package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/internal/testfile"
	"krabby.dev/krabby/tools/hermetic/probe"
)

// undeclared returns the files that the action also tried to read.
func undeclared(t *testing.T) []string {
	t.Helper()
	files := strings.Fields(os.Getenv("UNDECLARED"))
	if len(files) == 0 {
		t.Fatal("UNDECLARED is not set: run this test with Bazel")
	}
	return files
}

// Environment variables that Bazel and the wrapper of a Go test set. Their values do not come from the caller of Bazel.
var (
	actionVariables = regexp.MustCompile(`^(PATH|TMPDIR)$`)
	testVariables   = regexp.MustCompile(`^(ACTION|INPUT|UNDECLARED|PATH|TMPDIR|_|PWD|OLDPWD|SHLVL|HOME|LOGNAME|USER|TZ|` +
		`BAZEL_TEST|BASH_FUNC_[a-z_]+%%|EXPERIMENTAL_SPLIT_XML_GENERATION|GO_TEST_WRAP.*|GTEST_TMP_DIR|XML_OUTPUT_FILE|` +
		`(JAVA|PYTHON)_RUNFILES|RUN_UNDER_RUNFILES|RUNFILES_[A-Z_]+|TEST_[A-Z_]+)$`)
)

func TestSandbox_action(t *testing.T) {
	data, err := os.ReadFile(testfile.Find(t, "ACTION"))
	if err != nil {
		t.Fatal(err)
	}
	var report probe.Report
	if err := json.Unmarshal(data, &report); err != nil {
		t.Fatal(err)
	}
	check(t, report, actionVariables)
	for _, name := range report.Temporary {
		if name == "empty_file" {
			continue // Bazel's sandbox creates it.
		}
		t.Errorf("/tmp/%s existed before the action", name)
	}
}

func TestSandbox_test(t *testing.T) {
	report, err := probe.Run(testfile.Find(t, "INPUT"), undeclared(t))
	if err != nil {
		t.Fatal(err)
	}
	check(t, report, testVariables)
}

func check(t *testing.T, report probe.Report, variables *regexp.Regexp) {
	t.Helper()
	if want := "a declared input"; report.Input != want {
		t.Errorf("declared input %q, want %q", report.Input, want)
	}
	for _, leak := range leaks(report, variables) {
		t.Error(leak)
	}
	// tools/bootstrap.sh builds a root without a compiler. On a direct network /usr is the host's and may have one.
	if _, err := os.Stat("/usr/share/bazel/rules"); err == nil && len(report.Compilers) > 0 {
		t.Errorf("compilers in the private root: %q", report.Compilers)
	} else if err != nil {
		t.Logf("the host's compilers: %q", report.Compilers)
	}
}

// leaks returns the parts of the machine in a report that a sandbox must hide.
func leaks(report probe.Report, variables *regexp.Regexp) []string {
	var found []string
	leak := func(format string, arguments ...any) { found = append(found, fmt.Sprintf(format, arguments...)) }

	for _, name := range report.Interfaces {
		if name != "lo" {
			leak("network interface %s", name)
		}
	}
	if report.Route == "" {
		leak("a route to %s", probe.UnreachableAddress)
	}
	// Directories that .bazelrc adds to the sandbox, and those of Bazel.
	visible := []string{"bin", "dev", "execroot", "lib", "lib64", "proc", "tmp", "usr"}
	for _, name := range report.Root {
		if !slices.Contains(visible, name) {
			leak("directory /%s", name)
		}
	}
	for _, name := range report.Writable {
		if slices.Contains([]string{"/bin", "/lib", "/lib64", "/usr"}, name) {
			leak("writable directory %s", name)
		}
	}
	for _, file := range report.Readable {
		leak("file %s", file)
	}
	for _, directory := range report.Workspaces {
		leak("workspace %s", directory)
	}
	for _, process := range report.Processes {
		leak("files of process %s", process)
	}
	for _, variable := range report.Environment {
		name, value, _ := strings.Cut(variable, "=")
		if !variables.MatchString(name) {
			leak("environment variable %s", name)
		}
		if slices.Contains([]string{"HOME", "TMPDIR"}, name) && !within(value) {
			leak("%s=%s", name, value)
		}
	}
	return found
}

// within reports whether a directory belongs to the sandbox.
func within(directory string) bool {
	clean := path.Clean(directory)
	return clean == "/tmp" || strings.HasPrefix(clean, "/tmp/") || strings.Contains(clean, "/_tmp/") || strings.HasPrefix(clean, "/execroot/")
}

func TestLeaks(t *testing.T) {
	tight := func() probe.Report {
		return probe.Report{
			Interfaces:  []string{"lo"},
			Route:       "network is unreachable",
			Root:        []string{"bin", "dev", "execroot", "lib", "lib64", "proc", "tmp", "usr"},
			Writable:    []string{"/dev", "/execroot", "/tmp"},
			Environment: []string{"PATH=/bin", "TMPDIR=/tmp"},
		}
	}
	if got := leaks(tight(), actionVariables); len(got) != 0 {
		t.Fatalf("leaks of a tight sandbox: %q", got)
	}
	for name, test := range map[string]struct {
		open func(*probe.Report)
		want string
	}{
		"interface":            {func(r *probe.Report) { r.Interfaces = append(r.Interfaces, "eth0") }, "network interface eth0"},
		"route":                {func(r *probe.Report) { r.Route = "" }, "a route to " + probe.UnreachableAddress},
		"directory":            {func(r *probe.Report) { r.Root = append(r.Root, "home") }, "directory /home"},
		"writable directory":   {func(r *probe.Report) { r.Writable = append(r.Writable, "/usr") }, "writable directory /usr"},
		"file":                 {func(r *probe.Report) { r.Readable = []string{"/etc/passwd"} }, "file /etc/passwd"},
		"workspace":            {func(r *probe.Report) { r.Workspaces = []string{"/src"} }, "workspace /src"},
		"process":              {func(r *probe.Report) { r.Processes = []string{"/proc/1 (init)"} }, "files of process /proc/1 (init)"},
		"environment variable": {func(r *probe.Report) { r.Environment = append(r.Environment, "TOKEN=x") }, "environment variable TOKEN"},
		"TMPDIR of the caller": {func(r *probe.Report) { r.Environment = []string{"TMPDIR=/var/tmp"} }, "TMPDIR=/var/tmp"},
	} {
		t.Run(name, func(t *testing.T) {
			report := tight()
			test.open(&report)
			if got := leaks(report, actionVariables); !slices.Equal(got, []string{test.want}) {
				t.Errorf("leaks %q, want %q", got, test.want)
			}
		})
	}
}
