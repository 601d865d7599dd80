package wheel

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"krabby.dev/krabby/tools/layer/wheel/pep440"
)

// Requirement is a dependency of a wheel in the syntax of PEP 508.
type Requirement struct {
	Project   string // Normalized name.
	Extras    []string
	Specifier pep440.Specifier
	marker    marker
	text      string
}

// String returns the original text of the requirement.
func (r Requirement) String() string { return r.text }

var requirementForm = regexp.MustCompile(`^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[([^\]]*)\])?\s*(.*)$`)

// ParseRequirement parses the value of Requires-Dist. A requirement with an address instead of versions is an error.
func ParseRequirement(s string) (Requirement, error) {
	r, err := parseRequirement(strings.TrimSpace(s))
	if err != nil {
		return r, fmt.Errorf("requirement %q: %w", s, err)
	}
	return r, nil
}

func parseRequirement(s string) (r Requirement, err error) {
	r.text = s
	spec, condition, conditional := strings.Cut(s, ";")
	m := requirementForm.FindStringSubmatch(strings.TrimSpace(spec))
	if m == nil {
		return r, errors.New("expected a project name at the beginning")
	}
	r.Project = Normalize(m[1])
	for extra := range strings.SplitSeq(m[2], ",") {
		if extra = strings.TrimSpace(extra); extra != "" {
			r.Extras = append(r.Extras, Normalize(extra))
		}
	}
	versions := m[3]
	if strings.HasPrefix(versions, "@") {
		return r, errors.New("addresses are not supported: expected versions")
	}
	if inner, ok := strings.CutPrefix(versions, "("); ok {
		if versions, ok = strings.CutSuffix(inner, ")"); !ok {
			return r, errors.New("missing closing parenthesis")
		}
	}
	if r.Specifier, err = pep440.ParseSpecifier(versions); err != nil {
		return r, err
	}
	if conditional {
		r.marker, err = parseMarker(condition)
	}
	return r, err
}

// Applies reports whether the requirement's marker is true on a target for an extra of the wheel. The empty string is no extra. A
// marker with an unsupported variable is an error.
func (r Requirement) Applies(t Target, extra string) (bool, error) {
	if r.marker == nil {
		return true, nil
	}
	environment := t.environment()
	environment["extra"] = Normalize(extra)
	ok, err := r.marker(environment)
	if err != nil {
		return false, fmt.Errorf("requirement %q: %w", r.text, err)
	}
	return ok, nil
}
