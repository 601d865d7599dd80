// Package apttest checks apt configurations in tests: every program that fetches Debian packages must require signed package
// lists, whatever the configuration of the host.
//
// It must not import another package of this repository.
package apttest

import (
	"fmt"
	"regexp"
	"strings"
)

// signatureSettings let apt accept package lists or packages without a valid signature if their value is not "false".
var signatureSettings = []string{
	"APT::Get::AllowUnauthenticated",
	"Acquire::AllowDowngradeToInsecureRepositories",
	"Acquire::AllowInsecureRepositories",
	"Acquire::AllowWeakRepositories",
}

// InsecureHost returns the configuration of a host that accepts unsigned package lists, as `apt-config dump` prints it.
func InsecureHost() string {
	var b strings.Builder
	for _, name := range signatureSettings {
		fmt.Fprintf(&b, "%s \"true\";\n", name)
	}
	return b.String()
}

var setting = regexp.MustCompile(`(?m)^(\S+) "(.*)";$`)

// AcceptsUnsigned returns the settings of an apt.conf, as `apt-config dump` prints it, with which apt accepts unsigned package
// lists or packages. A setting that is missing counts. Of a repeated setting, the last value counts, as in apt.
func AcceptsUnsigned(config string) []string {
	values := map[string]string{}
	for _, match := range setting.FindAllStringSubmatch(config, -1) {
		values[strings.ToLower(match[1])] = match[2]
	}
	var accepted []string
	for _, name := range signatureSettings {
		if value := values[strings.ToLower(name)]; value != "false" {
			accepted = append(accepted, fmt.Sprintf("%s %q", name, value))
		}
	}
	return accepted
}
