package platform_test

import (
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"krabby.dev/rules_oci/internal/platform"
)

// oci/tests/starlark.bzl has the same cases.
func TestMatches(t *testing.T) {
	for _, test := range []struct {
		platform, want string
		matches        bool
	}{
		{"linux/amd64", "linux/amd64", true},
		{"linux/amd64", "linux/arm64", false},
		{"linux/amd64", "windows/amd64", false},
		{"linux/arm64", "linux/arm64", true},
		{"linux/arm64", "linux/arm64/v8", true},
		{"linux/arm64/v8", "linux/arm64", true},
		{"linux/arm64/v8", "linux/arm64/v8", true},
		{"linux/arm64/v8", "linux/arm64/v9", false},
		{"linux/arm64/v9", "linux/arm64", true},
		{"linux/arm64", "linux/arm64/v9", false},
		{"linux/arm", "linux/arm/v7", true},
		{"linux/arm/v6", "linux/arm/v7", false},
		{"linux/amd64", "linux/amd64/v2", false},
	} {
		p, err := v1.ParsePlatform(test.platform)
		if err != nil {
			t.Fatal(err)
		}
		want, err := v1.ParsePlatform(test.want)
		if err != nil {
			t.Fatal(err)
		}
		if got := platform.Matches(*p, *want); got != test.matches {
			t.Errorf("Matches(%s, %s): found %v", test.platform, test.want, got)
		}
	}
}
