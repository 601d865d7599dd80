package pep440

import (
	"strings"
	"testing"
)

func parse(t *testing.T, s string) Version {
	t.Helper()
	v, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestCompare(t *testing.T) {
	// From old to new, as PEP 440 orders them. Bars separate spellings of the same version.
	ordered := strings.Fields(`
		0 1.dev0 1.0.dev456 1.0a1 1.0a2.dev456 1.0a12.dev456 1.0a12 1.0b1.dev456 1.0b2 1.0b2.post345.dev456 1.0b2.post345
		1.0rc1.dev456 1.0rc1|1.0c1|1.0-preview_1 1.0|v1|1.0.0|1.00 1.0+abc.5 1.0+abc.7 1.0+5|1.0+05 1.0+5.1 1.0.post456.dev34
		1.0.post456|1.0-456|1.0r456 1.1.dev1 1.9 1.10 20261231235959123456789 1!0.1`)
	for i, a := range ordered {
		for _, x := range strings.Split(a, "|") {
			for j, b := range ordered {
				for _, y := range strings.Split(b, "|") {
					got, want := parse(t, x).Compare(parse(t, y)), 0
					if i < j {
						want = -1
					} else if i > j {
						want = 1
					}
					if got != want {
						t.Errorf("Compare(%s, %s) = %d, want %d", x, y, got, want)
					}
				}
			}
		}
	}
}

func TestContains(t *testing.T) {
	for _, tc := range []struct {
		specifier, version string
		want               bool
	}{
		{"", "1", true},
		{"~=2.2", "2.9", true},
		{"~=2.2", "3.0", false},
		{"~=2.2.0", "2.3", false},
		{"~=2.2.post3", "2.2", false},
		{"~=1.4.5a4", "1.4.6", true},
		{"==1.*", "1.9", true},
		{"==1.0.*", "1", true},
		{"==1.2.*", "1", false},
		{"==1.1.*", "1.1a1", true},
		{"==1.0", "1.0.0", true},
		{"==1.0", "1.0+cu12", true},
		{"==1.0+cu11", "1.0+cu12", false},
		{"==1!1.0", "1.0", false},
		{"!=1.5.*", "1.5.2", false},
		{"!=1.0", "1.0.0", false},
		{">1.7", "1.7.1", true},
		{">1.7", "1.7.0.post1", false},
		{">1.7", "1.7+local", false},
		{">1.7.post2", "1.7.post3", true},
		{">2b2", "2.post1", true},
		{">2b2", "2b2.post1", false},
		{"<2", "2rc1", false},
		{"<2.post1", "2rc1", true},
		{"<2.post1", "2.post1.dev0", false},
		{"<2", "1.9rc1", true},
		{"<2rc2", "2rc1", true},
		{"<=1.0", "1.0+local", true},
		{">=1.0", "2.0rc1", true},
		{">=1!1", "2!0.1", true},
		{">=1.0.dev1", "1.0a1", true},
		{">=1.0,!=1.1,<3", "1.1", false},
		{">= 4.8 , <5,", "4.16.0", true},
		{"===1.0", "1.0", true},
		{"===1.0", "1.0.0", false},
	} {
		spec, err := ParseSpecifier(tc.specifier)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := spec.Contains(parse(t, tc.version)); got != tc.want {
			t.Errorf("%q contains %s: %v, want %v", tc.specifier, tc.version, got, tc.want)
		}
	}
}

func TestParse_errors(t *testing.T) {
	for _, s := range []string{"", "one", "1.x", "1..2", "1.0+", "1.0-beta-x"} {
		if v, err := Parse(s); err == nil || !strings.Contains(err.Error(), s) {
			t.Errorf("Parse(%q) = %v, %v", s, v, err)
		}
	}
	for _, s := range []string{"1.0", "=1.0", "~=1", ">=1.*", ">1+local", "==1.dev1.*", "==1a1.*", "==1.post1.*", "==1+local.*", ">=", ">=1 <2", "*", ">=1||<0"} {
		if _, err := ParseSpecifier(s); err == nil {
			t.Errorf("ParseSpecifier accepted %q", s)
		}
	}
}
