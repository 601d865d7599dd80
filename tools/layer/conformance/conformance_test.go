// Package conformance_test compares package wheel with PyPI's packaging and installer on generated inputs.
package conformance_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/bazelbuild/rules_go/go/runfiles"

	"krabby.dev/krabby/tools/layer/wheel"
	"krabby.dev/krabby/tools/layer/wheel/pep440"
)

// Answers for inputs without a value.
const (
	invalid = "invalid" // It cannot be parsed.
	failed  = "error"   // It has no value.
)

// ask answers cases of one name with the reference program. Bazel sets PYTHON, a program of //tools/python, and the archives ROOTS.
// For plain go, CONFORMANCE_PYTHON is an interpreter with packaging and installer.
func ask(t *testing.T, name string, cases, answers any) {
	t.Helper()
	all := map[string]any{"order": []any{}, "contains": []any{}, "markers": []any{}, "requirements": []any{}, "wheels": []any{}}
	all[name] = cases
	data, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cases.json")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	program := []string{filepath.Join("testdata", "reference.py"), file}
	var command *exec.Cmd
	if python := os.Getenv("PYTHON"); python != "" {
		command = exec.Command(runfile(t, python), append([]string{"--root", runfile(t, os.Getenv("SYSTEM")), "--root", runfile(t, os.Getenv("PACKAGES")), "--"}, program...)...)
	} else if python := os.Getenv("CONFORMANCE_PYTHON"); python != "" {
		command = exec.Command(python, program...)
	} else {
		t.Skip("CONFORMANCE_PYTHON is not set: an interpreter with packaging 26 and installer 1")
	}
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %v", command.Args, err)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(output, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(got[name], answers); err != nil {
		t.Fatal(err)
	}
}

func runfile(t *testing.T, path string) string {
	t.Helper()
	file, err := runfiles.Rlocation(path)
	if err != nil {
		t.Fatalf("runfile %q: %v", path, err)
	}
	return file
}

// report is the result of a comparison: the test fails for each difference, and if the inputs are not varied enough.
type report struct {
	t      *testing.T
	counts map[any]int
	fails  int
}

func (r *report) compare(input string, got, want any) {
	r.t.Helper()
	r.counts[want]++
	if got != want {
		if r.fails++; r.fails <= 20 {
			r.t.Errorf("%s: %v, the reference says %v", input, got, want)
		}
	}
}

// finish checks that each of the answers occurred in at least a fiftieth of the cases.
func (r *report) finish(total int, answers ...any) {
	r.t.Helper()
	r.t.Logf("%d cases, %d differences", total, r.fails)
	for _, a := range answers {
		r.t.Logf("%d times %v", r.counts[a], a)
		if r.counts[a] < total/50 {
			r.t.Errorf("the answer %v occurred %d times in %d cases, want a fiftieth", a, r.counts[a], total)
		}
	}
}

func TestVersions_order(t *testing.T) {
	g := newGenerator(1)
	versions := texts(2000, g.version)
	var cases [][2]string
	for range 3000 {
		cases = append(cases, [2]string{versions[g.IntN(len(versions))], versions[g.IntN(len(versions))]})
	}
	for range 2000 { // Spellings of nearly the same version.
		cases = append(cases, [2]string{"1." + g.choose("0", "00", "0.0") + g.choose("", "a1", ".dev1"), "1" + g.choose("", ".0") + g.choose("", "alpha1", "dev01", "-0")})
	}
	var answers []any
	ask(t, "order", cases, &answers)
	r := &report{t: t, counts: map[any]int{}}
	for i, c := range cases {
		var got any = invalid
		a, errA := pep440.Parse(c[0])
		b, errB := pep440.Parse(c[1])
		if errA == nil && errB == nil {
			got = float64(a.Compare(b))
		}
		r.compare(pair(c[0], c[1]), got, answers[i])
	}
	r.finish(len(cases), invalid, -1.0, 0.0, 1.0)
}

func TestSpecifiers_contain(t *testing.T) {
	g := newGenerator(2)
	var cases [][2]string
	for _, specifier := range texts(6000, g.specifier) {
		cases = append(cases, [2]string{specifier, g.version()})
	}
	var answers []any
	ask(t, "contains", cases, &answers)
	r := &report{t: t, counts: map[any]int{}}
	for i, c := range cases {
		var got any = invalid
		specifier, errSpecifier := pep440.ParseSpecifier(c[0])
		version, errVersion := pep440.Parse(c[1])
		if errSpecifier == nil && errVersion == nil {
			got = specifier.Contains(version)
		}
		r.compare(pair(c[0], c[1]), got, answers[i])
	}
	r.finish(len(cases), invalid, true, false)
}

func TestMarkers(t *testing.T) {
	g := newGenerator(3)
	type markerCase struct {
		Marker      string            `json:"marker"`
		Environment map[string]string `json:"environment"`
	}
	var cases []markerCase
	for _, marker := range texts(6000, func() string { return g.marker(2) }) {
		cases = append(cases, markerCase{marker, environments[g.IntN(len(environments))]})
	}
	var answers []any
	ask(t, "markers", cases, &answers)
	r := &report{t: t, counts: map[any]int{}}
	for i, c := range cases {
		want := answers[i]
		got := markerValue(c.Marker, c.Environment)
		// packaging has all variables, so it need not say what has no effect.
		if want == failed && got != failed && usesUnsupported(c.Marker) {
			want = got
		}
		r.compare(c.Marker, got, want)
	}
	r.finish(len(cases), invalid, true, false, failed)
}

func markerValue(text string, environment map[string]string) any {
	marker, err := wheel.ParseMarker(text)
	if err != nil {
		return invalid
	}
	value, err := marker(environment)
	if err != nil {
		return failed
	}
	return value
}

func TestRequirements(t *testing.T) {
	g := newGenerator(4)
	target := wheel.Target{Python: "3.11.2", Architecture: "arm64", Glibc: "2.35"}
	environment := map[string]string{
		"implementation_name": "cpython", "implementation_version": "3.11.2", "os_name": "posix", "platform_machine": "aarch64",
		"platform_python_implementation": "CPython", "platform_system": "Linux", "python_full_version": "3.11.2", "python_version": "3.11",
		"sys_platform": "linux", "extra": "fast-mode",
	}
	versions := []string{"0.1", "1", "1.0", "1.1a1", "2", "2.0.post1", "3.9", "10", "11.0rc1", "1!1", "1.0+cu12", "2026.1"}
	type requirementCase struct {
		Requirement string            `json:"requirement"`
		Versions    []string          `json:"versions"`
		Environment map[string]string `json:"environment"`
	}
	var cases []requirementCase
	for _, r := range texts(3000, g.requirement) {
		if usesUnsupported(r) {
			continue // A target does not know the version of a kernel.
		}
		cases = append(cases, requirementCase{r, versions, environment})
	}
	var answers []json.RawMessage
	ask(t, "requirements", cases, &answers)
	r := &report{t: t, counts: map[any]int{}}
	for i, c := range cases {
		r.compare(c.Requirement, parts(t, c.Requirement, versions, target), canonical(t, answers[i]))
	}
	r.finish(len(cases), canonical(t, []byte(`"invalid"`)))
}

// parts returns the parts of a requirement as the reference program does.
func parts(t *testing.T, text string, versions []string, target wheel.Target) string {
	t.Helper()
	var result any = invalid
	if r, err := wheel.ParseRequirement(text); err == nil {
		var applies any
		if applies, err = r.Applies(target, "Fast.Mode"); err != nil {
			applies = failed
		}
		fit := []string{}
		for _, version := range versions {
			v, err := pep440.Parse(version)
			if err != nil {
				t.Fatal(err)
			}
			if r.Specifier.Contains(v) {
				fit = append(fit, version)
			}
		}
		extras := append([]string{}, r.Extras...)
		slices.Sort(extras)
		result = map[string]any{"project": r.Project, "extras": slices.Compact(extras), "url": r.URL, "fit": fit, "applies": applies}
	}
	data, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	return canonical(t, data)
}

// canonical returns JSON with sorted keys.
func canonical(t *testing.T, data []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	sorted, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(sorted)
}
