package wheel

import (
	"strings"
	"testing"
)

func TestMarker_text(t *testing.T) {
	environment := map[string]string{
		"os_name": "posix", "sys_platform": "linux", "platform_release": "5.15.148-tegra", "python_version": "3.11",
		"platform_python_implementation": "CPython", "implementation_version": "3.11.2", "extra": "",
	}
	for text, want := range map[string]bool{
		`sys_platform > "darwin"`:                                      false, // Text has no order.
		`sys_platform < "win32"`:                                       false,
		`sys_platform >= "linux"`:                                      true,
		`sys_platform <= "linux"`:                                      true,
		`sys_platform >= "darwin"`:                                     false,
		`platform_release >= "5"`:                                      false, // 5.15.148-tegra is not a version.
		`platform_release < "5"`:                                       false,
		`platform_release != "5"`:                                      false,
		`platform_release == "5.15.148-tegra"`:                         true, // Both are text.
		`platform_release === "5.15.148-TEGRA"`:                        true,
		`python_version < "3.x"`:                                       false,
		`python_version >= "3.11, 3.12"`:                               false,
		`"3.9" < python_version`:                                       true,
		`os.name == "posix"`:                                           true, // Names from before PEP 508.
		`sys.platform == "linux"`:                                      true,
		`python_implementation == "CPython"`:                           true,
		`os_name == sys_platform`:                                      false, // The second variable stands for its name.
		`"posix" == "os_name"`:                                         true,  // The second text is the name of a variable.
		`os_name == "posix" and(extra == "")`:                          true,
		`"x"in os_name`:                                                true,
		`"tegra" in platform_release`:                                  true,
		`os_name == "posix" or platform_machine == "x"`:                true, // The unsupported variable has no effect.
		`os_name == "nt" and platform_machine >= "x"`:                  false,
		`(os_name == "nt" and platform_machine >= "x") or extra == ""`: true,
	} {
		m, err := ParseMarker(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := m(environment); err != nil || got != want {
			t.Errorf("%s: %v (%v), want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		`os_name === "posix"`:                    "the operator === compares versions only",
		`sys_platform ~= "linux"`:                "the operator ~= compares versions only",
		`os_name == "posix" or os_name === "nt"`: "the operator === compares versions only", // Also where it has no effect.
		`platform_machine == "x"`:                "unsupported variable platform_machine",
		`"a" == "b" and os_name == "nt"`:         `"a" and "b" are both quoted`,
		`"a" == "b"`:                             `"a" and "b" are both quoted`,
	} {
		m, err := ParseMarker(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := m(environment); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v (%v), want the error %q", text, got, err, want)
		}
	}
}
