// Package hosts finds the names of hosts in a tree of files without having to name them: it knows only their hashes.
package hosts

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

// A Set is hosts to find. The keys are sha256, in hex, of their names in lower case; the values say what each is. A host
// stands for all below it.
type Set map[string]string

// A Mention is a place where a host of the set is named.
type Mention struct {
	File string
	Line int
	Host string
	What string
}

func (m Mention) String() string {
	return fmt.Sprintf("%s:%d: %s is %s", m.File, m.Line, m.Host, m.What)
}

// hostLike is what could be the name of a host: labels with dots between them.
var hostLike = regexp.MustCompile(`[a-z0-9-]+(\.[a-z0-9-]+)+`)

// Find returns all mentions in the text files of the tree, in the order of their paths.
func (s Set) Find(tree fs.FS) ([]Mention, error) {
	var mentions []Mention
	err := fs.WalkDir(tree, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := fs.ReadFile(tree, file)
		if err != nil || bytes.IndexByte(data, 0) >= 0 {
			return err
		}
		number := 0
		for line := range bytes.Lines(bytes.ToLower(data)) {
			number++
			for _, host := range hostLike.FindAllString(string(line), -1) {
				if what := s.what(host); what != "" {
					mentions = append(mentions, Mention{file, number, host, what})
				}
			}
		}
		return nil
	})
	return mentions, err
}

// what says which host of the set a name is, or is below; it is empty if none.
func (s Set) what(name string) string {
	for parent, more := name, true; more; _, parent, more = strings.Cut(parent, ".") {
		sum := sha256.Sum256([]byte(parent))
		if what := s[hex.EncodeToString(sum[:])]; what != "" {
			return what
		}
	}
	return ""
}
