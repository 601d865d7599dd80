package compose

import (
	"fmt"
	"regexp"
	"strings"
)

var reference = regexp.MustCompile(`\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))`)

// mergeEnv returns base with entries set, in place where base has the name and
// at the end where not. A value may refer to what base and earlier entries
// define. An unknown name is an error: rules_oci drops part of the value there,
// which nobody wants to find out on a robot.
func mergeEnv(base []string, entries []KeyValue) ([]string, error) {
	merged := make([]KeyValue, 0, len(base)+len(entries))
	for _, kv := range base {
		k, v, _ := strings.Cut(kv, "=")
		merged = append(merged, KeyValue{k, v})
	}
	find := func(key string) *KeyValue {
		for i := range merged {
			if merged[i].Key == key {
				return &merged[i]
			}
		}
		return nil
	}
	for _, e := range entries {
		var unknown []string
		value := reference.ReplaceAllStringFunc(e.Value, func(ref string) string {
			name := strings.Trim(ref, "${}")
			if kv := find(name); kv != nil {
				return kv.Value
			}
			unknown = append(unknown, name)
			return ""
		})
		if len(unknown) > 0 {
			return nil, fmt.Errorf("env %s=%q refers to %s, which neither the base nor an earlier entry of env defines", e.Key, e.Value, strings.Join(unknown, ", "))
		}
		if kv := find(e.Key); kv != nil {
			kv.Value = value
		} else {
			merged = append(merged, KeyValue{e.Key, value})
		}
	}
	if len(merged) == 0 {
		return nil, nil
	}
	out := make([]string, len(merged))
	for i, kv := range merged {
		out[i] = kv.Key + "=" + kv.Value
	}
	return out, nil
}
