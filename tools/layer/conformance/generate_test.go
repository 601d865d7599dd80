package conformance_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// generator generates valid and invalid inputs. The seed is fixed, so every run has the same inputs.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) generator { return generator{rand.New(rand.NewPCG(seed, 26))} }

func (g generator) choose(options ...string) string { return options[g.IntN(len(options))] }

// rarely returns the first text in one of forty calls, and otherwise the second.
func (g generator) rarely(first, second string) string {
	if g.IntN(40) == 0 {
		return first
	}
	return second
}

// maybe returns one of the options in one of n calls, and otherwise nothing.
func (g generator) maybe(n int, options ...string) string {
	if g.IntN(n) > 0 {
		return ""
	}
	return g.choose(options...)
}

func (g generator) number() string {
	return g.choose("0", "1", "2", "3", "9", "10", "11", "00", "01", "2026")
}

func (g generator) release() string {
	parts := []string{g.number()}
	for range g.IntN(4) {
		parts = append(parts, g.number())
	}
	return strings.Join(parts, ".")
}

// version returns a version in any spelling, which in a few cases is invalid.
func (g generator) version() string {
	separator := func() string { return g.choose("", "", ".", "-", "_") }
	v := g.maybe(9, "v", "V", " ", g.rarely("x", "")) + g.maybe(9, "0!", "1!", "01!") + g.release()
	if g.IntN(3) == 0 {
		v += separator() + g.choose("a", "b", "c", "rc", "alpha", "beta", "pre", "preview", "RC", g.rarely("gamma", "a")) + separator() + g.maybe(2, g.number())
	}
	if g.IntN(4) == 0 {
		v += g.choose("-"+g.number(), separator()+g.choose("post", "rev", "r", "POST")+separator()+g.maybe(2, g.number()))
	}
	if g.IntN(4) == 0 {
		v += separator() + "dev" + separator() + g.maybe(2, g.number())
	}
	if g.IntN(6) == 0 {
		v += "+" + g.choose("cu12", "1", "abc.5", "abc.10", "5", "5.1", "ubuntu-1", "CPU", g.rarely("", "a"), g.rarely("a..b", "a.b"))
	}
	return v + g.maybe(40, ".", "-", " ", ".*", "+", "x")
}

func (g generator) specifier() string {
	var clauses []string
	for range 1 + g.IntN(3) {
		version := g.version()
		switch g.IntN(6) {
		case 0:
			clauses = append(clauses, g.choose("==", "!=", "==", ">")+g.release()+".*")
			continue
		case 1:
			clauses = append(clauses, g.choose("~=", "===")+g.release()+g.maybe(3, "a1", ".post2", ".dev3"))
			continue
		}
		clauses = append(clauses, g.rarely("=", g.choose("==", "!=", ">=", "<=", ">", "<", "==", "!="))+g.maybe(3, " ", "  ")+version)
	}
	return strings.Join(clauses, g.rarely(" ", g.choose(",", ", ", " , "))) + g.maybe(20, ",", " ")
}

// environments are the variables of two machines: a Jetson, whose kernel has no version of PEP 440, and a workstation.
var environments = []map[string]string{
	{
		"implementation_name": "cpython", "implementation_version": "3.11.2", "os_name": "posix", "platform_machine": "aarch64",
		"platform_python_implementation": "CPython", "platform_release": "5.15.148-tegra", "platform_system": "Linux",
		"platform_version": "#1 SMP PREEMPT", "python_full_version": "3.11.2", "python_version": "3.11", "sys_platform": "linux", "extra": "",
	},
	{
		"implementation_name": "cpython", "implementation_version": "3.12.0", "os_name": "posix", "platform_machine": "x86_64",
		"platform_python_implementation": "CPython", "platform_release": "6.8.0", "platform_system": "Linux",
		"platform_version": "1", "python_full_version": "3.12.0", "python_version": "3.12", "sys_platform": "linux", "extra": "fast-mode",
	},
}

func (g generator) variable() string {
	return g.choose("implementation_name", "implementation_version", "os_name", "platform_machine", "platform_python_implementation",
		"platform_release", "platform_system", "platform_version", "python_full_version", "python_version", "python_version", "sys_platform",
		"extra", "extra", "os.name", "sys.platform", "platform.version", "platform.machine", "platform.python_implementation",
		"python_implementation", g.rarely("extras", "extra"), g.rarely("platform_node", "os_name"), g.rarely("python", "python_version"))
}

func (g generator) text() string {
	value := g.choose("3.11", "3.8", "3.12", "3.*", "3.11.*", "3.11.2", "4", "linux", "darwin", "win32", "posix", "nt", "CPython", "cpython", "Linux",
		"aarch64", "x86_64", "5.15.148-tegra", "6.8.0", "5.15", "", "Fast_Mode", "fast-mode", "3.8, 3.11", "3.11 3.12", "os_name", "python_version",
		"1.0+local", "3.11rc1", ">=3", "linux2")
	quote := g.choose(`"`, "'")
	return quote + value + quote
}

func (g generator) operand(variable bool) string {
	if variable {
		return g.variable()
	}
	return g.text()
}

func (g generator) comparison() string {
	variable := g.IntN(2) == 0
	other := !variable
	if g.IntN(12) == 0 {
		other = variable // Two variables or two texts.
	}
	operator := g.choose("==", "!=", "<", "<=", ">", ">=", "~=", "===", " in ", " not in ", "==", "!=", "<", ">=", " not  in ", g.rarely(" is ", "=="), g.rarely("=", ">"))
	space := g.choose("", " ", " ", "  ", "\t")
	return g.operand(variable) + space + operator + space + g.operand(other)
}

func (g generator) marker(depth int) string {
	m := g.comparison()
	if depth == 0 {
		return m
	}
	if g.IntN(3) == 0 {
		m = g.choose("(", "( ", "(") + g.marker(depth-1) + g.rarely("", g.choose(")", " )"))
	}
	for range g.IntN(3) {
		m += g.rarely(" ", g.choose(" and ", " or ")) + g.marker(depth-1)
	}
	return m
}

func (g generator) requirement() string {
	r := g.choose("numpy", "Some_Project", "a", "zope.interface", "a_", "3d", g.rarely("x-", "x"), g.rarely("-a", "b"))
	r += g.maybe(3, "[fast]", "[Fast_Mode, b.c]", " [a]", "[]", "[ ]", g.rarely("[a,]", "[a,b]"), g.rarely("[a b]", "[b]"), g.rarely("[a", "[c]"), g.rarely("[-a]", ""))
	switch g.IntN(6) {
	case 0:
		r += g.choose(" @ ", "@", " @", "@ ") + g.choose("https://a.invalid/x.whl", "git+https://a.invalid/r.git", "file:///x.whl", g.rarely("", "https://b.invalid"))
		r += g.choose("", " ", " ", "  ")
	case 1:
		r += g.choose(" (", "(", " ( ") + g.specifier() + g.rarely("", g.choose(")", " )"))
	case 2, 3:
		r += g.choose("", " ") + g.specifier()
	}
	if g.IntN(2) == 0 {
		r += g.choose(";", "; ", " ; ") + g.marker(1)
	}
	return g.maybe(20, " ", "\t") + r + g.maybe(20, " ", ";", "x")
}

// texts returns n different results of generate.
func texts(n int, generate func() string) []string {
	seen := map[string]bool{}
	var all []string
	for len(all) < n {
		if s := generate(); !seen[s] {
			seen[s] = true
			all = append(all, s)
		}
	}
	return all
}

func pair(a, b string) string { return fmt.Sprintf("%q, %q", a, b) }

// usesUnsupported reports whether a marker uses a variable that the environment of a target lacks. There its value is an error only
// if the result depends on it.
func usesUnsupported(marker string) bool {
	for _, name := range []string{"extras", "platform_release", "platform_version", "platform.version"} {
		if strings.Contains(marker, name) {
			return true
		}
	}
	return false
}
