// Package glob matches slash-separated paths against patterns: "*" and "?" match within one name, "**" matches any number of names,
// and a trailing "/**" also matches the directory itself.
//
// It must not access the file system.
package glob

import (
	"fmt"
	"regexp"
	"strings"
)

// Set matches a path if one of its patterns does.
type Set []*regexp.Regexp

// Compile parses patterns. It ignores a leading slash. Empty patterns and the characters []{}\ are errors.
func Compile(patterns []string) (Set, error) {
	set := make(Set, len(patterns))
	for i, p := range patterns {
		trimmed := strings.TrimPrefix(p, "/")
		if trimmed == "" || strings.ContainsAny(trimmed, "[]{}\\") {
			return nil, fmt.Errorf("invalid pattern %q: expected a path, optionally with *, ** and ?", p)
		}
		re, err := regexp.Compile(translate(trimmed))
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", p, err)
		}
		set[i] = re
	}
	return set, nil
}

// Match reports whether a pattern matches path, which has no leading slash.
func (s Set) Match(path string) bool {
	for _, re := range s {
		if re.MatchString(path) {
			return true
		}
	}
	return false
}

func translate(pattern string) string {
	var b strings.Builder
	b.WriteString("^")
	for p := pattern; p != ""; {
		switch {
		case p == "/**":
			b.WriteString("(?:/.*)?")
			p = ""
		case strings.HasPrefix(p, "**/"):
			b.WriteString("(?:.*/)?")
			p = p[3:]
		case strings.HasPrefix(p, "**"):
			b.WriteString(".*")
			p = p[2:]
		case p[0] == '*':
			b.WriteString("[^/]*")
			p = p[1:]
		case p[0] == '?':
			b.WriteString("[^/]")
			p = p[1:]
		default:
			b.WriteString(regexp.QuoteMeta(p[:1]))
			p = p[1:]
		}
	}
	b.WriteString("$")
	return b.String()
}
