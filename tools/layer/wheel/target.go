package wheel

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"krabby.dev/krabby/tools/layer/wheel/pep440"
)

// Target is the machine that wheels are for: CPython on Linux with glibc.
type Target struct {
	Python       string // Such as "3.11", or "3.11.2" for wheels that depend on the third number.
	Architecture string // Name of the architecture in container images: "amd64" or "arm64".
	Glibc        string // Version of the C library, such as "2.35". Wheels for an older version fit.
}

// machines maps architectures to Python's names.
var machines = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

// legacy maps platform tags without a glibc version to its minor version.
var legacy = map[string]int{"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}

var (
	pythonForm = regexp.MustCompile(`^3\.(0|[1-9][0-9]*)(?:\.(0|[1-9][0-9]*))?$`)
	glibcForm  = regexp.MustCompile(`^2\.([1-9][0-9]*)$`)
)

// Validate returns an error for invalid versions and unknown architectures.
func (t Target) Validate() error {
	if !pythonForm.MatchString(t.Python) {
		return fmt.Errorf("invalid Python version %q: expected a version such as 3.11", t.Python)
	}
	if !glibcForm.MatchString(t.Glibc) {
		return fmt.Errorf("invalid glibc version %q: expected a version such as 2.35", t.Glibc)
	}
	if machines[t.Architecture] == "" {
		return fmt.Errorf("unknown architecture %q: expected amd64 or arm64", t.Architecture)
	}
	return nil
}

func (t Target) String() string {
	return fmt.Sprintf("Python %s on %s with glibc %s", t.Python, machines[t.Architecture], t.Glibc)
}

// Machine returns Python's name of the architecture, such as aarch64.
func (t Target) Machine() string { return machines[t.Architecture] }

// minor returns the second number of Python's version: 11 for Python 3.11.
func (t Target) minor() int {
	n, _ := strconv.Atoi(pythonForm.FindStringSubmatch(t.Python)[1])
	return n
}

func (t Target) glibcMinor() int {
	n, _ := strconv.Atoi(glibcForm.FindStringSubmatch(t.Glibc)[1])
	return n
}

// PythonXY returns the first two numbers of Python's version, such as 3.11.
func (t Target) PythonXY() string { return fmt.Sprintf("3.%d", t.minor()) }

// Platforms returns all platform tags that fit the target, the newest glibc first.
func (t Target) Platforms() []string {
	var tags []string
	for minor := t.glibcMinor(); minor >= 5; minor-- {
		tags = append(tags, fmt.Sprintf("manylinux_2_%d_%s", minor, machines[t.Architecture]))
		for name, n := range legacy {
			if n == minor {
				tags = append(tags, name+"_"+machines[t.Architecture])
			}
		}
	}
	return append(tags, "any")
}

// CheckTags returns nil if one of the wheel's tags fits the target, and otherwise an error with the reasons.
func (t Target) CheckTags(f Filename) error {
	if !t.fitsPython(f) {
		return fmt.Errorf("it is for Python %s-%s, not for %s", strings.Join(f.Python, "."), strings.Join(f.ABI, "."), t)
	}
	var reasons []string
	for _, platform := range f.Platform {
		reason := t.fitsPlatform(platform)
		if reason == "" {
			return nil
		}
		reasons = append(reasons, reason)
	}
	return fmt.Errorf("it is not for %s: %s", t, strings.Join(reasons, "; "))
}

func (t Target) fitsPython(f Filename) bool {
	for _, python := range f.Python {
		for _, abi := range f.ABI {
			if t.fitsInterpreter(python, abi) {
				return true
			}
		}
	}
	return false
}

func (t Target) fitsInterpreter(python, abi string) bool {
	minor := t.minor()
	own := fmt.Sprintf("cp3%d", minor)
	if n, ok := strings.CutPrefix(python, "cp3"); ok {
		since, err := strconv.Atoi(n)
		switch {
		case err != nil:
			return false
		case abi == "abi3": // The stable ABI also works with later versions.
			return since >= 2 && since <= minor
		}
		return python == own && (abi == own || abi == "none")
	}
	if python == "py3" {
		return abi == "none"
	}
	n, ok := strings.CutPrefix(python, "py3")
	since, err := strconv.Atoi(n)
	return ok && err == nil && since <= minor && abi == "none"
}

var manylinux = regexp.MustCompile(`^(manylinux(?:_2_([0-9]+)|1|2010|2014))_([a-z0-9_]+)$`)

// fitsPlatform returns "" if a platform tag fits, and otherwise the reason.
func (t Target) fitsPlatform(tag string) string {
	if tag == "any" {
		return ""
	}
	m := manylinux.FindStringSubmatch(tag)
	if m == nil {
		if machine, ok := strings.CutPrefix(tag, "linux_"); ok && machine == machines[t.Architecture] {
			return tag + " has no glibc version (a layer takes it if wheel_linux_tags names the project)"
		} else if ok {
			return tag + " is for another architecture"
		}
		return tag + " is for another operating system or C library"
	}
	if m[3] != machines[t.Architecture] {
		return tag + " is for another architecture"
	}
	needed, known := legacy[m[1]]
	if !known {
		needed, _ = strconv.Atoi(m[2])
	}
	if needed > t.glibcMinor() {
		return fmt.Sprintf("%s requires glibc 2.%d", tag, needed)
	}
	return ""
}

// parsePython returns Python's version. A missing third number is 0.
func parsePython(t Target) (pep440.Version, error) {
	return pep440.Parse(t.environment()["python_full_version"])
}

// environment returns the variables of markers and their values.
func (t Target) environment() map[string]string {
	full := t.Python
	if strings.Count(full, ".") == 1 {
		full += ".0"
	}
	return map[string]string{
		"implementation_name":            "cpython",
		"implementation_version":         full,
		"os_name":                        "posix",
		"platform_machine":               machines[t.Architecture],
		"platform_python_implementation": "CPython",
		"platform_system":                "Linux",
		"python_full_version":            full,
		"python_version":                 t.PythonXY(),
		"sys_platform":                   "linux",
	}
}
