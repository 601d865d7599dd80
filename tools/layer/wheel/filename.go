package wheel

import (
	"fmt"
	"regexp"
	"strings"
)

// Filename holds the parts of a wheel's file name.
type Filename struct {
	Project, Version string   // Not normalized.
	Build            string   // Build tag, empty for most wheels.
	Python           []string // Python tags such as py3 and cp311.
	ABI              []string // ABI tags such as none, abi3 and cp311.
	Platform         []string // Platform tags such as any and manylinux_2_28_aarch64.
}

var (
	filenamePart = regexp.MustCompile(`^[A-Za-z0-9_.+!]+$`)
	projectForm  = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	separators   = regexp.MustCompile(`[-_.]+`)
)

// Normalize returns a project name in lower case with "-" as the only separator, as package indexes compare it.
func Normalize(project string) string {
	return separators.ReplaceAllString(strings.ToLower(project), "-")
}

// ParseFilename parses {project}-{version}[-{build}]-{python}-{abi}-{platform}.whl.
func ParseFilename(name string) (Filename, error) {
	stem, ok := strings.CutSuffix(name, ".whl")
	parts := strings.Split(stem, "-")
	for _, p := range parts {
		ok = ok && filenamePart.MatchString(p)
	}
	if !ok || len(parts) != 5 && len(parts) != 6 || !projectForm.MatchString(parts[0]) {
		return Filename{}, fmt.Errorf("%q is not the name of a wheel: expected {project}-{version}-{python}-{abi}-{platform}.whl", name)
	}
	tags := parts[len(parts)-3:]
	f := Filename{
		Project: parts[0], Version: parts[1],
		Python: strings.Split(tags[0], "."), ABI: strings.Split(tags[1], "."), Platform: strings.Split(tags[2], "."),
	}
	if len(parts) == 6 {
		if f.Build = parts[2]; f.Build[0] < '0' || f.Build[0] > '9' {
			return Filename{}, fmt.Errorf("%q is not the name of a wheel: build tag %q does not begin with a digit", name, f.Build)
		}
	}
	return f, nil
}
