// Package pep440 orders versions of Python projects and checks them against specifiers, as PEP 440 defines.
//
// The library github.com/aquasecurity/go-pep440-version v0.0.1 fails the tests of this package: there 2rc1 satisfies "<2", 1 does
// not satisfy "==1.0.*", and ">=1 <2" and ">=1||<0" are valid specifiers.
//
// It must not import another package of this repository.
package pep440

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
)

// Version is a parsed version. The zero value is version 0. Numbers are strings of digits without leading zeros, so dates as
// versions do not overflow.
type Version struct {
	epoch   string
	release []string
	pre     *part // With the letter "a", "b" or "rc".
	post    *part
	dev     *part
	local   []string
	text    string
}

// part is a letter and a number, such as rc1.
type part struct{ letter, number string }

var versionForm = regexp.MustCompile(`^v?(?:([0-9]+)!)?([0-9]+(?:\.[0-9]+)*)` +
	`(?:[-_.]?(alpha|beta|preview|pre|rc|a|b|c)[-_.]?([0-9]*))?` +
	`(?:-([0-9]+)|[-_.]?(post|rev|r)[-_.]?([0-9]*))?` +
	`(?:[-_.]?(dev)[-_.]?([0-9]*))?` +
	`(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$`)

// Parse parses a version in any spelling that PEP 440 allows.
func Parse(s string) (Version, error) {
	m := versionForm.FindStringSubmatch(strings.ToLower(strings.TrimSpace(s)))
	if m == nil {
		return Version{}, fmt.Errorf("%q is not a version of PEP 440", s)
	}
	v := Version{epoch: number(m[1]), text: strings.TrimSpace(s)}
	for n := range strings.SplitSeq(m[2], ".") {
		v.release = append(v.release, number(n))
	}
	if m[3] != "" {
		letter := map[string]string{"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}[m[3]]
		v.pre = &part{cmp.Or(letter, m[3]), number(m[4])}
	}
	if m[5] != "" || m[6] != "" {
		v.post = &part{"post", number(m[5] + m[7])}
	}
	if m[8] != "" {
		v.dev = &part{"dev", number(m[9])}
	}
	if m[10] != "" {
		v.local = strings.FieldsFunc(m[10], func(r rune) bool { return strings.ContainsRune("-_.", r) })
	}
	return v, nil
}

// String returns the original text of the version.
func (v Version) String() string { return v.text }

// Compare returns a negative number if v is older than w, 0 if both are equal, and a positive number if v is newer.
func (v Version) Compare(w Version) int {
	return cmp.Or(v.comparePublic(w), compareLocal(v.local, w.local))
}

// comparePublic ignores local versions.
func (v Version) comparePublic(w Version) int {
	return cmp.Or(
		compareNumbers(v.epoch, w.epoch),
		compareRelease(v.release, w.release),
		comparePart(v.preKey(), w.preKey()),
		comparePart(v.postKey(), w.postKey()),
		comparePart(v.devKey(), w.devKey()),
	)
}

// The keys order versions with missing parts. An empty letter sorts before all pre-releases, "~" after them.
func (v Version) preKey() part {
	switch {
	case v.pre != nil:
		return *v.pre
	case v.post == nil && v.dev != nil: // 1.dev0 is before 1a0
		return part{letter: ""}
	}
	return part{letter: "~"}
}

func (v Version) postKey() part {
	if v.post != nil {
		return *v.post
	}
	return part{}
}

func (v Version) devKey() part {
	if v.dev != nil {
		return *v.dev
	}
	return part{letter: "~"}
}

func comparePart(a, b part) int {
	return cmp.Or(strings.Compare(a.letter, b.letter), compareNumbers(a.number, b.number))
}

func compareRelease(a, b []string) int {
	for i := range max(len(a), len(b)) {
		if c := compareNumbers(at(a, i), at(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

// at returns number i of a release, 0 beyond its end.
func at(release []string, i int) string {
	if i < len(release) {
		return release[i]
	}
	return "0"
}

// compareLocal orders numbers after words and longer versions after their prefixes.
func compareLocal(a, b []string) int {
	for i := range min(len(a), len(b)) {
		numberA, numberB := a[i][0] <= '9' && isNumber(a[i]), b[i][0] <= '9' && isNumber(b[i])
		var c int
		switch {
		case numberA && numberB:
			c = compareNumbers(number(a[i]), number(b[i]))
		case numberA:
			c = 1
		case numberB:
			c = -1
		default:
			c = strings.Compare(a[i], b[i])
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

func isNumber(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// number removes leading zeros.
func number(digits string) string {
	return cmp.Or(strings.TrimLeft(digits, "0"), "0")
}

func compareNumbers(a, b string) int {
	a, b = cmp.Or(a, "0"), cmp.Or(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}
