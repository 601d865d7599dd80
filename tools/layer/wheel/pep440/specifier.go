package pep440

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Specifier is a set of conditions that a version must all satisfy, such as
// ">=1.2,!=1.3.*". The zero value is satisfied by every version.
type Specifier struct {
	clauses []clause
	text    string
}

type clause struct {
	operator string
	version  Version
	prefix   bool   // The version ended with ".*".
	text     string // What "===" compares.
}

var clauseForm = regexp.MustCompile(`^(===|~=|==|!=|<=|>=|<|>)\s*([^\s,]+)$`)

// ParseSpecifier reads conditions, separated by commas. "" is no condition.
func ParseSpecifier(s string) (Specifier, error) {
	spec := Specifier{text: strings.TrimSpace(s)}
	if spec.text == "" {
		return spec, nil
	}
	for piece := range strings.SplitSeq(spec.text, ",") {
		if piece = strings.TrimSpace(piece); piece == "" {
			continue // A comma at the end, as some projects write.
		}
		c, err := parseClause(piece)
		if err != nil {
			return Specifier{}, fmt.Errorf("specifier %q: %w", s, err)
		}
		spec.clauses = append(spec.clauses, c)
	}
	return spec, nil
}

func parseClause(s string) (clause, error) {
	m := clauseForm.FindStringSubmatch(s)
	if m == nil {
		return clause{}, fmt.Errorf("%q is not an operator and a version", s)
	}
	c := clause{operator: m[1], text: m[2]}
	if c.operator == "===" {
		return c, nil
	}
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
		return clause{}, errors.New("~= needs a version of two numbers or more")
	}
	return c, nil
}

// String returns the specifier as it was written.
func (s Specifier) String() string { return s.text }

// Contains tells whether a version satisfies the specifier. Pre-releases do if
// they are in the range: whether to choose one was decided by whoever pinned it.
func (s Specifier) Contains(v Version) bool {
	for _, c := range s.clauses {
		if !c.contains(v) {
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
		// "<2" does not mean 2rc1, though it is older.
		return v.comparePublic(c.version) < 0 && (c.version.isPreRelease() || !v.isPreReleaseOf(c.version))
	case ">":
		// Nor ">1" 1.post1 or 1+local, though they are newer.
		return v.comparePublic(c.version) > 0 && (c.version.post != nil || !v.isPostReleaseOf(c.version))
	}
	// ~=1.4.5a4 is >=1.4.5a4, ==1.4.*
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
