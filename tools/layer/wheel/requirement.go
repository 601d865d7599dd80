package wheel

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"krabby.dev/krabby/tools/layer/wheel/pep440"
)

// Requirement is what a wheel says it needs, as PEP 508 writes it.
type Requirement struct {
	Project   string // Normalized.
	Extras    []string
	Specifier pep440.Specifier
	marker    marker
	text      string
}

// String returns the requirement as it was written.
func (r Requirement) String() string { return r.text }

var requirementForm = regexp.MustCompile(`^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[([^\]]*)\])?\s*(.*)$`)

// ParseRequirement reads a line of Requires-Dist.
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
		return r, errors.New("it does not begin with a project's name")
	}
	r.Project = Normalize(m[1])
	for extra := range strings.SplitSeq(m[2], ",") {
		if extra = strings.TrimSpace(extra); extra != "" {
			r.Extras = append(r.Extras, Normalize(extra))
		}
	}
	versions := m[3]
	if strings.HasPrefix(versions, "@") {
		return r, errors.New("it names an address, which cannot be compared with a wheel")
	}
	if inner, ok := strings.CutPrefix(versions, "("); ok {
		if versions, ok = strings.CutSuffix(inner, ")"); !ok {
			return r, errors.New("a parenthesis is not closed")
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

// Applies tells whether the requirement counts on a target when an extra of the
// wheel is asked for; "" is none.
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
