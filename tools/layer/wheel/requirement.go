package wheel

import (
	"cmp"
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
	URL       string // Address instead of a specifier. Every wheel of the project meets the requirement.
	marker    Marker
	text      string
	invalid   error // Of a value of Requires-Dist that cannot be parsed.
}

// String returns the original text of the requirement.
func (r Requirement) String() string { return r.text }

var (
	requirementForm = regexp.MustCompile(`^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?)[ \t]*(?:\[([^\]]*)\])?[ \t]*(.*)$`)
	extraForm       = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?$`)
	// arbitraryList matches what packaging rejects: the text after "===" lasts until a space, and includes commas.
	arbitraryList = regexp.MustCompile(`===[ \t]*[^ \t;)]+[ \t]+[^ \t,)]`)
	addressForm   = regexp.MustCompile(`^@[ \t]*([^ \t]+)(?:[ \t]+(;.*)?)?$`)
)

// ParseRequirement parses the value of Requires-Dist. With an error it returns what can be parsed.
func ParseRequirement(s string) (Requirement, error) {
	r, err := parseRequirement(strings.Trim(s, " \t"))
	if err != nil {
		return r, fmt.Errorf("requirement %q: %w", s, err)
	}
	return r, nil
}

func parseRequirement(s string) (r Requirement, err error) {
	r.text = s
	m := requirementForm.FindStringSubmatch(s)
	if m == nil {
		return r, errors.New("expected a project name at the beginning")
	}
	r.Project = Normalize(m[1])
	versions, condition, conditional := strings.Cut(m[3], ";")
	if strings.HasPrefix(versions, "@") {
		address := addressForm.FindStringSubmatch(m[3])
		if address == nil {
			return r, errors.New("expected a space after the address, then a semicolon or the end")
		}
		r.URL, versions = address[1], ""
		condition, conditional = strings.CutPrefix(address[2], ";")
	}
	var errExtras, errVersions, errMarker error
	r.Extras, errExtras = parseExtras(m[2])
	r.Specifier, errVersions = parseVersions(versions)
	if conditional {
		r.marker, errMarker = ParseMarker(condition)
	}
	return r, cmp.Or(errExtras, errVersions, errMarker)
}

// parseExtras parses a list of extras separated by commas, which can be empty.
func parseExtras(s string) (extras []string, err error) {
	if strings.Trim(s, " \t") == "" {
		return nil, nil
	}
	for extra := range strings.SplitSeq(s, ",") {
		if extra = strings.Trim(extra, " \t"); !extraForm.MatchString(extra) {
			return nil, fmt.Errorf("invalid extra %q", extra)
		}
		extras = append(extras, Normalize(extra))
	}
	return extras, nil
}

// parseVersions parses a specifier, with or without parentheses.
func parseVersions(s string) (pep440.Specifier, error) {
	s = strings.Trim(s, " \t")
	if inner, ok := strings.CutPrefix(s, "("); ok {
		if s, ok = strings.CutSuffix(inner, ")"); !ok {
			return pep440.Specifier{}, errors.New("missing closing parenthesis")
		}
	}
	if arbitraryList.MatchString(s) {
		return pep440.Specifier{}, errors.New("expected a comma after a space, or the end, after ===")
	}
	return pep440.ParseSpecifier(s)
}

// Applies reports whether the requirement's marker is true on a target for an extra of the wheel. The empty string is no extra. A
// marker with an unsupported variable is an error, and so is an applying requirement that cannot be parsed.
func (r Requirement) Applies(t Target, extra string) (bool, error) {
	if r.marker == nil {
		return true, r.invalid
	}
	environment := t.environment()
	environment["extra"] = Normalize(extra)
	ok, err := r.marker(environment)
	if err != nil {
		return false, fmt.Errorf("requirement %q: %w", r.text, err)
	}
	if ok && r.invalid != nil {
		return false, r.invalid
	}
	return ok, nil
}
