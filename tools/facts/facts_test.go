package facts_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"krabby.dev/krabby/tools/facts"
)

func TestFromConfig(t *testing.T) {
	for _, test := range []struct {
		name   string
		config v1.ConfigFile
		want   facts.Base
	}{
		{
			name: "NVIDIA's PyTorch",
			config: v1.ConfigFile{Architecture: "arm64", Config: v1.Config{
				Env: []string{
					"PATH=/usr/bin", "CUDA_VERSION=13.0.2.006", "CUDNN_VERSION=9.14.0.64", "TRT_VERSION=10.13.3.9",
					"PYTORCH_VERSION=2.9.0a0+145a3a7", "PYVER=3.12",
				},
				Labels: map[string]string{"org.opencontainers.image.ref.name": "ubuntu", "org.opencontainers.image.version": "24.04"},
			}},
			want: facts.Base{
				Architecture: "arm64", OS: "Ubuntu 24.04", Python: "3.12", CUDA: "13.0.2.006", CuDNN: "9.14.0.64",
				TensorRT: "10.13.3.9", PyTorch: "2.9.0a0+145a3a7",
			},
		},
		{
			name:   "Python's own",
			config: v1.ConfigFile{Architecture: "amd64", Config: v1.Config{Env: []string{"PYTHON_VERSION=3.11.9"}}},
			want:   facts.Base{Architecture: "amd64", Python: "3.11"},
		},
		{name: "one that says nothing", config: v1.ConfigFile{}, want: facts.Base{}},
		{
			name:   "a variable without a value",
			config: v1.ConfigFile{Config: v1.Config{Env: []string{"CUDA_VERSION", "PYVER=three"}}},
			want:   facts.Base{},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := facts.FromConfig(&test.config); got != test.want {
				t.Errorf("found %+v, expected %+v", got, test.want)
			}
		})
	}
}

var (
	orin = facts.ZED{Version: "5.1.1", Architecture: "arm64", OS: "ubuntu 22.04", L4T: "36.4", CUDA: "12.6"}
	work = facts.ZED{Version: "5.1.1", Architecture: "amd64", OS: "ubuntu 22.04", CUDA: "12.8"}
	thor = facts.ZED{Version: "5.1.1", Architecture: "arm64", OS: "ubuntu 24.04", L4T: "38.2", CUDA: "13.0"}
)

func TestIncompatibilities(t *testing.T) {
	base := facts.Base{Architecture: "arm64", Python: "3.12", CUDA: "13.0"}
	for _, test := range []struct {
		name  string
		base  facts.Base
		parts facts.Parts
		want  []string
	}{
		{"all fits", base, facts.Parts{Architecture: "arm64", Python: "3.12", ZED: &thor}, nil},
		{"nothing is known", facts.Base{}, facts.Parts{Architecture: "arm64", Python: "3.12", ZED: &orin}, nil},
		{"no wheels", base, facts.Parts{Architecture: "arm64"}, nil},
		{"SDK for the older base", facts.Base{Architecture: "arm64", CUDA: "12.6.11"}, facts.Parts{Architecture: "arm64", ZED: &orin}, nil},
		{"SDK of a workstation", facts.Base{Architecture: "amd64", CUDA: "12.6"}, facts.Parts{Architecture: "amd64", ZED: &work}, nil},
		{"SDK for another processor", base, facts.Parts{Architecture: "arm64", ZED: &work}, []string{
			"ZED SDK 5.1.1 for ubuntu 22.04 on amd64 (CUDA 12.8): found a base with arm64, expected amd64; use ZED SDK 5.1.1 for L4T 38.2 (CUDA 13.0), or no SDK",
		}},
		{"SDK of a workstation on a newer base", facts.Base{Architecture: "amd64", CUDA: "13.0"}, facts.Parts{Architecture: "amd64", ZED: &work}, []string{
			"ZED SDK 5.1.1 for ubuntu 22.04 on amd64 (CUDA 12.8): found a base with CUDA 13.0, expected CUDA 12; " +
				"use a base with CUDA 12.8 for ubuntu 22.04 on amd64, or no SDK",
		}},
		{"programs", base, facts.Parts{Architecture: "amd64"}, []string{
			"the programs: found a base with arm64, expected amd64; use a base for amd64",
		}},
		{"wheels", base, facts.Parts{Architecture: "arm64", Python: "3.11"}, []string{
			"the wheels: found a base with Python 3.12, expected Python 3.11; use the wheels locked for Python 3.12",
		}},
		{"SDK of the seed", base, facts.Parts{Architecture: "arm64", ZED: &orin}, []string{
			"ZED SDK 5.1.1 for L4T 36.4 (CUDA 12.6): found a base with CUDA 13.0, which runs on L4T 38, expected CUDA 12 on a robot with L4T 36.4; " +
				"use ZED SDK 5.1.1 for L4T 38.2 (CUDA 13.0), or a base with CUDA 12.6 for L4T 36.4, or no SDK",
		}},
		{"SDK newer than the base", facts.Base{Architecture: "arm64", CUDA: "12.6"}, facts.Parts{Architecture: "arm64", ZED: &thor}, []string{
			"ZED SDK 5.1.1 for L4T 38.2 (CUDA 13.0): found a base with CUDA 12.6, which runs on L4T 36, expected CUDA 13 on a robot with L4T 38.2; " +
				"use ZED SDK 5.1.1 for L4T 36.4 (CUDA 12.6), or a base with CUDA 13.0 for L4T 38.2, or no SDK",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, m := range facts.Incompatibilities(test.base, test.parts, map[string]facts.ZED{"orin": orin, "thor": thor, "work": work}) {
				got = append(got, m.String())
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("found\n%q\nexpected\n%q", got, test.want)
			}
		})
	}
}

func TestContradictions(t *testing.T) {
	locked := facts.Base{Python: "3.12", CUDA: "13.0"}
	for _, test := range []struct {
		name   string
		source string
		image  facts.Base
		want   []string
	}{
		{"the same", facts.FromImage, locked, nil},
		{"an image that says less", facts.FromImage, facts.Base{}, nil},
		{"an image that says more", facts.FromImage, facts.Base{Python: "3.12", TensorRT: "10"}, nil},
		{"a document that rounds", facts.FromDocuments, facts.Base{CUDA: "13.0.2.006"}, nil},
		{"a pin that does not", facts.FromImage, facts.Base{CUDA: "13.0.2.006"}, []string{"CUDA: found 13.0.2.006 in the image, expected 13.0"}},
		{"a document that errs", facts.FromDocuments, facts.Base{CUDA: "13.01", Python: "3.10"}, []string{
			"Python: found 3.10 in the image, expected 3.12", "CUDA: found 13.01 in the image, expected 13.0",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			platform := facts.Platform{Facts: locked, Source: test.source}
			if got := platform.Contradictions(test.image); !reflect.DeepEqual(got, test.want) {
				t.Errorf("found %q, expected %q", got, test.want)
			}
		})
	}
}

const lock = `{"bases": {"b": {"image": "r/i", "tag": "1", "digest": "", "platforms": {
	"linux/arm64": {"digest": "", "facts": {"cuda": "13.0"}, "source": "documents"}}}}}`

func TestReadLock_invalid(t *testing.T) {
	for _, test := range []struct{ name, old, new, want string }{
		{"an unknown field", `"tag"`, `"tags"`, "unknown field"},
		{"no image", `"r/i"`, `""`, "b: missing image, tag or platforms"},
		{"an unknown source", `documents`, `unknown`, `b: linux/arm64: source: found "unknown", expected "documents" or "config"`},
		{"not JSON", `{"bases"`, `bases`, "invalid character"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, strings.Replace(lock, test.old, test.new, 1))
			if _, err := facts.ReadLock(path); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("found error %v, expected %s: ... %s", err, path, test.want)
			}
		})
	}
}

func TestFind_notFound(t *testing.T) {
	l, err := facts.ReadLock(write(t, lock))
	if err != nil {
		t.Fatal(err)
	}
	pin, platform, err := l.Find("b", "linux/arm64")
	if err != nil || pin.Image != "r/i" || platform.Facts.CUDA != "13.0" {
		t.Errorf("found %+v %+v %v, expected r/i with CUDA 13.0", pin, platform, err)
	}
	if _, _, err := l.Find("c", "linux/arm64"); err == nil || err.Error() != `base "c" not found; known: b` {
		t.Errorf("found error %v, expected the bases that there are", err)
	}
	if _, _, err := l.Find("b", "linux/amd64"); err == nil || err.Error() != `base "b": platform linux/amd64 not found; known: linux/arm64` {
		t.Errorf("found error %v, expected the platforms that there are", err)
	}
}

func TestVersions_jetPack(t *testing.T) {
	pinned := orin
	pinned.SHA256 = "01"
	platforms := func(cuda string) map[string]facts.Platform {
		return map[string]facts.Platform{"linux/arm64": {Facts: facts.Base{Architecture: "arm64", Python: "3.12", CUDA: cuda}, Source: facts.FromDocuments}}
	}
	l := &facts.Lock{Bases: map[string]facts.Pin{
		"old": {Image: "r/i", Tag: "1", Digest: "sha256:01", Platforms: platforms("12.6")},
		"new": {Image: "r/i", Tag: "2", Platforms: platforms("13.0")},
	}}
	image := facts.Image{
		Name: "robot", Platform: "linux/arm64", Nvidia: "new", Python: map[string]string{"nvidia": "3.12"}, ZED: true,
		JetPacks: map[string]facts.JetPack{"5": {"new", "orin"}, "6": {"old", "orin"}, "7": {"new", "thor"}},
	}
	noCamera := image
	noCamera.Name, noCamera.ZED = "blind", false
	text, err := facts.Versions(l, []facts.Image{image, noCamera}, map[string]facts.ZED{"orin": pinned, "thor": thor, "work": work})
	if err != nil {
		t.Fatal(err)
	}
	const notPinned = "the base is not pinned: `./tools/bazel run //tools/pin -- base new`"
	for _, want := range []string{
		"| 6 | robot | `1` | ZED SDK 5.1.1 for L4T 36.4 (CUDA 12.6) | Python 3.12 | yes |\n",
		"| 6 | blind | `1` | none | Python 3.12 | yes |\n",
		"| 7 | robot | `2` | ZED SDK 5.1.1 for L4T 38.2 (CUDA 13.0) | Python 3.12 | **no**: " + notPinned +
			"; the SDK is not pinned: `./tools/bazel run //tools/pin -- archive thor` |\n",
		"| 7 | blind | `2` | none | Python 3.12 | **no**: " + notPinned + " |\n",
		"| 5 | robot | `2` | ZED SDK 5.1.1 for L4T 36.4 (CUDA 12.6) | Python 3.12 | **no**: ZED SDK 5.1.1 for L4T 36.4 (CUDA 12.6): found a base with CUDA 13.0",
		"| ZED SDK 5.1.1 for L4T 36.4 (CUDA 12.6) | robot | `1` | yes |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("found\n%s\nexpected in it\n%s", text, want)
		}
	}
	if strings.Contains(text, "amd64") {
		t.Errorf("found\n%s\nexpected no SDK for another processor", text)
	}
	image.JetPacks["7"] = facts.JetPack{Nvidia: "new", ZED: "unknown"}
	if _, err := facts.Versions(l, []facts.Image{image}, map[string]facts.ZED{"orin": orin}); err == nil || !strings.Contains(err.Error(), `robot: JetPack 7: ZED SDK "unknown" not found; known: orin`) {
		t.Errorf("found error %v, expected the unknown SDK", err)
	}
}

func write(t *testing.T, content string) string {
	path := filepath.Join(t.TempDir(), "lock.json")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
