package wheel

import "testing"

func TestTargetBest(t *testing.T) {
	target := Target{Python: "3.11.2", Architecture: "arm64", Glibc: "2.35"}
	for name, tc := range map[string]struct {
		wheels []string
		want   string
	}{
		"own ABI over the stable ABI":      {[]string{"p-1-cp311-abi3-manylinux_2_28_aarch64.whl", "p-1-cp311-cp311-manylinux_2_17_aarch64.whl"}, "p-1-cp311-cp311-manylinux_2_17_aarch64.whl"},
		"newer stable ABI":                 {[]string{"p-1-cp38-abi3-manylinux_2_28_aarch64.whl", "p-1-cp310-abi3-manylinux_2_17_aarch64.whl"}, "p-1-cp310-abi3-manylinux_2_17_aarch64.whl"},
		"compiled over plain":              {[]string{"p-1-py3-none-any.whl", "p-1-cp310-abi3-manylinux2014_aarch64.whl"}, "p-1-cp310-abi3-manylinux2014_aarch64.whl"},
		"newest glibc that fits":           {[]string{"p-1-py3-none-manylinux_2_17_aarch64.whl", "p-1-py3-none-manylinux_2_28_aarch64.whl", "p-1-py3-none-manylinux_2_39_aarch64.whl"}, "p-1-py3-none-manylinux_2_28_aarch64.whl"},
		"best of several tags of a wheel":  {[]string{"p-1-py3-none-manylinux_2_26_aarch64.whl", "p-1-py3-none-manylinux2014_aarch64.manylinux_2_28_aarch64.whl"}, "p-1-py3-none-manylinux2014_aarch64.manylinux_2_28_aarch64.whl"},
		"platform over any":                {[]string{"p-1-cp311-none-any.whl", "p-1-py3-none-manylinux_2_17_aarch64.whl"}, "p-1-py3-none-manylinux_2_17_aarch64.whl"},
		"interpreter's any over Python's":  {[]string{"p-1-py3-none-any.whl", "p-1-cp311-none-any.whl"}, "p-1-cp311-none-any.whl"},
		"highest build number":             {[]string{"p-1-2-py3-none-any.whl", "p-1-10-py3-none-any.whl", "p-1-py3-none-any.whl"}, "p-1-10-py3-none-any.whl"},
		"rest of the build tag":            {[]string{"p-1-1b-py3-none-any.whl", "p-1-1a-py3-none-any.whl"}, "p-1-1b-py3-none-any.whl"},
		"Python 2 and 3":                   {[]string{"p-1-py2.py3-none-any.whl"}, "p-1-py2.py3-none-any.whl"},
		"other architecture":               {[]string{"p-1-cp311-cp311-manylinux_2_17_x86_64.whl"}, ""},
		"newer Python":                     {[]string{"p-1-cp312-abi3-manylinux_2_17_aarch64.whl", "p-1-cp312-cp312-manylinux_2_17_aarch64.whl"}, ""},
		"newer glibc and musl":             {[]string{"p-1-py3-none-manylinux_2_36_aarch64.whl", "p-1-py3-none-musllinux_1_2_aarch64.whl"}, ""},
		"no wheels":                        {nil, ""},
		"a wheel that does not fit, first": {[]string{"p-1-cp310-cp310-manylinux_2_17_aarch64.whl", "p-1-py3-none-any.whl"}, "p-1-py3-none-any.whl"},
	} {
		t.Run(name, func(t *testing.T) {
			var files []Filename
			for _, w := range tc.wheels {
				f, err := ParseFilename(w)
				if err != nil {
					t.Fatal(err)
				}
				files = append(files, f)
			}
			got := ""
			if i := target.Best(files); i >= 0 {
				got = tc.wheels[i]
			}
			if got != tc.want {
				t.Errorf("found %q, expected %q", got, tc.want)
			}
		})
	}
}

// TestTargetBest_agreesWithCheckTags compares the two judgements of whether a wheel fits.
func TestTargetBest_agreesWithCheckTags(t *testing.T) {
	target := Target{Python: "3.11", Architecture: "amd64", Glibc: "2.35"}
	for _, python := range []string{"py3", "py2", "py310", "py311", "py312", "cp310", "cp311", "cp312"} {
		for _, abi := range []string{"none", "abi3", "cp310", "cp311"} {
			for _, platform := range []string{"any", "manylinux1_x86_64", "manylinux2014_x86_64", "manylinux_2_35_x86_64", "manylinux_2_36_x86_64", "manylinux_2_17_aarch64", "win_amd64"} {
				f := Filename{Project: "p", Version: "1", Python: []string{python}, ABI: []string{abi}, Platform: []string{platform}}
				fits := target.CheckTags(f) == nil
				// A compiled ABI without a platform is in no list of tags; no index has such a wheel.
				if abi != "none" && platform == "any" {
					continue
				}
				if best := target.Best([]Filename{f}) >= 0; best != fits {
					t.Errorf("%s-%s-%s: Best finds it: %v; CheckTags takes it: %v", python, abi, platform, best, fits)
				}
			}
		}
	}
}
