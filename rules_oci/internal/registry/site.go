package registry

import (
	"net"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// sameSite reports whether credentials for a registry may go to another host: the same one, or one of the same registrable domain and
// a standard port, such as auth.docker.io for index.docker.io.
func sameSite(registry, host string) bool {
	if registry == host {
		return true
	}
	a, okA := site(registry)
	b, okB := site(host)
	return okA && okB && a == b
}

// site returns the registrable domain of a host with a standard port.
func site(host string) (string, bool) {
	if h, port, err := net.SplitHostPort(host); err == nil {
		if port != "443" {
			return "", false
		}
		host = h
	}
	if net.ParseIP(host) != nil {
		return "", false
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(host))
	return domain, err == nil
}
