package graph

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The pinned ONNX Runtime and the newest formats that it reads. A test of compute/onnx compares them with the library.
const (
	// PinnedRuntime is the version of ONNX Runtime.
	PinnedRuntime   = "1.32.0"
	maxIRVersion    = 14
	maxCoreOpset    = 28
	maxMLOpset      = 5
	classicMLDomain = "ai.onnx.ml"
)

// runtimeDomains are the domains whose operators the runtime has.
var runtimeDomains = []string{coreDomain, classicMLDomain, "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc", "ai.onnx.preview.training"}

// Format returns the versions of the file, for example "IR 8, ai.onnx 17".
func (m *Metadata) Format() string {
	all := []string{fmt.Sprintf("IR %d", m.IRVersion)}
	for _, domain := range slices.Sorted(maps.Keys(m.Opsets)) {
		all = append(all, fmt.Sprintf("%s %d", domain, m.Opsets[domain]))
	}
	return strings.Join(all, ", ")
}

// RuntimeRejects returns why the pinned ONNX Runtime rejects the model because of its format; empty if it does not. It compares
// versions and domains; the runtime alone knows every operator.
func (m *Metadata) RuntimeRejects() string {
	var reasons []string
	if m.IRVersion > maxIRVersion {
		reasons = append(reasons, fmt.Sprintf("found IR version %d, expected at most %d", m.IRVersion, maxIRVersion))
	}
	for _, set := range []struct {
		domain string
		newest int64
	}{{coreDomain, maxCoreOpset}, {classicMLDomain, maxMLOpset}} {
		if found := m.Opsets[set.domain]; found > set.newest {
			reasons = append(reasons, fmt.Sprintf("found operators of %s %d, expected at most %d", set.domain, found, set.newest))
		}
	}
	for _, domain := range m.Domains {
		if !slices.Contains(runtimeDomains, domain) {
			reasons = append(reasons, fmt.Sprintf("found operators of the unknown domain %s", domain))
		}
	}
	return strings.Join(reasons, "; ")
}
