package wheel

import (
	"reflect"
	"strings"
	"testing"
)

// TestParseHeaders has the results of Python's email parser, except that a continued value is one line.
func TestParseHeaders(t *testing.T) {
	for name, tc := range map[string]struct {
		data string
		want headers
	}{
		"fields":                      {"Name: a\nversion:1\n\nDist: x\n", headers{"name": {"a"}, "version": {"1"}}},
		"continuation":                {"License: GPL\n        page one\n\tpage two\nName: a\n", headers{"license": {"GPL page one page two"}, "name": {"a"}}},
		"form feed":                   {"License: GPL\n        page one\n        \fpage two\nRequires-Dist: b\n", headers{"license": {"GPL page one \fpage two"}, "requires-dist": {"b"}}},
		"8-bit value":                 {"Author: J\xfcrgen \u00fc\nName: a\n", headers{"author": {"J\xfcrgen \u00fc"}, "name": {"a"}}},
		"8-bit name ends them":        {"Name: a\nAut\xfcr: b\nVersion: 1\n", headers{"name": {"a"}}},
		"line without a colon":        {"Name: a\nand so on\nVersion: 1\n", headers{"name": {"a"}}},
		"space before the colon":      {"Name : a\nVersion: 1\n", headers{}},
		"CR LF and CR":                {"Name: a\r\nVersion: 1\rSummary: s", headers{"name": {"a"}, "version": {"1"}, "summary": {"s"}}},
		"colons in a value":           {"Project-URL: Home, https://a.invalid\n", headers{"project-url": {"Home, https://a.invalid"}}},
		"repeated":                    {"Requires-Dist: b\nRequires-Dist: c\n", headers{"requires-dist": {"b", "c"}}},
		"line without a name":         {": x\nName: a\n", headers{"name": {"a"}}},
		"continuation of nothing":     {" x\nName: a\n", headers{"name": {"a"}}},
		"envelope of a mail":          {"From me\nName: a\n", headers{"name": {"a"}}},
		"blank line of only spaces":   {"License: a\n   \nName: b\n", headers{"license": {"a"}, "name": {"b"}}},
		"vertical tab, no line break": {"Summary: a\vb\u2028c\nName: a\n", headers{"summary": {"a\vb\u2028c"}, "name": {"a"}}},
	} {
		if got := parseHeaders([]byte(tc.data)); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}

func TestCheckRequirements_needed(t *testing.T) {
	arm := Target{Python: "3.11", Architecture: "arm64", Glibc: "2.35"}
	const address = "Requires-Dist: rl-games @ git+https://example.invalid/r.git"
	for name, tc := range map[string]struct {
		fields []string
		more   map[string][]string
		want   string
	}{
		"address of an unused extra":      {[]string{"Provides-Extra: rl", address + " ; extra == 'rl'"}, nil, ""},
		"address":                         {[]string{address}, nil, "missing dependency: a-1-py3-none-any.whl requires rl-games @ git+https://example.invalid/r.git: no wheel of rl-games found"},
		"address with a true marker":      {[]string{address + ` ; python_version > "3"`}, nil, "no wheel of rl-games found"},
		"address and a wheel":             {[]string{address}, map[string][]string{"rl_games-2-py3-none-any.whl": nil}, ""},
		"address of a used extra":         {[]string{address + " ; extra == 'rl'"}, map[string][]string{"b-1-py3-none-any.whl": {"Requires-Dist: a[rl]"}}, "no wheel of rl-games found"},
		"no space after the address":      {[]string{address + `; extra == 'rl'`}, nil, "METADATA: requirement \"rl-games @ git+"},
		"invalid versions, unused extra":  {[]string{"Requires-Dist: b (>=1.*); extra == 'x'"}, nil, ""},
		"invalid versions":                {[]string{"Requires-Dist: b (>=1.*)"}, nil, `a-1-py3-none-any.whl: METADATA: requirement "b (>=1.*)": specifier ">=1.*": ">=1.*" cannot end with .*`},
		"invalid marker":                  {[]string{"Requires-Dist: b; extra = 'x'"}, nil, `METADATA: requirement "b; extra = 'x'": marker: unexpected`},
		"unsupported variable, no effect": {[]string{`Requires-Dist: b; platform_release > "5" and extra == "x"`}, nil, ""},
		"unsupported variable":            {[]string{`Requires-Dist: b; platform_release > "5" or extra == "x"`}, nil, "unsupported variable platform_release"},
		"continued field":                 {[]string{"License: GPL\n        page one\n        \fpage two\nRequires-Dist: pthy"}, nil, "no wheel of pthy found"},
		"Requires-Python with a wildcard": {[]string{"Requires-Python: >= 3.5.*"}, nil, ""},
		"Requires-Python in part invalid": {[]string{"Requires-Python: !=3.0*,>=3.99"}, nil, ""},
		"Requires-Python":                 {[]string{"Requires-Python: >=3.99"}, nil, "wrong Python version: found 3.11, expected >=3.99"},
	} {
		t.Run(name, func(t *testing.T) {
			s := set(t, tc.more)
			if err := s.Add(open(t, "a-1-py3-none-any.whl", tc.fields)); err != nil {
				t.Fatal(err)
			}
			err := s.CheckTarget(arm)
			if err == nil {
				err = s.CheckRequirements(arm)
			}
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}
