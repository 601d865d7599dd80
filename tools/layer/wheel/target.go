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
	Python       string // "3.11", or "3.11.2" where some wheel asks for that much.
	Architecture string // As container images call it: "amd64", "arm64".
	Glibc        string // The C library there, "2.35": wheels may ask for an older one, not for a newer.
}

// machines are the architectures by the names that Python has for them.
var machines = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

// legacy are the platforms that were named before their glibc was.
var legacy = map[string]int{"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}

var (
	pythonForm = regexp.MustCompile(`^3\.(0|[1-9][0-9]*)(?:\.(0|[1-9][0-9]*))?$`)
	glibcForm  = regexp.MustCompile(`^2\.([1-9][0-9]*)$`)
)

// Validate says what is wrong with a target.
func (t Target) Validate() error {
	if !pythonForm.MatchString(t.Python) {
		return fmt.Errorf("python %q is not a version such as 3.11", t.Python)
	}
	if !glibcForm.MatchString(t.Glibc) {
		return fmt.Errorf("glibc %q is not a version such as 2.35", t.Glibc)
	}
	if machines[t.Architecture] == "" {
		return fmt.Errorf("architecture %q is not known; known: amd64, arm64", t.Architecture)
	}
	return nil
}

func (t Target) String() string {
	return fmt.Sprintf("Python %s on %s with glibc %s", t.Python, machines[t.Architecture], t.Glibc)
}

// minor is the 11 of Python 3.11.
func (t Target) minor() int {
	n, _ := strconv.Atoi(pythonForm.FindStringSubmatch(t.Python)[1])
	return n
}

func (t Target) glibcMinor() int {
	n, _ := strconv.Atoi(glibcForm.FindStringSubmatch(t.Glibc)[1])
	return n
}

// PythonXY is Python's version as folders have it, 3.11.
func (t Target) PythonXY() string { return fmt.Sprintf("3.%d", t.minor()) }

// Platforms returns all platform tags that fit the target, the newest first.
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

// Fits returns nil if one of the wheel's tags is one of the target's, and else
// what about it does not fit.
func (t Target) Fits(f Filename) error {
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
		case abi == "abi3": // The stable interface goes on to work.
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

// fitsPlatform returns why a platform tag does not fit.
func (t Target) fitsPlatform(tag string) string {
	if tag == "any" {
		return ""
	}
	m := manylinux.FindStringSubmatch(tag)
	if m == nil {
		if strings.HasPrefix(tag, "linux_") {
			return tag + " does not say which glibc it needs"
		}
		return tag + " is another system"
	}
	if m[3] != machines[t.Architecture] {
		return tag + " is another architecture"
	}
	needed, known := legacy[m[1]]
	if !known {
		needed, _ = strconv.Atoi(m[2])
	}
	if needed > t.glibcMinor() {
		return fmt.Sprintf("%s needs glibc 2.%d", tag, needed)
	}
	return ""
}

// parsePython returns Python's version; its third number is 0 where it is not given.
func parsePython(t Target) (pep440.Version, error) {
	return pep440.Parse(t.environment()["python_full_version"])
}

// environment is what markers can ask for.
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
