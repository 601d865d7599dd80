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

// buildTools make or install programs: on a robot they are an attacker's.
var buildTools = []string{
	"addr2line", "ar", "as", "apt", "apt-get", "bazel", "bazelisk", "c++", "cargo", "cc", "clang", "clang++", "cmake", "cpp", "dpkg", "g++", "gcc",
	"git", "go", "gold", "ld", "ld.lld", "lld", "make", "meson", "ninja", "nm", "objcopy", "pip", "pip3", "ranlib", "rustc", "strip", "zig",
}

// versioned is how a tool's name goes on when there are several: gcc-12, pip3.11, aarch64-linux-gnu-gcc.
var versioned = regexp.MustCompile(`^(?:[a-z0-9_]+-linux-gnu-)?(.*?)(?:-?[0-9][0-9.]*)?$`)

// secretFiles are where people and programs keep credentials.
var secretFiles = []string{
	".aws/credentials", ".config/gcloud", ".docker/config.json", ".git-credentials", ".gnupg", ".kube/config", ".netrc", ".npmrc", ".pypirc", ".ssh",
	"id_dsa", "id_ecdsa", "id_ed25519", "id_rsa", "etc/shadow",
}

var (
	privateKey = regexp.MustCompile(`-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\r?\n[A-Za-z0-9+/=]{40}`)
	secretName = regexp.MustCompile(`(?i)(?:^|_)(?:TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIALS?|API_?KEY|ACCESS_KEY)(?:_|$)`)
)

// forbidden says what no image of ours may have, whatever is expected of it.
func forbidden(config *v1.ConfigFile, files map[string]entry) []string {
	var findings []string
	for _, variable := range config.Config.Env {
		if name, _, _ := strings.Cut(variable, "="); secretName.MatchString(name) {
			findings = append(findings, fmt.Sprintf("env %s: its name says that it is a secret", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		file := files[name]
		find := func(format string, args ...any) {
			findings = append(findings, name+": "+fmt.Sprintf(format, args...))
		}
		switch {
		case file.kind != "file" && file.kind != "directory" && file.kind != "link":
			find("is an %s, expected files, directories and links alone", file.kind)
		case file.kind == "file" && file.bits&0o6000 != 0:
			find("mode %s: gives its owner's or group's rights to whoever runs it", file.mode())
		case file.kind != "link" && file.bits&0o002 != 0 && file.bits&0o1000 == 0:
			find("mode %s: everybody may write it", file.mode())
		}
		if file.seconds != 0 {
			find("has the time %d s, expected the epoch: nothing of a build's time may be in an image", file.seconds)
		}
		if tool := versioned.FindStringSubmatch(path.Base(name))[1]; isProgram(name, file) && slices.Contains(buildTools, tool) {
			find("is a build tool")
		}
		for _, secret := range secretFiles {
			if strings.HasSuffix(name, "/"+secret) {
				find("is where secrets are kept")
			}
		}
		if privateKey.Match(file.content) {
			find("contains a private key")
		}
	}
	return findings
}

// isProgram says whether a file is something to run by name.
func isProgram(name string, file entry) bool {
	dir := path.Base(path.Dir(name))
	return (dir == "bin" || dir == "sbin") && file.kind != "directory"
}
