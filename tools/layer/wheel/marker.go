package wheel

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"krabby.dev/krabby/tools/layer/wheel/pep440"
)

// Marker evaluates a condition (PEP 508) for the variables of an environment, with the results of PyPI's packaging 26. A comparison
// without a meaning is an error of the whole condition, but a variable that the environment lacks only if the result depends on it.
type Marker func(environment map[string]string) (bool, error)

var (
	markerToken    = regexp.MustCompile(`^[ \t]*([()]|===|~=|==|!=|<=|>=|<|>|"[^"]*"|'[^']*'|[A-Za-z0-9_.]+)`)
	markerVariable = regexp.MustCompile(`^(python_version|python_full_version|os_name|sys_platform|platform_(release|system|version|machine|python_implementation)` +
		`|implementation_(name|version)|extras?|dependency_groups)$`)
	markerOperators = []string{"===", "~=", "==", "!=", "<=", ">=", "<", ">", "in", "not in"}
)

// versionVariables are the variables that are compared as versions if the other operand is one.
var versionVariables = []string{"implementation_version", "platform_release", "python_full_version", "python_version"}

// formerNames are the names of variables from before PEP 508.
var formerNames = map[string]string{
	"os.name": "os_name", "sys.platform": "sys_platform", "platform.version": "platform_version", "platform.machine": "platform_machine",
	"platform.python_implementation": "platform_python_implementation", "python_implementation": "platform_python_implementation",
}

// ParseMarker parses conditions with "and", "or" and parentheses.
func ParseMarker(s string) (Marker, error) {
	p := &markerParser{}
	for rest := strings.Trim(s, " \t"); rest != ""; rest = strings.Trim(rest, " \t") {
		m := markerToken.FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf("marker: unexpected %q", rest)
		}
		p.tokens = append(p.tokens, m[1])
		rest = rest[len(m[0]):]
	}
	result, err := p.or()
	if err == nil && len(p.tokens) > 0 {
		err = fmt.Errorf("marker: unexpected %q", p.tokens[0])
	}
	return result, err
}

type markerParser struct{ tokens []string }

// take removes and returns the next token, or returns "" at the end.
func (p *markerParser) take() string {
	if len(p.tokens) == 0 {
		return ""
	}
	token := p.tokens[0]
	p.tokens = p.tokens[1:]
	return token
}

// accept removes the next token if it equals token, and reports whether it did.
func (p *markerParser) accept(token string) bool {
	if len(p.tokens) == 0 || p.tokens[0] != token {
		return false
	}
	p.take()
	return true
}

func (p *markerParser) or() (Marker, error) { return p.join("or", true, p.and) }

func (p *markerParser) and() (Marker, error) { return p.join("and", false, p.condition) }

// join parses operands separated by a word. One operand with the value decides is the result.
func (p *markerParser) join(word string, decides bool, operand func() (Marker, error)) (Marker, error) {
	first, err := operand()
	if err != nil {
		return nil, err
	}
	all := []Marker{first}
	for p.accept(word) {
		next, err := operand()
		if err != nil {
			return nil, err
		}
		all = append(all, next)
	}
	return func(environment map[string]string) (bool, error) {
		decided := false
		var unknown error
		for _, m := range all {
			value, err := m(environment)
			if _, ok := errors.AsType[unsupportedVariable](err); ok {
				unknown = err
			} else if err != nil {
				return false, err
			}
			decided = decided || err == nil && value == decides
		}
		if decided {
			return decides, nil
		}
		return !decides, unknown
	}, nil
}

func (p *markerParser) condition() (Marker, error) {
	if p.accept("(") {
		inner, err := p.or()
		if err == nil && !p.accept(")") {
			err = errors.New("marker: missing closing parenthesis")
		}
		return inner, err
	}
	c := comparison{left: operandOf(p.take()), operator: p.take()}
	if c.operator == "not" {
		c.operator += " " + p.take()
	}
	c.right = operandOf(p.take())
	if c.left.kind == invalid || c.right.kind == invalid {
		return nil, fmt.Errorf("marker: found %q, expected two variables or quoted values with an operator between them",
			strings.TrimSpace(strings.Join([]string{c.left.text, c.operator, c.right.text}, " ")))
	}
	if !slices.Contains(markerOperators, c.operator) {
		return nil, fmt.Errorf("marker: unknown operator %q", c.operator)
	}
	return c.evaluate, nil
}

// operand is a side of a comparison: a quoted text or a variable.
type operand struct {
	kind operandKind
	text string // The text without quotes, or the name of the variable.
}

type operandKind int

const (
	invalid operandKind = iota
	literal
	variable
)

func operandOf(token string) operand {
	if token != "" && strings.ContainsRune(`"'`, rune(token[0])) {
		return operand{literal, token[1 : len(token)-1]}
	}
	name := token
	if current, ok := formerNames[token]; ok {
		name = current
	}
	if markerVariable.MatchString(name) {
		return operand{variable, name}
	}
	return operand{invalid, token}
}

// unsupportedVariable is the error for a variable that the environment lacks.
type unsupportedVariable string

func (v unsupportedVariable) Error() string { return "marker: unsupported variable " + string(v) }

type comparison struct {
	left     operand
	operator string
	right    operand
}

// evaluate compares as packaging does, which expects one variable: of two variables the second stands for its name, and of two texts
// the second is the name of a variable.
func (c comparison) evaluate(environment map[string]string) (bool, error) {
	name := c.right.text
	if c.left.kind == variable {
		name = c.left.text
	}
	value, ok := environment[name]
	if !ok && !markerVariable.MatchString(name) {
		return false, fmt.Errorf("marker: %q and %q are both quoted: expected a variable", c.left.text, c.right.text)
	} else if !ok {
		return false, unsupportedVariable(name)
	}
	left, right := c.left.text, c.right.text
	if c.left.kind == variable {
		left = value
	} else {
		right = value
	}
	if name == "extra" && c.left.kind == variable && c.right.kind == literal {
		right = Normalize(right)
	} else if name == "extra" && c.left.kind == literal {
		left = Normalize(left)
	}
	return compare(left, c.operator, right, slices.Contains(versionVariables, name))
}

// compare compares both sides as versions if versions is true and the right side is one, and otherwise as text. Text has no order:
// "<" and ">" are false, "<=" and ">=" are true for equal texts.
func compare(left, operator, right string, versions bool) (bool, error) {
	if versions {
		if spec, err := pep440.ParseClause(operator + right); err == nil {
			return spec.ContainsText(left), nil
		}
	}
	switch operator {
	case "in":
		return strings.Contains(right, left), nil
	case "not in":
		return !strings.Contains(right, left), nil
	case "==", "<=", ">=":
		return left == right, nil
	case "!=":
		return left != right, nil
	case "<", ">":
		return false, nil
	}
	return false, fmt.Errorf("marker: %q %s %q: the operator %s compares versions only", left, operator, right, operator)
}
