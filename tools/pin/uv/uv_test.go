package uv

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"krabby.dev/krabby/tools/layer/wheel"
)

func TestSettingsVariables(t *testing.T) {
	for name, tc := range map[string]struct {
		config string
		set    []string // Variables that the user has set.
		want   []string
	}{
		"nothing": {"", nil, nil},
		"index": {"global.index-url='https://user:word@index.test/simple'\n", nil,
			[]string{"UV_DEFAULT_INDEX=https://user:word@index.test/simple"}},
		"environment over file": {":env:.index-url='https://env.test/simple'\nglobal.index-url='https://file.test/simple'\n", nil,
			[]string{"UV_DEFAULT_INDEX=https://env.test/simple"}},
		"section of the command": {"download.index-url='https://download.test/simple'\nglobal.index-url='https://file.test/simple'\n", nil,
			[]string{"UV_DEFAULT_INDEX=https://download.test/simple"}},
		"section of another command": {"install.index-url='https://install.test/simple'\n", nil, nil},
		"several indexes": {`global.extra-index-url='\nhttps://a.test/simple\nhttps://b.test/simple'` + "\n", nil,
			[]string{"UV_INDEX=https://a.test/simple https://b.test/simple", "UV_INDEX_STRATEGY=unsafe-best-match"}},
		"variable of uv":           {"global.index-url='https://file.test/simple'\n", []string{"UV_DEFAULT_INDEX"}, nil},
		"older variable of uv":     {"global.index-url='https://file.test/simple'\n", []string{"UV_INDEX_URL"}, nil},
		"links":                    {"global.find-links='/nonexistent https://links.test/ /'\n", nil, []string{"UV_FIND_LINKS=https://links.test/,/"}},
		"missing links":            {":env:.find-links='/nonexistent'\n", nil, nil},
		"trust and proxy":          {"global.cert='/c.pem'\nglobal.proxy='http://proxy.test'\nglobal.trusted-host='index.test'\nglobal.timeout='7'\n", nil, []string{"UV_INSECURE_HOST=index.test", "SSL_CERT_FILE=/c.pem", "ALL_PROXY=http://proxy.test", "UV_HTTP_TIMEOUT=7"}},
		"settings without meaning": {"global.disable-pip-version-check='1'\nnot a setting\n", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			lookup := func(name string) (string, bool) { return "x", slices.Contains(tc.set, name) }
			if got := parseConfig(tc.config).variables(lookup); !slices.Equal(got, tc.want) {
				t.Errorf("found %q, expected %q", got, tc.want)
			}
		})
	}
}

func TestSettingsNoIndex(t *testing.T) {
	for config, want := range map[string]bool{"": false, ":env:.no-index='1'": true, "global.no-index='true'": true, "global.no-index='no'": false} {
		if got := parseConfig(config).noIndex(); got != want {
			t.Errorf("%q: found %v, expected %v", config, got, want)
		}
	}
}

func TestPlatformOf(t *testing.T) {
	for target, want := range map[wheel.Target]string{
		{Python: "3.11.2", Architecture: "arm64", Glibc: "2.35"}: "aarch64-manylinux_2_35",
		{Python: "3.12.3", Architecture: "amd64", Glibc: "2.17"}: "x86_64-manylinux_2_17",
	} {
		if got, err := platformOf(target); err != nil || got != want {
			t.Errorf("%s: found %q, %v, expected %q", target, got, err, want)
		}
	}
}

func TestReason(t *testing.T) {
	const output = `warning: something else
error: No solution found when resolving dependencies
  cause: Because p==1 has no usable wheels and you require p, we can
         conclude that your requirements are unsatisfiable.

hint: Wheels are required for ` + "`p`\n"
	const want = "No solution found when resolving dependencies: Because p==1 has no usable wheels and you require p, we can conclude that your requirements are unsatisfiable; Wheels are required for `p`"
	if got := reason(output); got != want {
		t.Errorf("found %q, expected %q", got, want)
	}
	if got := reason("a crash\n"); got != "a crash" {
		t.Errorf("found %q, expected the output", got)
	}
}

func TestVersionsIn(t *testing.T) {
	const text = "Because all of: p>=1.7.0,<=1.12.1 p>=1.13.0.dev2,<1.13.0rc1 p==2.post1 have no wheels and only other-p==9 and p<=1.6 are available, p>1.6 cannot be used."
	got := versionsIn(text, Release{Project: "p", Version: "1.6"})
	if want := []string{"2.post1", "1.12.1", "1.7.0"}; !slices.Equal(got, want) {
		t.Errorf("found %q, expected %q", got, want)
	}
}

func TestParse(t *testing.T) {
	const lock = `lock-version = "1.0"
[[packages]]
name = "Z_z"
version = "1"
wheels = [{ url = "https://index.test/a%2Bb/Z_z-1%2Bcu1-py3-none-any.whl", hashes = { sha256 = "01" } }]
[[packages]]
name = "a"
version = "2"
wheels = [{ name = "a-2-py3-none-any.whl", url = "https://index.test/x", hashes = { sha256 = "02" } }, { path = "d/a-2-py2-none-any.whl", hashes = { sha256 = "03" } }]
`
	want := []Release{
		{"a", "2", []Wheel{{"a-2-py3-none-any.whl", "02"}, {"a-2-py2-none-any.whl", "03"}}},
		{"z-z", "1", []Wheel{{"Z_z-1+cu1-py3-none-any.whl", "01"}}},
	}
	if got, err := parse([]byte(lock)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("found %+v, %v, expected %+v", got, err, want)
	}
	for name, tc := range map[string]struct{ old, new, want string }{
		"no TOML":  {"[[packages]]", "[[", "pylock.toml of uv"},
		"no hash":  {"sha256", "md5", "the index has no sha256 of this file"},
		"no wheel": {`wheels = [{ url`, `sdist = [{ url`, "Z_z: no wheel on an index"},
	} {
		if _, err := parse([]byte(strings.Replace(lock, tc.old, tc.new, 1))); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, expected %q in it", name, err, tc.want)
		}
	}
}

func TestPreferences(t *testing.T) {
	const want = `lock-version = "1.0"
created-by = "pin"

[[packages]]
  name = "a"
  version = "1"

[[packages]]
  name = "b"
  version = "2"
`
	if got := string(preferences(map[string]string{"b": "2", "a": "1"})); got != want {
		t.Errorf("found\n%s\nexpected\n%s", got, want)
	}
}
