package facts

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
)

// Parts describes what an image adds to its base.
type Parts struct {
	Architecture string // Architecture of the programs.
	Python       string // Python version of the wheels; empty without wheels.
	ZED          *ZED   // nil without the SDK.
}

// ZED is one build of the ZED SDK.
type ZED struct {
	Version      string `json:"version"`
	Architecture string `json:"architecture"` // As in GOARCH.
	OS           string `json:"os"`           // Such as "ubuntu 22.04".
	L4T          string `json:"l4t"`          // Release of NVIDIA's Linux for Tegra, such as "36.4"; empty if it is not for a Jetson.
	CUDA         string `json:"cuda"`         // Version that its libraries are linked against.
	SHA256       string `json:"sha256"`       // Empty if the archive is not pinned.
}

func (z ZED) String() string {
	return fmt.Sprintf("ZED SDK %s for %s (CUDA %s)", z.Version, z.system(), z.CUDA)
}

// Label returns the value of the image label of the SDK.
func (z ZED) Label() string { return fmt.Sprintf("%s (%s, CUDA %s)", z.Version, z.system(), z.CUDA) }

func (z ZED) system() string {
	if z.L4T == "" {
		return z.OS + " on " + z.Architecture
	}
	return "L4T " + z.L4T
}

// ReadSDKs reads third_party/zed/lock.json: the builds of the SDK by their name in --//third_party/zed:sdk.
func ReadSDKs(path string) (map[string]ZED, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var lock struct {
		Archives map[string]ZED `json:"archives"` // Other fields are for fetching the archives.
	}
	if err := json.Unmarshal(raw, &lock); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for name, sdk := range lock.Archives {
		if sdk.Version == "" || sdk.Architecture == "" || sdk.OS == "" || sdk.CUDA == "" {
			return nil, fmt.Errorf("%s: %s: missing version, architecture, os or cuda", path, name)
		}
	}
	return lock.Archives, nil
}

// Incompatibility is a part that does not work on a base.
type Incompatibility struct {
	Part         string
	Found        string // Property of the base.
	Expected     string // Requirement of the part.
	Alternatives []string
}

func (i Incompatibility) String() string {
	s := fmt.Sprintf("%s: found a base with %s, expected %s", i.Part, i.Found, i.Expected)
	if len(i.Alternatives) > 0 {
		s += "; use " + strings.Join(i.Alternatives, ", or ")
	}
	return s
}

// Incompatibilities returns the parts that do not work on the base. sdks are the available builds of the ZED SDK, for the
// alternatives. An unknown property of the base is compatible with everything.
func Incompatibilities(base Base, parts Parts, sdks map[string]ZED) []Incompatibility {
	var found []Incompatibility
	if base.Architecture != "" && base.Architecture != parts.Architecture {
		found = append(found, Incompatibility{
			Part:         "the programs",
			Expected:     parts.Architecture,
			Found:        base.Architecture,
			Alternatives: []string{"a base for " + parts.Architecture},
		})
	}
	if parts.Python != "" && base.Python != "" && base.Python != parts.Python {
		found = append(found, Incompatibility{
			Part:         "the wheels",
			Expected:     "Python " + parts.Python,
			Found:        "Python " + base.Python,
			Alternatives: []string{"the wheels locked for Python " + base.Python},
		})
	}
	if parts.ZED == nil {
		return found
	}
	suitable := maps.Clone(sdks)
	maps.DeleteFunc(suitable, func(_ string, z ZED) bool { return z.Architecture != parts.Architecture })
	if parts.ZED.Architecture != parts.Architecture {
		found = append(found, Incompatibility{
			Part:         parts.ZED.String(),
			Expected:     parts.ZED.Architecture,
			Found:        parts.Architecture,
			Alternatives: append(compatible(base, suitable), "no SDK"),
		})
	} else if i, ok := checkZED(base, *parts.ZED, suitable); !ok {
		found = append(found, i)
	}
	return found
}

// l4tForCUDA maps a major version of CUDA to the major release of L4T whose driver runs it on a Jetson, from JetPack's
// release notes: JetPack 6 is L4T 36 with CUDA 12, JetPack 7 is L4T 38 with CUDA 13.
var l4tForCUDA = map[string]string{"12": "36", "13": "38"}

// checkZED reports whether a build of the ZED SDK works on the base.
func checkZED(base Base, zed ZED, sdks map[string]ZED) (Incompatibility, bool) {
	l4t, isJetson := l4tForCUDA[major(base.CUDA)]
	isJetson = isJetson && zed.L4T != ""
	if base.CUDA == "" || major(zed.CUDA) == major(base.CUDA) && (!isJetson || major(zed.L4T) == l4t) {
		return Incompatibility{}, true
	}
	// The libraries require libcudart.so.<major>: CUDA is compatible within a major version only.
	i := Incompatibility{
		Part:     zed.String(),
		Expected: "CUDA " + major(zed.CUDA),
		Found:    "CUDA " + base.CUDA,
	}
	if isJetson {
		i.Expected += " on a robot with L4T " + zed.L4T
		i.Found += ", which runs on L4T " + l4t
	}
	i.Alternatives = append(compatible(base, sdks), fmt.Sprintf("a base with CUDA %s for %s", zed.CUDA, zed.system()), "no SDK")
	return i, false
}

// compatible returns the builds of the ZED SDK that work on the base.
func compatible(base Base, sdks map[string]ZED) []string {
	var all []string
	for _, name := range sorted(sdks) {
		sdk := sdks[name]
		if _, ok := checkZED(base, sdk, nil); ok {
			all = append(all, sdk.String())
		}
	}
	return all
}

func major(version string) string {
	major, _, _ := strings.Cut(version, ".")
	return major
}
