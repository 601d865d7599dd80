package maintscript

// known are packages of Debian bookworm whose scripts do nothing that an image needs, with what they do. docs/images.md has this table.
var known = map[string]string{
	"base-files":         "makes files and directories for people who log in, such as /root/.profile and /var/mail",
	"ca-certificates":    "writes /etc/ssl/certs/ca-certificates.crt, which ca_bundle of the layer does",
	"dash":               "makes /bin/sh, which the package contains",
	"libc6":              "restarts services after an upgrade",
	"netbase":            "writes /etc/hosts, which container engines write, and /etc/networks",
	"python3.11":         "compiles modules",
	"python3.11-minimal": "compiles modules, and makes empty directories in /usr/local",
	"tzdata":             "writes /etc/timezone, and /etc/localtime for a time zone other than UTC",
}

// Known reports whether the scripts of a package are known to do nothing that an image needs.
func Known(pkg string) bool {
	_, ok := known[pkg]
	return ok
}
