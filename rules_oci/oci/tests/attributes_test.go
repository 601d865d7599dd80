package tests

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// read returns a file of this module.
func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// sources are the file and the start of the definition of each rule, macro and tag class.
var sources = map[string]struct{ file, start string }{
	"oci_image":        {"oci/private/image.bzl", "def oci_image("},
	"oci_image_rule":   {"oci/private/image.bzl", "_TEXTS = {"},
	"oci_image_index":  {"oci/private/index.bzl", "def oci_image_index("},
	"oci_load":         {"oci/private/load.bzl", "def oci_load("},
	"oci_push":         {"oci/private/push.bzl", "def oci_push("},
	"oci_push_rule":    {"oci/private/push.bzl", "_ATTRS = {"},
	"oci_tarball_rule": {"oci/private/load.bzl", "_ATTRS = {"},
	"oci.pull":         {"oci/extensions.bzl", "_pull = tag_class("},
	"oci.toolchains":   {"oci/extensions.bzl", "_toolchains = tag_class("},
}

var (
	key       = regexp.MustCompile(`(?m)^ +"(\w+)": (?:attr\.\w+\(|")`) // Of a dict of attributes or of their documentation.
	parameter = regexp.MustCompile(`(\w+)(?: = [^,()]+)?[,)]`)
)

// attributes returns the attributes in the definition of a rule or macro.
func attributes(t *testing.T, name string) []string {
	t.Helper()
	source := sources[name]
	text := read(t, source.file)
	start := strings.Index(text, source.start)
	if start < 0 {
		t.Fatalf("%s: %q not found", source.file, source.start)
	}
	text = text[start:]
	if strings.HasPrefix(source.start, "def ") {
		signature, _, _ := strings.Cut(text, "):\n")
		_, signature, _ = strings.Cut(signature, "(")
		return submatches(parameter, signature+")")
	}
	end := strings.Index(text, "\ndef ")
	if next := strings.Index(text[len(source.start):], " = tag_class("); strings.HasSuffix(source.start, "tag_class(") && next > 0 {
		end = len(source.start) + next
	}
	return submatches(key, text[:end])
}

func submatches(pattern *regexp.Regexp, text string) (found []string) {
	for _, match := range pattern.FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	return found
}

// TestAttributes checks that each attribute of rules_oci exists here, or is in the README's list of differences.
func TestAttributes(t *testing.T) {
	var real struct {
		Version string
		Rules   map[string][]string
	}
	if err := json.Unmarshal([]byte(read(t, "oci/tests/testdata/attributes.json")), &real); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(read(t, "MODULE.bazel"), `version = "`+real.Version+`"`) {
		t.Errorf("MODULE.bazel does not have the version %s of the attributes", real.Version)
	}
	_, differences, ok := strings.Cut(read(t, "README.md"), "## Differences\n")
	if !ok {
		t.Fatal("README.md: the section Differences is not found")
	}
	differences, _, _ = strings.Cut(differences, "\n## ")
	common := []string{"args", "name"} // Attributes that Bazel adds.
	for name, expected := range real.Rules {
		ours := append(attributes(t, name), common...)
		if len(ours) < len(expected)-1 {
			t.Errorf("%s: found only %q", name, ours)
		}
		for _, attribute := range expected {
			if !slices.Contains(ours, attribute) && !strings.Contains(differences, "`"+attribute+"`") {
				t.Errorf("%s: attribute %s of rules_oci %s not found, neither in %s nor in README.md, Differences", name, attribute, real.Version, sources[name].file)
			}
		}
	}
	if len(real.Rules) != len(sources) {
		t.Errorf("found %d rules in attributes.json, expected %d", len(real.Rules), len(sources))
	}
}

// TestAttributes_exports checks that defs.bzl exports the rules and macros of rules_oci.
func TestAttributes_exports(t *testing.T) {
	defs := read(t, "oci/defs.bzl")
	for name := range sources {
		if !strings.HasPrefix(name, "oci.") && !strings.Contains(defs, "\n"+name+" = ") {
			t.Errorf("oci/defs.bzl does not export %s", name)
		}
	}
}
