package jsontree_test

import (
	"strings"
	"testing"

	"krabby.dev/rules_oci/internal/jsontree"
)

func parse(t *testing.T, text string) *jsontree.Object {
	t.Helper()
	object, err := jsontree.ParseObject([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// The expected texts are the output of jq 1.7.1 for `.`.
func TestFormat(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"empty", `{}`, "{}"},
		{"order of keys", `{"b":1,"a":2}`, "{\n  \"b\": 1,\n  \"a\": 2\n}"},
		{"nested", `{"a":[1,{"b":[]},{}]}`, "{\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    },\n    {}\n  ]\n}"},
		{"literals", `{"a":null,"b":true,"c":false}`, "{\n  \"a\": null,\n  \"b\": true,\n  \"c\": false\n}"},
		{"numbers", `{"a":30000000000,"b":1.10,"c":100000000000000000000001}`, "{\n  \"a\": 30000000000,\n  \"b\": 1.10,\n  \"c\": 100000000000000000000001\n}"},
		{"exponents", `{"a":1e3,"b":1.50E2,"c":0.0000001,"d":12e-9,"e":3.0e0,"f":-0,"g":-2.5e-3,"h":0e5}`,
			"{\n  \"a\": 1E+3,\n  \"b\": 150,\n  \"c\": 1E-7,\n  \"d\": 1.2E-8,\n  \"e\": 3.0,\n  \"f\": -0,\n  \"g\": -0.0025,\n  \"h\": 0E+5\n}"},
		{"equal keys", `{"a":1,"b":2,"a":3}`, "{\n  \"a\": 3,\n  \"b\": 2\n}"},
		{"HTML", `{"a":"<x> & \u003cy\u003e"}`, "{\n  \"a\": \"<x> & <y>\"\n}"},
		{"escapes", `{"a":"\"\\\/\b\f\n\r\t\u0001\u007f"}`, "{\n  \"a\": \"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u007f\"\n}"},
		{"Unicode", `{"é":"\u00e9\u2028\ud83e\udd80"}`, "{\n  \"é\": \"é\u2028🦀\"\n}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := string(jsontree.Format(parse(t, test.in))); got != test.want {
				t.Errorf("found %s, expected %s", got, test.want)
			}
		})
	}
}

func TestParseObject_invalid(t *testing.T) {
	for _, text := range []string{``, `<html>`, `[]`, `null`, `{"a":1`, `{"a":}`, `{"a":1} x`, `{"a":1}{}`, `{1:2}`} {
		if object, err := jsontree.ParseObject([]byte(text)); err == nil {
			t.Errorf("%q: found %s, expected an error", text, jsontree.Format(object))
		}
	}
}

func TestMerge(t *testing.T) {
	for _, test := range []struct{ name, base, other, want string }{
		{"new key last", `{"b":1}`, `{"a":2}`, `{"b":1,"a":2}`},
		{"replaced in place", `{"a":1,"b":2}`, `{"a":[3]}`, `{"a":[3],"b":2}`},
		{"objects recursively", `{"a":{"x":1,"y":2}}`, `{"a":{"y":3,"z":4}}`, `{"a":{"x":1,"y":3,"z":4}}`},
		{"object over null", `{"a":null}`, `{"a":{"x":1}}`, `{"a":{"x":1}}`},
		{"null over object", `{"a":{"x":1}}`, `{"a":null}`, `{"a":null}`},
		{"arrays replaced", `{"a":[1,2]}`, `{"a":[3]}`, `{"a":[3]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			base := parse(t, test.base)
			base.Merge(parse(t, test.other))
			if got, want := string(jsontree.Format(base)), string(jsontree.Format(parse(t, test.want))); got != want {
				t.Errorf("found %s, expected %s", got, want)
			}
		})
	}
}

func TestObject(t *testing.T) {
	object := parse(t, `{"n":null,"s":"x","a":["x"],"mixed":["x",1]}`)
	inner, err := object.Object("n")
	if err != nil {
		t.Fatal(err)
	}
	inner.Set("k", "v")
	for _, key := range []string{"a", "new"} {
		if err := object.Append(key, "y"); err != nil {
			t.Fatal(err)
		}
	}
	object.Delete("s")
	object.Delete("s")
	if got := strings.Join(object.Keys(), " "); got != "n a mixed new" {
		t.Errorf("keys: found %q", got)
	}
	if got, err := object.Strings("a"); err != nil || strings.Join(got, " ") != "x y" {
		t.Errorf("strings: found %q (%v), expected x y", got, err)
	}
	for name, f := range map[string]func() error{
		"object of an array":  func() error { _, err := object.Object("a"); return err },
		"append to an object": func() error { return object.Append("n", 1) },
		"strings with number": func() error { _, err := object.Strings("mixed"); return err },
		"strings of object":   func() error { _, err := object.Strings("n"); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), "expected") {
			t.Errorf("%s: error %v, expected one with the expected type", name, err)
		}
	}
}
