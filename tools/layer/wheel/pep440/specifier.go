package pep440

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Specifier is a list of conditions on a version, such as ">=1.2,!=1.3.*". A version must satisfy all of them. Every version
// satisfies the zero value.
type Specifier struct {
	clauses []clause
	text    string
}

type clause struct {
	operator string
	version  Version
	prefix   bool   // The version ends with ".*".
	text     string // The operand of "===".
}

var clauseForm = regexp.MustCompile(`^(~=|==|!=|<=|>=|<|>)\s*([^\s,]+)$`)

// ParseSpecifier parses conditions separated by commas. The empty string has no conditions.
func ParseSpecifier(s string) (Specifier, error) {
	spec := Specifier{text: strings.TrimSpace(s)}
	if spec.text == "" {
		return spec, nil
	}
	for piece := range strings.SplitSeq(spec.text, ",") {
		if piece = strings.TrimSpace(piece); piece == "" {
			continue // Some projects write a comma at the end.
		}
		c, err := parseClause(piece)
		if err != nil {
			return Specifier{}, fmt.Errorf("specifier %q: %w", s, err)
		}
		spec.clauses = append(spec.clauses, c)
	}
	return spec, nil
}

// ParseClause parses one condition, such as ">=1.2". A comma is an error.
func ParseClause(s string) (Specifier, error) {
	text := strings.TrimSpace(s)
	c, err := parseClause(text)
	if err != nil {
		return Specifier{}, fmt.Errorf("specifier %q: %w", s, err)
	}
	return Specifier{[]clause{c}, text}, nil
}

func parseClause(s string) (clause, error) {
	if text, ok := strings.CutPrefix(s, "==="); ok {
		if text = strings.TrimSpace(text); strings.ContainsAny(text, " \t\r\n;)") {
			return clause{}, fmt.Errorf("found %q, expected a text without spaces after ===", s)
		}
		return clause{operator: "===", text: text}, nil
	}
	m := clauseForm.FindStringSubmatch(s)
	if m == nil {
		return clause{}, fmt.Errorf("found %q, expected an operator and a version", s)
	}
	c := clause{operator: m[1]}
	text, prefix := strings.CutSuffix(m[2], ".*")
	c.prefix = prefix
	var err error
	if c.version, err = Parse(text); err != nil {
		return clause{}, err
	}
	equality := c.operator == "==" || c.operator == "!="
	switch {
	case prefix && (!equality || c.version.pre != nil || c.version.post != nil || c.version.dev != nil || c.version.local != nil):
		return clause{}, fmt.Errorf("%q cannot end with .*", s)
	case !equality && c.version.local != nil:
		return clause{}, fmt.Errorf("%q cannot have a local version", s)
	case c.operator == "~=" && len(c.version.release) < 2:
		return clause{}, errors.New("~= requires a version of two or more numbers")
	}
	return c, nil
}

// String returns the original text of the specifier.
func (s Specifier) String() string { return s.text }

// Contains reports whether a version satisfies the specifier. Pre-releases in the range do: versions are pinned, so a pre-release
// was chosen on purpose.
func (s Specifier) Contains(v Version) bool {
	for _, c := range s.clauses {
		if !c.contains(v) {
			return false
		}
	}
	return true
}

// ContainsText reports whether a text satisfies the specifier. A text that is no version satisfies only "===" with the same text.
func (s Specifier) ContainsText(text string) bool {
	v, err := Parse(text)
	if err == nil {
		return s.Contains(v)
	}
	for _, c := range s.clauses {
		if c.operator != "===" || !strings.EqualFold(c.text, text) {
			return false
		}
	}
	return true
}

func (c clause) contains(v Version) bool {
	switch c.operator {
	case "===":
		return strings.EqualFold(c.text, v.text)
	case "==":
		return c.equal(v)
	case "!=":
		return !c.equal(v)
	case "<=":
		return v.comparePublic(c.version) <= 0
	case ">=":
		return v.comparePublic(c.version) >= 0
	case "<":
		// "<2" excludes 2rc1, although 2rc1 is older.
		return v.comparePublic(c.version) < 0 && (c.version.isPreRelease() || !v.isPreReleaseOf(c.version))
	case ">":
		// ">1" excludes 1.post1 and 1+local, although they are newer.
		return v.comparePublic(c.version) > 0 && (c.version.post != nil || !v.isPostReleaseOf(c.version))
	}
	// ~=1.4.5a4 is equivalent to >=1.4.5a4,==1.4.*
	series := c.version.release[:len(c.version.release)-1]
	return v.comparePublic(c.version) >= 0 && compareNumbers(v.epoch, c.version.epoch) == 0 && hasPrefix(v.release, series)
}

func (c clause) equal(v Version) bool {
	w := c.version
	if !c.prefix {
		if w.local == nil {
			return v.comparePublic(w) == 0
		}
		return v.Compare(w) == 0
	}
	return compareNumbers(v.epoch, w.epoch) == 0 && hasPrefix(v.release, w.release)
}

func hasPrefix(release, prefix []string) bool {
	for i := range prefix {
		if compareNumbers(at(release, i), prefix[i]) != 0 {
			return false
		}
	}
	return true
}

func (v Version) isPreRelease() bool { return v.pre != nil || v.dev != nil }

func (v Version) isPreReleaseOf(w Version) bool {
	if w.post != nil && (v.pre != nil || comparePart(v.postKey(), w.postKey()) != 0) {
		return false
	}
	return v.isPreRelease() && v.sameRelease(w)
}

func (v Version) isPostReleaseOf(w Version) bool {
	return v.post != nil && w.dev == nil && v.sameRelease(w) && comparePart(v.preKey(), w.preKey()) == 0
}

func (v Version) sameRelease(w Version) bool {
	return compareNumbers(v.epoch, w.epoch) == 0 && compareRelease(v.release, w.release) == 0
}
