package wheel

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"krabby.dev/krabby/tools/layer/wheel/pep440"
)

// marker evaluates a condition (PEP 508) for the variables of an environment.
type marker func(environment map[string]string) (bool, error)

var markerToken = regexp.MustCompile(`^\s*([()]|===|~=|==|!=|<=|>=|<|>|"[^"]*"|'[^']*'|[A-Za-z_][A-Za-z0-9_.]*)`)

// parseMarker parses conditions with "and", "or" and parentheses.
func parseMarker(s string) (marker, error) {
	p := &markerParser{}
	for rest := strings.TrimSpace(s); rest != ""; rest = strings.TrimSpace(rest) {
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

func (p *markerParser) or() (marker, error) { return p.join("or", true, p.and) }

func (p *markerParser) and() (marker, error) { return p.join("and", false, p.condition) }

// join parses operands separated by a word. Evaluation stops at the first operand with the value decides.
func (p *markerParser) join(word string, decides bool, operand func() (marker, error)) (marker, error) {
	first, err := operand()
	if err != nil {
		return nil, err
	}
	all := []marker{first}
	for p.accept(word) {
		next, err := operand()
		if err != nil {
			return nil, err
		}
		all = append(all, next)
	}
	return func(environment map[string]string) (bool, error) {
		for _, m := range all {
			if value, err := m(environment); err != nil || value == decides {
				return value, err
			}
		}
		return !decides, nil
	}, nil
}

func (p *markerParser) condition() (marker, error) {
	if p.accept("(") {
		inner, err := p.or()
		if err == nil && !p.accept(")") {
			err = errors.New("marker: missing closing parenthesis")
		}
		return inner, err
	}
	left, operator, right := p.take(), p.take(), ""
	if operator == "not" {
		operator += " " + p.take()
	}
	right = p.take()
	if right == "" || isLiteral(left) == isLiteral(right) {
		return nil, fmt.Errorf("marker: found %q, expected a variable, an operator and a quoted value",
			strings.TrimSpace(strings.Join([]string{left, operator, right}, " ")))
	}
	if !slices.Contains([]string{"===", "~=", "==", "!=", "<=", ">=", "<", ">", "in", "not in"}, operator) {
		return nil, fmt.Errorf("marker: unknown operator %q", operator)
	}
	variable := left
	if isLiteral(left) {
		variable = right
	}
	return func(environment map[string]string) (bool, error) {
		if _, ok := environment[variable]; !ok {
			return false, fmt.Errorf("marker: unsupported variable %s", variable)
		}
		value := func(operand string) string {
			if !isLiteral(operand) {
				return environment[operand]
			}
			text := operand[1 : len(operand)-1]
			if variable == "extra" {
				return Normalize(text)
			}
			return text
		}
		return compare(value(left), operator, value(right), strings.HasSuffix(variable, "_version"))
	}, nil
}

func isLiteral(token string) bool { return token != "" && strings.ContainsRune(`"'`, rune(token[0])) }

// compare compares both sides as versions if versions is true and both are valid, and otherwise as text.
func compare(left, operator, right string, versions bool) (bool, error) {
	switch operator {
	case "in":
		return strings.Contains(right, left), nil
	case "not in":
		return !strings.Contains(right, left), nil
	}
	if versions {
		spec, errSpec := pep440.ParseSpecifier(operator + right)
		version, errVersion := pep440.Parse(left)
		if errSpec == nil && errVersion == nil {
			return spec.Contains(version), nil
		}
	}
	switch operator {
	case "==", "===":
		return left == right, nil
	case "!=":
		return left != right, nil
	case "<":
		return left < right, nil
	case "<=":
		return left <= right, nil
	case ">":
		return left > right, nil
	case ">=":
		return left >= right, nil
	}
	return false, fmt.Errorf("marker: %q %s %q: expected versions", left, operator, right)
}
