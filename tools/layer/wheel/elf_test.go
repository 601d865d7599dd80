package wheel

import (
	"debug/elf"
	"strings"
	"testing"

	"krabby.dev/krabby/tools/layer/wheel/wheeltest"
)

func TestCheckTarget_linuxTag(t *testing.T) {
	amd := Target{Python: "3.11", Architecture: "amd64", Glibc: "2.35"}
	const name = "a-1-cp311-cp311-linux_x86_64.whl"
	for _, tc := range []struct {
		name, filename, library, want string
		allowed                       bool
	}{
		{"not allowed", name, "", "linux_x86_64 has no glibc version (a layer takes it if wheel_linux_tags names the project)", false},
		{"no program", name, "", "", true},
		{"oldest version", name, wheeltest.ELF(elf.EM_X86_64, "libc.so.6", "GLIBC_2.2.5"), "", true},
		{"same version", name, wheeltest.ELF(elf.EM_X86_64, "libm.so.6", "GLIBC_2.35"), "", true},
		{"newer version", name, wheeltest.ELF(elf.EM_X86_64, "libc.so.6", "GLIBC_2.38"), "a/core.so: it requires GLIBC_2.38 of libc.so.6: found glibc 2.35, expected 2.38", true},
		{"relative relocations", name, wheeltest.ELF(elf.EM_X86_64, "libc.so.6", "GLIBC_ABI_DT_RELR"), "it requires GLIBC_ABI_DT_RELR of libc.so.6: found glibc 2.35, expected 2.36", true},
		{"private version", name, wheeltest.ELF(elf.EM_X86_64, "libc.so.6", "GLIBC_PRIVATE"), "it requires GLIBC_PRIVATE, which no glibc promises", true},
		{"version of another library", name, wheeltest.ELF(elf.EM_X86_64, "libstdc++.so.6", "GLIBCXX_3.4.99"), "", true},
		{"musl", name, wheeltest.ELF(elf.EM_X86_64, "libc.musl-x86_64.so.1", "X"), "it requires libc.musl-x86_64.so.1, which is another C library than glibc", true},
		{"library of another architecture", name, wheeltest.ELF(elf.EM_AARCH64, "libc.so.6", "GLIBC_2.17"), "a/core.so: wrong architecture: found EM_AARCH64, expected EM_X86_64", true},
		{"damaged library", name, "\x7fELF", "a/core.so: not an ELF file", true},
		{"tag of another architecture", "a-1-cp311-cp311-linux_aarch64.whl", "", "linux_aarch64 is for another architecture", true},
		{"tag of another Python", "a-1-cp312-cp312-linux_x86_64.whl", "", "it is for Python cp312-cp312", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := open(t, tc.filename, nil, file("a/__init__.py", 0o644, ""), file("a/core.so", 0o755, tc.library))
			w.LinuxTag = tc.allowed
			err := Set{"a": w}.CheckTarget(amd)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestCheckTarget_linuxTagExcludedFile(t *testing.T) {
	w := open(t, "a-1-cp311-cp311-linux_x86_64.whl", nil, file("a/tests/arm.so", 0o755, wheeltest.ELF(elf.EM_AARCH64, "libc.so.6", "GLIBC_2.17")))
	w.LinuxTag, w.Exclude = true, func(path string) bool { return strings.HasPrefix(path, "a/tests/") }
	if err := (Set{"a": w}).CheckTarget(Target{Python: "3.11", Architecture: "amd64", Glibc: "2.35"}); err != nil {
		t.Errorf("error %v for a file that is left out", err)
	}
}
