package expectation

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// buildTools are programs that make or install programs, which an attacker could use.
var buildTools = []string{
	"addr2line", "ar", "as", "apt", "apt-get", "bazel", "bazelisk", "c++", "cargo", "cc", "clang", "clang++", "cmake", "cpp", "dpkg", "g++", "gcc",
	"git", "go", "gold", "ld", "ld.lld", "lld", "make", "meson", "ninja", "nm", "objcopy", "pip", "pip3", "ranlib", "rustc", "strip", "zig",
}

// versioned matches names of tools with a version or target: gcc-12, pip3.11, aarch64-linux-gnu-gcc.
var versioned = regexp.MustCompile(`^(?:[a-z0-9_]+-linux-gnu-)?(.*?)(?:-?[0-9][0-9.]*)?$`)

// secretFiles are names of files with credentials.
var secretFiles = []string{
	".aws/credentials", ".config/gcloud", ".docker/config.json", ".git-credentials", ".gnupg", ".kube/config", ".netrc", ".npmrc", ".pypirc", ".ssh",
	"id_dsa", "id_ecdsa", "id_ed25519", "id_rsa", "etc/shadow",
}

var (
	privateKey = regexp.MustCompile(`-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\r?\n[A-Za-z0-9+/=]{40}`)
	secretName = regexp.MustCompile(`(?i)(?:^|_)(?:TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIALS?|API_?KEY|ACCESS_KEY)(?:_|$)`)
)

// forbidden returns violations of the rules for all images.
func forbidden(config *v1.ConfigFile, files map[string]entry) []string {
	var findings []string
	for _, variable := range config.Config.Env {
		if name, _, _ := strings.Cut(variable, "="); secretName.MatchString(name) {
			findings = append(findings, fmt.Sprintf("env %s: looks like a secret", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		file := files[name]
		find := func(format string, args ...any) {
			findings = append(findings, name+": "+fmt.Sprintf(format, args...))
		}
		switch {
		case file.kind != "file" && file.kind != "directory" && file.kind != "link":
			find("found an %s, expected a file, directory or link", file.kind)
		case file.kind == "file" && file.bits&0o6000 != 0:
			find("mode %s: setuid and setgid are not allowed", file.mode())
		case file.kind != "link" && file.bits&0o002 != 0 && file.bits&0o1000 == 0:
			find("mode %s: world-writable", file.mode())
		}
		if file.seconds != 0 {
			find("found time %d s, expected 0: images must not depend on the time of the build", file.seconds)
		}
		if tool := versioned.FindStringSubmatch(path.Base(name))[1]; isProgram(name, file) && slices.Contains(buildTools, tool) {
			find("is a build tool")
		}
		for _, secret := range secretFiles {
			if strings.HasSuffix(name, "/"+secret) {
				find("looks like a file of secrets")
			}
		}
		if privateKey.Match(file.content) {
			find("contains a private key")
		}
	}
	return findings
}

// isProgram reports whether a file is in a directory of programs.
func isProgram(name string, file entry) bool {
	dir := path.Base(path.Dir(name))
	return (dir == "bin" || dir == "sbin") && file.kind != "directory"
}
