package importer

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"krabby.dev/krabby/hal/robot"
)

// Values are numbers for joints, as the value of a flag: "40", "*_hip_joint=20,*_calf_joint=40", or "40,*_calf_joint=60", in which the
// number without a pattern is for the joints that no pattern matches. Patterns are those of path.Match.
type Values struct {
	all      *float64
	patterns []pattern
}

type pattern struct {
	pattern string
	value   float64
}

// UnmarshalText reads the value of a flag.
func (v *Values) UnmarshalText(text []byte) error {
	for part := range strings.SplitSeq(string(text), ",") {
		name, number, hasName := strings.Cut(strings.TrimSpace(part), "=")
		if !hasName {
			number = name
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || math.IsInf(value, 0) || math.IsNaN(value) {
			return fmt.Errorf("found %q, expected a number, or JOINT=NUMBER", part)
		}
		if !hasName {
			if v.all != nil {
				return fmt.Errorf("found %q, expected one number without a joint", text)
			}
			v.all = &value
			continue
		}
		if _, err := path.Match(name, ""); err != nil || name == "" {
			return fmt.Errorf("found %q, expected the name of a joint, or a pattern such as *_hip_joint", name)
		}
		v.patterns = append(v.patterns, pattern{name, value})
	}
	return nil
}

// check returns an error for the first pattern that matches no joint.
func (v *Values) check(joints []string) error {
	for _, p := range v.patterns {
		if !slices.ContainsFunc(joints, p.matches) {
			nearest := robot.Nearest(p.pattern, joints)
			return fmt.Errorf("found joint %q, expected one of the model's, such as %s", p.pattern, nearest)
		}
	}
	return nil
}

func (p pattern) matches(joint string) bool {
	matched, err := path.Match(p.pattern, joint)
	return matched && err == nil
}

// of returns the value of a joint, or nil. Two patterns with different values are an error.
func (v *Values) of(joint string) (*float64, error) {
	var found *pattern
	for _, p := range v.patterns {
		if !p.matches(joint) {
			continue
		}
		if found != nil && found.value != p.value {
			return nil, fmt.Errorf("found %v by %q and %v by %q for joint %s, expected one value", found.value, found.pattern, p.value, p.pattern, joint)
		}
		found = &p
	}
	if found == nil {
		return v.all, nil
	}
	return &found.value, nil
}
