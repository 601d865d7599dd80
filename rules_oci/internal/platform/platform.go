// Package platform compares platforms of images. oci/private/platform.bzl has the same rules in Starlark.
package platform

import (
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// defaultVariants are the variants of architectures whose name alone stands for one.
var defaultVariants = map[string]string{"arm": "v7", "arm64": "v8"}

// Normalize returns the platform with the default variant of its architecture: linux/arm64 is linux/arm64/v8.
func Normalize(p v1.Platform) v1.Platform {
	if p.Variant == "" {
		p.Variant = defaultVariants[p.Architecture]
	}
	return p
}

// Matches reports whether an image for p is one for want. A want without variant matches all variants.
func Matches(p, want v1.Platform) bool {
	if p.OS != want.OS || p.Architecture != want.Architecture {
		return false
	}
	return want.Variant == "" || Normalize(p).Variant == Normalize(want).Variant
}
