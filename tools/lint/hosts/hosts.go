// Package hosts finds host names in files. It identifies them by their hashes, so this repository does not contain the names.
package hosts

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"krabby.dev/krabby/tools/lint/finding"
)

// A Set holds the hosts to find. Keys are the SHA-256, in hex, of host names in lower case; values describe the hosts. A host
// includes all hosts below it.
type Set map[string]string

// hostLike matches everything that can be a host name: labels separated by dots.
var hostLike = regexp.MustCompile(`[a-z0-9-]+(\.[a-z0-9-]+)+`)

// Find returns the occurrences of the hosts in the text files of the tree.
func (s Set) Find(tree fs.FS) ([]finding.Finding, error) {
	return finding.Collect(tree, func(file string) ([]finding.Finding, error) {
		data, err := fs.ReadFile(tree, file)
		if err != nil || bytes.IndexByte(data, 0) >= 0 {
			return nil, err
		}
		var findings []finding.Finding
		number := 0
		for line := range bytes.Lines(bytes.ToLower(data)) {
			number++
			for _, host := range hostLike.FindAllString(string(line), -1) {
				if description := s.description(host); description != "" {
					findings = append(findings, finding.Finding{File: file, Line: number, Message: fmt.Sprintf("%s is %s", host, description)})
				}
			}
		}
		return findings, nil
	})
}

// description returns the description of a host, or of a host of the set that it is below. It is empty for other hosts.
func (s Set) description(name string) string {
	for parent, more := name, true; more; _, parent, more = strings.Cut(parent, ".") {
		sum := sha256.Sum256([]byte(parent))
		if description := s[hex.EncodeToString(sum[:])]; description != "" {
			return description
		}
	}
	return ""
}
