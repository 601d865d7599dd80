package glob_test

import (
	"testing"

	"krabby.dev/krabby/tools/layer/glob"
)

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		pattern, path string
		want          bool
	}{
		{"usr/share/man/**", "usr/share/man", true},
		{"usr/share/man/**", "usr/share/man/man1/ls.1", true},
		{"usr/share/man/**", "usr/share/manual", false},
		{"/usr/share/doc/*/copyright", "usr/share/doc/libc6/copyright", true},
		{"usr/share/doc/*/copyright", "usr/share/doc/a/b/copyright", false},
		{"**/*.so", "lib.so", true},
		{"**/*.so", "usr/lib/x.so", true},
		{"**/*.so", "usr/lib/x.so.1", false},
		{"lib/v?", "lib/v1", true},
		{"lib/v?", "lib/v/", false},
		{"a.c", "abc", false},
		{"usr/ü*", "usr/übung", true},
	} {
		set, err := glob.Compile([]string{tc.pattern})
		if err != nil {
			t.Fatal(err)
		}
		if got := set.Match(tc.path); got != tc.want {
			t.Errorf("%q on %q: %v, want %v", tc.pattern, tc.path, got, tc.want)
		}
	}
}

func TestCompile_invalid(t *testing.T) {
	for _, p := range []string{"", "/", "a/[bc]", "{a,b}"} {
		if _, err := glob.Compile([]string{p}); err == nil {
			t.Errorf("Compile accepted %q", p)
		}
	}
}
