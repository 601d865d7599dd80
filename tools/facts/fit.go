package facts

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// Parts is what an image puts onto its base.
type Parts struct {
	Architecture string // Of the programs.
	Python       string // That the wheels are for; empty without wheels.
	ZED          *ZED   // Nil without the SDK.
}

// ZED is one build of the ZED SDK.
type ZED struct {
	Version string `json:"version"`
	L4T     string `json:"l4t"`  // Release of NVIDIA's Linux for Tegra, such as "36.4".
	CUDA    string `json:"cuda"` // That its libraries are linked against.
}

func (z ZED) String() string {
	return fmt.Sprintf("ZED SDK %s for L4T %s (CUDA %s)", z.Version, z.L4T, z.CUDA)
}

// Label is the value of an image's label for it.
func (z ZED) Label() string { return fmt.Sprintf("%s (L4T %s, CUDA %s)", z.Version, z.L4T, z.CUDA) }

// ReadSDKs reads third_party/zed/lock.json: the builds of the SDK by the name that --//third_party/zed:sdk gives them.
func ReadSDKs(path string) (map[string]ZED, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var lock struct {
		Archives map[string]ZED `json:"archives"` // What else it says of them is for those who fetch them.
	}
	if err := json.Unmarshal(raw, &lock); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for name, sdk := range lock.Archives {
		if sdk.Version == "" || sdk.L4T == "" || sdk.CUDA == "" {
			return nil, fmt.Errorf("%s: %s: version, l4t and cuda are all needed", path, name)
		}
	}
	return lock.Archives, nil
}

// Misfit is a part that does not work on a base.
type Misfit struct {
	Part         string
	Found        string // What the base has.
	Expected     string // What the part needs.
	Alternatives []string
}

func (m Misfit) String() string {
	s := fmt.Sprintf("%s: expected %s, the base has %s", m.Part, m.Expected, m.Found)
	if len(m.Alternatives) > 0 {
		s += "; instead: " + strings.Join(m.Alternatives, ", or ")
	}
	return s
}

// Fit says what of the parts does not work on the base. known are the builds of the ZED SDK that there are, to name the one
// that would. What is not known of a base is not held against it.
func Fit(base Base, parts Parts, known map[string]ZED) []Misfit {
	var misfits []Misfit
	if base.Architecture != "" && base.Architecture != parts.Architecture {
		misfits = append(misfits, Misfit{
			Part:         "the programs",
			Expected:     parts.Architecture,
			Found:        base.Architecture,
			Alternatives: []string{"a base for " + parts.Architecture},
		})
	}
	if parts.Python != "" && base.Python != "" && base.Python != parts.Python {
		misfits = append(misfits, Misfit{
			Part:         "the wheels",
			Expected:     "Python " + parts.Python,
			Found:        "Python " + base.Python,
			Alternatives: []string{"the wheels locked for Python " + base.Python},
		})
	}
	if parts.ZED != nil {
		if misfit, fits := fitZED(base, *parts.ZED, known); !fits {
			misfits = append(misfits, misfit)
		}
	}
	return misfits
}

// l4tOf names the releases of L4T whose driver runs a major version of CUDA on a Jetson, as JetPack's release notes pair
// them: JetPack 6 is L4T 36 with CUDA 12, JetPack 7 is L4T 38 with CUDA 13.
var l4tOf = map[string]string{"12": "36", "13": "38"}

func fitZED(base Base, zed ZED, known map[string]ZED) (Misfit, bool) {
	l4t, isJetson := l4tOf[major(base.CUDA)]
	if base.CUDA == "" || major(zed.CUDA) == major(base.CUDA) && (!isJetson || major(zed.L4T) == l4t) {
		return Misfit{}, true
	}
	// Its libraries ask for libcudart.so.<major>: CUDA is compatible within a major version only.
	misfit := Misfit{
		Part:     zed.String(),
		Expected: fmt.Sprintf("CUDA %s on a robot with L4T %s", major(zed.CUDA), zed.L4T),
		Found:    "CUDA " + base.CUDA,
	}
	if isJetson {
		misfit.Found += ", which runs on L4T " + l4t
	}
	for _, name := range sorted(known) {
		other := known[name]
		if _, fits := fitZED(base, other, nil); fits {
			misfit.Alternatives = append(misfit.Alternatives, other.String())
		}
	}
	misfit.Alternatives = append(misfit.Alternatives, fmt.Sprintf("a base with CUDA %s for L4T %s", zed.CUDA, zed.L4T), "no SDK")
	return misfit, false
}

func major(version string) string {
	major, _, _ := strings.Cut(version, ".")
	return major
}
